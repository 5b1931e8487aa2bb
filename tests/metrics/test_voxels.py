"""Voxel figures from counts against the exact ones."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from medudl.metrics import curves, intervals
from medudl.metrics.voxels import Tally, codes, count, highest_in


@pytest.fixture
def scans():
    random = np.random.default_rng(0)
    truths = [random.random(20_000) < p for p in (0.01, 0.1, 0.0)]
    maps = [(np.abs(random.normal(size=20_000)) * (1 + t)).astype(np.float32) for t in truths]
    return maps, truths


def test_codes_keep_the_order_of_floats():
    values = np.sort(np.random.default_rng(0).normal(size=5000).astype(np.float32))
    values = np.concatenate([[-np.inf], values, [np.inf]]).astype(np.float32)
    assert (np.diff(codes(values)) >= 0).all()
    assert codes(np.array([0.5, 0.502], np.float32))[0] < codes(np.array([0.5, 0.502], np.float32))[1]


@pytest.mark.parametrize("value", [0.3141, -0.3141, 0.0, 5e-7])
def test_highest_in_a_bin_is_its_last_number(value):
    code = codes(np.array([value], np.float32))
    top = np.float32(highest_in(int(code[0])))
    assert codes(np.array([top]))[0] == code[0]
    assert codes(np.nextafter(top, np.float32(np.inf), dtype=np.float32)[None])[0] == code[0] + 1


def test_average_precision_is_the_exact_one(scans):
    maps, truths = scans
    tally = Tally([count(m, t) for m, t in zip(maps, truths, strict=True)], [0, 1, 2], 3)
    exact = average_precision_score(np.concatenate(truths), np.concatenate(maps))
    assert float(curves.average_precision_of(*tally.pooled())) == pytest.approx(exact, abs=5e-4)


def test_resampled_patients_are_weighted(scans):
    maps, truths = scans
    tally = Tally([count(m, t) for m, t in zip(maps, truths, strict=True)], [0, 1, 1], 2)
    drawn = intervals.resamples([0, 0], 20, seed=0)
    values = curves.average_precision_of(*tally.pooled(drawn))
    weight = np.concatenate([np.full(20_000, drawn[3][p]) for p in (0, 1, 1)])
    exact = average_precision_score(np.concatenate(truths), np.concatenate(maps), sample_weight=weight)
    assert values[3] == pytest.approx(exact, abs=5e-4)


def test_percentile_of_healthy_voxels(scans):
    maps, truths = scans
    tally = Tally([count(m, t) for m, t in zip(maps, truths, strict=True)], [0, 1, 2], 3)
    threshold = tally.percentile(99)
    healthy = np.concatenate(maps)[~np.concatenate(truths)]
    assert (healthy > threshold).mean() <= 0.01
    assert (healthy > threshold * 0.99).mean() > 0.01
    _, called = tally.pooled()[1].sum(), tally.pooled()[1][tally.above(threshold)].sum()
    assert called == (healthy > threshold).sum()  # counts and the map itself agree on what lies above


def test_constant_map_is_never_above_its_own_percentile():
    tally = Tally([count(np.full(100, 0.25, np.float32))], [0], 1)
    assert tally.percentile(99.5) >= 0.25
    assert not tally.above(tally.percentile(99.5)).any()


def test_coarser_counts_keep_every_voxel(scans):
    maps, truths = scans
    tally = Tally([count(m, t) for m, t in zip(maps, truths, strict=True)], [0, 1, 2], 3)
    coarse = tally.coarser(2)
    assert len(coarse.code) < 0.4 * len(tally.code)
    assert (coarse.sick.sum(1) == tally.sick.sum(1)).all() and (coarse.healthy.sum(1) == tally.healthy.sum(1)).all()
    fine, rough = (float(curves.average_precision_of(*t.pooled())) for t in (tally, coarse))
    assert rough == pytest.approx(fine, abs=2e-3)
