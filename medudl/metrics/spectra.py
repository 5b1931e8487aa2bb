"""Power spectra of images: too smooth, too rough, or with the checkerboard that upsampling leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import rfft2

from medudl.errors import UserError
from medudl.metrics.intervals import Estimate
from medudl.metrics.subsampling import Array, Floor, Numbers, delete_interval, patients_of, splits, subsamples

NYQUIST = 0.5  # cycles per pixel
CORNERS = ((0.5, 0.5), (0.5, 0.0), (0.0, 0.5))
CHECKERBOARD = 10.0  # times the power around it
_AT_ONCE = 256  # images
_AROUND = 0.1  # cycles per pixel


@dataclass(frozen=True)
class Checkerboard:
    """Power at the worst corner over the median around it; which (cycles per pixel down, across); if it is a peak."""

    ratio: float
    corner: tuple[float, float]
    found: bool
    n: int


def radial_power(images: ArrayLike, bins: int | None = None) -> tuple[Array, Array]:
    """Radially averaged power spectrum: frequencies (F,) in cycles per pixel, power (n, F).

        |DFT(image - its mean)|^2 / (H W), averaged over the frequencies of one radius sqrt(fy^2 + fx^2) <= 1/2

    images: (n, H, W), any unit; sides may differ, for a radius is in cycles per pixel. bins: equal steps of radius up
    to Nyquist, half the shorter side unless given; a bin's frequency is its middle, and one that no frequency falls
    into is left out. White noise of variance v has power v throughout. No window is applied: borders that do not meet
    add power along the axes, in both sets alike.
    """
    return _radial(_images(images), bins)


def high_frequency_share(
    images: ArrayLike, groups: ArrayLike | None = None, repeats: int = 200, seed: int = 0
) -> Estimate:
    """Share of an image's power (its mean left out) above half of Nyquist, .25 cycles per pixel; mean over images.

    Averages of a decoder lose it, noise adds it. images: (n, H, W). Interval by patient. White noise has 1 - pi / 16
    = .80. The mean has no bias at small n; constant images have no share and are left out.
    """
    share = _high_share(_images(images))
    known = np.isfinite(share)
    if not known.any():
        raise UserError("high frequencies: every image is constant")
    patient = patients_of(int(known.sum()), None if groups is None else np.asarray(groups)[known])
    kept, factor = subsamples(int(patient.max()) + 1, repeats, seed)
    weight = kept[:, patient].astype(np.float64)
    with np.errstate(invalid="ignore"):
        values = weight @ share[known] / weight.sum(1)
    return delete_interval(float(share[known].mean()), values, factor, kept.shape[1], 0.0, 1.0)


def log_spectral_distance(
    x: ArrayLike,
    y: ArrayLike,
    groups_x: ArrayLike | None = None,
    groups_y: ArrayLike | None = None,
    repeats: int = 200,
    seed: int = 0,
) -> Estimate:
    """Log-spectral distance between the mean radial spectra of two sets, in dB.

        sqrt(mean over radii (10 log10 (P_x / P_y))^2)

    x: (n, H, W), y: (m, H, W), the same size and value range. Biased upwards at small n, falling with the root of
    1/n + 1/m: `spectral_floor` measures it. Interval by patient of both sets, around the biased figure. Raises
    UserError where the sizes differ or a mean spectrum has a radius without power.
    """
    one, other = _images(x), _images(y)
    if one.shape[1:] != other.shape[1:]:
        raise UserError(f"spectra: images of {one.shape[1:]} against {other.shape[1:]}; bring both to one size")
    a, b = _radial(one, None)[1], _radial(other, None)[1]
    px, py = patients_of(len(a), groups_x), patients_of(len(b), groups_y)
    kept_x, factor_x = subsamples(int(px.max()) + 1, repeats, seed)
    kept_y, factor_y = subsamples(int(py.max()) + 1, repeats, seed + 1)
    value = _decibels(a.mean(0), b.mean(0))
    values = [
        _decibels(a[i[px]].mean(0), b[j[py]].mean(0)) if i.any() and j.any() else math.nan
        for i, j in zip(kept_x, kept_y, strict=True)
    ]
    fewest = min(kept_x.shape[1], kept_y.shape[1])
    return delete_interval(value, values, max(factor_x, factor_y), fewest, low=0.0)


def spectral_floor(
    real: ArrayLike, groups: ArrayLike | None = None, n: int | None = None, repeats: int = 100, seed: int = 0
) -> Floor:
    """The log-spectral distance of real images from real images of other patients, n a side, in dB."""
    power = _radial(_images(real), None)[1]

    def figure(one: Numbers, other: Numbers, _: Numbers, __: Numbers) -> float:
        return _decibels(power[one].mean(0), power[other].mean(0))

    return splits(power, groups, n, repeats, seed, figure)


def checkerboard(images: ArrayLike) -> Checkerboard:
    """A hint at the checkerboard of strided upsampling (Odena et al. 2016): a peak of power at a Nyquist corner.

    Mean power at exactly (1/2, 1/2), (1/2, 0) and (0, 1/2) cycles per pixel, taken as the sum of (-1)^(y + x) image and
    the like, so that odd sides are right too, over the median power within .1 cycles per pixel around; `found` above
    10. Look at real images first: JPEG and interlacing leave peaks as well. images: (n, H, W), sides of at least 16.
    """
    stack = _images(images)
    height, width = stack.shape[1:]
    if min(height, width) < 16:
        raise UserError(f"checkerboard: images of {height} x {width} are too small; it needs 16 x 16")
    power = _mean_power(stack)
    fy, fx = _frequencies(height, width)
    found = []
    for down, across in CORNERS:
        wave = np.cos(2 * np.pi * down * np.arange(height))[:, None] * np.cos(2 * np.pi * across * np.arange(width))
        peak = float(np.square(np.tensordot(stack - stack.mean((1, 2), keepdims=True), wave, 2)).mean()) / wave.size
        away_y, away_x = np.abs(np.abs(fy) - down), np.abs(fx - across)
        beside = (away_y * height >= 1.5) | (away_x * width >= 1.5)
        around = beside & (np.hypot(away_y, away_x) <= max(_AROUND, 3 / min(height, width)))
        level = float(np.median(power[around]))
        found.append((peak / level if level > 0 else (math.inf if peak > 0 else 0.0), (down, across)))
    ratio, corner = max(found)
    return Checkerboard(ratio, corner, ratio > CHECKERBOARD, len(stack))


def _images(images: ArrayLike) -> Array:
    stack = np.asarray(images, np.float64)
    if stack.ndim != 3 or min(stack.shape, default=0) == 0 or min(stack.shape[1:]) < 4:
        raise UserError(f"spectra: images are (n, H, W) with sides of at least 4, not {stack.shape}; take slices apart")
    if not np.isfinite(stack).all():
        raise UserError("spectra: some values are not finite; leave those images out")
    return stack


def _frequencies(height: int, width: int) -> tuple[Array, Array]:
    down, across = np.fft.fftfreq(height), np.fft.rfftfreq(width)
    return np.asarray(down[:, None], np.float64), np.asarray(across[None], np.float64)


def _twice(width: int) -> Array:
    """How many frequencies of the whole plane each column of the half plane stands for: (W // 2 + 1,)."""
    times = np.full(width // 2 + 1, 2.0)
    times[0] = 1
    if width % 2 == 0:
        times[-1] = 1
    return times


def _power(stack: Array) -> Array:
    """(n, H, W // 2 + 1), its mean taken off."""
    spectrum = rfft2(stack - stack.mean((1, 2), keepdims=True))
    made: Array = (spectrum.real**2 + spectrum.imag**2) / stack[0].size
    made[:, 0, 0] = 0
    return made


def _mean_power(stack: Array) -> Array:
    parts = [_power(stack[i : i + _AT_ONCE]).sum(0) for i in range(0, len(stack), _AT_ONCE)]
    total: Array = np.sum(parts, axis=0) / len(stack)
    return total


def _high_share(stack: Array) -> Array:
    """(n,), NaN for constant images."""
    height, width = stack.shape[1:]
    times = _twice(width)
    high = np.hypot(*_frequencies(height, width)) > NYQUIST / 2
    found = []
    for i in range(0, len(stack), _AT_ONCE):
        power = _power(stack[i : i + _AT_ONCE]) * times
        total = power.sum((1, 2))
        flat = total <= 1e-24 * np.square(stack[i : i + _AT_ONCE]).sum((1, 2))  # rounding is no texture
        found.append(np.divide((power * high).sum((1, 2)), total, out=np.full(len(total), np.nan), where=~flat))
    return np.concatenate(found)


def _radial(stack: Array, bins: int | None) -> tuple[Array, Array]:
    height, width = stack.shape[1:]
    count = min(height, width) // 2 if bins is None else bins
    radius = np.hypot(*_frequencies(height, width)).ravel()
    within = (radius > 0) & (radius <= NYQUIST + 1e-12)
    number = np.minimum((radius / NYQUIST * count - 1e-9).astype(np.int64), count - 1)
    times = np.where(within, np.tile(_twice(width), height), 0.0)
    total = np.bincount(number, times, count)
    there = total > 0
    to_bins = np.zeros((len(radius), count))
    to_bins[np.arange(len(radius)), number] = times
    to_bins = to_bins[:, there] / total[there]
    power = [_power(stack[i : i + _AT_ONCE]).reshape(-1, len(radius)) @ to_bins for i in range(0, len(stack), _AT_ONCE)]
    middles: Array = (np.arange(count, dtype=np.float64) + 0.5) * NYQUIST / count
    return middles[there], np.concatenate(power)


def _decibels(one: Array, other: Array) -> float:
    if (one <= 0).any() or (other <= 0).any():
        raise UserError(
            "spectra: the images have no power at some frequency (constant or enlarged); nothing to compare"
        )
    return float(np.sqrt(np.mean(np.square(10 * np.log10(one / other)))))
