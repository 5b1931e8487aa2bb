"""Masks by brush in a real browser: each voxel lies where it was painted, and nothing is lost or labelled unasked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pytest
from label_folders import write_store
from PIL import Image
from playwright.sync_api import Page, Route, TimeoutError
from scenes import SHAPE, VOXEL, affines, indexed, write_markers
from test_browser_label import PROBLEM, READY, SAID, begin

from medudl.data.cohort import Cohort
from medudl.labels.store import LabelStore

SAVED = "() => window.medudlLabel.panel.state.innerText.startsWith('Mask saved')"
MASK = "() => window.medudlLabel.brush.mask?.count ?? 0"
RADIUS = "() => window.medudlLabel.brush.radius"
# Where RAS mm lie on the screen, in the pane of a plane.
POINT = """([plane, mm]) => {
  const pane = window.medudlLabel.viewer.panes.find((one) => one.plane === plane);
  const [c, r] = pane.grid.toPicture.map((row) => row[0] * mm[0] + row[1] * mm[1] + row[2] * mm[2] + row[3]);
  const [lie, box] = [pane.lie(), pane.element.getBoundingClientRect()];
  const [x, y] = [lie.width / 2 + (c - lie.column) * lie.perColumn, lie.height / 2 + (r - lie.row) * lie.perRow];
  return [box.x + x, box.y + y];
}"""


def at(page: Page, plane: str, mm: np.ndarray) -> tuple[float, float]:
    """Move the crosshair to RAS mm; where that is on the screen."""
    page.evaluate("(mm) => window.medudlLabel.viewer.moveTo(mm)", mm.tolist())
    x, y = page.evaluate(POINT, [plane, mm.tolist()])
    return x, y


def take_up(page: Page) -> None:
    """M until the brush is on: a key that comes while a case is being drawn is dropped, and the page says so."""
    for _ in range(20):
        page.wait_for_function(READY)
        page.keyboard.press("m")
        if page.evaluate("() => window.medudlLabel.brush.on"):
            return
        page.wait_for_timeout(500)
    raise AssertionError(f"the brush did not come on: {page.evaluate(SAID)}")


def put_down(page: Page, done: str) -> None:
    """M until what it leads to is there: as in `take_up`. While a mask is being saved another M does nothing."""
    for _ in range(5):
        page.keyboard.press("m")
        try:
            page.wait_for_function(done, timeout=20_000)
        except TimeoutError:
            continue
        return
    raise AssertionError(f"the brush was not put down: {page.evaluate(SAID)}")


def drag(page: Page, start: tuple[float, float], end: tuple[float, float], steps: int = 6) -> None:
    """A stroke."""
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=steps)
    page.mouse.up()


def drawn(page: Page) -> list[int]:
    """Pixels in the mask's colour that are seen in each pane; the canvas itself may be behind what is shown."""
    page.mouse.move(5, 5)  # the brush's own edge has that colour too
    found = []
    for pane in page.locator(".pane").all():
        red, green, blue = np.moveaxis(np.asarray(Image.open(BytesIO(pane.screenshot())).convert("RGB"), int), 2, 0)
        found.append(int(((red - green > 60) & (blue - green > 30)).sum()))
    return found


def masks(store: LabelStore) -> list[Path]:
    """Masks on the disk."""
    return sorted((store.path.parent / "labels_masks").glob("*"))


def test_one_voxel_lies_where_the_crosshair_was(page: Page, view: Callable[..., str], tmp_path: Path) -> None:
    folder, names = tmp_path / "viewed", ["LPS", "RAS", "PIR", "oblique3", "oblique4"]
    cohort = Cohort.read(write_markers(folder, names))
    store = LabelStore.create(folder / "labels.sqlite", cohort, ["a", "b"], test_share=0.0, repeats=0.0)
    subjects = {case.id: case.subject for case in store.cases()}
    begin(page, view(folder))
    for number, plane in enumerate(["axial", "coronal", "sagittal", "axial", "coronal"]):
        page.wait_for_function(READY)
        case = str(page.evaluate("() => window.medudlLabel.now.case"))
        scan = nibabel.load(folder / f"sub-{subjects[case]}_T1w.nii.gz")
        voxel = VOXEL if number % 2 else (2, 9, 1)
        page.keyboard.press("m")
        for _ in range(25):
            page.keyboard.press("[")
        page.mouse.click(*at(page, plane, (scan.affine @ [*voxel, 1])[:3]))
        page.keyboard.press("m")
        page.wait_for_function(SAVED)
        (path,) = folder.glob(f"labels_masks/{case}_anna_1.nii.gz")
        mask = nibabel.load(path)
        assert np.argwhere(np.asarray(mask.dataobj)).tolist() == [list(voxel)], subjects[case]
        assert np.array_equal(mask.affine, scan.affine) and mask.shape == SHAPE and mask.get_data_dtype() == np.uint8
        page.keyboard.press("1")
        page.wait_for_function(f"() => window.medudlLabel.now?.case !== '{case}'")
    assert len(masks(store)) == 5 and len(affines()) > 5
    assert [event.kind for event in store.events()] == ["mask", "label"] * 5


def test_strokes_keys_and_the_way_out(page: Page, view: Callable[..., str], tmp_path: Path) -> None:
    store = write_store(tmp_path / "viewed", 4)
    begin(page, view(tmp_path / "viewed"))
    case = page.evaluate("() => window.medudlLabel.now.case")
    middle = at(page, "axial", np.zeros(3) + page.evaluate("() => window.medudlLabel.viewer.crosshair"))
    page.keyboard.press("m")
    for key in "125sufhtj":
        page.keyboard.press(key)
    assert "The brush is on" in page.evaluate(SAID) and store.events() == []
    page.keyboard.press("Enter")
    assert page.evaluate(SAID) == "The brush is off; nothing was painted." and masks(store) == []
    page.keyboard.press("m")
    radius = page.evaluate(RADIUS)
    page.keyboard.press("]")
    assert page.evaluate(RADIUS) == pytest.approx(1.25 * radius)
    drag(page, middle, (middle[0] + 40, middle[1]))
    first = page.evaluate(MASK)
    assert first > 0 and min(drawn(page)) > 0, "all three planes show it"
    drag(page, (middle[0], middle[1] + 60), (middle[0] + 40, middle[1] + 60))
    both = page.evaluate(MASK)
    page.keyboard.down("Shift")
    drag(page, (middle[0], middle[1] + 60), (middle[0] + 40, middle[1] + 60))
    page.keyboard.up("Shift")
    assert both > first and page.evaluate(MASK) == first
    page.keyboard.press("z")
    assert page.evaluate(MASK) == both
    page.keyboard.press("z")
    assert page.evaluate(MASK) == first
    page.keyboard.press("e")
    drag(page, middle, (middle[0] + 40, middle[1]))
    assert page.evaluate(MASK) == 0 and max(drawn(page)) == 0
    page.keyboard.press("m")
    assert "The mask is empty" in page.evaluate(SAID) and masks(store) == []
    page.keyboard.press("z")
    page.keyboard.press("Escape")
    assert "Throw away" in page.evaluate(SAID)
    page.keyboard.press("Escape")
    assert page.evaluate(MASK) == first and page.evaluate("() => window.medudlLabel.brush.on")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    assert page.evaluate(MASK) == 0 and not page.evaluate("() => window.medudlLabel.brush.on")
    assert store.events() == [] and masks(store) == []
    page.keyboard.press("1")
    page.wait_for_function(f"() => window.medudlLabel.now?.case !== '{case}'")
    assert [label.case for label in store.labels()] == [case], "keys label again"


def test_a_mask_comes_back_is_painted_on_and_taken_back(page: Page, view: Callable[..., str], tmp_path: Path) -> None:
    store = write_store(tmp_path / "viewed", 4)
    begin(page, view(tmp_path / "viewed"))
    case = page.evaluate("() => window.medudlLabel.now.case")
    middle = at(page, "axial", np.zeros(3) + page.evaluate("() => window.medudlLabel.viewer.crosshair"))
    take_up(page)
    drag(page, middle, (middle[0] + 30, middle[1]))
    first = page.evaluate(MASK)
    page.keyboard.press("Enter")
    page.wait_for_function(SAVED)
    page.keyboard.press("1")
    page.wait_for_function(f"() => window.medudlLabel.now?.case !== '{case}'")
    page.wait_for_function(READY)
    assert page.evaluate(MASK) == 0 and max(drawn(page)) == 0, "the next case has none"
    page.keyboard.press("h")
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => window.medudlLabel.brush.mask?.count === {first}")
    page.wait_for_function(READY)
    assert drawn(page)[0] > 0
    take_up(page)
    drag(page, (middle[0], middle[1] + 50), (middle[0] + 30, middle[1] + 50))
    more = page.evaluate(MASK)
    assert more > first, "the stroke was painted"
    lost: list[Route] = []

    def refuse(route: Route) -> None:
        lost.append(route)
        route.fetch(timeout=100_000)  # it arrives, but its answer does not
        route.abort()

    page.route("**/paint", refuse)
    put_down(page, "() => !window.medudlLabel.panel.problem.hidden")
    assert page.evaluate(PROBLEM).startswith("The mask is NOT saved.") and page.evaluate(MASK) == more
    page.unroute("**/paint")
    put_down(page, SAVED)
    assert [path.name for path in masks(store)] == [f"{case}_anna_{n}.nii.gz" for n in (1, 2)], "sent twice, one mask"
    assert [int(np.asarray(nibabel.load(path).dataobj).sum()) for path in masks(store)] == [first, more]
    assert [(event.kind, event.why) for event in store.events()][-1] == ("mask", "history") and len(lost) == 1
    page.keyboard.press("u")
    page.wait_for_function(f"() => window.medudlLabel.brush.mask?.count === {first}")
    assert len(masks(store)) == 2, "the file stays, the event counts no more"
    assert page.evaluate("() => window.medudlLabel.panel.head.innerText") == "Your mask is taken back"
    assert len(store.labels()) == 1 and page.evaluate("() => window.medudlLabel.now.value") == "normal"


def test_a_study_has_one_mask_seen_on_every_series_with_its_voxels(
    page: Page, view: Callable[..., str], tmp_path: Path
) -> None:
    folder = tmp_path / "viewed"
    folder.mkdir()
    for name, shape in (("FLAIR", (32, 32, 12)), ("T1w", (32, 32, 12)), ("T2w", (32, 32, 10))):
        voxels = np.random.default_rng(0).integers(0, 900, shape, np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-1.5, -1.5, 3, 1])), folder / f"sub-1_{name}.nii.gz")
    store = LabelStore.create(folder / "labels.sqlite", Cohort.read(indexed(folder)), ["a", "b"], unit="study",
                              test_share=0.0)  # fmt: skip
    begin(page, view(folder))
    page.keyboard.press("m")
    titles = page.evaluate("() => window.medudlLabel.viewer.panes.map((pane) => pane.volume.about.title)")
    boxes = [pane.bounding_box() or {} for pane in page.locator(".pane").all()]
    places = {title: (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
              for title, box in zip(titles, boxes, strict=True)}  # fmt: skip
    drag(page, places["T1"], (places["T1"][0] + 20, places["T1"][1]))
    first = page.evaluate(MASK)
    drag(page, places["T2"], (places["T2"][0] + 20, places["T2"][1]))
    assert page.evaluate(MASK) == first > 0 and page.evaluate(SAID) == "Your mask lies on T1: one mask a case."
    shown = dict(zip(titles, drawn(page), strict=True))
    assert shown["T1"] > 0 and shown["FLAIR"] > 0 and shown["T2"] == 0
    drag(page, (places["FLAIR"][0], places["FLAIR"][1] + 40), (places["FLAIR"][0] + 20, places["FLAIR"][1] + 40))
    more = page.evaluate(MASK)
    page.keyboard.press("m")
    page.wait_for_function(SAVED)
    (event,) = store.events()
    assert more > first and event.view["series"] == "sub-1_T1w"
    assert int(np.asarray(nibabel.load(masks(store)[0]).dataobj).sum()) == more


@pytest.mark.proof
def test_a_stroke_on_a_large_ct_is_quick(
    page: Page, view: Callable[..., str], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """What an event of a stroke takes on 512 x 512 x 139 voxels, drawing included."""
    folder = tmp_path / "viewed"
    folder.mkdir()
    random = np.random.default_rng(0)
    for n in range(2):
        voxels = random.integers(0, 2000, (512, 512, 139), np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-0.7, -0.7, 2.5, 1])), folder / f"sub-{n}_T1w.nii")
    cohort = Cohort.read(indexed(folder))
    store = LabelStore.create(folder / "labels.sqlite", cohort, ["a", "b"], test_share=0.0)
    begin(page, view(folder))
    page.keyboard.press("m")
    for plane in ("axial", "coronal", "sagittal"):
        x, y = at(page, plane, np.zeros(3) + page.evaluate("() => window.medudlLabel.viewer.crosshair"))
        for n in range(4):
            drag(page, (x - 60, y + 12 * n), (x + 60, y + 12 * n), steps=40)
    page.wait_for_timeout(300)
    times = np.array(page.evaluate("() => window.medudlLabel.brush.times"))
    page.keyboard.press("m")
    begun = page.evaluate("() => performance.now()")
    page.wait_for_function(SAVED)
    took = page.evaluate("() => performance.now()") - begun
    told = (f"an event of a stroke: p50 {np.median(times):.1f} ms, p95 {np.percentile(times, 95):.1f} ms,"
            f" most {times.max():.0f} ms, n = {len(times)}; saved in {took:.0f} ms")  # fmt: skip
    print(told, file=sys.stderr)
    record_property("stroke", told)
    (path,) = masks(store)
    assert nibabel.load(path).shape == (512, 512, 139) and len(times) > 400
