"""Looking for unusual areas from the page: a process that is started once, watched, stopped, and told when it fails."""

import os
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from tiny_run import make_cohort, make_run

from apps.viewer import background
from apps.viewer.anomalies_search import choices_of, out_of
from apps.viewer.catalogue import Catalogue
from apps.viewer.house import Settings, open_house
from apps.viewer.making import Status
from apps.viewer.searching import Searching
from medudl.errors import UserError
from medudl.tasks.calibrate import calibrate

SECONDS = 120


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Scans and a run that has looked at none of them."""
    monkeypatch.setattr(background.tempfile, "gettempdir", lambda: str(tmp_path))
    run = make_run(tmp_path / "viewed" / "run", make_cohort(tmp_path / "viewed" / "scans", healthy=2, sick=2))
    calibrate(run)
    return tmp_path / "viewed"


def ended(job: Searching) -> Status:
    until = time.monotonic() + SECONDS
    while (status := job.status()).state == "running":
        assert time.monotonic() < until
        time.sleep(0.1)
    return status


def test_it_looks_once_and_says_how_far_it_is(folder):
    job = Searching(folder / "run", folder / "run-maps")
    assert job.status() == Status("idle")
    assert job.start(folder / "scans" / "cohort.csv", "test", 4)
    assert not job.start(folder / "scans" / "cohort.csv", "test", 4), "it runs already"
    assert Searching(folder / "run", folder / "run-maps").status().state == "running", "another session sees it"
    assert ended(job).state == "done"
    (output,) = Catalogue(folder).outputs()
    assert output.run == Catalogue(folder).runs()[0].id and len(list(output.path.glob("*_anomaly.nii.gz"))) == 4


def test_a_search_that_fails_says_why(folder):
    (folder / "run" / "weights.safetensors").unlink()
    job = Searching(folder / "run", folder / "run-maps")
    job.start(folder / "scans" / "cohort.csv", "", 12)
    status = ended(job)
    assert status.state == "failed" and "no weights yet" in status.error


def test_a_search_that_is_stopped_says_so(folder):
    job = Searching(folder / "run", folder / "run-maps")
    job.cancel()
    job.start(folder / "scans" / "cohort.csv", "", 12)
    job.cancel()
    status = ended(job)
    assert status.state == "failed" and not (folder / "run-maps" / "scores.csv").exists()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_told(folder):
    folder.chmod(0o500)
    try:
        with pytest.raises(UserError, match="read-only"):
            Searching(folder / "run", folder / "run-maps").start(folder / "scans" / "cohort.csv", "", 12)
    finally:
        folder.chmod(0o700)


def test_time_left_follows_from_what_is_done():
    assert Status("running", "", 3, 12, 6.0).left == 18 and Status("running", "", 0, 12, 6.0).left is None


def test_test_scans_come_first_and_no_choice_comes_twice(folder):
    catalogue = Catalogue(folder)
    choices, _ = choices_of(catalogue, catalogue.runs()[0])
    assert [(choice.split, choice.scans) for choice in choices] == [("test", 4), ("", 12)]
    assert out_of(catalogue, catalogue.runs()[0]) == folder / "run-maps"
    alone = Catalogue(folder / "run")
    assert out_of(alone, alone.runs()[0]) == folder / "run" / "maps", "nothing is written outside the opened folder"


def test_the_page_starts_it_and_shows_its_maps(folder):
    def script() -> None:
        from apps.viewer.pages.anomalies import page

        page()

    opened = open_house(Settings(folder=folder))
    try:
        app = AppTest.from_function(script, default_timeout=60).run()
        assert not app.exception and app.radio[0].options[0].startswith("4 scans: test scans")
        next(button for button in app.button if button.label == "Look for unusual areas").click().run()
        assert not app.exception
        assert ended(Searching(folder / "run", folder / "run-maps")).state == "done"
        app.run()
        assert not app.exception and any(box.label == "Scan" for box in app.selectbox)
    finally:
        opened.store.close()


def test_a_damaged_run_is_told_in_a_sentence(folder):
    (folder / "run" / "config.yaml").write_text("method: [")
    choices, trouble = choices_of(Catalogue(folder), Catalogue(folder).runs()[0])
    assert choices == [] and "damaged or incomplete" in trouble
