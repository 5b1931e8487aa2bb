"""Volumes: exact, decoded once, found by content, within a limit, without a trace."""

import os
import shutil
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tiny_dicom
from volumes import AFFINE, MB, read, scan, values

from apps.viewer.source import Source
from apps.viewer.store import Store
from medudl.data.read import read_volume
from medudl.errors import UserError


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """One store, for its workers take a second to start."""
    folder = tmp_path_factory.mktemp("folder")
    store = Store(8 * MB, [folder])
    yield store, folder
    store.close()


@pytest.mark.parametrize(
    ("stored", "low", "high", "dtype"),
    [
        (np.uint8, 0, 255, "uint8"),
        (np.int16, 0, 255, "uint8"),
        (np.int16, -1, 255, "int16"),
        (np.int16, -32768, 32767, "int16"),
        (np.uint16, 0, 32767, "int16"),
        (np.uint16, 0, 32768, "uint16"),
        (np.uint16, 0, 65535, "uint16"),
        (np.int32, -1, 65535, "float32"),
        (np.int32, 0, 65536, "float32"),
        (np.float32, -100, 3000, "float32"),
    ],
)
def test_values_are_exact_in_the_smallest_type(house, stored, low, high, dtype):
    store, folder = house
    voxels = values(dtype=stored, low=low, high=high)
    if voxels.dtype.kind in "iu":
        voxels.flat[:2] = low, high
    voxels = voxels if voxels.dtype.kind in "iu" else voxels / 7
    source = scan(folder / f"{voxels.dtype}-{low}-{high}.nii", voxels)
    held = store.open(source)
    assert held.decoded.dtype == dtype
    np.testing.assert_array_equal(read(held), read_volume(source.files, "nifti").voxels)
    np.testing.assert_allclose(held.decoded.affine, AFFINE)
    assert held.decoded.extent == (float(voxels.astype(np.float32).min()), float(voxels.astype(np.float32).max()))
    one = np.frombuffer(held.read(2 * held.slice_bytes, held.slice_bytes), dtype)
    np.testing.assert_array_equal(one, voxels[:, :, 2].T.ravel().astype(np.float32).astype(dtype))


def test_one_fraction_among_integers_is_not_lost(house):
    store, folder = house
    voxels = values((64, 64, 40), np.float32)
    voxels[33, 7, 39] = 0.5
    held = store.open(scan(folder / "fraction.nii", voxels))
    assert held.decoded.dtype == "float32" and read(held)[33, 7, 39] == 0.5


def test_a_mask_is_zero_and_one(house):
    store, folder = house
    held = store.open(scan(folder / "mask.nii", values(low=0, high=5), role="mask"))
    assert held.decoded.dtype == "uint8" and set(np.unique(read(held))) == {0, 1} and held.decoded.range == (0, 1)


def test_a_dicom_series_is_in_hounsfield_units(house):
    store, folder = house
    files, affine = tiny_dicom.write_series(
        folder / "ct",
        Modality="CT",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
        RescaleSlope=1,
        RescaleIntercept=-1024,
        RescaleType="HU",
    )
    held = store.open(Source(tuple(files), "dicom"))
    np.testing.assert_array_equal(read(held), read_volume(files, "dicom").voxels)
    np.testing.assert_allclose(held.decoded.affine, affine, atol=1e-6)
    assert held.decoded.unit == "HU" and held.decoded.dtype == "int16" and read(held).min() == -1024


def test_the_window_leaves_the_background_out(house):
    store, folder = house
    voxels = np.zeros((40, 40, 10), np.int16)
    voxels[10:30, 10:30] = values((20, 20, 10), low=500, high=1000)
    low, high = store.open(scan(folder / "window.nii", voxels)).decoded.range
    assert 495 < low < 520 and 980 < high < 1001


def test_many_who_ask_at_once_wait_for_one_decoding(house):
    store, folder = house
    source = scan(folder / "wanted.nii", values((128, 128, 40)))
    before = store.decodings
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(store.open, [source] * 12))
    assert store.decodings == before + 1 and len(set(map(id, found))) == 1


def test_a_changed_file_is_another_volume_and_a_copy_is_the_same(house):
    store, folder = house
    source = scan(folder / "one.nii", values(seed=1))
    first = store.open(source)
    copy = folder / "copy.nii"
    shutil.copyfile(source.files[0], copy)
    assert store.open(Source((copy,), "nifti")) is first
    time.sleep(0.01)
    second = store.open(scan(folder / "one.nii", values(seed=2)))
    assert second.key != first.key
    np.testing.assert_array_equal(read(second), values(seed=2))
    np.testing.assert_array_equal(read(first), values(seed=1))


def test_a_scan_and_a_mask_of_one_file_do_not_meet(house):
    store, folder = house
    source = scan(folder / "both.nii", values(low=0, high=5))
    mask = Source(source.files, "nifti", role="mask")
    assert source.id != mask.id and store.open(source).key != store.open(mask).key


def test_reopening_decodes_nothing(house):
    store, folder = house
    source = scan(folder / "again.nii", values(seed=3))
    first, before = store.open(source), store.decodings
    assert store.open(source) is first and store.decodings == before


def faulty(folder: Path) -> dict[str, Source]:
    whole = scan(folder / "Doe^Jane" / "whole.nii").files[0]
    truncated, empty, text = (whole.with_name(f"{name}.nii") for name in ("truncated", "empty", "text"))
    truncated.write_bytes(whole.read_bytes()[:-20])
    empty.touch()
    text.write_text("no scan at all\n" * 100)
    outside = scan(folder.with_name("elsewhere") / "secret.nii").files[0]
    link = whole.with_name("link.nii")
    link.symlink_to(outside)
    pipe = whole.with_name("pipe.nii")
    os.mkfifo(pipe)
    paths = {
        "truncated": truncated, "empty": empty, "not a NIfTI": text, "outside the folder": outside,
        "lies outside": link, "regular file": pipe, "no longer where": whole.with_name("gone.nii"),
    }  # fmt: skip
    return {word: Source((path,), "nifti") for word, path in paths.items()}


def test_what_cannot_be_shown_is_told_without_a_path(house):
    store, folder = house
    for word, source in faulty(folder).items():
        with pytest.raises(UserError) as told:
            store.open(source)
        assert word in str(told.value) and "this scan" in str(told.value)
        assert "Doe" not in str(told.value) and "/" not in str(told.value)


def test_a_fault_is_not_remembered(house):
    store, folder = house
    source = Source((folder / "later.nii",), "nifti")
    with pytest.raises(UserError):
        store.open(source)
    assert store.open(scan(folder / "later.nii")).decoded.shape == (5, 4, 3)


def test_a_file_that_changes_while_it_is_read_is_refused(house, monkeypatch):
    store, folder = house
    source = scan(folder / "moving.nii", values(seed=7))
    hashing = store._contents.hash

    def meanwhile(*args):
        key = hashing(*args)
        # In one move, as good programs write: the decoder beside us sees the one or the other, never half of it.
        os.replace(scan(folder / "next.nii", values(seed=8)).files[0], folder / "moving.nii")
        return key

    monkeypatch.setattr(store._contents, "hash", meanwhile)
    with pytest.raises(UserError, match="changed while it was being read"):
        store.open(source)


def test_nothing_of_a_patient_has_a_name_on_the_disk(house, tmp_path, monkeypatch):
    store, folder = house
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen, stop = set(), threading.Event()
    watching = threading.Thread(target=lambda: [seen.update(os.listdir(tmp_path)) for _ in iter(stop.is_set, True)])
    watching.start()
    held = store.open(scan(folder / "traceless.nii", values((128, 128, 100), seed=31)))
    stop.set()
    watching.join()
    assert held.read(0, 10) and not seen and not os.listdir(tmp_path)
