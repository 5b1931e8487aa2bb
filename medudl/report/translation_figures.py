"""The figures of a translation: each with its definition, its unit, n and an interval over patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.metrics import image
from medudl.metrics.image import AIR, BONE, CT_RANGE, WINDOW, over_patients
from medudl.metrics.intervals import Estimate

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
SEED = 0
MODEL = "the model"


@dataclass(frozen=True)
class Kind:
    """title: as the page calls it; better: lower, higher, or near 1."""

    title: str
    better: str
    definition: str


@dataclass(frozen=True)
class Scale:
    """What a channel is measured in. low, high: the fixed range; width: of the nominal [0, 1] in the unit.

    axis: the one that windows of SSIM leave out (0: slices), None for windows in 3-D; scales: of MS-SSIM, 0 for none.
    """

    name: str
    unit: str
    low: float
    high: float
    width: float
    axis: int | None
    scales: int

    @property
    def hounsfield(self) -> bool:
        """Whether the unit is HU."""
        return self.unit == "HU"


@dataclass(frozen=True)
class Scored:
    """One test scan. figures: {"the model" or a baseline: [{figure: value} a channel]}."""

    case: str
    patient: str
    figures: dict[str, list[dict[str, float]]]


def scale_of(channel: Mapping[str, Any], view: str, smallest: int) -> Scale:
    """channel: of sides.json. smallest: voxels of the shortest side that windows go along."""
    hounsfield = channel["unit"] == "HU"
    low, high = CT_RANGE if hounsfield else (channel["low"], channel["high"])
    fit = max((n for n in range(1, len(image.SCALES) + 1) if smallest >= WINDOW * 2 ** (n - 1)), default=0)
    axis = 0 if view in ("slices", "slices_25d") else None
    return Scale(channel["name"], channel["unit"], low, high, channel["high"] - channel["low"], axis, fit)


def shortest(shape: Sequence[int], axis: int | None) -> int:
    """Voxels of the shortest side that windows go along. shape: (D, H, W)."""
    return min(shape if axis is None else shape[1:])


def kinds(scale: Scale, mask: str) -> dict[str, Kind]:
    """What is measured in a channel of this scale. mask: in words, where it was measured."""
    span = f"[{scale.low:g}, {scale.high:g}] {'HU' if scale.hounsfield else ''}".strip()
    windows = "within slices" if scale.axis == 0 else "in 3-D"
    unit = "HU" if scale.hounsfield else "the mean scale of the training scans (arbitrary unit)"
    where = f"over {mask}"
    found = {
        "mae": Kind("Mean absolute error", "lower", f"Mean of |made - truth| {where}, in {unit}. Nothing is clipped."),
        "psnr": Kind(
            "PSNR in dB", "higher",
            f"10 log10(R^2 / mean squared error) {where}, both clipped to the fixed range {span}, whose width is R.",
        ),
        "ssim": Kind(
            "SSIM", "higher",
            f"Structural similarity, Gaussian windows of {WINDOW} voxels {windows}, {where}, range {span}; 1 at best.",
        ),
        "ms_ssim": Kind(
            f"MS-SSIM, {scale.scales} scales" if scale.scales else "MS-SSIM", "higher",
            f"SSIM over {scale.scales} scales (5 as published; figures with fewer are another figure), same windows,"
            " mask and range.",
        ),
    }  # fmt: skip
    for number, along in enumerate(JUMPS):
        found[along] = Kind(
            f"Jumps {_AXES[number]}, made / true", "near 1",
            f"Mean |difference| of voxels that are neighbours {_AXES[number]}, both inside, of the translation over"
            " that of the truth: above 1 its slices disagree, or it is noisier; below 1 it is smoother.",
        )  # fmt: skip
    if scale.hounsfield:
        found["dice_bone"] = Kind(
            "Dice of bone", "higher", f"Voxels above {BONE[0]:g} HU in one and the other, {where}."
        )
        found["dice_air"] = Kind("Dice of air", "higher", f"Voxels below {AIR[1]:g} HU in one and the other, {where}.")
    return found


JUMPS = ("jumps_slices", "jumps_rows", "jumps_columns")
_AXES = ("from slice to slice", "from row to row", "from column to column")


def measured(truth: Array, made: Array, inside: Mask, scale: Scale) -> dict[str, float]:
    """Every figure of one channel of one scan. truth, made: (D, H, W) in the channel's unit."""
    low, high, axis = scale.low, scale.high, scale.axis
    found = {
        "mae": image.mean_absolute_error(truth, made, inside),
        "psnr": image.psnr(truth, made, inside, low, high),
        "ssim": image.ssim(truth, made, inside, low, high, axis=axis),
    }
    # A scan smaller than those that were learnt from has no such figure, rather than another one.
    if scale.scales and shortest(truth.shape, scale.axis) >= WINDOW * 2 ** (scale.scales - 1):
        found["ms_ssim"] = image.ms_ssim(truth, made, inside, low, high, axis=axis, scales=scale.scales)
    for number, name in enumerate(JUMPS):
        found[name] = image.jump_ratio(made, truth, inside, number, paired=True)
    if scale.hounsfield:
        found["dice_bone"] = image.threshold_dice(truth, made, *BONE, inside)
        found["dice_air"] = image.threshold_dice(truth, made, *AIR, inside)
    return found


def figures_of(scored: Sequence[Scored], scales: Sequence[Scale], mask: str) -> list[dict[str, Any]]:
    """The entries of report.json's `figures`: the model's value with every baseline's beside it."""
    patients = [one.patient for one in scored]
    rows = []
    for place, scale in enumerate(scales):
        for name, kind in kinds(scale, mask).items():
            values = {
                who: over_patients([one.figures[who][place].get(name, np.nan) for one in scored], patients, seed=SEED)
                for who in scored[0].figures
            }
            why = "" if values[MODEL].n else _why_not(name)
            baselines = {who: found.as_dict() for who, found in values.items() if who != MODEL}
            unit = scale.unit if name == "mae" else ""
            rows.append({
                "name": name, "title": kind.title, "channel": scale.name, "unit": unit, **values[MODEL].as_dict(),
                "scans": len(scored), "baselines": baselines, "floor": None, "better": kind.better,
                "definition": kind.definition, "why_not": why,
            })  # fmt: skip
    return rows


def error_of(one: Scored, who: str, scales: Sequence[Scale]) -> float:
    """What the verdict is by: the MAE in its unit; of several channels the mean of the MAE over the nominal width."""
    errors = [found["mae"] for found in one.figures[who]]
    if len(errors) == 1:
        return errors[0]
    return float(np.mean([error / scale.width for error, scale in zip(errors, scales, strict=True)]))


def error_unit(scales: Sequence[Scale]) -> str:
    """Of `error_of`, in words."""
    if len(scales) > 1:
        return "shares of the nominal range, mean over channels"
    return "HU" if scales[0].hounsfield else "arbitrary unit, mean scale of the training scans"


def error_difference(scored: Sequence[Scored], who: str, scales: Sequence[Scale]) -> Estimate:
    """Error of the model less that of `who`, paired by patient; below 0 the model is nearer to the truth."""
    apart = [error_of(one, MODEL, scales) - error_of(one, who, scales) for one in scored]
    return over_patients(apart, [one.patient for one in scored], seed=SEED)


def _why_not(name: str) -> str:
    if name == "ms_ssim":
        return f"The images are smaller than a window ({WINDOW} voxels)."
    if name.startswith("dice"):
        return "No scan has any such voxel."
    return "Nothing to compare: single slices, or a flat truth."
