"""Registered pairs: mutual information, and whether a pair matches better a few millimetres away."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage
from tiny_pairs import head, pair_cohort

from medudl.config import Data
from medudl.data.cases import cases_of
from medudl.data.pairs import PairPipeline, match, mutual_information
from medudl.data.sides import paired_data
from medudl.errors import UserError

SPACING = (3.0, 1.0, 1.0)


def test_mutual_information_of_independent_equal_and_constant_values() -> None:
    random = np.random.default_rng(0)
    a, b = random.uniform(size=(2, 200_000))
    assert mutual_information(a, b) < 31 * 31 / (2 * 200_000) * 1.2, "its bias alone"
    # Of 32 even bins log 32; the percentiles at both ends take a hundredth each.
    assert mutual_information(a, a) == pytest.approx(np.log(32), abs=0.01)
    assert mutual_information(a, 1 - a) == pytest.approx(mutual_information(a, a), abs=0.01)
    assert mutual_information(a, np.ones_like(a)) == pytest.approx(0, abs=1e-12)
    assert mutual_information(a[:0], a[:0]) == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_moved_pair_is_seen_whatever_its_contrast(seed: int) -> None:
    source = head(seed)
    inside, target = source > 0, np.asarray(np.where(source > 0, 9 - source, 0), np.float32)
    assert not match(source, target, inside, SPACING).apart
    for shift in ((1, 0, 0), (0, 3, 0), (0, 0, -4)):
        found = match(source, ndimage.shift(target, shift, order=1, mode="nearest"), inside, SPACING)
        assert found.apart and found.move != "nowhere"
    turned = ndimage.rotate(target, 5, axes=(1, 2), reshape=False, order=1, mode="nearest")
    assert "turned" in match(source, turned, inside, SPACING).move


@pytest.mark.parametrize("depth", [5, 6, 25])  # more slices than are looked at, and odd numbers of them
def test_thick_slices_moved_by_one_and_mirror_images_are_seen(depth: int) -> None:
    source = np.concatenate([head(seed) for seed in range(5)])[:depth]
    inside, target = source > 0, np.asarray(np.where(source > 0, 9 - source, 0), np.float32)
    assert not match(source, target, inside, (6.5, 1.0, 1.0)).apart
    for way in (-1, 1):
        place = (np.arange(depth) + way).clip(0, depth - 1)
        found = match(source, target[place], inside, (6.5, 1.0, 1.0))
        assert found.apart and found.move == "moved by 6.5 mm from slice to slice" and not found.mirrored
    for axis, name in enumerate(("from slice to slice", "along the rows", "along the columns")):
        for mm in (1.0, 0.6):  # of 0.6 mm every other voxel is looked at
            found = match(source, np.flip(target, axis), inside, (6.5, mm, mm))
            assert found.apart and found.mirrored and found.move == f"mirrored {name}"
            assert found.best == pytest.approx(match(source, target, inside, (6.5, mm, mm)).here), "no move is left"
    for about, axes in (("in the slice", (1, 2)), ("about the rows", (0, 2)), ("about the columns", (0, 1))):
        found = match(source, np.flip(target, axes), inside, (6.5, 1.0, 1.0))
        assert found.apart and found.mirrored and found.move == f"turned by 180 degrees {about}"


def test_a_coarse_axis_in_the_slice_is_moved_by_whole_voxels() -> None:
    source = head(1).transpose(1, 0, 2)
    inside, target = source > 0, np.asarray(np.where(source > 0, 9 - source, 0), np.float32)
    found = match(source, np.roll(target, 1, axis=1), inside, (1.0, 5.0, 1.0))
    assert found.apart and found.move == "moved by 5 mm along the rows"


def test_a_single_image_is_not_moved_from_slice_to_slice() -> None:
    source = head(2)[:1]
    found = match(source, 9 - source, source > 0, (5.0, 1.0, 1.0))
    assert not found.apart and match(source, source, np.zeros_like(source > 0), (5.0, 1.0, 1.0)).here == 0


def test_a_mirrored_pair_is_told_as_such(tmp_path: Path) -> None:
    rows = pair_cohort(tmp_path, subjects=3)
    file = tmp_path / "s0_T2.nii.gz"
    image = nibabel.load(file)
    nibabel.save(nibabel.Nifti1Image(image.get_fdata(dtype=np.float32)[::-1], image.affine), file)
    data = Data(channels=["T1"], target=["T2"])
    cases, _ = cases_of(rows, paired_data(data))
    with pytest.raises(UserError, match=r"T2 is mirrored against T1: mirrored along the columns .*; mend the affine"):
        PairPipeline(data).prepare(rows, cases[0])


def test_a_pair_that_lies_apart_is_refused_unless_trusted_or_registered(tmp_path: Path) -> None:
    rows = pair_cohort(tmp_path, subjects=3, shifts={2: 4})
    for setting, refused in (({}, True), ({"pairs": "trust"}, False), ({"register_to_grid": True}, False)):
        data = Data.model_validate({"channels": ["T1"], "target": ["T2"], **setting})
        cases, notes = cases_of(rows, paired_data(data))
        assert not notes and [case.names for case in cases] == [("T1", "T2")] * 3
        pipeline = PairPipeline(data)
        for case in cases[:2]:
            assert pipeline.prepare(rows, case).image.shape == (2, 6, 64, 64)
        if refused:
            with pytest.raises(UserError, match=r"T1 and T2 do not lie on each other, T2 moved by about 3 mm along"):
                pipeline.prepare(rows, cases[2])
        else:
            pipeline.prepare(rows, cases[2])


def test_what_was_trusted_once_is_checked_later() -> None:
    keys = {PairPipeline(Data(channels=["T1"], target=["T2"], pairs=how)).key for how in ("check", "trust")}
    assert len(keys) == 2
    assert len(keys | {PairPipeline(Data(channels=["T1", "T2"], target=["T3"])).key}) == 3


@pytest.mark.proof
def test_real_pairs_lie_on_each_other_and_moved_ones_do_not(real_data: Path) -> None:
    pairs, refused, seen = 0, 0, 0
    for study in sorted((real_data / "pgbm").glob("*/*")):
        files = [study / f"{name}.nii.gz" for name in ("T1", "T2", "FLAIR", "T1c")]
        images = [nibabel.as_closest_canonical(nibabel.load(file)) for file in files if file.is_file()]
        for one, other in itertools.permutations(images, 2):
            (source, target), spacing = (i.get_fdata(dtype=np.float32).T for i in (one, other)), one.header.get_zooms()
            if source.shape != target.shape:
                continue
            mm = (float(spacing[2]), float(spacing[1]), float(spacing[0]))
            inside = source > np.median(source)
            pairs += 1
            refused += match(source, target, inside, mm).apart
            moved = [ndimage.shift(target, (0, far / mm[1], 0), order=1, mode="nearest") for far in (3, 4, 6, 10)]
            last = len(target) - 1
            moved += [target[(np.arange(last + 1) + way).clip(0, last)] for way in (-1, 1)]
            axes = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
            mirrored = [match(source, np.flip(target, axis), inside, mm) for axis in axes]
            seen += all(match(source, one_moved, inside, mm).apart for one_moved in moved) and all(
                found.apart and found.mirrored for found in mirrored
            )
    print(
        f"{refused} of {pairs} registered pairs refused; {seen} of {pairs} refused at each of 3, 4, 6 and 10 mm and one"
        " slice to and fro, and told as mirrored along each axis and as turned by 180 degrees about each"
    )
    assert pairs >= 40 and refused == 0 and seen == pairs
