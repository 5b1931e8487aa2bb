"""Addresses of the brush: a mask lies on its scan's grid, whole or not at all, and is no other reader's business."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import highdicom as hd
import nibabel
import numpy as np
import pydicom
import pytest
from asking import HOST, ask, everything, gated, let_in
from label_folders import save, write_store
from scenes import SHAPE, VOXEL, affines, indexed, write_markers
from starlette.applications import Starlette

sys.path.append(str(Path(__file__).parents[1]))
from tiny_dicom import write_series  # noqa: E402

from apps.viewer import house as shared  # noqa: E402
from apps.viewer import label_masks  # noqa: E402
from apps.viewer.catalogue import Catalogue  # noqa: E402
from apps.viewer.house import Settings, house, open_house  # noqa: E402
from apps.viewer.label_addresses import LABEL_ROUTES  # noqa: E402
from apps.viewer.label_find import label_stores  # noqa: E402
from medudl import api  # noqa: E402
from medudl.data.cohort import Cohort  # noqa: E402
from medudl.data.discover import discover  # noqa: E402
from medudl.labels.store import LabelStore  # noqa: E402


class Desk:
    """A store with its addresses."""

    def __init__(self, store: LabelStore) -> None:
        self.store = store
        self.id = label_stores(Catalogue(store.path.parent))[0].id
        self.app = Starlette(routes=LABEL_ROUTES)

    def act(self, what: str, body: bytes | None = None, status: int = 200, **told: Any) -> dict[str, Any]:
        sent = body if body is not None else json.dumps({"reader": "Anna", **told}).encode()
        answer = ask(self.app, f"/labels/{self.id}/{what}", method="POST", body=sent)
        assert answer.status == status, answer.body
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def paint(self, turn: dict[str, Any], mask: np.ndarray | bytes, status: int = 200, *, n: int = 0,
              **more: Any) -> dict[str, Any]:  # fmt: skip
        """Send a mask of a series of a case, or any bytes."""
        series = turn["series"][n]["id"]
        source = house().sources.find(series)
        assert source is not None
        told = {"reader": "Anna", "id": uuid.uuid4().hex, "case": turn["case"], "series": series, "seconds": 2.5,
                "key": house().store.open(source).key, **more}  # fmt: skip
        sent = mask if isinstance(mask, bytes) else runs_of(mask)
        return self.act("paint", json.dumps(told).encode() + b"\n" + sent, status)

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in (self.store.path.parent / "labels_masks").glob("*"))


def runs_of(mask: np.ndarray) -> bytes:
    """As the browser sends it: lengths of runs of 0s and 1s in turn, X fastest."""
    flat = np.concatenate([[0], mask.ravel(order="F").astype(int), [-1]])
    ends = np.flatnonzero(np.diff(flat))
    return np.diff(np.concatenate([[0], ends])).astype("<u4").tobytes()


def ball(shape: tuple[int, ...] = (32, 32, 12)) -> np.ndarray:
    """A mask that looks different from every side."""
    mask = np.zeros(shape, bool)
    mask[3:7, 5:6, 2:5] = mask[4, 5:9, 3] = True
    return mask


@pytest.fixture
def opened() -> Iterator[Callable[[LabelStore], Desk]]:
    """opened(store) -> its desk, in a house of its own."""
    before, houses = list(shared._open), []

    def opening(store: LabelStore) -> Desk:
        houses.append(open_house(Settings(store.path.parent)))
        return Desk(store)

    yield opening
    for one in houses:
        one.close()
    shared._open[:] = before


@pytest.fixture
def desk(tmp_path: Path, opened: Callable[[LabelStore], Desk]) -> Desk:
    return opened(write_store(tmp_path / "viewed", 4))


def test_a_mask_is_a_file_on_the_scans_grid_and_an_event_that_names_it(desk: Desk) -> None:
    turn = desk.act("next")["next"]
    assert turn["mask"] is None
    sent = uuid.uuid4().hex
    first = desk.paint(turn, ball(), id=sent)
    assert desk.paint(turn, ball(), id=sent)["event"] == first["event"] == sent, "sent again it is one mask"
    (event,) = desk.store.events()
    assert desk.files == [f"{turn['case']}_anna_1.nii.gz"] and event.value == f"labels_masks/{desk.files[0]}"
    assert (event.kind, event.why, event.seconds) == ("mask", "cold_start", 2.5) or event.why == "test"
    assert event.view["blind"] is True
    scan = nibabel.load(next(desk.store.path.parent.glob(f"sub-{subject_of(desk, turn)}*.nii.gz")))
    mask = nibabel.load(desk.store.path.parent / event.value)
    assert np.array_equal(mask.affine, scan.affine) and mask.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(mask.dataobj), ball())
    assert b"Anna" not in bytes(mask.header.binaryblock) and "anna" not in str(mask.header["descrip"])
    desk.paint(turn, ~ball())
    assert desk.files == [f"{turn['case']}_anna_{n}.nii.gz" for n in (1, 2)]
    assert np.array_equal(np.asarray(nibabel.load(desk.store.path.parent / event.value).dataobj), ball()), "never over"


def subject_of(desk: Desk, turn: dict[str, Any]) -> str:
    return next(case.subject for case in desk.store.cases() if case.id == turn["case"])


def test_what_is_no_mask_of_the_scan_is_refused_and_leaves_nothing(desk: Desk) -> None:
    turn = desk.act("next")["next"]
    assert "The mask is empty" in desk.paint(turn, ball() & False, 422)["problem"]
    for bad in (runs_of(ball((32, 32, 11))), runs_of(ball()) + b"\1\0\0\0", b"\0\0\0", b"",
                np.array([2**32 - 1] * 3, "<u4").tobytes()):  # fmt: skip
        desk.paint(turn, bad, 404)
    desk.paint(turn, b"\1\0\0\0" * 20_000, 413)
    assert "has changed on the disk" in desk.paint(turn, ball(), 422, key="0" * 64)["problem"]
    desk.paint(turn, ball(), 404, series="0" * 24)
    desk.paint(turn, ball(), 404, case="0" * 16)
    desk.paint(turn, ball(), 404, id="x")
    desk.paint(turn, ball(), 422, reader="<b>")
    desk.paint(turn, ball(), 422, edits=save(desk.store, turn["case"], "sick", "Ben"))
    desk.act("paint", b"{}" * 9000, 413)
    desk.act("paint", b'{"reader": "Anna"}', 404)
    source = house().sources.find(turn["series"][0]["id"])
    assert source is not None
    told = {"series": source.id, "key": house().store.open(source).key, "case": turn["case"], "value": "../x"}
    desk.act("save", status=404, id=uuid.uuid4().hex, kind="mask", runs="x", **told)
    assert [event.kind for event in desk.store.events()] == ["label"] and desk.files == []


def test_runs_that_claim_more_than_the_scan_are_not_unrolled() -> None:
    with pytest.raises(ValueError, match="do not fill the scan"):
        label_masks.mask_of(np.array([9, 9], "<u4").tobytes(), (2, 2, 2))


def test_a_full_disk_or_a_store_that_fails_leaves_no_file(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = desk.act("next")["next"]

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(label_masks, "_flush", full)
        told = desk.paint(turn, ball(), 422)["problem"]
    assert "No space left on device" in told and "/" not in told and desk.files == []
    with monkeypatch.context() as broken:
        broken.setattr(LabelStore, "save", full)
        with pytest.raises(OSError, match="No space"):
            desk.paint(turn, ball())
    assert desk.files == [] and desk.store.events() == []


def test_a_reader_sees_his_own_mask_alone_and_a_repeat_shows_none(desk: Desk) -> None:
    turn = desk.act("next")["next"]
    case = turn["case"]
    painted = desk.paint(turn, ball())["mask"]
    assert painted["on"] == turn["series"][0]["id"]
    desk.act("release", cases=[case])
    assert desk.act("next")["next"]["mask"] == painted, "the same sitting: after a reload of the page"
    label = save(desk.store, case, "sick")
    assert desk.act("open", event=label)["next"]["mask"] == painted
    save(desk.store, case, "sick", "Ben")
    ben = next(one for one in desk.store.events(reader="Ben"))
    assert desk.act("open", reader="Ben", event=ben.id)["next"]["mask"] is None
    pool = house().labels.pool(desk.id)
    assert pool is not None
    assert (
        label_masks.own_mask(pool, "anna", case, 0) == painted and label_masks.own_mask(pool, "Anna", case, 1) is None
    )
    source = house().sources.find(painted["id"])
    assert source is not None
    held = house().store.open(source)
    voxels = np.frombuffer(held.read(0, held.decoded.bytes), held.decoded.dtype)
    assert held.decoded.dtype == "uint8" and np.array_equal(voxels, ball().ravel(order="F"))


def test_undo_takes_the_mask_back_and_the_one_before_counts(desk: Desk) -> None:
    turn = desk.act("next")["next"]
    first = desk.paint(turn, ball())["mask"]
    assert desk.paint(turn, ~ball())["mask"] != first
    back = desk.act("save", id=uuid.uuid4().hex, kind="undo")["next"]
    assert back["case"] == turn["case"] and back["mask"] == first and back["head"] == "Your mask is taken back"
    assert desk.act("save", id=uuid.uuid4().hex, kind="undo")["next"]["mask"] is None
    assert len(desk.files) == 2, "files stay as the log does"


@pytest.mark.parametrize("name", ["LPS", "RAS", "PIR", "oblique3"])
def test_every_orientation_keeps_its_voxels(tmp_path: Path, opened: Callable[[LabelStore], Desk], name: str) -> None:
    cohort = Cohort.read(write_markers(tmp_path / "viewed", [name]))
    desk = opened(LabelStore.create(tmp_path / "viewed" / "labels.sqlite", cohort, ["a", "b"], test_share=0.0))
    mask = np.zeros(SHAPE, bool)
    mask[VOXEL] = True
    desk.paint(desk.act("next")["next"], mask)
    (path,) = (desk.store.path.parent / "labels_masks").glob("*")
    found, scan = nibabel.load(path), nibabel.load(tmp_path / "viewed" / f"sub-{name}_T1w.nii.gz")
    assert np.array_equal(found.affine, scan.affine) and np.allclose(found.affine, affines()[name], atol=1e-5)
    assert np.argwhere(np.asarray(found.dataobj)).tolist() == [list(VOXEL)]


@pytest.mark.parametrize("turned", [{}, {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}], ids=["tilted", "sagittal"])
def test_a_mask_of_a_dicom_case_becomes_a_segmentation_at_its_place(
    tmp_path: Path, opened: Callable[[LabelStore], Desk], turned: dict[str, Any]
) -> None:
    folder = tmp_path / "viewed"
    for name in "ab":
        files, _ = write_series(folder / name, PatientID=name, **turned)
        if turned:
            place_along(files)
    cohort = Cohort.read(indexed(folder))
    desk = opened(LabelStore.create(folder / "labels.sqlite", cohort, ["a", "b"], test_share=0.0))
    turn = desk.act("next")["next"]
    source = house().sources.find(turn["series"][0]["id"])
    assert source is not None
    decoded = house().store.open(source).decoded
    mask = ball(decoded.shape)
    desk.paint(turn, mask)
    said = api.label_export(desk.store.path, tmp_path / "out", dicom=True)
    assert any("1 Segmentations" in line for line in said)
    (path,) = (tmp_path / "out" / "dicom").glob("*mask*.dcm")
    assert voxels_at(path) == {tuple(x) for x in (lps(np.array(decoded.affine), np.argwhere(mask))).round(2).tolist()}
    if shutil.which("dciodvfy"):
        told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in told.stdout + told.stderr


def test_a_mask_of_a_study_lies_on_the_series_it_was_painted_on(
    tmp_path: Path, opened: Callable[[LabelStore], Desk]
) -> None:
    folder, study = tmp_path / "viewed", "1.2.826.0.1.3680043.8.498.1"
    write_series(folder / "a", PatientID="A", StudyInstanceUID=study)
    write_series(folder / "b", PatientID="A", StudyInstanceUID=study, SeriesDescription="T2", tilt=0.5)
    cohort = Cohort.read(indexed(folder))
    desk = opened(
        LabelStore.create(folder / "labels.sqlite", cohort, ["a", "b"], unit="study", test_share=0.0, repeats=0.0)
    )
    turn = desk.act("next")["next"]
    assert len(turn["series"]) == 2
    painted = desk.paint(turn, ball((10, 12, 5)), n=1)["mask"]
    assert painted["on"] == turn["series"][1]["id"]
    source = house().sources.find(painted["on"])
    assert source is not None
    affine = np.array(house().store.open(source).decoded.affine)
    api.label_export(desk.store.path, tmp_path / "out", dicom=True)
    (path,) = (tmp_path / "out" / "dicom").glob("*mask*.dcm")
    marked = {tuple(x) for x in lps(affine, np.argwhere(ball((10, 12, 5)))).round(2).tolist()}
    assert voxels_at(path) == marked
    (named,) = hd.seg.segread(path).ReferencedSeriesSequence
    assert named.SeriesInstanceUID == pydicom.dcmread(source.files[0]).SeriesInstanceUID


def place_along(files: list[Path]) -> None:
    """Slices one after the other along the normal of a sagittal stack, from left to right."""
    for number, file in enumerate(files):
        one = pydicom.dcmread(file)
        one.ImagePositionPatient = [30.0 - 4.0 * number, -40.0, 60.0]
        one.save_as(file)


def lps(affine: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """DICOM mm of voxels."""
    return (voxels @ affine[:3, :3].T + affine[:3, 3]) * [-1, -1, 1]


def voxels_at(path: Path) -> set[tuple[float, ...]]:
    """DICOM mm, to .01, of all voxels that a segmentation marks, from its frames' own positions."""
    made = hd.seg.segread(path)
    share = made.SharedFunctionalGroupsSequence[0]
    across = np.array(share.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    down, right = (float(x) for x in share.PixelMeasuresSequence[0].PixelSpacing)
    found = set()
    for frame, group in zip(np.atleast_3d(made.pixel_array), made.PerFrameFunctionalGroupsSequence, strict=True):
        origin = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        for r, c in np.argwhere(frame):
            found.add(tuple((origin + c * right * across[:3] + r * down * across[3:]).round(2).tolist()))
    return found


def test_a_painted_mask_is_never_indexed_as_a_scan(desk: Desk) -> None:
    desk.paint(desk.act("next")["next"], ball())
    found, *_ = discover([desk.store.path.parent])
    assert len(found) == 4 and not any("labels_masks" in one.below for one in found)
    assert len(discover([desk.store.path.parent / "labels_masks"])[0]) == 1, "named itself it is taken"


def test_the_gate_lets_our_own_page_paint_and_no_other(desk: Desk) -> None:
    gate = gated(everything)
    inside, own, target = let_in(gate), {"origin": f"http://{HOST}"}, f"/labels/{desk.id}/paint"
    assert ask(gate, target, method="POST", headers={**inside, **own}).status == 200
    assert ask(gate, target, method="POST", headers=own).status == 403
    assert ask(gate, target, method="POST", headers=inside).status == 405
    evil = {**inside, "origin": "http://evil.example"}
    assert ask(gate, target, method="POST", headers=evil).status == 403
