"""The text files of a bundle: how to run it, and that nobody has chosen a licence yet."""

from __future__ import annotations

from typing import Any

from medudl.bundle import translations
from medudl.bundle.facts import Facts
from medudl.bundle.graphs import BACK, DECODER, MODEL, OPSET, Graphs
from medudl.bundle.network import Network
from medudl.version import VERSION

LICENCE = """No licence has been chosen for these weights.

They may carry traces of the scans that they were learnt from. Whoever trained them decides, with whoever answers for
the scans, whether and on what terms others may have them; write that here before you give the bundle away.
The software that runs them, medudl, is under the Apache License 2.0, and comes without any warranty.
"""
_WRITES = {
    "anomaly": "`<scan>_anomaly.nii.gz`, `_expected.nii.gz`, `_unusual.nii.gz` on the scan's grid, and `scores.csv`",
    "encode": "`embedding.csv`: the code of each scan, the mean over its slices",
    "classify": "`predictions.csv`: the probability of each class, the mean over the scan's slices",
}


_INPUTS = {MODEL: "image", DECODER: "code", BACK: "target"}


def readme(facts: Facts, network: Network, graphs: Graphs | None) -> str:
    """docs/README.md."""
    lines = [
        f"# {facts.config.method['name']}",
        "",
        "For research; not a medical device. Not for diagnosis.",
        "",
        f"Exported by medudl {VERSION}; trained on {facts.trained_on}. See [model_card.md](model_card.md).",
        "",
        "## Run it",
        "",
        "It needs the packages of `configs/metadata.json`, medudl among them, and `fire` for MONAI's command line.",
        "From this bundle's folder, on a folder of NIfTI or DICOM scans:",
        "",
        "```",
        "python -m monai.bundle run --config_file configs/inference.json --dataset_dir SCANS --output_dir OUT",
        "```",
        "",
        f"It writes {translations.writes(facts) if facts.sides else _WRITES[network.verb]}.",
        "",
        f"Before the network, a scan is {facts.preprocessing}.",
        "",
        *(translations.section(facts) if facts.sides else []),
        "## ONNX",
        "",
        *_onnx(facts, network, graphs),
        "",
        "## What is not in it",
        "",
        "No scan, no picture, no row of the cohort, no patient's id or score. `configs/medudl.json` holds settings;",
        *([f"which {', '.join(facts.left_out)} were asked for was left out."] if facts.left_out else []),
        "weights are learnt from patients nevertheless: treat them as the LICENSE says.",
    ]
    return "\n".join(lines) + "\n"


def _onnx(facts: Facts, network: Network, graphs: Graphs | None) -> list[str]:
    if graphs is None:
        return ["None was asked for (`medudl export --no-onnx`)."]
    method: Any = network.method
    shapes = {"code": ("Z",), "image": method.shape, "target": getattr(method, "target_shape", ())}
    lines = [
        f"`models/{name}` (opset {OPSET}): {', '.join(outputs)}."
        f" Input `{_INPUTS[name]}`, float32 (batch, {', '.join(map(str, shapes[_INPUTS[name]]))})."
        for name, outputs in graphs.files.items()
    ]
    if graphs.files:
        lines.append(f"Largest difference from torch: {graphs.worst:.1e} of the largest value (or of 1).")
        lines.append("They take images as prepared above, not files.")
    if facts.sides:
        lines.append("Images come out in 0 to 1; what these stand for is told above.")
    lines += [f"Left out: {verb}, because {why}" for verb, why in graphs.left_out.items()]
    return lines
