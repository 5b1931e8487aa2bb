"""Each page as a reader meets it, on the scans of sample_data: its words, no scrolling, and its picture for the docs.

`make screenshots` writes the pictures to docs/images; without it they go to a temporary folder.
"""

import csv
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from addresses import open_row, series_address
from playwright.sync_api import Page

from medudl import api
from medudl.data.cohort import Cohort

ROOT = Path(__file__).parents[2]
CONFIG = """
method: {name: denoising_autoencoder, width: 16, levels: 3, norm: batch, residual: true}
data:
  channels: [T1, T2, FLAIR]
  grid: FLAIR
  foreground: file
  foreground_file: "sub-{subject}/anat/sub-{subject}_desc-brain_mask.nii.gz"
  outside: zero
  crop_foreground: true
  size: [96, 96]
  intensity: {kind: percentile, low: 0, high: 90}
  healthy_labels: [healthy]
  cache_workers: 1
train: {batch_size: 8, validate_every: 10, sample_every: 10, optimiser: {lr: 2.0e-3}}
"""
TRANSLATES = """
method: {name: pix2pix, width: 24, depth: 5, discriminator_width: 16}
data:
  channels: [T1]
  target: [FLAIR]
  size: [128, 128]
  foreground: body
  intensity: {kind: percentile, low: 0, high: 99.5}
  cache_workers: 1
train: {batch_size: 4, validate_every: 20, sample_every: 40, device: cpu, optimiser: {lr: 1.0e-3, betas: [0.5, 0.999]}}
"""
# A picture for the docs shows a model that has learnt something; the test needs a run, however poor.
STEPS = 240 if "MEDUDL_SCREENSHOTS" in os.environ else 20
WHOLE = "() => window.medudlViewer?.[0]?.volumes.every((v) => v.complete) && window.medudlViewer[0].volumes.length"
JUDGED = "() => window.medudlLabel?.painted && performance.now() - window.medudlLabel.painted > 400"
SCROLLS = "() => [...document.querySelectorAll('*')].some((e) => e.scrollTop > 0) || window.scrollY > 0"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole way was gone on sample_data: scans, table, run, maps, report."""
    folder = tmp_path_factory.mktemp("pages") / "study"
    shutil.copytree(ROOT / "sample_data", folder / "scans")
    splits = {"001": "train", "002": "val"}
    with (folder / "scans" / "labels.csv").open(newline="") as stream:
        rows = [{**row, "split": splits.get(row["subject"], "test")} for row in csv.DictReader(stream)]
    with (folder / "labels.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "config.yaml").write_text(CONFIG)
    api.index([folder / "scans"], folder / "cohort.csv", labels=folder / "labels.csv")
    steps = [f"train.steps={STEPS}"]
    api.train(folder / "config.yaml", folder / "cohort.csv", folder / "run", overrides=steps, progress=False)
    api.detect(folder / "run", folder / "cohort.csv", folder / "maps", split="test", progress=False)
    api.evaluate(folder / "run", out=folder / "report", progress=False)
    return folder


@pytest.fixture
def picture(page: Page, tmp_path: Path) -> Callable[[str], None]:
    """picture(name): save what the page shows; the page fits its window."""
    folder = Path(os.environ.get("MEDUDL_SCREENSHOTS", tmp_path))

    def save(name: str) -> None:
        page.mouse.move(5, 895)
        page.wait_for_timeout(700)
        page.mouse.wheel(0, 400)  # over the page's rim: nothing may move
        page.wait_for_timeout(200)
        assert not page.evaluate(SCROLLS), f"{name} scrolls at 1400 x 900"
        assert "Traceback" not in page.content()
        page.screenshot(path=folder / f"viewer-{name}.png")

    return save


def test_studies(page: Page, view: Callable[..., str], finished: Path, picture: Callable[[str], None]) -> None:
    page.goto(view(finished))
    page.get_by_test_id("stDataFrame").wait_for()
    page.get_by_text("20 series, 5 patients").wait_for()
    picture("studies")
    open_row(page)
    page.wait_for_function(WHOLE)
    picture("series")
    page.keyboard.press("?")
    page.get_by_text("Keys and mouse").wait_for()
    picture("keys")


def test_compare(page: Page, view: Callable[..., str], finished: Path, picture: Callable[[str], None]) -> None:
    address = view(finished)
    page.goto(address)
    names = [f"sub-003/anat/sub-003_{kind}.nii.gz" for kind in ("T1w", "FLAIR")]
    page.goto(series_address(address, finished, *names))
    page.wait_for_function(WHOLE)
    assert page.evaluate("() => window.medudlViewer[0].panes.length") == 2
    picture("compare")


def test_anomalies(page: Page, view: Callable[..., str], finished: Path, picture: Callable[[str], None]) -> None:
    page.goto(view(finished))
    page.get_by_role("link", name="Anomalies").click()
    page.wait_for_function(WHOLE)
    page.get_by_text("false alarms per healthy scan").first.wait_for()
    page.get_by_text("unusual areas").first.wait_for()
    picture("anomalies")


def test_translations(page: Page, view: Callable[..., str], finished: Path, picture: Callable[[str], None]) -> None:
    (finished / "pix2pix.yaml").write_text(TRANSLATES)
    cohort, run = finished / "cohort.csv", finished / "flair-from-t1"
    api.train(finished / "pix2pix.yaml", cohort, run, overrides=[f"train.steps={STEPS}"], progress=False)
    api.translate(run, cohort, finished / "synthetic-flair", split="test", device="cpu", progress=False)
    page.goto(view(finished))
    page.get_by_role("link", name="CT ↔ MR").click()
    page.get_by_role("button", name="Open the first").click()
    page.wait_for_function(WHOLE)
    page.wait_for_function("() => window.medudlViewer[0].keys.find('u').help.includes('uncertainty')")
    page.keyboard.press("u")
    page.get_by_text("where it is low it can still be wrong").wait_for()
    picture("translations")


def test_explore(page: Page, view: Callable[..., str], finished: Path, picture: Callable[[str], None]) -> None:
    api.embed(finished / "run", finished / "cohort.csv", finished / "run-cases", device="cpu", progress=False)
    page.goto(view(finished))
    page.get_by_role("link", name="Explore").click()
    page.wait_for_function("() => window.medudlExplore?.map?.scatter.places")
    page.evaluate("() => window.medudlExplore.map.open(10)")
    page.get_by_text("Most similar cases").wait_for()
    picture("explore")


def test_train(page: Page, view: Callable[..., str], finished: Path, picture: Callable[[str], None]) -> None:
    page.goto(view(finished))
    page.get_by_role("link", name="Train").click()
    page.locator(".js-plotly-plot").first.wait_for()
    picture("train")


def test_label(page: Page, view: Callable[..., str], finished: Path, picture: Callable[[str], None]) -> None:
    store = api.label_start(finished / "labels.sqlite", finished / "cohort.csv", ["healthy", "lesion"])
    truth = {row.subject: row.label for row in Cohort.read(finished / "cohort.csv").series()}
    keys = {case.id: "12"[truth[case.subject] != "healthy"] for case in store.cases()}
    page.goto(view(finished))
    page.get_by_role("link", name="Label").click()
    page.get_by_text("Who reads?").wait_for()
    page.keyboard.type("Ann Lee")
    page.keyboard.press("Enter")
    for _ in range(3):
        page.wait_for_function(JUDGED)
        case = page.evaluate("() => window.medudlLabel.now.case")
        page.keyboard.press(keys[case])
        page.wait_for_function(f"() => window.medudlLabel.now?.case !== '{case}'")
    page.wait_for_function(JUDGED)
    assert len(store.labels()) == 3
    picture("label")
