"""The CT-MR page in a real browser, by keyboard: from scan to scan, swipe, overlays, and the notice that never goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page
from translation_folders import write_scans, write_translations

NOTICE = "synthetic - not for diagnosis"
READY = """(roles) => { const v = window.medudlViewer?.at(-1);
  const all = v && [...v.volumes, ...v.overlays.map((o) => o.volume)];
  return v && v.volumes.map((x) => x.about.role).join() === roles && all.every((x) => x.complete)
    && v.panes.every((p) => p.drawn) && v.keys.find("u")?.help.includes("uncertainty"); }"""
V = "() => window.medudlViewer.at(-1)"
VISIBLE = f"() => ({V})().overlays.filter((o) => o.visible).map((o) => o.about.role)"
LAYOUT = f"() => ({V})().layout"
SWIPE = f"() => ({V})().panes[0].swipe"
TITLES = f"() => ({V})().panes.map((p) => p.title.innerText)"
NOTICES = f"() => ({V})().panes.map((p) => p.notice.innerText)"
# Coloured pixels of the pane that shows the synthetic: only an overlay is coloured.
COLOURED = f"""() => {{ const {{ data }} = ({V})().frame("axial", 1); let n = 0;
  for (let p = 0; p < data.length; p += 4) n += data[p] !== data[p + 1] || data[p] !== data[p + 2]; return n; }}"""
WITH_REAL, WITHOUT = "scan,synthetic,scan,back", "scan,synthetic,back"


@pytest.fixture
def opened(tmp_path: Path, page: Page, view: Callable[..., str]) -> Page:
    """The list, from which the worst scan was opened."""
    write_scans(tmp_path / "viewed" / "scans")
    write_translations(tmp_path / "viewed" / "out")
    page.goto(view(tmp_path / "viewed"))
    page.get_by_role("link", name="CT ↔ MR").click()
    page.get_by_text("3 scans, 1 with warnings, 1 could not be translated").wait_for()
    page.get_by_role("button", name="Open the first").focus()
    page.keyboard.press("Enter")
    page.wait_for_function(READY, arg=WITHOUT)
    return page


def test_a_reader_needs_no_mouse(opened: Page) -> None:
    say = opened.evaluate(f"() => ({V})().side.innerText")
    assert "2 warnings" in say and "This scan is MR; the model was trained on CT." in say
    assert "where it is low it can still be wrong" in say and "No real CT of this study" in say
    opened.keyboard.press("d")
    assert opened.evaluate(VISIBLE) == [], "there is no real one to compare with"
    opened.keyboard.press("u")
    assert opened.evaluate(VISIBLE) == ["uncertainty"]

    opened.keyboard.press("ArrowRight")  # the next scan, which has a real CT
    opened.wait_for_function(READY, arg=WITH_REAL)
    assert opened.evaluate(VISIBLE) == ["uncertainty"], "what is laid over stays from scan to scan"
    assert opened.evaluate(TITLES) == ["T1", "synthetic CT", "real CT", "T1 there and back"]
    assert opened.evaluate(NOTICES) == ["", NOTICE, "", NOTICE]
    unsure = opened.evaluate(COLOURED)
    opened.keyboard.press("d")
    assert opened.evaluate(VISIBLE) == ["difference"], "one overlay at a time on a picture"
    assert 0 < opened.evaluate(COLOURED) <= unsure
    opened.keyboard.press("e")
    assert opened.evaluate(VISIBLE) == ["difference", "cycle"], "that one lies on the scan"
    opened.keyboard.press("d")
    assert opened.evaluate(COLOURED) == 0

    opened.keyboard.press("n")
    opened.get_by_text("This is the last scan of the list.").wait_for()  # one that failed has no pictures, and no keys

    here = opened.evaluate(f"() => ({V})().crosshair[2]")
    opened.keyboard.press("ArrowUp")
    assert opened.evaluate(f"() => ({V})().crosshair[2]") == pytest.approx(here + 3), "up and down stay slices"
    slices = opened.evaluate(f"() => ({V})().panes.map((p) => p.slice)")
    assert len(set(slices)) == 1, "all pictures show the same slice"

    opened.keyboard.press("s")
    assert opened.evaluate(LAYOUT) == "swipe" and opened.evaluate(NOTICES) == [NOTICE]
    opened.keyboard.press("Shift+ArrowRight")
    opened.keyboard.press("ArrowLeft")
    assert opened.evaluate(SWIPE) == pytest.approx(0.5 + 0.1 - 0.02)
    assert "scan=" in opened.url and opened.evaluate(f"() => ({V})().volumes.length") == 4, "the scan is still this one"
    box = opened.locator(".pane").bounding_box()
    assert box is not None
    opened.mouse.move(box["x"] + box["width"] * 0.58, box["y"] + 60)
    opened.mouse.down()
    opened.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 60)
    opened.mouse.up()
    assert opened.evaluate(SWIPE) == pytest.approx(0.25, abs=0.01), "the mouse moves it too"
    opened.keyboard.press("b")
    assert opened.evaluate(f"() => ({V})().pair") == [1, 2], "synthetic and real"
    opened.keyboard.press("o")
    assert opened.evaluate(LAYOUT) == "difference" and opened.evaluate(TITLES) == ["synthetic CT minus real CT"]
    assert opened.evaluate(NOTICES) == [NOTICE]
    opened.keyboard.press("s")
    opened.keyboard.press("p")  # back in any layout
    opened.wait_for_function(READY, arg=WITHOUT)
    assert opened.evaluate(LAYOUT) == "swipe"
    opened.get_by_text("Synthetic - not for diagnosis", exact=True).first.wait_for()


def test_windows_of_hu_and_keys_that_moved(opened: Page) -> None:
    opened.get_by_role("button", name="bone", exact=True).click()
    assert opened.evaluate(f"() => {{ const {{ lo, hi }} = ({V})().windowOf(1); return [lo, hi]; }}") == [-770, 1730]
    before = opened.evaluate(f"() => {{ const {{ lo, hi }} = ({V})().windowOf(0); return [lo, hi]; }}")
    assert before != [-770, 1730], "the MR keeps its own"
    opened.keyboard.press("Shift+D")
    assert opened.evaluate(f"() => ({V})().tool") == "distance"
    opened.get_by_role("button", name="Click two points").click()
    assert opened.evaluate(f"() => ({V})().tool") == "crosshair", "the button does what it did"
    with opened.expect_download() as saved:
        opened.keyboard.press("Shift+S")
    assert saved.value.suggested_filename == "s01_synthetic.png"
