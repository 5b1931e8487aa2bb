"""The Samples page: what it finds, what it says, and what it does with what is damaged, gone or not there yet."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from samples_folders import LATENT, write_course, write_report, write_samples
from streamlit.testing.v1 import AppTest
from tiny_run import make_cohort, make_run

from apps.viewer import background, samples_component, samples_make
from apps.viewer.catalogue import Catalogue
from apps.viewer.house import Settings, house, open_house
from apps.viewer.lookup import look
from apps.viewer.making_page import passing
from apps.viewer.samples_course import course_of
from apps.viewer.samples_find import generator_runs, generators, report_of, sample_folders
from apps.viewer.samples_folder import read_samples
from apps.viewer.samples_make import out_of
from apps.viewer.samples_making import Sampling
from apps.viewer.samples_scores import figure_of
from apps.viewer.samples_words import table_of
from medudl.config import validate_config

VAE = {"method": {"name": "variational_autoencoder", "latent": LATENT, "network": "linear"}, "data": {"size": [16, 16]}}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("samples-page") / "viewed"
    cohort = make_cohort(folder / "scans", train=2, val=1, healthy=1, sick=0)
    make_run(folder / "run", cohort, validate_config(VAE, "tiny"))
    write_course(folder / "run")
    write_samples(folder / "samples")
    write_report(folder / "samples" / "report")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / "viewed"))


@pytest.fixture
def sent(monkeypatch) -> list[dict]:
    """What the component was told: a real one needs a browser."""
    told: list[dict] = []
    monkeypatch.setattr(samples_component, "_mount", lambda: lambda **given: told.append(given["data"]))
    return told


@pytest.fixture
def draw(tmp_path, monkeypatch, sent) -> Callable[..., AppTest]:
    """draw(folder, **query) -> the page of a viewer of this folder."""
    monkeypatch.setattr(background.tempfile, "gettempdir", lambda: str(tmp_path))
    houses = []

    def script() -> None:
        from apps.viewer.pages.samples import page

        page()

    def page(folder: Path, **query: str) -> AppTest:
        houses.append(open_house(Settings(folder=folder)))
        app = AppTest.from_function(script, default_timeout=60)
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    yield page
    for one in houses:
        one.close()


def said(app: AppTest) -> str:
    """Every word on the page."""
    assert not app.exception, app.exception
    words = []
    for block in app.main:
        words.append(str(getattr(block, "value", "") or ""))
        words.append(str(getattr(getattr(block, "proto", None), "body", "")))
        words.append(str(getattr(block, "label", "") or ""))
    return "\n".join(words)


def test_samples_are_found_beside_their_run_and_no_path_leaves_the_server(made, draw, sent):
    words = said(draw(made)) + json.dumps(sent[-1])
    (found,) = sample_folders(Catalogue(made))
    assert found.run is not None and found.run.name == "run"
    assert sent[-1] | {"key": ""} == {"view": "gallery", "height": "calc(100vh - 112px)", "id": found.id, "key": ""}
    assert house().samples.find(found.id) is not None
    for secret in (str(made), "Miller", ".npy"):
        assert secret not in words, secret


def test_pictures_of_samples_are_no_scans(made, tmp_path):
    write_samples(tmp_path / "samples")
    assert look(tmp_path).scans == 0


def test_the_methods_that_make_images_are_those_with_the_verb(made):
    from medudl.methods import METHODS, method_class
    from medudl.methods.method import Method

    known = {name for name in METHODS if getattr(method_class(name), "sample", None) is not None}
    assert not hasattr(Method, "sample") and generators() == known
    assert [run.name for run in generator_runs(Catalogue(made))] == ["run"]


def test_the_table_says_who_copies_and_names_no_patient(made):
    read = read_samples(made / "samples")
    table = table_of(read, private=True)
    assert table["counts"] == {"copy": 1, "close": 1, "own": 22} and table["checked"] and table["codes"] == LATENT
    first, third = table["samples"][0], table["samples"][2]
    assert first["risk"] == "copy" and first["case"] == "training scan 1, slice 0"
    assert "more like this image than 95 % of held-out patients' images are like theirs" in first["told"][0]
    assert "likeness .990, limit .930" in first["told"][0] and "distance .100, limit .400" in first["told"][1]
    assert all("no more like this image" in line for line in third["told"])
    assert "480 images of 12 patients" in " ".join(table["about"]) and "patients' images" in table["warning"]
    assert "Miller" not in json.dumps(table) and "Miller^Anna0" in json.dumps(table_of(read, private=False))


def test_without_a_comparison_nothing_is_called_safe(tmp_path):
    table = table_of(read_samples(write_samples(tmp_path / "samples", checked=False)), private=True)
    assert not table["checked"] and not table["nearest"] and table["counts"]["own"] == 0
    assert "not checked" in " ".join(table["about"]) and "not at hand" in " ".join(table["about"])


@pytest.mark.parametrize("name", ["samples.json", "samples.csv", "pictures.npy", "nearest.npy", "codes.npy"])
def test_a_folder_that_is_half_written_is_a_sentence(folder, draw, sent, name):
    path = folder / "samples" / name
    path.write_bytes(path.read_bytes()[:60])
    words = said(draw(folder))
    assert "These samples cannot be shown" in words and "still being written" in words and not sent


def test_views_are_told_what_they_need(made, draw, sent):
    draw(made, view="walk")
    assert sent[-1]["view"] == "walk" and sent[-1]["model"] == ""
    draw(made, view="reading")
    assert sent[-1]["trouble"] == "" and sent[-1]["choices"] == [20, 40] and sent[-1]["readers"] == []
    draw(made, view="course")
    assert sent[-1]["view"] == "course"


def test_without_run_codes_or_held_out_images_the_page_says_why(folder, draw, sent):
    (folder / "samples" / "held_out.npy").unlink()
    draw(folder, view="reading")
    assert "no held-out patients' images" in sent[-1]["trouble"]
    shutil.move(folder / "run", folder.parent / "elsewhere")
    draw(folder, view="walk")
    assert "does not lie in the opened folder" in sent[-1]["model"]
    (folder / "samples" / "codes.npy").unlink()
    draw(folder, view="walk")
    assert "keeps no code" in sent[-1]["model"]


def test_the_scores_stand_beside_their_floor_under_the_verdict(made, draw):
    words = said(draw(made, view="scores"))
    assert words.index("Better than a Gaussian") < words.index("KID") and "✔" in words
    assert "<b>.12</b> (.10 to .15)" in words and "<b>.004</b> (-.01 to .02)" in words
    assert [figure_of(value) for value in (0.00424, 4e-25, 0.5, 100.5, 1234.5)] == [
        ".0042",
        ".00",
        ".50",
        "100",
        "1,234",
    ]
    assert "Gaussian of the pixels" in words and "200, 80" in words and "lite0" in words
    assert "Kernel distance between features" in words and "nearly all the same" in words
    assert "too few images &lt;b&gt;" in words and "too few patients" in words, "what is not known says why, as text"
    assert report_of(Catalogue(made), "another", made / "samples") is None


def test_without_a_report_the_way_to_one_is_told(folder, draw):
    shutil.rmtree(folder / "samples" / "report")
    assert "medudl evaluate run -o run-report" in said(draw(folder, view="scores"))


def test_the_course_has_steps_the_distance_and_the_alarm(made):
    course = course_of(made / "run")
    assert course["cell"] == [16, 16] and course["steps"] == [100, 200, 400, 800] and course["why"] == ""
    assert "KID" in course["curve"]["title"] and course["curve"]["values"] == [1, 0.5, 1 / 3, 0.25]
    assert any("nearly all the same" in line for line in course["alarms"])
    assert course_of(None)["why"] and course_of(made / "scans")["why"]


def test_nothing_yet(tmp_path, draw, made, folder):
    (tmp_path / "empty").mkdir()
    assert "No samples yet" in said(draw(tmp_path / "empty"))
    assert "not in this folder any more" in said(draw(made, of="0" * 24))


def test_a_generator_without_samples_offers_a_button_and_its_end_is_told(folder, draw, monkeypatch):
    shutil.rmtree(folder / "samples")
    words = said(draw(folder))
    assert "Make samples with run" in words and "medudl sample run -n 64 -o run-samples" in words
    # The command's own work is tested with it; here it ends at once with a sentence.
    command = [background.sys.executable, "-c", "import sys; sys.exit('medudl: /a/b.csv: no training scans')"]
    monkeypatch.setattr(background, "command", lambda arguments, module: command)
    app = draw(folder)
    app.button[0].click().run()
    catalogue = Catalogue(folder)
    (run,) = catalogue.runs()
    job = Sampling(run.path, out_of(catalogue, run))
    until = time.monotonic() + 30
    while job.status().state == "running":
        assert time.monotonic() < until
        time.sleep(0.05)
    words = said(draw(folder))
    assert "It ended early" in words and "no training scans" in words and "/a/b.csv" not in words


def test_samples_are_never_written_over_and_others_have_another_seed(folder, draw):
    catalogue = Catalogue(folder)
    (run,) = catalogue.runs()
    assert out_of(catalogue, run).name == "run-samples" and samples_make._seed(out_of(catalogue, run)) == 0
    shutil.copytree(folder / "samples", folder / "run-samples")
    assert out_of(catalogue, run).name == "run-samples-2" and samples_make._seed(out_of(catalogue, run)) == 1
    alone = Catalogue(folder / "run")
    inner = out_of(alone, alone.runs()[0])
    assert inner == folder / "run" / "made"
    for name in ("made", "made-2"):
        shutil.copytree(folder / "samples", folder / "run" / name)
    assert out_of(alone, alone.runs()[0]).name == "made-3"
    assert [one.path.name for one in sample_folders(alone)] == ["made", "made-2"]


def test_pictures_keep_the_shape_that_their_pixels_have(folder):
    path = folder / "samples" / "samples.json"
    about = json.loads(path.read_text())
    for aspect, ratio in ((2.0, 0.5), ("x", 1.0), (float("inf"), 1.0), (None, 1.0)):
        path.write_text(json.dumps({**about, "picture_aspect": aspect}))
        assert table_of(read_samples(folder / "samples"), private=True)["ratio"] == ratio


def test_while_samples_are_made_the_page_says_how_far(folder, draw, monkeypatch):
    shutil.rmtree(folder / "samples")
    asked: list[list[str]] = []

    def command(arguments, module):
        asked.append(list(arguments))
        return [background.sys.executable, "-c", "import time; time.sleep(60)"]

    monkeypatch.setattr(background, "command", command)
    app = draw(folder)
    app.button[0].click().run()
    assert "Making samples" in said(app)
    assert asked == [["sample", str(folder / "run"), "-n", "64", "-o", str(folder / "run-samples"), "--seed", "0"]]
    catalogue = Catalogue(folder)
    job = Sampling(folder / "run", out_of(catalogue, catalogue.runs()[0]))
    (job._process.state / "progress.jsonl").write_text('{"what": "samples", "done": 3, "total": 64}\n')
    assert job.status().done == 3 and passing("samples", "")(job.status()) == "Samples: 3 of 64"
    assert not job.start(64, 0), "it runs already"
    job.cancel()
    until = time.monotonic() + 30
    while job.status().state == "running":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert "Nothing was written" in said(draw(folder))
