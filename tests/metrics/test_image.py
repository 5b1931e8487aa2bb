"""Figures of a translated volume against closed forms, plain loops and the loss of the same name."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from medudl.errors import UserError
from medudl.losses.ssim import similarity, structural_dissimilarity
from medudl.metrics.image import (
    AIR,
    BONE,
    CT_RANGE,
    SCALES,
    jump_ratio,
    mean_absolute_error,
    ms_ssim,
    over_patients,
    psnr,
    slice_jumps,
    ssim,
    threshold_dice,
)

Array = NDArray[np.float64]
SHAPE = (12, 14, 16)


def _volumes() -> tuple[Array, Array, NDArray[np.bool_]]:
    random = np.random.default_rng(0)
    truth = random.normal(0, 300, SHAPE)
    return truth, truth + random.normal(20, 100, SHAPE), random.random(SHAPE) < 0.7


def test_mean_absolute_error_is_inside_the_mask_and_not_clipped() -> None:
    truth, made, mask = _volumes()
    assert mean_absolute_error(truth, truth + 40 * mask - 9 * ~mask, mask) == pytest.approx(40)
    assert mean_absolute_error(np.full(SHAPE, 5000.0), np.full(SHAPE, 4000.0), mask) == 1000
    by_hand = sum(abs(made[v] - truth[v]) for v in np.ndindex(SHAPE) if mask[v]) / mask.sum()
    assert mean_absolute_error(truth, made, mask) == pytest.approx(by_hand)
    made[~mask] = np.nan
    assert mean_absolute_error(truth, made, mask) == pytest.approx(by_hand)
    assert math.isnan(mean_absolute_error(truth, made, np.zeros(SHAPE, bool)))


def test_psnr_on_a_stated_range() -> None:
    truth, made, mask = _volumes()
    # An error of 40.24 everywhere is 1 % of SynthRAD2023's 4024 HU: 40 dB.
    assert psnr(truth, truth + 40.24, mask, *CT_RANGE) == pytest.approx(40)
    assert psnr(truth, made, mask, -1024, 3071) == pytest.approx(
        10 * math.log10(4095**2 / np.mean((made - truth)[mask] ** 2))
    )
    assert psnr(truth, truth, mask, *CT_RANGE) == math.inf
    assert psnr(np.full(SHAPE, 3000.0), np.full(SHAPE, 9000.0), mask, *CT_RANGE) == math.inf, "both are clipped"
    made[~mask] = np.nan
    assert math.isfinite(psnr(truth, made, mask, *CT_RANGE))
    with pytest.raises(UserError, match="lowest intensity first"):
        psnr(truth, made, mask, 3000, -1024)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_ssim_is_that_of_the_loss(axis: int | None) -> None:
    truth, made, mask = _volumes()
    low, high = CT_RANGE

    def tensor(x: NDArray[np.generic]) -> torch.Tensor:
        slices = np.asarray(x, np.float64)[None] if axis is None else np.moveaxis(np.asarray(x, np.float64), axis, 0)
        return torch.from_numpy(np.ascontiguousarray(slices))[:, None]

    foreground = tensor(mask)
    a, b = (tensor((v - low) / (high - low)) for v in (truth, made))
    total = structural_dissimilarity(b, a, foreground).double().sum()
    own = ssim(truth, made, mask, low, high, axis=axis)
    print(f"SSIM {own:.6f}, difference from the loss {abs(own - (1 - total.item() / mask.sum())):.1e}")
    assert own == pytest.approx(1 - total.item() / mask.sum(), abs=2e-5)
    assert ssim(truth, truth, mask, low, high, axis=axis) == pytest.approx(1)
    assert ssim(made, truth, mask, low, high, axis=axis) == pytest.approx(own)


def test_ssim_of_flat_volumes_in_closed_form() -> None:
    mask = np.ones(SHAPE, bool)
    a, b = 500.0, 700.0  # counted from -1024
    c1 = (0.01 * 4024) ** 2
    x, y = a + 1024, b + 1024
    closed = (2 * x * y + c1) / (x * x + y * y + c1)
    flat = [np.full(SHAPE, v) for v in (a, b)]
    assert ssim(*flat, mask, *CT_RANGE, axis=0) == pytest.approx(closed)
    assert ssim(*flat, mask, *CT_RANGE, axis=None) == pytest.approx(closed)


def test_outside_the_mask_nothing_changes_a_figure() -> None:
    random = np.random.default_rng(1)
    truth = random.normal(0, 300, (12, 44, 48))
    made, mask = truth + random.normal(0, 200, truth.shape), random.random(truth.shape) < 0.5
    other = np.where(mask, made, np.nan)
    for axis in (0, None):
        assert ssim(truth, other, mask, *CT_RANGE, axis=axis) == ssim(truth, made, mask, *CT_RANGE, axis=axis)
    one, same = (ms_ssim(truth, m, mask, *CT_RANGE, axis=0, scales=3) for m in (made, other))
    assert one == same and 0 < one < 1
    assert slice_jumps(other, mask, 1) == slice_jumps(made, mask, 1)
    nowhere = np.zeros(mask.shape, bool)
    assert math.isnan(ssim(truth, made, nowhere, *CT_RANGE, axis=0))
    assert math.isnan(ms_ssim(truth, made, nowhere, *CT_RANGE, axis=0, scales=3))
    assert math.isnan(slice_jumps(made, nowhere, 0)) and math.isnan(threshold_dice(truth, made, *BONE, nowhere))


def test_multi_scale_ssim() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(0, 300, (2, 45, 48))
    made, mask = truth + random.normal(0, 100, truth.shape), np.ones(truth.shape, bool)
    assert ms_ssim(truth, truth, mask, *CT_RANGE, axis=0, scales=3) == pytest.approx(1)
    one = ms_ssim(truth, made, mask, *CT_RANGE, axis=0, scales=1)
    assert one == pytest.approx(ssim(truth, made, mask, *CT_RANGE, axis=0)), "one scale is SSIM"
    # Fine errors average out: the coarser, the more alike.
    assert ms_ssim(truth, made, mask, *CT_RANGE, axis=0, scales=3) > one
    # Flat volumes: every contrast term is 1, and brightness comes in at the coarsest scale, with its own weight.
    flat = [np.full(truth.shape, v) for v in (500.0, 700.0)]
    bright = ssim(*flat, mask, *CT_RANGE, axis=0)
    assert ms_ssim(*flat, mask, *CT_RANGE, axis=0, scales=3) == pytest.approx(bright ** (SCALES[2] / sum(SCALES[:3])))
    assert sum(SCALES) == pytest.approx(1, abs=1e-3)
    assert ms_ssim(truth, -truth, mask, *CT_RANGE, axis=0, scales=2) == 0


def test_three_scales_against_loops_over_windows_and_blocks() -> None:
    random = np.random.default_rng(0)
    truth, mask = random.normal(0, 300, (1, 45, 46)), random.random((1, 45, 46)) < 0.5
    made = truth + random.normal(0, 200, truth.shape)
    low, high = CT_RANGE
    x, y, weight = truth[0].clip(low, high) - low, made[0].clip(low, high) - low, mask[0].astype(float)
    expected = 1.0
    for scale in range(3):
        if scale == 2:
            a, b, w = (torch.from_numpy(part)[None, None] for part in (x, y, weight))
            mean = ((similarity(b, a, w, high - low) * w).sum() / w.sum()).item()
        else:
            mean = _contrast_mean(x, y, weight)
        expected *= mean ** (SCALES[scale] / sum(SCALES[:3]))
        x, y, weight = _blocks(x, y, weight)
    assert ms_ssim(truth, made, mask, low, high, axis=0, scales=3) == pytest.approx(expected, rel=1e-6)


def _blocks(x: Array, y: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Each block of 2 x 2 as its mean over what lies inside, and how much does."""
    coarse = np.zeros((3, weight.shape[0] // 2, weight.shape[1] // 2))
    for i, j in np.ndindex(coarse.shape[1:]):
        block = (slice(2 * i, 2 * i + 2), slice(2 * j, 2 * j + 2))
        w = weight[block]
        if w.any():
            coarse[:, i, j] = (x[block] * w).sum() / w.sum(), (y[block] * w).sum() / w.sum(), w.mean()
    return coarse[0], coarse[1], coarse[2]


def _contrast_mean(x: Array, y: Array, weight: Array) -> float:
    """Weighted mean of (2 cov + c2) / (v + v' + c2), each window weighed by hand."""
    at = np.arange(-5, 6)
    line = np.exp(-0.5 * (at / 1.5) ** 2)
    window, c2 = np.outer(line, line), (0.03 * 4024) ** 2
    a, b, m = (np.pad(part, 5) for part in (x, y, weight))
    total = 0.0
    for i, j in np.ndindex(weight.shape):
        here = (slice(i, i + 11), slice(j, j + 11))
        if weight[i, j]:
            w = window * m[here] / (window * m[here]).sum()
            da, db = a[here] - (w * a[here]).sum(), b[here] - (w * b[here]).sum()
            seen = (2 * (w * da * db).sum() + c2) / ((w * da * da).sum() + (w * db * db).sum() + c2)
            total += weight[i, j] * seen
    return float(total / weight.sum())


def test_too_small_for_its_scales_is_told() -> None:
    mask = np.ones((4, 128, 128), bool)
    flat = np.zeros(mask.shape)
    with pytest.raises(UserError, match="5 scales need sides of 176 voxels, here 128; ask for 4 scales"):
        ms_ssim(flat, flat, mask, *CT_RANGE, axis=0)
    with pytest.raises(UserError, match="here 4; compare by `ssim`"):
        ms_ssim(flat, flat, mask, *CT_RANGE, axis=None)
    with pytest.raises(UserError, match="choose 1 to 5"):
        ms_ssim(flat, flat, mask, *CT_RANGE, axis=0, scales=6)


def test_slice_jumps_by_hand() -> None:
    volume = np.zeros((3, 2, 2))
    volume[1], volume[2] = 10, 40
    mask = np.ones(volume.shape, bool)
    assert slice_jumps(volume, mask, 0) == 20  # (10 + 30) / 2, and never from the last slice to the first
    assert slice_jumps(volume, mask, 1) == 0
    mask[2] = False
    assert slice_jumps(volume, mask, 0) == 10


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_translator_that_disagrees_between_slices_is_seen(axis: int) -> None:
    random = np.random.default_rng(0)
    real = random.normal(0, 1, (20, 20, 20)).cumsum(0).cumsum(1).cumsum(2)
    mask = np.ones(real.shape, bool)
    steps = np.moveaxis(np.broadcast_to(random.normal(0, 2 * real.std(), (20, 1, 1)), real.shape), 0, axis)
    for paired in (True, False):
        assert jump_ratio(real, real, mask, axis, paired=paired) == pytest.approx(1)
        assert jump_ratio(real + steps, real, mask, axis, paired=paired) > 2
    # Another unit: only the unpaired ratio stays 1.
    assert jump_ratio(7 * real + 3, real, mask, axis, paired=False) == pytest.approx(1)
    assert jump_ratio(7 * real + 3, real, mask, axis, paired=True) == pytest.approx(7)
    assert math.isnan(jump_ratio(real, np.zeros_like(real), mask, axis, paired=True))
    assert math.isnan(jump_ratio(real, np.zeros_like(real), mask, axis, paired=False))


def test_dice_of_bone_and_air() -> None:
    truth = np.array([[[300.0, 300, 0, -800, 250, -400]]])
    made = np.array([[[300.0, 0, 400, -900, 250, -400]]])
    mask = np.ones(truth.shape, bool)
    assert threshold_dice(truth, made, *BONE, mask) == pytest.approx(0.5)  # 2 * 1 / (2 + 2); 250 itself is no bone
    assert threshold_dice(truth, made, *AIR, mask) == 1
    mask[..., 1:3] = False
    assert threshold_dice(truth, made, *BONE, mask) == 1
    assert math.isnan(threshold_dice(truth, made, 5000, 6000, mask))


def test_a_cohorts_figure_counts_patients() -> None:
    told = over_patients([1.0, 3.0, 5.0, math.nan], ["a", "a", "b", "c"], seed=0)
    assert (told.value, told.n) == (3.5, 2)  # (2 + 5) / 2
    assert (told.low, told.high) == (2, 5)
    many = over_patients(np.random.default_rng(0).normal(10, 2, 400), [str(i) for i in range(400)], seed=0)
    assert many.high - many.low == pytest.approx(2 * 1.96 * 2 / 20, rel=0.1)
    assert over_patients([math.nan], ["a"], seed=0).n == 0
    assert math.isnan(over_patients([1.0], ["a"], seed=0).low)
    assert over_patients([math.inf, 1.0], ["a", "b"], seed=0).value == math.inf


def test_volumes_on_different_grids_are_refused() -> None:
    with pytest.raises(ValueError, match="one grid"):
        mean_absolute_error(np.zeros((2, 2, 2)), np.zeros((2, 2, 3)), np.ones((2, 2, 2), bool))
