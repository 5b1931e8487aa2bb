"""The Anomalies page in a real browser: the slider's promise, the list, the way through the areas, the pictures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page
from tiny_run import make_cohort, make_run

from medudl import api
from medudl.tasks.calibrate import calibrate

STATIC = Path(__file__).parents[2] / "apps" / "viewer" / "static"
WHOLE = """() => { const v = window.medudlViewer?.at(-1), all = v && [...v.volumes, ...v.overlays.map((o) => o.volume)];
  const drawn = v?.volumes.length === 3 && all.every((x) => x.complete) && v.panes.every((p) => p.drawn);
  return drawn && v.side.querySelector(".finding"); }"""
SLIDE = """([share, let_go]) => { const i = window.medudlViewer.at(-1).side.querySelector("input[type=range]");
  i.value = share * 1000; i.dispatchEvent(new Event("input")); if (let_go) i.dispatchEvent(new Event("change")); }"""
SIDE = "() => window.medudlViewer.at(-1).side.innerText"
AREAS = "() => window.medudlViewer.at(-1).side.querySelectorAll('.finding').length"
HERE = "() => window.medudlViewer.at(-1).crosshair"
FINDINGS = "() => window.medudlViewer.at(-1).data.extra.findings"
# Coloured pixels of the scan's own pane: only the map is coloured.
COLOURED = """() => { const { data } = window.medudlViewer.at(-1).frame("axial"); let n = 0;
  for (let p = 0; p < data.length; p += 4) n += data[p] !== data[p + 1]; return n; }"""
SOLID = """() => { const c = window.medudlViewer.at(-1).cell3d.querySelector("canvas"), v = window.medudlViewer.at(-1);
  if (!c?.width || !c.height) return 0;  // of no size while panes are being laid out
  v.emit("picture");
  const d = Object.assign(document.createElement("canvas"), { width: c.width, height: c.height });
  const g = d.getContext("2d"); g.drawImage(c, 0, 0); const p = g.getImageData(0, 0, c.width, c.height).data;
  let n = 0; for (let i = 0; i < p.length; i += 4) n += p[i] + p[i + 1] + p[i + 2] > 60; return n; }"""


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans, a calibrated run and its maps of the test scans."""
    folder = tmp_path_factory.mktemp("browser-anomalies") / "viewed"
    run = make_run(folder / "run", make_cohort(folder / "scans"))
    calibrate(run)
    api.detect(run.path, folder / "scans" / "cohort.csv", folder / "maps", split="test", progress=False)
    return folder


@pytest.fixture
def opened(maps: Path, page: Page, view: Callable[..., str]) -> Page:
    address = view(maps)
    page.goto(address)
    page.goto(address.split("?")[0] + "anomalies")
    page.wait_for_function(WHOLE)
    return page


def test_the_slider_promises_and_the_list_follows_when_it_is_let_go(opened):
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    before, coloured = opened.evaluate(AREAS), opened.evaluate(COLOURED)
    assert "false alarms per healthy scan (n = 5, 95 % CI" in opened.evaluate(SIDE) and coloured > 0
    opened.evaluate(SLIDE, [0.99, False])
    opened.wait_for_timeout(700)
    assert "Let go of the slider" in opened.evaluate(SIDE) and "Fewer than" in opened.evaluate(SIDE)
    assert opened.evaluate(COLOURED) < coloured, "the picture follows at once"
    opened.keyboard.press("n")
    assert asked == [] and opened.evaluate(AREAS) == before, "nothing is asked while the slider moves"
    place = opened.evaluate(HERE)
    opened.evaluate(SLIDE, [0.0, True])
    opened.wait_for_function(
        "(n) => window.medudlViewer.at(-1).side.querySelectorAll('.finding').length !== n", arg=before
    )
    assert "Let go" not in opened.evaluate(SIDE) and opened.evaluate(AREAS) > before
    assert opened.evaluate(HERE) == place, "a list made anew does not move the reader"


def test_from_area_to_area_by_keys_list_and_strip(opened):
    found = opened.evaluate(FINDINGS)
    assert opened.evaluate(HERE) == pytest.approx(found[0]["mm"]), "it opens at the highest"
    seen = []
    for _ in found:
        opened.keyboard.press("n")
        seen.append(tuple(round(x, 1) for x in opened.evaluate(HERE)))
    assert set(seen) == {tuple(round(x, 1) for x in one["mm"]) for one in found}, "N comes to every one of the list"
    opened.keyboard.press("p")
    assert tuple(round(x, 1) for x in opened.evaluate(HERE)) == seen[-2 if len(seen) > 1 else -1]
    last = opened.locator(".finding").last
    last.click()
    assert opened.evaluate(HERE) == pytest.approx(found[-1]["mm"])
    strip = opened.locator(".strip canvas").bounding_box()
    opened.mouse.click(strip["x"] + strip["width"] * 0.99, strip["y"] + strip["height"] / 2)
    assert opened.evaluate("() => window.medudlViewer.at(-1).sliceOf('axial')") == 5


def test_a_picture_is_saved_with_its_words(opened, tmp_path):
    with opened.expect_download() as saved:
        opened.keyboard.press("s")
    saved.value.save_as(tmp_path / "picture.png")
    picture = np.asarray(Image.open(tmp_path / "picture.png").convert("RGB")).astype(int)
    assert saved.value.suggested_filename.endswith("_picture.png")
    assert picture.shape[1] > 900 and picture.max() > 200
    orange = (picture[..., 0] > 200) & (abs(picture[..., 1] - 180) < 30) & (picture[..., 2] < 130)
    assert orange[: len(picture) - 26].sum() > 50, "the letters of the patient's sides"
    assert (picture[-26:].max(axis=2) > 150).sum() > 100, "the words under the panes"


def test_in_3d_or_a_sentence_why_not(opened):
    opened.evaluate("() => window.medudlViewer.at(-1).setLayout('quad')")
    if (STATIC / "vendor" / "niivue.js").is_file():
        opened.wait_for_function(f"() => ({SOLID})() > 500")
        opened.evaluate("() => window.medudlViewer.at(-1).setLayout('side')")
        opened.evaluate("() => window.medudlViewer.at(-1).setLayout('quad')")
        opened.wait_for_function(f"() => ({SOLID})() > 500")
        with opened.expect_download():  # the moment in which panes are being laid out, made to last
            opened.evaluate("() => { window.medudlViewer.at(-1).cell3d.querySelector('canvas').width = 0; }")
            opened.keyboard.press("s")
    else:
        opened.get_by_text("is not installed here").wait_for()
