import numpy as np
import pytest

from medudl.config import Intensity
from medudl.data.intensity import IntensityMap, intensity_map, landmarks, standard_landmarks
from medudl.errors import UserError

VALUES = np.random.default_rng(0).gamma(4, 50, 5000).astype(np.float32)
KINDS = [
    Intensity(kind="percentile"),
    Intensity(kind="window", low=-100, high=300),
    Intensity(kind="zscore"),
    Intensity(kind="histogram", low=1, high=99),
]


def made(setting: Intensity, values: np.ndarray = VALUES) -> IntensityMap:
    standard = None
    if setting.kind == "histogram":
        standard = standard_landmarks([landmarks(setting, values**p, "scan") for p in (0.7, 1.0, 1.3)])
    return intensity_map(setting, values, "scan", standard)


@pytest.mark.parametrize("setting", KINDS, ids=lambda s: s.kind)
def test_maps_rise_strictly_and_come_back(setting: Intensity) -> None:
    found = made(setting)
    line = np.linspace(-1500, 3000, 4001, dtype=np.float32)  # far beyond both ends
    mapped = found.forward(line)
    assert mapped.dtype == np.float32
    assert (np.diff(mapped.astype(float)) > 0).all()
    np.testing.assert_allclose(found.inverse(mapped), line, atol=2e-3)
    assert IntensityMap.from_json(found.to_json()) == found


def test_closed_form_values() -> None:
    low, high = np.percentile(VALUES, [0.5, 99.5])
    np.testing.assert_allclose(made(KINDS[0]).forward(np.float32([low, high])), [0, 1], atol=1e-6)
    np.testing.assert_allclose(made(KINDS[1]).forward(np.float32([-100, 100, 300, 500])), [0, 0.5, 1, 1.5], atol=1e-6)
    mean, std = VALUES.mean(dtype=float), VALUES.std(dtype=float)
    np.testing.assert_allclose(made(KINDS[2]).forward(np.float32([mean, mean + 3 * std])), [0.5, 1], atol=1e-6)


def test_histogram_brings_the_landmarks_of_every_scan_to_the_standard() -> None:
    setting = KINDS[3]
    scans = [VALUES, 3 * VALUES**1.2 + 7, 500 * np.log1p(VALUES)]
    standard = standard_landmarks([landmarks(setting, v, "scan") for v in scans])
    ranks = [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99]
    for values in scans:
        mapped = intensity_map(setting, values, "scan", standard).forward(values)
        np.testing.assert_allclose(np.percentile(mapped, ranks), standard, atol=2e-3)


def test_tied_landmarks_stay_invertible() -> None:
    values = np.concatenate([np.zeros(700), np.arange(300)]).astype(np.float32)  # seven landmarks are equal
    found = intensity_map(KINDS[3], values, "scan", standard_landmarks([landmarks(KINDS[3], values, "scan")]))
    np.testing.assert_allclose(found.inverse(found.forward(values)), values, atol=1e-3)
    found = intensity_map(KINDS[3], VALUES, "scan", standard_landmarks([landmarks(KINDS[3], values, "scan")]))
    np.testing.assert_allclose(found.inverse(found.forward(VALUES)), VALUES, rtol=1e-3)


def test_clip_cuts_and_its_inverse_gives_what_is_left() -> None:
    found = intensity_map(Intensity(kind="window", low=0, high=100, clip=True), VALUES, "scan")
    np.testing.assert_allclose(found.forward(np.float32([-50, 50, 150])), [0, 0.5, 1])
    np.testing.assert_allclose(found.inverse(found.forward(np.float32([-50, 50, 150]))), [0, 50, 100], atol=1e-4)


@pytest.mark.parametrize("setting", [KINDS[0], KINDS[2], KINDS[3]], ids=lambda s: s.kind)
def test_a_constant_foreground_is_refused_by_name(setting: Intensity) -> None:
    with pytest.raises(UserError, match="scan 7: every foreground voxel has the same value"):
        intensity_map(setting, np.full(100, 5.0, np.float32), "scan 7", list(np.linspace(0, 1, 11)))


def test_a_contrast_without_learnt_landmarks_is_refused() -> None:
    with pytest.raises(UserError, match="no landmarks were learnt"):
        intensity_map(KINDS[3], VALUES, "scan", None)
