"""Translating from the page: which runs, which way, which scans; a process begun once, watched, and told of."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from tiny_pairs import pair_cohort
from tiny_run import make_cohort, make_run

from apps.viewer import background
from apps.viewer.anomalies_search import choices_of
from apps.viewer.catalogue import Catalogue
from apps.viewer.house import Settings, open_house
from apps.viewer.making import Status
from apps.viewer.translations import translations_of
from apps.viewer.translations_find import out_of, translation_folders, translation_runs, ways_of
from apps.viewer.translations_make import cases_of_side
from apps.viewer.translations_making import Translating
from medudl.config import validate_config
from medudl.training.train import fit

SECONDS = 120
TREE = {
    "method": {"name": "cyclegan", "width": 4, "blocks": 1, "discriminator_width": 4, "receptive_field": 16},
    "data": {"channels": ["T1"], "target": ["T2"], "foreground": "none"},
    "train": {"steps": 1, "batch_size": 2, "validate_every": 1, "device": "cpu"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans, a run that translates both ways, and one that does not."""
    place = tmp_path_factory.mktemp("making") / "viewed"
    place.mkdir()
    fit(validate_config(TREE, "test"), pair_cohort(place / "scans", test=2), place / "run", progress=False)
    make_run(place / "other", make_cohort(place / "others", train=1, val=1, healthy=1, sick=0))
    return place


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background.tempfile, "gettempdir", lambda: str(tmp_path))


def ended(job: Translating) -> Status:
    until = time.monotonic() + SECONDS
    while (status := job.status()).state == "running":
        assert time.monotonic() < until
        time.sleep(0.1)
    return status


def test_only_runs_that_translate_are_offered_with_their_ways(folder: Path) -> None:
    catalogue = Catalogue(folder)
    (run,) = translation_runs(catalogue)
    assert run.name == "run"
    assert ways_of(run) == {"T2": ("source", "T1", "T2"), "T1": ("target", "T2", "T1")}
    assert out_of(catalogue, run, "T1+CT/..") == folder / "run-synthetic-T1-CT---"
    alone = Catalogue(folder / "run")
    assert out_of(alone, alone.runs()[0], "T2") == folder / "run" / "synthetic-T2", "nothing outside the opened folder"


def test_the_scans_are_those_of_the_side_that_is_translated(folder: Path) -> None:
    catalogue = Catalogue(folder)
    (run,) = translation_runs(catalogue)
    choices, _ = choices_of(catalogue, run, cases_of_side("source"))
    assert [(choice.split, choice.scans) for choice in choices] == [("test", 2), ("", 6)]


def test_the_page_starts_it_once_and_shows_what_it_made(folder: Path) -> None:
    def script() -> None:
        from apps.viewer.pages.translations import page

        page()

    opened = open_house(Settings(folder=folder))
    try:
        app = AppTest.from_function(script, default_timeout=60).run()
        assert not app.exception and app.radio[0].options[0].startswith("2 scans: test scans")
        next(button for button in app.button if button.label == "Translate").click().run()
        assert not app.exception
        job = Translating(folder / "run", folder / "run-synthetic-T2")
        assert not job.start(folder / "scans" / "cohort.csv", "test", "T2", 2), "it runs already"
        assert ended(job) == Status("done")
        (made,) = translation_folders(Catalogue(folder))
        assert [scan.to for scan in translations_of(made)] == ["T2", "T2"]
        app.run()
        assert not app.exception and any(button.label == "Open the first" for button in app.button)
    finally:
        opened.close()


def test_a_translation_that_fails_says_why(folder: Path, tmp_path: Path) -> None:
    job = Translating(folder / "other", tmp_path / "out")
    job.start(folder / "scans" / "cohort.csv", "", "T2", 6)
    status = ended(job)
    assert status.state == "failed" and "translates nothing" in status.error


def test_progress_counts_scans_not_files(tmp_path: Path) -> None:
    job = Translating(tmp_path / "run", tmp_path)
    for name in ("a_synthetic-T1.nii.gz", "a_synthetic-T2.nii.gz", "a_uncertainty-T1.nii.gz", "b_synthetic-T1.nii.gz"):
        (tmp_path / name).touch()
    assert job.made({"began": 0, "total": 5}) == Status("running", done=2, total=5)
    assert job.made({"began": time.time_ns() + 10**12, "total": 5}).done == 0
