"""MedMNIST-style archives."""

import zipfile

import numpy as np
import pytest

from medudl.data.npz import npz_items, read_npz
from medudl.errors import UserError

RANDOM = np.random.default_rng(2)


def archive(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def test_each_image_by_its_number(tmp_path):
    train, val = (RANDOM.integers(0, 255, (n, 5, 4), np.uint8) for n in (7, 3))
    labels = np.array([[0], [1], [0], [1], [1], [0], [2]], np.uint8)
    path = archive(tmp_path / "x.npz", train_images=train, train_labels=labels, val_images=val)
    items = npz_items(path)
    assert [item.fragment for item in items] == [f"train/{i}" for i in range(7)] + [f"val/{i}" for i in range(3)]
    assert [item.label for item in items] == list("0101102") + [""] * 3
    for item in [*items, items[2]]:
        image = (train if item.split == "train" else val)[int(item.fragment.split("/")[1])]
        volume = read_npz(path, item.fragment)
        assert np.array_equal(volume.voxels[..., 0].T, image) and item.shape == volume.voxels.shape == (4, 5, 1)


def test_several_labels_colour_and_volumes(tmp_path):
    path = archive(
        tmp_path / "x.npz",
        test_images=np.full((2, 4, 5, 3), (100, 50, 200), np.uint8),
        test_labels=np.array([[1, 0, 1], [0, 0, 0]], np.uint8),
        train_images=np.arange(2 * 4 * 5 * 6, dtype=np.uint8).reshape(2, 4, 5, 6),
    )
    items = npz_items(path)
    assert [item.label for item in items if item.split == "test"] == ["0+2", ""]
    assert read_npz(path, "test/0").voxels[0, 0, 0] == pytest.approx(0.299 * 100 + 0.587 * 50 + 0.114 * 200)
    assert read_npz(path, "train/1").voxels.shape == (6, 5, 4)
    assert read_npz(path, "train/1").voxels[5, 4, 3] == 239


def test_a_file_written_anew_is_read_anew(tmp_path):
    path = archive(tmp_path / "x.npz", train_images=np.zeros((2, 3, 3), np.uint8))
    assert read_npz(path, "train/0").voxels.max() == 0
    archive(path, train_images=np.ones((2, 3, 3), np.uint8))
    assert read_npz(path, "train/0").voxels.max() == 1


@pytest.mark.parametrize("fragment", ["train/2", "train/-1", "train/x", "train", "val/0", "", "../train/0"])
def test_an_image_that_is_not_there(fragment, tmp_path):
    path = archive(tmp_path / "x.npz", train_images=np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(UserError, match=r"x\.npz"):
        read_npz(path, fragment)


def test_pickled_objects_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", train_images=np.array([{}, {}], dtype=object))
    with pytest.raises(UserError, match="holds objects"):
        npz_items(tmp_path / "x.npz")


def test_a_claim_beyond_the_archive(tmp_path):
    head = (
        b"\x93NUMPY\x01\x00\x76\x00"
        + b"{'descr': '|u1', 'fortran_order': False, 'shape': (9999999, 999, 999), }".ljust(117)
        + b"\n"
    )
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("train_images.npy", head + bytes(100))
    with pytest.raises(UserError, match="claims 9,980,009,001,999 bytes"):
        npz_items(tmp_path / "x.npz")


def test_broken_archives(tmp_path):
    whole = archive(tmp_path / "x.npz", train_images=RANDOM.integers(0, 255, (9, 30, 30), np.uint8)).read_bytes()
    for data in (b"", b"text", whole[: len(whole) // 2]):
        (tmp_path / "x.npz").write_bytes(data)
        with pytest.raises(UserError, match=r"x\.npz"):
            npz_items(tmp_path / "x.npz")
    (tmp_path / "x.npz").write_bytes(whole[:300] + bytes(200) + whole[500:])
    with pytest.raises(UserError, match="broken"):
        for i in range(9):
            read_npz(tmp_path / "x.npz", f"train/{i}")
    np.savez(tmp_path / "x.npz", things=np.zeros(3))
    with pytest.raises(UserError, match="no <split>_images"):
        npz_items(tmp_path / "x.npz")
