"""The Explore page in a real browser without a graphics card: lasso to thumbnails, slider to picture.

    python benchmarks/explore.py [--points 10000] [--repeats 40] [--json FILE]

Needs Chromium; it draws in software at 1400 x 900. Everything is made in a temporary folder: points with pictures of
128 x 128, and a convolutional autoencoder of its defaults for 128 x 128 images, untrained: its speed is that of a
trained one.

- lasso: from the moment the button is let go to 60 thumbnails drawn on the screen (the frame after the last one);
- points: one drawing of the whole map;
- slider: from the event of a moved slider to the drawn picture, of a model that has drawn before; one at a time;
- dragging: a slider moved every 16 ms; from an event to the first drawing that shows it or a later one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(HERE / "viewer"), str(HERE)]
from conftest import FLAGS, SCREEN, chromium_path, running  # noqa: E402
from explore_folders import write_embedding  # noqa: E402
from tiny_run import make_cohort, make_run, tiny_config  # noqa: E402

from medudl.config import Config, validate_config  # noqa: E402

GOALS = {"lasso": 700, "slider": 300, "dragging": 300}
READY = "() => window.medudlExplore?.map?.scatter.places"
LASSO = """async ([count, turn]) => {
  const map = window.medudlExplore.map, plot = map.scatter, box = plot.above.getBoundingClientRect();
  const send = (type, x, y) => plot.above.dispatchEvent(new PointerEvent(type,
    { clientX: box.left + x, clientY: box.top + y, button: 0, buttons: 1, pointerId: 1, bubbles: true }));
  plot.above.setPointerCapture = () => {};
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const times = [];
  for (let n = 0; n < count; n += 1) {
    const r = 120 + 8 * ((n + turn) % 20), cx = plot.width / 2 + 10 * (n % 7), cy = plot.height / 2;
    send("pointerdown", cx + r, cy);
    for (let k = 1; k < 60; k += 1) send("pointermove", cx + r * Math.cos(k / 10), cy + r * Math.sin(k / 10));
    await frame();
    map.side.drawn = 0;
    const start = performance.now();
    send("pointerup", cx, cy + r);
    while (!map.side.drawn) await frame();
    await frame();
    if (map.side.sheet.children.length !== 60) throw new Error(`${map.side.sheet.children.length} thumbnails`);
    times.push(performance.now() - start);
  }
  return times;
}"""
POINTS = """(count) => Array.from({ length: count }, () => { const s = window.medudlExplore.map.scatter;
  const start = performance.now();
  s.drawNow();
  s.points.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, 1, 1);
  return performance.now() - start; })"""
SLIDER = """async (count) => {
  const walk = window.medudlExplore.walk, input = walk.sliders.querySelector("input"), times = [];
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  for (let n = 0; n < count; n += 1) {
    const before = walk.answered, start = performance.now();
    input.value = -3 + 6 * ((n * 0.37) % 1);
    input.dispatchEvent(new Event("input"));
    while (walk.answered === before) await frame();
    times.push(performance.now() - start);
  }
  return times;
}"""
DRAGGING = """async (count) => {
  const walk = window.medudlExplore.walk, input = walk.sliders.querySelector("input"), times = [], waiting = [];
  const show = walk.asking.show;
  walk.asking.show = (found, asked) => { show(found, asked);
    const at = waiting.findIndex((one) => one.moves === asked.moves);
    waiting.splice(0, at + 1).forEach((one) => times.push(performance.now() - one.start)); };
  for (let n = 0; n < count; n += 1) {
    input.value = -3 + 6 * n / count;
    input.dispatchEvent(new Event("input"));
    waiting.push({ start: performance.now(), moves: walk.place().moves });
    await new Promise((done) => setTimeout(done, 16));
  }
  while (waiting.length) await new Promise((done) => setTimeout(done, 5));
  walk.asking.show = show;
  return times;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    told = parser.parse_args()
    found = chromium_path() or sys.exit("no Chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        folder = Path(place)
        make_run(
            folder / "run", make_cohort(folder / "scans", train=1, val=0, healthy=0, sick=0), config(), (1, 128, 128)
        )
        write_embedding(folder / "cases", n=told.points, latent=64, side=128)
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        with running(folder) as address:
            page = browser.new_context(viewport=SCREEN).new_page()
            page.goto(address)
            page.goto(address.split("?")[0] + "explore?view=cases")
            page.wait_for_function(READY, timeout=120_000)
            rows = measured(page, told.repeats)
        browser.close()
    for name, row in rows.items():
        goal = f"goal {GOALS[name]} ms" if name in GOALS else ""
        print(f"{name:9} median {row['median']:6.1f} ms, p95 {row['p95']:6.1f} ms, n = {row['n']}  {goal}")
    if told.json:
        told.json.write_text(json.dumps({"count": told.points, **rows}, indent=1) + "\n")


def config() -> Config:
    """An autoencoder of 128 x 128 images, its network as large as by default."""
    tree = tiny_config().model_dump(mode="json")
    return validate_config({**tree, "method": {"name": "autoencoder", "latent": 64},
                            "data": {**tree["data"], "size": [128, 128]}}, "benchmark")  # fmt: skip


def measured(page: Page, repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds of everything."""
    page.wait_for_timeout(1000)
    page.evaluate(LASSO, [2, 0])
    rows = {"lasso": page.evaluate(LASSO, [repeats, 3]), "points": page.evaluate(POINTS, repeats)}
    page.get_by_role("tab", name="Walk").click()
    page.wait_for_function("() => window.medudlExplore.walk.answered > 0", timeout=240_000)
    page.wait_for_timeout(3000)
    rows["slider"] = page.evaluate(SLIDER, repeats)
    rows["dragging"] = page.evaluate(DRAGGING, 4 * repeats)
    return {name: summary(times) for name, times in rows.items()}


def summary(times: list[Any]) -> dict[str, float]:
    """Median and 95th percentile."""
    ranked = sorted(map(float, times))
    return {"median": statistics.median(ranked), "p95": ranked[min(len(ranked) - 1, int(0.95 * len(ranked)))],
            "n": len(ranked)}  # fmt: skip


if __name__ == "__main__":
    main()
