from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from medudl.batch import Batch
from medudl.config import Data
from medudl.data.items import items_of, slices_off_lesion, window
from medudl.data.loaders import Loader
from medudl.data.pipeline import Prepared
from medudl.errors import UserError

AUGMENT = {"flip": True, "rotate": 10, "gamma": 0.2}


def scan(name: str, depth: int = 6, lesion: int | None = None, size: int = 12, channels: int = 1) -> Prepared:
    """Slice d of the scan holds the value d everywhere, noise aside; the foreground is its middle."""
    noise = np.random.default_rng(len(name)).random((channels, depth, size, size), dtype=np.float32)
    image = noise / 100 + np.arange(depth, dtype=np.float32)[None, :, None, None]
    foreground = np.zeros((1, depth, size, size), dtype=bool)
    foreground[:, :, 2:-2, 2:-2] = True
    mask = None
    if lesion is not None:
        mask = np.zeros_like(foreground)
        mask[:, lesion : lesion + 1, 4:6, 4:6] = lesion >= 0
    return Prepared(name, image, foreground, mask, {})


SCANS = [scan("a"), scan("bb", 5), scan("ccc", 7)]  # 18 slices


def loader(prepared=SCANS, data: Data | None = None, **options) -> Loader:
    return Loader(prepared, data or Data(augment=AUGMENT), **{"batch_size": 4, "shuffle": True, **options})


def equal(a: Batch, b: Batch) -> bool:
    return a.keys() == b.keys() and all(
        torch.equal(a[k], b[k]) if isinstance(a[k], torch.Tensor) else a[k] == b[k] for k in a
    )


def ids(batches) -> list[str]:
    return [name for batch in batches for name in batch["id"]]


def test_a_batch_holds_the_slices_its_ids_name() -> None:
    data = Data()
    (batch, *_), found = list(loader(data=data, labels={"a": 2, "ccc": 0}).epoch(0)), loader(data=data)
    assert batch["image"].shape == (4, 1, 12, 12) and batch["image"].dtype == torch.float32
    assert batch["foreground"].shape == (4, 1, 12, 12) and batch["foreground"].dtype == torch.bool
    assert batch["label"].dtype == torch.int64 and "mask" not in batch and found.shape == (1, 12, 12)
    scans = {p.case_id: p for p in SCANS}
    for image, label, name in zip(batch["image"], batch["label"], batch["id"], strict=True):
        case, index = name.split("/")
        np.testing.assert_array_equal(image.numpy(), scans[case].image[:, int(index)])
        assert label == {"a": 2, "bb": -1, "ccc": 0}[case]


def test_a_foreground_that_is_everything_is_left_out_unless_augmentation_turns_it() -> None:
    everywhere = [replace(p, foreground=np.ones_like(p.foreground)) for p in SCANS]
    assert "foreground" not in next(loader(everywhere).epoch(0))
    assert "foreground" in next(loader([*everywhere[:2], SCANS[2]]).epoch(0)), "one scan has an outside"
    turned = next(loader(everywhere, augment=True, seed=2).epoch(0))
    assert not turned["foreground"].all()


def test_what_is_done_to_a_batch_does_not_reach_the_scans() -> None:
    data = loader()
    before = [batch["image"].clone() for batch in data.epoch(0)]
    for batch in data.epoch(0):
        batch["image"].zero_()
    assert all(torch.equal(a, batch["image"]) for a, batch in zip(before, data.epoch(0), strict=True))


@pytest.mark.parametrize("augment", [False, True])
def test_workers_and_start_change_no_batch(augment: bool) -> None:
    plain = list(loader(augment=augment, seed=5).epoch(3))
    for workers, start in ((2, 0), (0, 2), (2, 3)):
        other = list(loader(augment=augment, seed=5, workers=workers).epoch(3, start))
        assert len(other) == len(plain) - start
        assert all(equal(a, b) for a, b in zip(plain[start:], other, strict=True))


def test_a_worker_that_is_not_used_up_leaves_nothing_behind() -> None:
    assert len(list(islice(loader(workers=2).epoch(0), 1))) == 1


def test_epochs_and_seeds_have_orders_of_their_own_and_the_last_partial_batch_is_dropped() -> None:
    train = loader(seed=1)
    assert len(train) == 4  # of 18 slices
    orders = [ids(train.epoch(0)), ids(train.epoch(1)), ids(loader(seed=2).epoch(0))]
    assert all(len(set(order)) == 16 for order in orders)
    assert orders[0] != orders[1] and orders[0] != orders[2] and orders[0] == ids(loader(seed=1).epoch(0))


def test_validation_keeps_all_in_order() -> None:
    batches = list(loader(shuffle=False, data=Data()).epoch(0))
    assert [len(b["id"]) for b in batches] == [4, 4, 4, 4, 2] and len(batches) == len(loader(shuffle=False))
    assert ids(batches) == [f"{p.case_id}/{d}" for p in SCANS for d in range(p.image.shape[1])]


def test_a_set_smaller_than_a_batch_is_repeated_with_changes_of_its_own() -> None:
    few = loader([scan("a", 5)], batch_size=8, augment=True)
    (batch,) = few.epoch(0)
    assert len(few) == 1 and len(batch["id"]) == 8 and len(set(batch["id"])) == 5
    first = batch["id"][0]
    twins = [n for n, name in enumerate(batch["id"]) if name == first]
    assert len(twins) == 2 and not torch.equal(batch["image"][twins[0]], batch["image"][twins[1]])


@pytest.mark.parametrize("shuffle", [True, False])
def test_ranks_share_an_epoch_without_overlap_in_equal_parts(shuffle: bool) -> None:
    parts = [loader(batch_size=2, shuffle=shuffle, rank=rank, world=2) for rank in range(2)]
    seen = [ids(part.epoch(0)) for part in parts]
    assert len(parts[0]) == len(parts[1]) and len(seen[0]) == len(seen[1])
    assert not set(seen[0]) & set(seen[1])
    alone = ids(loader(batch_size=4, shuffle=shuffle).epoch(0))
    assert sorted(seen[0] + seen[1]) == sorted(alone)
    odd = [loader([scan("a", 5)], batch_size=2, shuffle=shuffle, rank=r, world=2) for r in range(2)]
    assert len(ids(odd[0].epoch(0))) == len(ids(odd[1].epoch(0)))


def test_two_ranks_see_what_one_would_with_the_same_changes() -> None:
    one = {n: image for b in loader(augment=True).epoch(0) for n, image in zip(b["id"], b["image"], strict=True)}
    for rank in range(2):
        for batch in loader(augment=True, batch_size=2, rank=rank, world=2).epoch(0):
            assert all(torch.equal(one[n], image) for n, image in zip(batch["id"], batch["image"], strict=True))


def test_slices_with_too_little_foreground_are_no_items() -> None:
    sparse = scan("a")
    sparse.foreground[:, :2] = False
    sparse.foreground[:, 2, :, 3:] = False  # 8 of 144 voxels
    assert [item.index for item in items_of(0, sparse, Data(min_foreground=0.1), False)] == [3, 4, 5]
    assert [item.index for item in items_of(0, sparse, Data(min_foreground=0.05), False)] == [2, 3, 4, 5]
    sparse.foreground[:] = False
    with pytest.raises(UserError, match="no training item"):
        loader([sparse])


def test_lesion_free_slices_keep_their_distance_and_unknown_masks_are_named() -> None:
    data = Data(lesion_margin=1)
    found = loader([scan("a", 8, lesion=3), scan("b"), scan("c", 4, lesion=-1)], data, lesion_free=True, shuffle=False)
    assert ids(found.epoch(0)) == ["a/0", "a/1", "a/5", "a/6", "a/7", "c/0", "c/1", "c/2", "c/3"]
    assert found.left_out == ["b has no lesion mask: left out"]
    np.testing.assert_array_equal(slices_off_lesion(scan("a", 4, lesion=0).mask, 0), [False, True, True, True])
    volume = Data(view="volume")
    assert items_of(0, scan("a", lesion=3), volume, True) == [] != items_of(0, scan("a", lesion=-1), volume, True)


def test_masks_come_along_and_are_empty_where_unknown() -> None:
    (batch,) = loader([scan("a", lesion=3), scan("b")], Data(), batch_size=12, shuffle=False).epoch(0)
    assert batch["mask"].dtype == torch.bool
    assert batch["mask"].flatten(1).sum(1).tolist() == [0, 0, 0, 4] + 8 * [0]


def test_neighbours_lie_slice_after_slice_with_the_edge_repeated() -> None:
    data = Data(view="slices_25d", neighbours=2)
    (batch,) = loader([scan("a", channels=2)], data, batch_size=6, shuffle=False).epoch(0)
    assert batch["image"].shape == (6, 10, 12, 12)
    values = batch["image"].mean((2, 3)).floor().int().tolist()
    assert values[0] == [0, 0, 0, 0, 0, 0, 1, 1, 2, 2] and values[4] == [2, 2, 3, 3, 4, 4, 5, 5, 5, 5]


def test_patches_are_drawn_from_the_seed_around_the_foreground() -> None:
    data = Data(view="patches", size=[4, 6, 6], min_foreground=0.6)
    scans = [scan("a"), scan("b")]
    found = loader(scans, data, batch_size=2, seed=1)
    assert found.shape == (1, 4, 6, 6) and len(found.items) == 2 * 6  # 6 patches would cover 6 x 12 x 12
    batches = list(found.epoch(0))
    assert all(b["image"].shape == (2, 1, 4, 6, 6) and b["foreground"].flatten(1).float().mean(1).min() >= 0.6
               for b in batches)  # fmt: skip
    assert all(equal(a, b) for a, b in zip(batches, found.epoch(0), strict=True))
    assert not all(equal(a, b) for a, b in zip(batches, found.epoch(1), strict=True))
    places = {tuple((s.start, s.stop) for s in window(scans[0], 0, data, (0, 0, n))) for n in range(50)}
    assert len(places) > 5
    assert {tuple(stop - start for start, stop in place) for place in places} == {(4, 6, 6)}


def test_whole_volumes() -> None:
    (batch,) = loader([scan("a"), scan("bb")], Data(view="volume"), batch_size=2, shuffle=False).epoch(0)
    assert batch["image"].shape == (2, 1, 6, 12, 12) and batch["id"] == ["a/0", "bb/0"]


def test_scans_of_different_sizes_are_refused_with_what_to_set() -> None:
    with pytest.raises(UserError, match=r"a: 1 x 12 x 12, big: 1 x 16 x 16.*set data.size"):
        loader([scan("a"), scan("big", size=16)])


@pytest.mark.parametrize("workers", [0, 1])
def test_reading_an_epoch_touches_no_global_random_state(workers: int) -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    list(loader(augment=True, workers=workers).epoch(0))
    assert torch.equal(torch.get_rng_state(), before[0]) and (np.random.get_state()[1] == before[1]).all()
