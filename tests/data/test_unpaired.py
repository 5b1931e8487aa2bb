"""Two sides that never met: orders of their own, no accidental pairs, and paired channels parted again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_pairs import pair_cohort

from medudl.config import Data
from medudl.data.cases import cases_of
from medudl.data.loaders import Loader
from medudl.data.pipeline import Prepared
from medudl.data.sides import pair_cases, paired_data, side_cases, side_data, side_name, target_channels
from medudl.data.unpaired import UnpairedLoader
from medudl.errors import UserError


def prepared(name: str, level: float, depth: int, channels: int = 1) -> Prepared:
    """(C, D, 4, 4): slice number / 100 + level, a tenth more in each further channel."""
    image = np.zeros((channels, depth, 4, 4), np.float32)
    image += np.arange(depth, dtype=np.float32)[:, None, None] / 100 + level
    image += np.arange(channels, dtype=np.float32)[:, None, None, None] / 10
    return Prepared(name, image, np.ones((1, depth, 4, 4), bool), None, {})


def loader(
    name: str, depth: int, seed: int, *, shuffle: bool = True, batch: int = 2, rank: int = 0, world: int = 1
) -> Loader:
    scans = [prepared(name, 0.0, depth)]
    return Loader(scans, Data(), batch_size=batch, seed=seed, shuffle=shuffle, rank=rank, world=world)


def test_the_shorter_side_begins_again_in_another_order() -> None:
    both = UnpairedLoader(loader("a", 8, 0), loader("b", 4, 1))
    assert len(both) == 4 and both.shape == (1, 4, 4)
    batches = list(both.epoch(0))
    assert len(batches) == 4
    sources = [name.split(" + ")[0] for batch in batches for name in batch["id"]]
    targets = [name.split(" + ")[1] for batch in batches for name in batch["id"]]
    assert sorted(sources) == [f"a/{i}" for i in range(8)]
    assert sorted(targets[:4]) == sorted(targets[4:]) == [f"b/{i}" for i in range(4)]
    for batch in batches:
        places = [int(name.rpartition("/")[2]) for name in batch["id"]]
        assert torch.equal((batch["target"][:, 0, 0, 0] * 100).round().int(), torch.tensor(places).int())


def test_a_start_in_the_middle_gives_the_same_batches() -> None:
    both = UnpairedLoader(loader("a", 10, 0), loader("b", 6, 1))
    for epoch in (0, 3):
        whole = list(both.epoch(epoch))
        for start in (1, 4):
            rest = list(both.epoch(epoch, start))
            assert [batch["id"] for batch in rest] == [batch["id"] for batch in whole[start:]]


def test_equal_sides_do_not_meet_in_the_same_pairs_again() -> None:
    both = UnpairedLoader(loader("a", 12, 5), loader("b", 12, 5 + 1_000_003))
    met = [set(name for batch in both.epoch(epoch) for name in batch["id"]) for epoch in range(4)]
    assert len(set.union(*met)) > 30, "of 48 meetings"


def test_validation_goes_in_order_and_cuts_the_larger_half() -> None:
    both = UnpairedLoader(loader("a", 5, 0, shuffle=False), loader("b", 4, 0, shuffle=False))
    assert [len(batch["image"]) for batch in both.epoch(0)] == [2, 2, 1]
    assert all(batch["image"].shape == batch["target"].shape for batch in both.epoch(0))


def on_ranks(sizes: tuple[int, int], batch: int, world: int, *, shuffle: bool = True) -> list[UnpairedLoader]:
    """One of each rank."""
    return [
        UnpairedLoader(*(loader(name, depth, seed, shuffle=shuffle, batch=batch, rank=rank, world=world)
                         for name, depth, seed in zip("ab", sizes, (0, 1), strict=True)))
        for rank in range(world)
    ]  # fmt: skip


@pytest.mark.parametrize("sizes", [(12, 12), (16, 9), (5, 21)])
def test_two_ranks_see_between_them_what_one_would_see(sizes: tuple[int, int]) -> None:
    """Step by step: two batches of two meet the very images, and pairs, of one batch of four."""
    (alone,), ranks = on_ranks(sizes, 4, 1), on_ranks(sizes, 2, 2)
    assert len(alone) == len(ranks[0]) == len(ranks[1]) > 1
    for epoch in range(3):
        steps = [[batch["id"] for batch in one.epoch(epoch)] for one in (alone, *ranks)]
        for whole, first, second in zip(*steps, strict=True):
            assert sorted(whole) == sorted(first + second) and not set(first) & set(second)
        middle = [[batch["id"] for batch in one.epoch(epoch, 1)] for one in ranks]
        assert middle == [steps[1][1:], steps[2][1:]], "a resume in the middle"


def test_two_ranks_validate_every_item_of_the_longer_side() -> None:
    ranks = on_ranks((5, 4), 2, 2, shuffle=False)
    names = [name.split(" + ") for one in ranks for batch in one.epoch(0) for name in batch["id"]]
    assert {source for source, _ in names} == {f"a/{i}" for i in range(5)}
    assert {target for _, target in names} == {f"b/{i}" for i in range(4)}


@pytest.mark.parametrize("view", ["slices", "slices_25d"])
def test_channels_of_a_pair_are_parted(view: str) -> None:
    data = Data.model_validate({"view": view, "neighbours": 1})
    one = Loader([prepared("a", 0.0, 5, channels=3)], data, batch_size=5, shuffle=False, sources=2)
    near = 3 if view == "slices_25d" else 1
    assert one.shape == (2 * near, 4, 4)
    batch = next(one.epoch(0))
    assert batch["image"].shape == (5, 2 * near, 4, 4) and batch["target"].shape == (5, 1, 4, 4)
    slices = torch.arange(5) / 100
    torch.testing.assert_close(batch["target"][:, 0, 0, 0], slices + 0.2)
    middle = batch["image"][:, 2 * (near // 2) : 2 * (near // 2) + 2, 0, 0]
    torch.testing.assert_close(middle, torch.stack([slices, slices + 0.1], dim=1))


def test_target_moves_with_the_image_and_keeps_its_intensities() -> None:
    data = Data.model_validate({"augment": {"flip": True, "rotate": 20, "gamma": 0.5, "brightness": 0.5}})
    random = np.random.default_rng(0)
    image = np.repeat(random.uniform(0.2, 0.8, (1, 6, 12, 12)).astype(np.float32), 2, axis=0)
    scan = Prepared("a", image, np.ones((1, 6, 12, 12), bool), None, {})
    moved = next(Loader([scan], data, batch_size=6, shuffle=True, augment=True, sources=1).epoch(0))
    for seen, target in zip(moved["image"], moved["target"], strict=True):
        # gamma and brightness are monotone: where they lie is the same, what they are is not.
        assert torch.equal(seen.flatten().argsort()[:5], target.flatten().argsort()[:5])
        assert not torch.allclose(seen, target)


def test_sides_by_contrast_and_by_modality(tmp_path: Path) -> None:
    rows = pair_cohort(tmp_path, subjects=3)
    data = Data.model_validate({"channels": ["T1"], "target": ["T2"], "intensity": {"T1": {}, "T2": {}}})
    source, notes = side_cases(rows, data, "source")
    assert not notes and [case.names for case in source] == [("T1",)] * 3
    both, _ = side_cases(rows, Data(channels=["MR"], target=["CT"]), "source")
    assert len(both) == 6 and {case.names for case in both} == {("MR",)}
    assert side_data(data, "target").channels == ["T2"] and not side_data(data, "target").target
    assert paired_data(data).channels == ["T1", "T2"] and side_name(data, "target") == "T2"
    assert len(cases_of(rows, paired_data(data))[0]) == 3


def test_pairs_are_found_by_modality_too(tmp_path: Path) -> None:
    rows = pair_cohort(tmp_path, subjects=3)
    rows.table.loc[rows.table["contrast"] == "T2", ["contrast", "modality"]] = ["", "CT"]
    own = {series.path: series for series in rows.series()}
    for channels, where in ((["T1"], {}), (["MR"], {}), (["MR"], {"contrast": ["T1", ""]})):
        data = Data.model_validate({"channels": channels, "target": ["CT"], "where": where})
        cases, notes = pair_cases(rows, data)
        assert len(cases) == 3 and not notes
        for case in cases:
            assert case.names == (*channels, "CT") and [s.modality for s in case.present] == ["MR", "CT"]
            assert all(series == own[series.path] for series in (*case.present, case.grid)), "named as in the cohort"
    assert pair_cases(rows, Data(channels=["PET"], target=["CT"]))[0] == []


def test_a_modality_leaves_out_what_the_other_side_names(tmp_path: Path) -> None:
    rows = pair_cohort(tmp_path, subjects=3)
    cases, notes = pair_cases(rows, Data(channels=["MR"], target=["T2"]))
    assert not notes and [[s.contrast for s in case.present] for case in cases] == [["T1", "T2"]] * 3


def test_target_channels_count_neighbours_without_pairs_alone() -> None:
    data = Data.model_validate({"channels": ["a"], "target": ["b", "c"], "view": "slices_25d", "neighbours": 2})
    assert target_channels(data, paired=True) == 2 and target_channels(data, paired=False) == 10


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"target": ["T2"]}, "needs channels"),
        ({"target": ["T2"], "channels": ["T1", "T2"]}, "both name T2"),
        ({"target": ["T2"], "channels": ["T1"], "missing": "zero"}, "left out"),
    ],
)
def test_slips_in_the_two_sides(settings: dict[str, object], told: str) -> None:
    with pytest.raises((ValueError, UserError), match=told):
        Data.model_validate(settings)
