"""Power spectra: white noise, waves of a known frequency, oblong images, blur, checkerboards."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from medudl.errors import UserError
from medudl.metrics.spectra import (
    checkerboard,
    high_frequency_share,
    log_spectral_distance,
    radial_power,
    spectral_floor,
)


def _noise(n: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, *size))


def _wave(size: tuple[int, int], down: float, across: float) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    return np.cos(2 * np.pi * (down * y + across * x) + 0.3)[None]


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (20, 64)])
def test_white_noise_is_flat_at_its_variance(size: tuple[int, int]) -> None:
    frequency, power = radial_power(2 * _noise(400, size) + 5)
    assert power.shape == (400, len(frequency)) and 0 < frequency[0] < frequency[-1] < 0.5
    assert power.mean(0) == pytest.approx(4, rel=0.12)
    assert power.mean() == pytest.approx(4, rel=0.03)


@pytest.mark.parametrize(("down", "across"), [(0.25, 0.0), (0.0, 0.25), (0.15, 0.2), (-0.15, 0.2)])
def test_a_wave_is_found_at_its_cycles_per_pixel_in_an_oblong_image(down: float, across: float) -> None:
    frequency, power = radial_power(_wave((40, 120), down, across))
    assert frequency[power[0].argmax()] == pytest.approx(math.hypot(down, across), abs=0.0126)
    assert power[0].max() > 1e6 * np.median(power[0])


def test_power_adds_up_to_the_variance() -> None:
    smooth = gaussian_filter(_noise(3, (48, 37)), (0, 2.5, 2.5), mode="wrap")  # nothing beyond Nyquist's circle
    frequency, power = radial_power(smooth)
    y, x = np.meshgrid(np.fft.fftfreq(48), np.fft.fftfreq(37), indexing="ij")
    count = np.histogram(np.hypot(y, x)[np.hypot(y, x) > 0] - 1e-12, bins=18, range=(0, 0.5))[0]
    assert (power * count).sum(1) / (48 * 37) == pytest.approx(smooth.var((1, 2)), rel=1e-6)


def test_the_share_above_half_of_nyquist() -> None:
    assert high_frequency_share(_noise(300, (64, 64))).value == pytest.approx(1 - math.pi / 16, abs=0.005)
    slow, fast = _wave((40, 60), 0.2, 0.0), _wave((40, 60), 0.2, 0.25)
    assert high_frequency_share(slow).value == pytest.approx(0, abs=1e-12)
    assert high_frequency_share(fast).value == pytest.approx(1, abs=1e-12)
    both = np.concatenate([slow, fast, np.full_like(slow, 0.1)])
    assert high_frequency_share(both).value == pytest.approx(0.5), "a constant image is left out"


def test_blur_is_a_distance_in_decibels_and_a_scale_is_its_own() -> None:
    x = _noise(40, (32, 32))
    scaled = log_spectral_distance(x, 2 * x)
    assert scaled.value == pytest.approx(20 * math.log10(2), rel=1e-9)
    assert log_spectral_distance(x, x).value == 0
    blurred = log_spectral_distance(x, gaussian_filter(x, (0, 1, 1)))
    assert blurred.value > 10 and blurred.low < blurred.value < blurred.high and blurred.n == 40
    floor = spectral_floor(x)
    assert floor.n == 20 and 0 < floor.low < floor.mean < floor.high < 3 < blurred.value


def test_the_interval_is_as_wide_as_repetitions_differ() -> None:
    random, shares = np.random.default_rng(0), []
    patient = np.repeat(np.arange(20), 3)
    for seed in range(60):
        width = np.repeat(random.uniform(0.4, 1.0, 20), 3)
        images = np.stack([gaussian_filter(i, w) for i, w in zip(random.normal(size=(60, 16, 16)), width, strict=True)])
        shares.append(high_frequency_share(images, patient, 100, seed))
    spread, told = np.std([s.value for s in shares]), np.mean([s.high - s.low for s in shares]) / (2 * 2.09)
    print(f"standard deviation of repetitions {spread:.4f}, standard error {told:.4f}; 20 patients of 3 images")
    assert 0.75 < told / spread < 1.4 and shares[0].n == 20


@pytest.mark.parametrize("size", [(64, 64), (45, 63), (64, 40)])
def test_a_checkerboard_is_seen_and_texture_is_not(size: tuple[int, int]) -> None:
    y, x = np.mgrid[: size[0], : size[1]]
    smooth = gaussian_filter(_noise(20, size), (0, 1, 1)) * 3
    for texture in (smooth, _noise(20, size), gaussian_filter(_noise(20, size), (0, 3, 3))):
        assert not checkerboard(texture).found
    for corner, pattern in (((0.5, 0.5), (-1.0) ** (y + x)), ((0.0, 0.5), (-1.0) ** x), ((0.5, 0.0), (-1.0) ** y)):
        found = checkerboard(smooth + 0.3 * pattern)
        assert found.found and found.corner == corner and found.n == 20, corner


def test_transposed_convolutions_leave_one() -> None:
    """Stride 2 with a kernel of 3, all ones: the overlap of each second pixel, as of a decoder before training."""
    coarse = 1 + gaussian_filter(_noise(20, (32, 32)), (0, 1, 1))
    fine = np.zeros((20, 65, 65))
    for i in range(3):
        for j in range(3):
            fine[:, i : i + 64 : 2, j : j + 64 : 2] += coarse
    assert checkerboard(fine).found


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4)), np.zeros((0, 8, 8)), np.full((2, 8, 8), np.nan), np.zeros((2, 3, 8))]
)
def test_what_is_no_image_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(UserError, match="spectra"):
        radial_power(bad)
    with pytest.raises(UserError, match="one size"):
        log_spectral_distance(_noise(5, (8, 8)), _noise(5, (8, 9)))
    with pytest.raises(UserError, match="constant"):
        high_frequency_share(np.ones((3, 8, 8)))
    with pytest.raises(UserError, match="too small"):
        checkerboard(_noise(5, (8, 8)))


@pytest.mark.parametrize("size", [(12, 16), (13, 15), (12, 15)])
def test_the_half_plane_stands_for_the_whole_one(size: tuple[int, int]) -> None:
    images = _noise(6, size)
    power = np.abs(np.fft.fft2(images - images.mean((1, 2), keepdims=True))) ** 2 / (size[0] * size[1])
    radius = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1]))
    share = power[:, radius > 0.25].sum(1) / power.sum((1, 2))
    assert high_frequency_share(images).value == pytest.approx(share.mean(), rel=1e-10)
    every = (radius > 0) & (radius <= 0.5)
    assert radial_power(images, 1)[1][:, 0] == pytest.approx(power[:, every].mean(1), rel=1e-10)
