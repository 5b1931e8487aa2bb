"""Labelled images beside others in every batch: orders of their own, no label leaks, any start, any rank."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from medudl.config import Data
from medudl.data.loaders import Loader
from medudl.data.mixed import MixedLoader
from medudl.data.pipeline import Prepared
from medudl.errors import UserError

AUGMENTED = Data.model_validate({"augment": {"brightness": 0.3}})


def prepared(name: str, level: float, *, depth: int = 1, hollow: bool = False, mask: bool = False) -> Prepared:
    """(1, D, 4, 4): slice number / 100 + level."""
    image = np.zeros((1, depth, 4, 4), np.float32) + np.arange(depth, dtype=np.float32)[:, None, None] / 100 + level
    inside = np.ones((1, depth, 4, 4), bool)
    inside[..., 0] = not hollow
    return Prepared(name, image, inside, np.zeros_like(inside) if mask else None, {})


SCANS = [prepared(f"s{n}", n / 10) for n in range(9)]
LABELS = {"s1": 1, "s4": 0, "s7": 1}


def mixed(
    batch: int = 2, *, rank: int = 0, world: int = 1, workers: int = 0, seed: int = 0, scans: list[Prepared] = SCANS
) -> MixedLoader:
    """Three labelled ones of nine."""
    known = [one for one in scans if one.case_id in LABELS]
    halves = (
        Loader(some, AUGMENTED, labels=LABELS, batch_size=batch, seed=seed + more, shuffle=True, augment=True,
               workers=workers, rank=rank, world=world)
        for some, more in ((known, 1_000_003), (scans, 0))
    )  # fmt: skip
    return MixedLoader(*halves)


def test_halves_are_labelled_ones_and_all_without_a_label() -> None:
    loader = mixed()
    assert len(loader) == 4 and loader.shape == (1, 4, 4) and len(loader.items) == 9 and loader.batch_size == 4
    seen: Counter[str] = Counter()
    for batch in loader.epoch(0):
        assert batch["image"].shape == (4, 1, 4, 4) and len(batch["id"]) == 4
        names = [name.partition("/")[0] for name in batch["id"]]
        assert batch["label"].tolist() == [LABELS[names[0]], LABELS[names[1]], -1, -1]
        seen.update(names[2:])
    assert len(seen) == 8 and set(seen.values()) == {1}, "an epoch of the others holds each at most once"
    later = {name for epoch in range(6) for b in loader.epoch(epoch) for name in b["id"][2:]}
    assert later == {f"s{n}/0" for n in range(9)}, "labelled ones among them"


def test_labels_given_for_the_other_half_are_blanked() -> None:
    """Whoever hands over a loader that knows labels leaks none."""
    every = Loader(SCANS, Data(), labels=LABELS, batch_size=3, shuffle=True)
    assert max(int(b["label"].max()) for b in every.epoch(0)) == 1
    known = Loader(SCANS[:2], Data(), labels={"s0": 0, "s1": 1}, batch_size=3, shuffle=True)
    assert all(b["label"][3:].tolist() == [-1] * 3 for b in MixedLoader(known, every).epoch(0))


def test_labelled_ones_begin_again_in_another_order() -> None:
    loader = mixed(batch=3)
    rounds = [tuple(batch["id"][:3]) for epoch in range(4) for batch in loader.epoch(epoch)]
    assert all(set(one) == {"s1/0", "s4/0", "s7/0"} for one in rounds) and len(set(rounds)) > 2


def test_fewer_labelled_images_than_a_batch_are_repeated_evenly() -> None:
    counts = Counter(name for batch in mixed(batch=8).epoch(0) for name in batch["id"][:8])
    assert set(counts) == {"s1/0", "s4/0", "s7/0"} and max(counts.values()) - min(counts.values()) == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_a_start_in_the_middle_gives_the_same_batches(workers: int) -> None:
    """To the voxel: what augmentation draws is drawn from seed, epoch and place."""
    whole, again = mixed(), mixed(workers=workers)
    for epoch in (0, 3):
        batches = list(whole.epoch(epoch))
        for start in (0, 1, 3):
            rest = list(again.epoch(epoch, start))
            assert [b["id"] for b in rest] == [b["id"] for b in batches[start:]]
            assert all(torch.equal(a["image"], b["image"]) for a, b in zip(rest, batches[start:], strict=True))


def test_other_seeds_give_other_orders() -> None:
    assert [b["id"] for b in mixed(seed=1).epoch(0)] != [b["id"] for b in mixed().epoch(0)]


def test_two_ranks_see_between_them_what_one_would_see() -> None:
    alone, ranks = mixed(4), [mixed(2, rank=rank, world=2) for rank in (0, 1)]
    assert len(alone) == len(ranks[0]) == len(ranks[1]) == 2
    for epoch in range(3):
        steps = [[(b["id"][: len(b["id"]) // 2], b["id"][len(b["id"]) // 2 :]) for b in one.epoch(epoch)]
                 for one in (alone, *ranks)]  # fmt: skip
        for whole, first, second in zip(*steps, strict=True):
            assert all(sorted(whole[half]) == sorted(first[half] + second[half]) for half in (0, 1))


def test_foreground_and_masks_are_there_for_both_halves_or_for_none() -> None:
    scans = [prepared("s1", 0.1), prepared("s4", 0.4), prepared("h", 0.5, hollow=True), prepared("m", 0.6, mask=True)]
    batch = next(mixed(4, scans=scans).epoch(0))
    assert batch["foreground"].shape == batch["mask"].shape == (8, 1, 4, 4)
    hollow = [place for place, name in enumerate(batch["id"]) if name == "h/0"]
    assert hollow and [p for p in range(8) if not batch["foreground"][p].all()] == hollow and not batch["mask"].any()
    assert "mask" not in next(mixed().epoch(0))


def test_no_labelled_image_is_told() -> None:
    with pytest.raises(UserError, match="no training item"):
        mixed(scans=SCANS[:1])
