"""The viewer in a real browser without a graphics card: to the first page, to the first picture, to a drawn slice.

    python benchmarks/viewer.py [--repeats 5] [--slices 300]

Needs Chromium; it draws in software at 1400 x 900. Everything is made in a temporary folder: a CT series of 512 x 512
slices in DICOM, and an MR volume of 260 x 320 x 22 voxels with a mask. Each line names its goal.

- first page: from the command `medudl view` to a table on the screen, browser already open;
- first picture, scrollable: from the click on a row of the table to the first slice drawn, to all slices there; in a
  server that has not read the series yet, then `again` from the address, in a new browser session;
- drawn: from a key press (or a change of window, opacity, threshold) to pixels on the three planes' canvases, median
  and 95th percentile of 100; `requests` counts what the page asked of the server meanwhile.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "viewer"))
from conftest import FLAGS, SCREEN, chromium_path, running  # noqa: E402
from scenes import indexed, write_ct, write_flair  # noqa: E402

# Draws are forced to the end by reading one pixel of each canvas back.
TIMED = """([make, count]) => {
  const viewer = window.medudlViewer[0], act = eval(make);
  const flush = () => viewer.panes.forEach((p) =>
    p.element.querySelectorAll("canvas").forEach((c) => c.getContext("2d").getImageData(0, 0, 1, 1)));
  const times = [];
  for (let n = 0; n < count; n += 1) {
    const start = performance.now();
    act(viewer, n);
    viewer.drawNow();
    flush();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b);
}"""
KEY = "(v, n) => window.dispatchEvent(new KeyboardEvent('keydown', {key: n % 40 < 20 ? 'ArrowUp' : 'ArrowDown'}))"
ACTS = {
    "key to slice": KEY,
    "window": "(v, n) => v.setWindow(0, {lo: n, hi: 400 + 3 * n})",
    "opacity": "(v, n) => v.setOverlay(0, {opacity: 0.3 + 0.005 * n})",
    "threshold": "(v, n) => v.setOverlay(0, {threshold: 0.004 * n})",
}
DRAWN = "() => Boolean(window.medudlViewer?.[0]?.frame('axial'))"
WHOLE = "() => window.medudlViewer?.[0]?.volumes[0]?.complete === true"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--slices", type=int, default=300)
    told = parser.parse_args()
    found = chromium_path() or sys.exit("no Chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        folder = Path(place)
        write_ct(folder / "ct" / "series", slices=told.slices)
        indexed(folder / "ct")
        write_flair(folder / "mr")
        opened(browser, folder / "ct", told.repeats)
        for name in ("mr", "ct"):
            drawn(browser, folder / name, name)
        browser.close()


def opened(browser: Browser, folder: Path, repeats: int) -> None:
    """Seconds to the first page, to the first picture, to all slices, and the same again."""
    rows: list[dict[str, float]] = []
    for _ in range(repeats):
        begun = time.perf_counter()
        with running(folder) as address, session(browser) as page:
            page.goto(address)
            page.get_by_test_id("stDataFrame").wait_for()
            row = {"first page": time.perf_counter() - begun}
            page.wait_for_timeout(1500)  # a reader looks before the click
            begun = time.perf_counter()
            open_first(page)
            row |= pictures(page, begun, "")
            again = page.url
            with session(browser) as fresh:
                fresh.goto(address)
                fresh.get_by_test_id("stDataFrame").wait_for()
                begun = time.perf_counter()
                fresh.goto(again)
                row |= pictures(fresh, begun, " again")
            rows.append(row)
    goals = {"first page": 5, "first picture": 3, "scrollable": 6, "first picture again": 2}
    for name in rows[0]:
        values = [row[name] for row in rows]
        goal = f"goal {goals[name]} s" if name in goals else ""
        print(f"CT  {name:24} {statistics.median(values):6.2f} s (max {max(values):.2f}, n = {repeats})  {goal}")


def pictures(page: Page, begun: float, suffix: str) -> dict[str, float]:
    """Seconds since `begun` to the first picture and to all slices."""
    page.wait_for_function(DRAWN, polling=20)
    first = time.perf_counter() - begun
    page.wait_for_function(WHOLE, polling=20)
    return {f"first picture{suffix}": first, f"scrollable{suffix}": time.perf_counter() - begun}


def drawn(browser: Browser, folder: Path, name: str) -> None:
    """Milliseconds from an act to pixels, and requests meanwhile."""
    with running(folder) as address, session(browser) as page:
        page.goto(address)
        page.get_by_test_id("stDataFrame").wait_for()
        open_first(page)
        page.wait_for_function(WHOLE, polling=50)
        page.wait_for_timeout(1000)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        shape = page.evaluate("() => window.medudlViewer[0].volumes[0].shape.join(' x ')")
        layers = page.evaluate("() => window.medudlViewer[0].overlays.length")
        for act, code in ACTS.items():
            if layers or act in ("key to slice", "window"):
                times = page.evaluate(TIMED, [code, 100])
                print(f"{shape:16} {act:13} median {times[50]:5.1f} ms, 95 % {times[95]:5.1f} ms  goal 20 ms")
        page.wait_for_timeout(500)
        print(f"{shape:16} {'requests':13} {len(asked)}  goal 0")


def open_first(page: Page) -> None:
    """Click on the first row of the table."""
    page.get_by_test_id("stDataFrame").click(position={"x": 200, "y": 52})


@contextmanager
def session(browser: Browser) -> Iterator[Page]:
    """A page with cookies and a cache of its own."""
    context = browser.new_context(viewport=SCREEN)
    try:
        yield context.new_page()
    finally:
        context.close()


if __name__ == "__main__":
    main()
