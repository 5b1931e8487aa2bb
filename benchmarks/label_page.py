"""The Label page in a real browser: from a key to a label on the disk, and to the next case on the screen.

    python benchmarks/label_page.py [--labels 100] [--side 256]

Needs Chromium; it draws in software at 1400 x 900. A store over made scans (side x side x 12 voxels, one a patient) is
labelled by keys alone, each a moment after its case may be judged. Each line names its goal.

- durable: from the key to the page being told that the store has the label on its disk;
- painted: from the key to the next case being whole on the screen, its voxels fetched ahead.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "viewer"))
from conftest import FLAGS, SCREEN, chromium_path, running  # noqa: E402
from label_folders import CLASSES, write_cases  # noqa: E402
from test_browser_label import READY, TIMES, begin, judge  # noqa: E402

from medudl.data.cohort import Cohort  # noqa: E402
from medudl.labels.store import LabelStore  # noqa: E402

GOALS = {"durable": ("saved", 300), "painted": ("painted", 500)}  # name: what the page calls it, ms at most for p95


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--side", type=int, default=256, help="voxels a side of a slice")
    told = parser.parse_args()
    found = chromium_path() or sys.exit("no Chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        page = browser.new_context(viewport=SCREEN).new_page()
        page.set_default_timeout(120_000)
        measure(page, Path(place) / "viewed", told.labels, told.side)
        browser.close()


def measure(page: Page, folder: Path, labels: int, side: int) -> None:
    """Label so many cases, and print what each step took."""
    cohort = Cohort.read(write_cases(folder, labels + 2, (side, side, 12)))
    store = LabelStore.create(folder / "labels.sqlite", cohort, CLASSES, repeats=0)
    with running(folder) as address:
        begin(page, address)
        for _ in range(labels):
            judge(page, store)
        page.wait_for_function(READY)
        times = page.evaluate(TIMES)
    assert len(store.labels()) == labels, "a label is missing"
    for name, (key, goal) in GOALS.items():
        found = np.array([one[key] for one in times if one[key] is not None])
        half, late = np.percentile(found, [50, 95])
        met = "met" if late <= goal else "missed"
        print(f"key to {name}: p50 {half:.0f} ms, p95 {late:.0f} ms, n = {len(found)} (goal: p95 {goal} ms, {met})")


if __name__ == "__main__":
    main()
