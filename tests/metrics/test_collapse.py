"""The alarm for mode collapse: known spreads, known duplicates, and silence where there is nothing to tell."""

from __future__ import annotations

import numpy as np
import pytest

from medudl.metrics.collapse import collapse


def normal(count: int, seed: int, size: tuple[int, ...] = (6,)) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *size))


def test_samples_of_the_same_kind_raise_no_alarm_and_their_interval_holds_1() -> None:
    found = [collapse(normal(200, 2 * s), normal(200, 2 * s + 1), seed=s) for s in range(20)]
    assert not any(f.alarm for f in found)
    inside = sum(f.low <= 1 <= f.high for f in found)
    print(f"1 lies in {inside} of 20 intervals; distinct {found[0].distinct}, real {found[0].distinct_real} of 200")
    assert inside >= 16  # of 20 at 95 %, 15 or fewer come once in 300
    assert "no mode collapse seen" in found[0].sentence


@pytest.mark.parametrize(("scale", "alarm"), [(0.25, True), (0.75, False)])
def test_spread_is_that_of_known_scales(scale: float, alarm: bool) -> None:
    found = collapse(7 + scale * normal(256, 0, (2, 4, 3)), normal(256, 1, (2, 4, 3)), seed=0)
    assert found.spread == pytest.approx(scale, rel=0.03)
    assert found.low <= scale <= found.high
    assert found.alarm is alarm


def test_the_same_few_images_again_and_again_are_counted() -> None:
    few = normal(9, 0)
    samples = few[np.arange(200) % 9] + 1e-4 * normal(200, 1)
    found = collapse(samples, normal(200, 2), seed=0)
    assert found.low > 0.6, "the spread alone would not tell"
    assert found.distinct == 9 and found.distinct_real > 180 and found.alarm
    assert "9 of 200 are distinct" in found.sentence and found.sentence.startswith("mode collapse: ")


def test_one_image_is_the_worst() -> None:
    found = collapse(np.full((50, 4, 4), 1 / 3, np.float32), normal(30, 0, (4, 4)), seed=0)
    assert found.distinct == 1 and found.n == 30 and found.alarm
    assert found.spread < 1e-6 and found.high < 1e-6


def test_images_of_one_patient_are_resampled_together() -> None:
    owners = np.repeat(np.arange(8), 20)
    real = 3 * normal(8, 0)[owners] + 0.1 * normal(160, 1)
    alone, together = (collapse(normal(160, 2), real, 0, patients=p) for p in (None, owners))
    assert alone.spread == together.spread
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_many_items_are_drawn_down_by_the_seed_alone() -> None:
    a, b = normal(700, 0), normal(900, 1)
    assert collapse(a, b, 0) == collapse(a, b, 0)
    assert collapse(a, b, 0) != collapse(a, b, 1)
    assert collapse(a, b, 0).n == 256


def test_a_spread_is_the_mean_over_pairs() -> None:
    a, b = normal(5, 0, (2,)), normal(7, 1, (2,))
    means = [np.mean([np.linalg.norm(x[i] - x[j]) for i in range(len(x)) for j in range(i)]) for x in (a, b)]
    assert collapse(a, b, 0).spread == pytest.approx(means[0] / means[1])


def test_what_cannot_be_judged() -> None:
    found = collapse(normal(9, 0), np.ones((9, 6)), 0)
    assert np.isnan(found.spread) and not found.alarm and "cannot be judged" in found.sentence
    for samples, real in [(normal(1, 0), normal(9, 1)), (normal(9, 0), normal(9, 1, (5,)))]:
        with pytest.raises(ValueError, match="at least 2 samples and 2 real images of one size"):
            collapse(samples, real, 0)
    with pytest.raises(ValueError, match="NaN"):
        collapse(np.full((9, 6), np.nan), normal(9, 1), 0)
