"""Where the settings of two runs differ, in words."""

from __future__ import annotations

from typing import Any

WORDS = {
    "method.name": "Method", "method.latent": "Size of the summary of an image", "method.width": "Width of the network",
    "method.levels": "Depth of the network", "method.noise": "Kind of noise", "method.sigma": "Strength of the noise",
    "method.grid": "Grain of the noise", "data.channels": "Contrasts", "data.grid": "Contrast whose grid is used",
    "data.view": "What is learnt from", "data.plane": "Plane", "data.size": "Size of an image, pixels",
    "data.spacing": "Distance of pixels, mm", "data.foreground": "What counts as the body part",
    "data.outside": "What lies outside it", "data.crop_foreground": "Cut to the body part",
    "data.healthy_labels": "Labels that mean healthy", "data.intensity.kind": "Scale of brightness",
    "data.intensity.low": "Dark end of the scale", "data.intensity.high": "Bright end of the scale",
    "data.augment.flip": "Augmentation: mirrored", "data.augment.rotate": "Augmentation: rotation, degrees",
    "train.steps": "Steps", "train.batch_size": "Images a step", "train.device": "Device", "train.seed": "Random seed",
    "train.precision": "Precision of numbers", "train.optimiser.lr": "Learning rate",
    "train.optimiser.schedule": "Course of the learning rate", "train.optimiser.ema": "Average of the weights",
    "train.optimiser.clip_norm": "Limit of corrections", "train.validate_every": "Steps between validations",
    "train.patience": "Validations without progress before it ends", "train.sample_every": "Steps between pictures",
    "detect.alpha": "False alarms aimed at, per healthy scan", "detect.score": "How a scan is scored",
    "detect.min_voxels": "Smallest reported area, voxels",
}  # fmt: skip


def difference(one: dict[str, Any], two: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """(words, name in the file, value in `one`, value in `two`) of each setting that differs."""
    left, right = _flat(one, ""), _flat(two, "")
    names = [*left, *(name for name in right if name not in left)]
    return [
        (WORDS.get(name, ""), name, _said(left, name), _said(right, name))
        for name in names
        if (name in left) != (name in right) or left.get(name) != right.get(name)
    ]


def _said(tree: dict[str, Any], name: str) -> str:
    if name not in tree:
        return "not there"
    value = tree[name]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "all"
    return "none" if value is None else str(value)


def _flat(tree: Any, place: str) -> dict[str, Any]:
    if not isinstance(tree, dict) or not tree:
        return {place: tree} if place else {}
    return {k: v for key, child in tree.items() for k, v in _flat(child, f"{place}.{key}" if place else key).items()}
