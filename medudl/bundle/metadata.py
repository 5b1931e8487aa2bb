"""configs/metadata.json: what a MONAI bundle says of itself, as MONAI's specification asks."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from medudl.bundle import translations
from medudl.bundle.facts import Facts
from medudl.bundle.network import OUTPUTS, Network
from medudl.version import VERSION

# Where MONAI keeps it, and `verify_metadata` downloads it from.
SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
USE = "For research; not a medical device. Not for diagnosis: no reader may rely on it."
_REQUIRED = ("nibabel", "scipy", "safetensors", "pydantic", "pandas", "einops")

# type, format, what the channels are, of each verb's first output
_KINDS: dict[str, tuple[str, str, str]] = {
    "anomaly": ("image", "magnitude", "anomaly: how unusual each voxel is, 0 and above"),
    "encode": ("tuples", "latent", "code"),
    "classify": ("probabilities", "classes", "logit"),
    "translate": ("image", "magnitude", "synthetic"),  # HU and other units come with the inverse of the intensity map
}
_TASKS = {
    "anomaly": "Unsupervised anomaly maps: where a scan differs from the healthy ones that were learnt from",
    "encode": "A code (numbers that describe a scan), learnt without labels",
    "classify": "Classification of a scan",
    "translate": "Synthetic images: one kind of scan translated to another",
}


def metadata(facts: Facts, network: Network, authors: str) -> dict[str, Any]:
    """The content of configs/metadata.json. authors: "" leaves a sentence that asks for them."""
    config = facts.config
    return {
        "schema": SCHEMA,
        "version": "0.1.0",
        "changelog": {"0.1.0": f"exported by medudl {VERSION}"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {"medudl": VERSION, **_versions(_REQUIRED)},
        "name": f"medudl {config.method['name']}",
        "task": _TASKS[network.verb] + (f" ({translations.ways(facts)})" if facts.sides else ""),
        "description": f"{config.method['name']} of medudl {VERSION}, trained on {facts.trained_on}",
        "authors": authors or "not stated; write the names of those who trained it",
        "copyright": f"(c) {authors}" if authors else "not stated; write who holds the rights to these weights",
        "data_source": f"not known to the software; the data: {facts.trained_on}",
        "data_type": ", ".join(facts.formats) or "unknown",
        "image_classes": facts.preprocessing,
        "label_classes": _labels(facts, network),
        "pred_classes": "; ".join(translations.units(facts)) if facts.sides else _KINDS[network.verb][2],
        "eval_metrics": facts.eval_metrics(),
        "intended_use": f"{USE} {translations.SYNTHETIC}" if facts.sides else USE,
        "references": [facts.reference],
        "network_data_format": {
            "inputs": {"image": _input(facts, network)},
            "outputs": {"pred": _output(facts, network)},
        },
    }


def _labels(facts: Facts, network: Network) -> str:
    if facts.paired:
        return f"none: learnt from the {', '.join(facts.config.data.target)} scan of each pair"
    return ", ".join(facts.classes) if network.method.supervised else "none: learnt without labels"


def _versions(names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an extra that is not installed here was not used
            continue
    return found


def _input(facts: Facts, network: Network) -> dict[str, Any]:
    data, shape = facts.config.data, network.method.shape
    return {
        "type": "image",
        "format": "magnitude",  # hounsfield is mapped to [0, 1] before the network sees it
        "modality": translations.modality(facts, "source") if facts.sides else "/".join(facts.modalities) or "n/a",
        "num_channels": shape[0],
        "spatial_shape": list(shape[1:]),
        "dtype": "float32",
        "value_range": [0, 1] if facts.clipped else [],
        "is_patch_data": data.view == "patches",
        "channel_def": {str(place): name for place, name in enumerate(facts.channel_names(shape[0]))},
    }


def _output(facts: Facts, network: Network) -> dict[str, Any]:
    """By a look at what the network gives of zeros."""
    import torch

    shape = network.method.shape
    with torch.no_grad():
        made = next(iter(OUTPUTS[network.verb](network.method, torch.zeros(1, *shape)).values()))
    kind, form, meaning = _KINDS[network.verb]
    channels = made.shape[1]
    translated = network.verb == "translate"
    names = facts.classes if network.verb == "classify" else facts.target_names(channels) if translated else []
    return {
        "type": kind,
        "format": form,
        "modality": translations.modality(facts, "target") if translated else "n/a",
        "num_channels": channels,
        "spatial_shape": list(made.shape[2:]),
        "dtype": str(made.dtype).removeprefix("torch."),
        "value_range": [0, 1] if translated else [],
        "is_patch_data": facts.config.data.view == "patches",
        "channel_def": {
            str(place): names[place] if place < len(names) else meaning if channels == 1 else f"{meaning} {place}"
            for place in range(channels)
        },
    }
