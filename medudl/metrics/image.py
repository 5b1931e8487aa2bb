"""How near a translated volume comes to the true one, and whether its slices fit together. NumPy and SciPy only.

Volumes are (X, Y, Z) or (D, H, W), floating point, on one grid; a mask of the same shape says which voxels count (the
body). All figures are of one scan; `over_patients` makes the figure of a cohort. A figure is told with its range, mask
and dimension, because published ones differ by these alone. NaN where no voxel counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from medudl.errors import UserError
from medudl.metrics.intervals import Estimate, bootstrap, resamples

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

CT_RANGE = (-1024.0, 3000.0)  # HU; SynthRAD2023's. SynthRAD2025 went up to 3071
BONE = (250.0, math.inf)  # HU, both ends excluded
AIR = (-math.inf, -400.0)
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of multi-scale SSIM, the finest first
WINDOW = 11  # voxels a side of SSIM's Gaussian window, sigma 1.5
_SIGMA, _K1, _K2 = 1.5, 0.01, 0.03


def mean_absolute_error(truth: ArrayLike, made: ArrayLike, mask: ArrayLike) -> float:
    """Mean of |made - truth| over the mask, in the volumes' unit (HU for CT). Nothing is clipped."""
    true, other, inside = _volumes(truth, made, mask)
    return _mean(np.abs(other - true), inside)


def psnr(truth: ArrayLike, made: ArrayLike, mask: ArrayLike, low: float, high: float) -> float:
    """Peak signal-to-noise ratio in dB, over the mask, on the stated range:

        10 log10((high - low)^2 / mean of (made - truth)^2),    both clipped to [low, high] first

    The range is part of the figure: [-1024, 3000] HU in SynthRAD2023, to 3071 in 2025. Infinite for equal volumes.
    """
    true, other, inside = _clipped(truth, made, mask, low, high)
    error = _mean(np.square(other - true), inside)
    return math.inf if error == 0 else 10 * math.log10((high - low) ** 2 / error)


def ssim(truth: ArrayLike, made: ArrayLike, mask: ArrayLike, low: float, high: float, *, axis: int | None) -> float:
    """Structural similarity (Wang et al. 2004), the mean of its map inside the mask; at most 1, for equal volumes.

    axis: the one that slices are stacked along, for windows in 2-D, within slices; None: windows in 3-D, in voxels.
    Windows are Gaussian, sigma 1.5, 11 voxels a side, and only voxels inside the mask count in them, so that nothing
    outside changes the figure. Intensities are clipped to [low, high] and counted from low; R = high - low. It is what
    `losses.ssim` lowers. SynthRAD's windows are even cubes of 7 voxels: its figures are not comparable with these.
    """
    true, other, inside = _clipped(truth, made, mask, low, high)
    weight = inside.astype(np.float64)
    brightness, contrast = _similarity(true - low, other - low, weight, _axes(true, axis), high - low)
    return _mean(brightness * contrast, inside)


def ms_ssim(
    truth: ArrayLike,
    made: ArrayLike,
    mask: ArrayLike,
    low: float,
    high: float,
    *,
    axis: int | None,
    scales: int = len(SCALES),
) -> float:
    """Multi-scale SSIM (Wang, Simoncelli & Bovik 2003): windows, range, mask and `axis` as of `ssim`.

        product over scales j of  mean(cs_j)^w_j,  the coarsest with the brightness term too;  w = SCALES

    Between scales blocks of 2 voxels a side (within slices where `axis` is given) become their mean over the mask; an
    odd last voxel is left out; a coarse voxel weighs by the share of its block that lies inside. A negative mean counts
    as 0. scales: of the five as published; with fewer the weights are rescaled to sum to 1, which is another figure.
    UserError where the coarsest scale would be smaller than a window (sides below 11 * 2^(scales - 1)).
    """
    true, other, inside = _clipped(truth, made, mask, low, high)
    axes = _axes(true, axis)
    _check_scales([true.shape[a] for a in axes], scales)
    x, y, weight = true - low, other - low, inside.astype(np.float64)
    product = 1.0
    for scale in range(scales):
        brightness, contrast = _similarity(x, y, weight, axes, high - low)
        seen = contrast * brightness if scale == scales - 1 else contrast
        mean = _over(float((seen * weight).sum()), float(weight.sum()))
        product *= max(mean, 0.0) ** (SCALES[scale] / sum(SCALES[:scales]))
        x, y, weight = _coarser(x, y, weight, axes)
    return product if inside.any() else math.nan


def slice_jumps(volume: ArrayLike, mask: ArrayLike, axis: int) -> float:
    """Mean absolute difference of voxels that are neighbours along an axis, both inside the mask; the volume's unit."""
    values, inside = np.asarray(volume, np.float64), np.asarray(mask, bool)
    both = inside & np.roll(inside, -1, axis)
    ahead = np.abs(np.roll(values, -1, axis) - values)
    last = [slice(None)] * values.ndim
    last[axis] = slice(-1, None)
    both[tuple(last)] = False
    return _mean(ahead, both)


def jump_ratio(made: ArrayLike, real: ArrayLike, mask: ArrayLike, axis: int, *, paired: bool) -> float:
    """How much more a made volume jumps from slice to slice than a real scan does; above 1: more.

    paired: real is the truth, in the same unit:  jumps(made) / jumps(real)  along `axis`.
    Otherwise real is the source, in a unit of its own, and each volume's jumps are first divided by its mean jump along
    the other axes: a translator that adds contrast everywhere stays at 1, one that disagrees between slices does not.
    NaN where a volume is flat.
    """
    if paired:
        return _over(slice_jumps(made, mask, axis), slice_jumps(real, mask, axis))
    return _over(_relative_jumps(made, mask, axis), _relative_jumps(real, mask, axis))


def threshold_dice(truth: ArrayLike, made: ArrayLike, low: float, high: float, mask: ArrayLike) -> float:
    """Dice of the voxels of the mask with low < value < high, in one and the other: 2 |A and B| / (|A| + |B|).

    BONE: above 250 HU; AIR: below -400 HU. NaN where neither has any.
    """
    true, other, inside = _volumes(truth, made, mask)
    a, b = ((low < part) & (part < high) & inside for part in (true, other))
    return _over(2 * float((a & b).sum()), float(a.sum() + b.sum()))


def over_patients(values: ArrayLike, patients: Sequence[str], *, seed: int, repeats: int = 2000) -> Estimate:
    """Mean over patients, each the mean of its scans, with a 95 % interval by bootstrap over patients.

    values: (N,) one figure a scan; patients: (N,) whose it is. NaN is left out; n counts the patients with a figure.
    """
    figures, names = np.asarray(values, np.float64), np.asarray(patients)
    kept = ~np.isnan(figures)
    if not kept.any():
        return Estimate(math.nan, math.nan, math.nan, 0)
    _, place = np.unique(names[kept], return_inverse=True)
    each = np.bincount(place, figures[kept]) / np.bincount(place)
    drawn = resamples(np.zeros(len(each)), repeats, seed)
    with np.errstate(invalid="ignore"):  # a PSNR may be infinite, and no interval then
        return bootstrap(float(each.mean()), drawn @ each / len(each), len(each))


def _volumes(truth: ArrayLike, made: ArrayLike, mask: ArrayLike) -> tuple[Array, Array, Mask]:
    true, other, inside = np.asarray(truth, np.float64), np.asarray(made, np.float64), np.asarray(mask, bool)
    if not true.shape == other.shape == inside.shape:
        raise ValueError(f"volumes on one grid are compared, not {true.shape}, {other.shape} and mask {inside.shape}")
    return true, other, inside


def _clipped(truth: ArrayLike, made: ArrayLike, mask: ArrayLike, low: float, high: float) -> tuple[Array, Array, Mask]:
    if not low < high:
        raise UserError(f"range [{low:g}, {high:g}]: give the lowest intensity first, then a higher one")
    true, other, inside = _volumes(truth, made, mask)
    # What lies outside must not reach a window, whatever it is: NaN times 0 is NaN.
    true, other = (np.where(inside, part, low).clip(low, high) for part in (true, other))
    return true, other, inside


def _mean(values: Array, inside: Mask) -> float:
    return float(values[inside].mean()) if inside.any() else math.nan


def _over(above: float, below: float) -> float:
    return above / below if below else math.nan


def _axes(volume: Array, axis: int | None) -> list[int]:
    return [a for a in range(volume.ndim) if axis is None or a != axis % volume.ndim]


def _similarity(x: Array, y: Array, weight: Array, axes: list[int], width: float) -> tuple[Array, Array]:
    """Brightness term and contrast-structure term of SSIM at each voxel."""

    def blurred(values: Array) -> Array:
        for axis in axes:
            # Beyond the border nothing counts, as outside the mask.
            values = ndimage.gaussian_filter1d(values, _SIGMA, axis, mode="constant", radius=WINDOW // 2)
        return values

    total = np.maximum(blurred(weight), 1e-12)
    mx, my = blurred(x * weight) / total, blurred(y * weight) / total
    vx, vy = (np.maximum(blurred(p * p * weight) / total - m * m, 0) for p, m in ((x, mx), (y, my)))
    covariance = blurred(x * y * weight) / total - mx * my
    c1, c2 = (_K1 * width) ** 2, (_K2 * width) ** 2
    return (2 * mx * my + c1) / (mx * mx + my * my + c1), (2 * covariance + c2) / (vx + vy + c2)


def _coarser(x: Array, y: Array, weight: Array, axes: list[int]) -> tuple[Array, Array, Array]:
    share = _halved(weight, axes)
    x, y = (_halved(part * weight, axes) / np.where(share > 0, share, 1) for part in (x, y))
    return x, y, share


def _halved(values: Array, axes: list[int]) -> Array:
    """Mean of blocks of 2 along each of `axes`."""
    for axis in axes:
        side = values.shape[axis] // 2
        first, second = (np.take(values, np.arange(side) * 2 + k, axis) for k in (0, 1))
        values = (first + second) / 2
    return values


def _check_scales(sides: list[int], scales: int) -> None:
    if not 1 <= scales <= len(SCALES):
        raise UserError(f"scales: {scales} of multi-scale SSIM; choose 1 to {len(SCALES)}")
    if min(sides) < WINDOW * 2 ** (scales - 1):
        fit = int(math.log2(min(sides) / WINDOW)) + 1 if min(sides) >= WINDOW else 0
        better = f"ask for {fit} scales" if fit else "compare by `ssim`"
        raise UserError(f"multi-scale SSIM: {scales} scales need sides of {WINDOW * 2 ** (scales - 1)} voxels, "
                        f"here {min(sides)}; {better}")  # fmt: skip


def _relative_jumps(volume: ArrayLike, mask: ArrayLike, axis: int) -> float:
    values = np.asarray(volume, np.float64)
    within = [slice_jumps(values, mask, a) for a in _axes(values, axis)]
    return _over(slice_jumps(values, mask, axis), float(np.mean(within)))
