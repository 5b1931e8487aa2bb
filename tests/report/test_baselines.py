"""Trivial baselines by hand."""

import numpy as np
import pytest

from medudl.report.baselines import Reference, baseline_maps, baseline_numbers, equalised, local_std


@pytest.fixture
def image():
    return np.random.default_rng(0).random((2, 4, 12, 10)).astype(np.float32)


def test_reference_is_mean_and_standard_deviation():
    random = np.random.default_rng(0)
    scans = random.normal(0.5, 0.1, (40, 1, 2, 6, 6)).astype(np.float32)
    everywhere = np.ones((2, 6, 6), bool)
    reference = Reference.of(((scan, everywhere) for scan in scans), (2, 6, 6))
    assert reference.n == 40
    assert np.allclose(reference.mean, scans.mean(0), atol=1e-5)
    assert np.allclose(reference.std, scans.std(0), atol=1e-5)
    lesion = scans[0].copy()
    lesion[0, 0, 3, 3] = reference.mean[0, 0, 3, 3] + 5 * reference.std[0, 0, 3, 3]
    assert reference.deviation(lesion)[0, 0, 3, 3] == pytest.approx(5, rel=1e-4)


def test_reference_leaves_out_what_does_not_count():
    scans = [(np.full((1, 2, 2, 2), value, np.float32), np.array([[[True] * 2] * 2, [[value < 9] * 2] * 2]))
             for value in (1.0, 2.0, 3.0, 9.0)]  # fmt: skip
    reference = Reference.of(scans, (2, 2, 2))
    assert reference.mean[0, 0, 0, 0] == pytest.approx(3.75) and reference.mean[0, 1, 0, 0] == pytest.approx(2)
    assert Reference.of([], (2, 2, 2)) is None


def test_reference_fits_scans_of_another_depth():
    ramp = np.repeat(np.arange(4, dtype=np.float32), 3).reshape(1, 12, 1, 1)
    scan = np.broadcast_to(ramp, (1, 12, 2, 2)).copy()
    reference = Reference.of([(scan, np.ones((12, 2, 2), bool))] * 3, (4, 2, 2))
    assert reference.mean[0, :, 0, 0].tolist() == [0, 1, 2, 3]
    assert reference.deviation(scan).max() == 0


def test_maps_are_named_by_channel_and_never_negative(image):
    inside = np.ones((4, 12, 10), bool)
    reference = Reference.of([(image, inside)] * 3, (4, 12, 10))
    maps = dict(baseline_maps(image, inside, ["T1", "FLAIR"], reference, 2))
    assert len(maps) == 14 and np.array_equal(maps["FLAIR intensity"], image[1])
    assert np.allclose(maps["T1 darkness (1 - intensity)"], 1 - image[0])
    assert all(m.shape == (4, 12, 10) and m.min() >= 0 for m in maps.values())
    single = dict(baseline_maps(image[:1], inside, ["T1"], None, 2))
    assert list(single) == ["intensity", "darkness (1 - intensity)", "equalised intensity", "equalised darkness",
                            "local standard deviation"]  # fmt: skip


def test_equalised_is_the_rank_inside_the_foreground():
    channel = np.array([[[3.0, 1.0, 2.0, 99.0]]], np.float32)
    inside = np.array([[[True, True, True, False]]])
    assert equalised(channel, inside)[0, 0].tolist() == pytest.approx([5 / 6, 1 / 6, 3 / 6, 1])
    assert equalised(np.exp(channel / 50), inside)[0, 0, :3] == pytest.approx(equalised(channel, inside)[0, 0, :3])


def test_local_std(image):
    made = local_std(image[0], 2)
    assert made[1, 5, 5] == pytest.approx(image[0, 1, 3:8, 3:8].std(), rel=1e-4)
    assert local_std(image[0], 3)[2, 5, 5] != pytest.approx(made[2, 5, 5], rel=1e-4)
    assert local_std(np.full((1, 9, 9), 7.0, np.float32), 2).max() < 1e-3


def test_whole_scan_numbers(image):
    inside = np.zeros((4, 12, 10), bool)
    inside[1] = True
    numbers = baseline_numbers(image, inside, ["T1", "FLAIR"])
    assert numbers["FLAIR whole-scan standard deviation"] == pytest.approx(image[1, 1].std(), rel=1e-5)
    assert np.isnan(baseline_numbers(image, inside & False, ["T1"])["whole-scan mean"])
