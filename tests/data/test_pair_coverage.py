"""Registered pairs whose sides do not reach equally far: what one side lacks is nobody's truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic_cohort import UPRIGHT, row, write
from tiny_pairs import head

from medudl.config import Data
from medudl.data import scan
from medudl.data.cache import Cache
from medudl.data.cases import Case, cases_of
from medudl.data.cohort import Cohort
from medudl.data.items import items_of
from medudl.data.loaders import Loader
from medudl.data.pairs import PairPipeline, pipeline_of
from medudl.data.pipeline import Prepared
from medudl.data.sides import pair_cases, side_cases
from medudl.data.volume import Volume
from medudl.errors import UserError

KEPT = slice(0, 4)  # slices of six that the shorter side covers
Array = NDArray[np.float32]


def mr() -> Array:
    """(X, Y, Z), 100 to 800 in the head."""
    return np.asarray(100 * head(0).T, np.float32)


def ct(padding: float | None = None) -> Array:
    """(X, Y, Z) in HU; padding: what lies outside of the scanner's circle."""
    inverted = np.where(mr() > 0, 500 - mr(), -1000).astype(np.float32)
    if padding is not None:
        y, x = np.mgrid[-1:1:64j, -1:1:64j]
        inverted[x**2 + y**2 > 1] = padding
    return inverted


def pair(folder: Path, target: Array, affine: NDArray[np.float64] = UPRIGHT, **facts: str) -> Cohort:
    """One study: the MR, and a CT that may be shorter."""
    rows = []
    for contrast, voxels, where in (("T1", mr(), UPRIGHT), ("CT", target, affine)):
        path = write(folder / f"{contrast}.nii", voxels, where)
        modality = "CT" if contrast == "CT" else "MR"
        rows.append(row(folder, path, voxels, where, modality=modality, contrast=contrast, **facts))
    return Cohort.of(folder, rows)


def settings(**more: object) -> Data:
    window = {"kind": "window", "low": -1000, "high": 1000}
    tree = {"channels": ["T1"], "target": ["CT"], "intensity": {"T1": {}, "CT": window}, "foreground": "none", **more}
    return Data.model_validate(tree)


def prepared(cohort: Cohort, data: Data) -> Prepared:
    (case,), _ = pair_cases(cohort, data)
    return PairPipeline(data).prepare(cohort, case)


def test_what_the_target_lacks_is_no_foreground_and_blank_on_both_sides(tmp_path: Path) -> None:
    whole, short = pair(tmp_path / "whole", ct()), pair(tmp_path / "short", ct(-3024)[..., KEPT])
    full, cut = prepared(whole, settings()), prepared(short, settings())
    assert full.foreground.all() and full.geometry["covered"] == 1
    inside = np.zeros((6, 64, 64), dtype=bool)
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    inside[KEPT] = x**2 + y**2 <= 1
    np.testing.assert_array_equal(cut.foreground[0], inside)
    assert cut.geometry["covered"] == pytest.approx(inside.mean())
    # Inside, both sides are as of the whole pair, and the source is scaled as when it comes alone.
    np.testing.assert_allclose(cut.image[:, inside], full.image[:, inside], atol=1e-6)
    (alone,), _ = side_cases(short, settings(), "source")
    as_source = pipeline_of(settings(), {}, "source").prepare(short, alone)
    np.testing.assert_array_equal(cut.image[0][inside], as_source.image[0][inside])
    for channel in cut.image:
        assert (channel[~inside] == channel[inside].min()).all(), "nothing to learn, and nothing of -3024 HU"


@pytest.mark.parametrize(("view", "size"), [("slices", None), ("slices_25d", None), ("volume", None),
                                            ("patches", [6, 64, 64])])  # fmt: skip
def test_no_item_asks_for_what_the_target_lacks(view: str, size: list[int] | None, tmp_path: Path) -> None:
    data = settings(view=view, size=size, min_foreground=0)
    made = prepared(pair(tmp_path, ct()[:, :50, KEPT]), data)
    for batch in Loader([made], data, sources=1, batch_size=2, shuffle=False).epoch(0):
        outside = ~batch["foreground"].expand_as(batch["target"])
        assert outside.any() and batch["foreground"].flatten(1).any(1).all()
        assert (batch["target"][outside] == float(made.image[1].min())).all()
        if view != "slices_25d":
            assert (batch["image"][outside] == float(made.image[0].min())).all()
    if data.dims == 2:
        assert [item.index for item in items_of(0, made, data, False, paired=True)] == [0, 1, 2, 3]
        assert len(items_of(0, made, data, False)) == 6, "of no pair, min_foreground: 0 takes every slice"


def test_a_pair_that_covers_too_little_is_named(tmp_path: Path) -> None:
    for name, target, told in (("short", ct()[..., KEPT], 1), ("whole", ct(), 0)):
        cohort = pair(tmp_path / name, target)
        cases, _ = pair_cases(cohort, settings())
        ready, notes = Cache(tmp_path / "cache", PairPipeline(settings()), cohort).fill(cases)
        assert ready == cases and len(notes) == told
        assert all("its two sides cover 67% of its foreground in common" in note for note in notes)


def test_a_lesion_that_the_target_does_not_show_is_none(tmp_path: Path) -> None:
    lesion = np.zeros((64, 64, 6), dtype=np.uint8)
    lesion[30:34, 30:34, 2:6] = 1
    write(tmp_path / "lesion.nii", lesion)
    made = prepared(pair(tmp_path, ct()[..., KEPT], mask="lesion.nii"), settings())
    assert made.mask is not None and made.mask[0].any(axis=(1, 2)).tolist() == [False] * 2 + [True] * 2 + [False] * 2


def test_sides_without_a_voxel_in_common_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="its two sides show no part of its foreground in common"):
        prepared(pair(tmp_path, np.full_like(ct(), -3024)), settings())


def test_without_a_target_channels_are_filled_as_ever(tmp_path: Path) -> None:
    cohort = pair(tmp_path, ct()[..., KEPT])
    data = settings(channels=["T1", "CT"], target=[])
    (case,), _ = cases_of(cohort, data)
    made = pipeline_of(data, {}).prepare(cohort, case)
    assert made.foreground.all() and made.image[0, 4:].std() > 0.1 and made.geometry["covered"] == 1


def _shown(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The brightest voxel of each volume that the brain is looked for in."""
    seen: list[float] = []

    def brain(volume: Volume) -> NDArray[np.bool_]:
        seen.append(float(volume.voxels.max()))
        return volume.voxels > 0

    monkeypatch.setattr(scan, "brain", brain)
    return seen


def test_the_brain_is_found_on_the_source_as_it_will_be_without_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _shown(monkeypatch)
    rows = []
    for contrast, voxels in (("T2", mr()), ("T1", 3 * mr())):
        path = write(tmp_path / f"{contrast}.nii", voxels)
        rows.append(row(tmp_path, path, voxels, contrast=contrast))
    cohort = Cohort.of(tmp_path, rows)
    data = Data(channels=["T2"], target=["T1"], foreground="brain", outside="zero")
    both: list[tuple[Case, str | None]] = [(pair_cases(cohort, data)[0][0], None)]
    both.append((side_cases(cohort, data, "source")[0][0], "source"))
    made = [pipeline_of(data, {}, side).prepare(cohort, case) for case, side in both]  # type: ignore[arg-type]
    assert seen == [pytest.approx(mr().max())] * 2, "never the target, which translate does not have"
    np.testing.assert_array_equal(made[0].image[0], made[1].image[0])
