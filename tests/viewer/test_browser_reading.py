"""What a reader sees and reads in a real browser: places, letters and values, on scans that lie every way there is."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from addresses import open_row, series_address
from nibabel.affines import apply_affine
from playwright.sync_api import Page
from scenes import MARKER, PLAIN, SHAPE, VOXEL, affines, indexed, names_in, write_flair, write_markers

WHOLE = "() => window.medudlViewer?.[0]?.volumes.every((v) => v.complete) && window.medudlViewer[0].volumes.length"
FEW = ["LPS", "RAS", "PIR", "ASL", "oblique3", "oblique4"]
# Where the crosshair stands in a pane, in pixels of the page, and what this pane's letters say.
PANE = """(plane) => {
  const viewer = window.medudlViewer[0], pane = viewer.panes.find((p) => p.plane === plane);
  const box = pane.element.getBoundingClientRect(), line = (n, name) => Number(pane.lines[n].getAttribute(name));
  const letters = Object.fromEntries(Object.entries(pane.letters).map(([edge, node]) => [edge, node.textContent]));
  const middle = [box.x + box.width / 2, box.y + box.height / 2];
  return { x: box.x + line(2, "x1"), y: box.y + line(0, "y1"), letters, middle };
}"""
READOUT = "() => window.medudlViewer[0].readout.map((node) => node.textContent)"
# Brightness (0-255) of the picture under a point of the page.
BRIGHT = """([plane, x, y]) => {
  const pane = window.medudlViewer[0].panes.find((p) => p.plane === plane), box = pane.element.getBoundingClientRect();
  const ratio = pane.canvas.width / pane.width;
  return pane.context.getImageData(Math.round((x - box.x) * ratio), Math.round((y - box.y) * ratio), 1, 1).data[0];
}"""
RADIOLOGICAL = {
    "axial": {"left": "R", "right": "L", "top": "A", "bottom": "P"},
    "coronal": {"left": "R", "right": "L", "top": "S", "bottom": "I"},
    "sagittal": {"left": "A", "right": "P", "top": "S", "bottom": "I"},
}
# The patient axis (RAS) along which a screen's x and y run, and the way they run, in the radiological convention.
SCREEN_AXES = {"axial": ((0, -1), (1, -1)), "coronal": ((0, -1), (2, -1)), "sagittal": ((1, -1), (2, -1))}


def open_series(page: Page, address: str, folder: Path, *paths: str) -> None:
    page.goto(series_address(address, folder, *paths))
    page.wait_for_function(WHOLE)
    page.wait_for_function("() => window.medudlViewer[0].panes.every((p) => p.drawn)")


def check_marker(page: Page, name: str) -> None:
    """The marker voxel is drawn, pointed at and read where the file's affine puts it, in all three planes."""
    affine = affines()[name]
    place = apply_affine(affine, VOXEL)
    page.evaluate("(mm) => { const v = window.medudlViewer[0]; v.moveTo(mm); v.drawNow(); }", place.tolist())
    for plane, letters in RADIOLOGICAL.items():
        pane = page.evaluate(PANE, plane)
        if not name.startswith("oblique"):
            assert pane["letters"] == letters
            offset = place - apply_affine(affine, (np.array(SHAPE) - 1) / 2)
            for axis, (along, way) in zip("xy", SCREEN_AXES[plane], strict=True):
                moved = pane[axis] - pane["middle"][axis == "y"]
                assert np.sign(moved) == np.sign(way * offset[along]), f"{plane}: the marker lies on the wrong side"
        page.mouse.move(pane["x"] + 2, pane["y"] + 2)
        where, voxel, mm, value, *_ = page.evaluate(READOUT)
        assert where.startswith(plane)
        assert voxel == f"voxel [{', '.join(map(str, VOXEL))}]"
        told = np.array([float(x) for x in re.findall(r"-?\d+\.\d+", mm)])
        assert mm.startswith("LPS")
        np.testing.assert_allclose(told, place * (-1, -1, 1), atol=0.051)
        assert value == f"{MARKER} arbitrary units"
        assert page.evaluate(BRIGHT, [plane, pane["x"] + 2, pane["y"] + 2]) > 200
        # Half a picture away lies another voxel: the readout is not stuck.
        page.mouse.move(*pane["middle"])
        assert page.evaluate(READOUT)[3] == f"{PLAIN} arbitrary units"


@pytest.fixture(scope="module")
def markers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("markers") / "scans"
    write_markers(folder, list(affines()))
    return folder


@pytest.mark.parametrize(
    "names", [pytest.param(FEW, id="few"), pytest.param(list(affines()), id="all", marks=pytest.mark.proof)]
)
def test_a_marker_is_where_the_readout_says(
    page: Page, view: Callable[..., str], markers: Path, names: list[str]
) -> None:
    address = view(markers)
    page.goto(address)
    for name in names:
        open_series(page, address, markers, f"sub-{name}_T1w.nii.gz")
        page.keyboard.press("0")  # full range: the marker is white
        check_marker(page, name)


def test_nothing_is_asked_while_reading(page: Page, view: Callable[..., str], tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    write_flair(folder, shape=(64, 72, 12))
    address = view(folder)
    page.goto(address)
    open_series(page, address, folder, "sub-01_FLAIR.nii.gz")
    page.wait_for_timeout(1000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    before = page.evaluate("() => window.medudlViewer[0].frame('axial').slice")
    middle = page.evaluate(PANE, "axial")["middle"]
    page.mouse.move(*middle)
    for key in ["ArrowUp"] * 3 + [
        "PageDown",
        "End",
        "Home",
        "1",
        "2",
        "0",
        "i",
        "i",
        "m",
        "m",
        "m",
        "m",
        "+",
        "-",
        "x",
        "x",
        "r",
    ]:
        page.keyboard.press(key)
    page.mouse.wheel(0, 120)
    page.mouse.down(button="right")
    page.mouse.move(middle[0] + 60, middle[1] + 30, steps=5)
    page.mouse.up(button="right")
    page.keyboard.down(" ")
    page.keyboard.up(" ")
    page.wait_for_timeout(800)
    assert page.evaluate("() => window.medudlViewer[0].frame('axial').slice") != before
    assert asked == []


def test_the_value_told_is_the_files(page: Page, view: Callable[..., str], tmp_path: Path) -> None:
    """A slope and an intercept in the header, and values that no integer holds."""
    folder = tmp_path / "scans"
    folder.mkdir()
    voxels = np.random.default_rng(0).normal(size=(9, 8, 7)).astype(np.float32)
    image = nibabel.Nifti1Image(voxels, np.diag([2.0, 2, 3, 1]))
    image.header.set_data_dtype(np.int16)
    image.header.set_slope_inter(0.25, -3)
    nibabel.save(image, folder / "sub-01_T1w.nii.gz")

    indexed(folder)
    address = view(folder)
    page.goto(address)
    open_series(page, address, folder, "sub-01_T1w.nii.gz")
    values = nibabel.load(folder / "sub-01_T1w.nii.gz").get_fdata()
    for voxel in [(0, 0, 0), (8, 7, 6), (3, 5, 2)]:
        page.evaluate("(mm) => window.medudlViewer[0].moveTo(mm)", apply_affine(image.affine, voxel).tolist())
        told = page.evaluate(READOUT)
        assert told[1] == f"voxel [{', '.join(map(str, voxel))}]"
        assert float(told[3].split()[0]) == pytest.approx(values[voxel], abs=5e-3)


def test_only_this_viewer_is_asked_and_no_name_is_told(
    page: Page, view: Callable[..., str], real_data: Path, tmp_path: Path
) -> None:
    """A real patient's DICOM: no other host, no path and no identity in any address or on the page."""
    folder = tmp_path / "scans"
    shutil.copytree(real_data / "dicom_brainix", folder)
    indexed(folder)
    address = view(folder)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.get_by_test_id("stDataFrame").wait_for()
    open_row(page)
    page.wait_for_function(WHOLE)
    own = address.split("/?")[0]
    assert [url for url in asked if not url.startswith((own, "blob:", "data:"))] == []
    shown = page.content() + page.url + "\n".join(asked) + "".join(page.evaluate(READOUT))
    assert not [name for name in names_in(folder) if len(name) > 3 and name in shown]
    assert str(folder) not in shown
