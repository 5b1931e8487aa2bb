"""The Explore page: a map that is there, one that can be made, one that is damaged, groups, and toys without scans."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from explore_folders import write_embedding
from streamlit.testing.v1 import AppTest
from tiny_run import make_cohort, make_run

from apps.viewer import background, explore_component
from apps.viewer.catalogue import Catalogue
from apps.viewer.explore_folder import read_embedding
from apps.viewer.explore_groups import agreement, copies, crossed
from apps.viewer.explore_make import out_of
from apps.viewer.explore_making import Making
from apps.viewer.explore_triples import three
from apps.viewer.house import Settings, house, open_house

SECONDS = 240


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("explore-page") / "viewed"
    make_run(folder / "run", make_cohort(folder / "scans", train=2, val=1, healthy=1, sick=1))
    write_embedding(folder / "cases", latent=4)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / "viewed"))


@pytest.fixture
def sent(monkeypatch) -> list[dict]:
    """What the component was told: a real one needs a browser."""
    told: list[dict] = []
    monkeypatch.setattr(explore_component, "_mount", lambda: lambda **given: told.append(given["data"]))
    return told


@pytest.fixture
def draw(tmp_path, monkeypatch, sent) -> Callable[..., AppTest]:
    """draw(folder, **query) -> the page of a viewer of this folder."""
    monkeypatch.setattr(background.tempfile, "gettempdir", lambda: str(tmp_path))
    houses = []

    def script() -> None:
        from apps.viewer.pages.explore import page

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


def test_cases_are_offered_by_id_and_no_path_leaves_the_server(made, draw, sent):
    app = draw(made)
    words = said(app) + json.dumps(sent[-1])
    (found,) = Catalogue(made).embeddings()
    assert sent[-1]["id"] == found.id and sent[-1]["model"] == "" and sent[-1]["view"] == "cases"
    assert house().desk.find(found.id) is not None
    for secret in (str(made), "Miller", ".npy"):
        assert secret not in words, secret


def test_a_method_that_cannot_draw_says_so(folder, draw, sent):
    shutil.rmtree(folder / "cases")
    write_embedding(folder / "cases", latent=4, verbs=("encode", "anomaly"))
    draw(folder)
    assert "cannot draw" in sent[-1]["model"] and "neighbours" in sent[-1]["model"]


def test_a_map_whose_run_is_elsewhere_is_shown_without_walks(folder, draw, sent):
    shutil.move(folder / "run", folder.parent / "elsewhere")
    draw(folder)
    assert "does not lie in the opened folder" in sent[-1]["model"]
    path = folder / "cases" / "embedding.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "run": "../../elsewhere"}))
    draw(folder)
    assert "does not lie in the opened folder" in sent[-1]["model"], "nothing outside the folder is opened"


@pytest.mark.parametrize("name", ["embedding.json", "embedding.npy", "embedding.csv"])
def test_a_folder_that_is_half_written_is_a_sentence(folder, draw, sent, name):
    path = folder / "cases" / name
    path.write_bytes(path.read_bytes()[:60])
    words = said(draw(folder))
    assert "This map cannot be shown" in words and "still being written" in words and not sent


def test_a_link_to_what_is_gone_is_told(made, draw):
    assert "not in this folder any more" in said(draw(made, map="0" * 24))


def test_nothing_yet_means_play(tmp_path, draw, sent):
    (tmp_path / "empty").mkdir()
    words = said(draw(tmp_path / "empty"))
    assert "The Swiss roll" in words and sent[-1]["view"] == "play"
    assert "No cases to explore yet" in said(draw(tmp_path / "empty", view="cases"))
    assert "Two goals, one model" in said(draw(tmp_path / "empty", view="how"))


def test_groups_against_what_is_known(made, draw):
    words = said(draw(made, view="groups"))
    assert "Agreement 0.92" in words and "0.80 to 0.97 (30 patients)" in words
    assert "raw pixels reach 0.40. The model adds to that." in words
    assert "plain PCA of the pixels reach 0.90. The model is not clearly better or worse." in words
    held = read_embedding(made / "cases")
    table = crossed(held, "contrast")
    assert table.set_index("Group").loc["1", "T1"] == 30 and list(table["Group"]) == ["1", "2", "3"]
    assert copies(held) == {"1": [0, 1]} and "patient 1" in words and "Miller" not in words


def test_agreement_without_figures_promises_nothing():
    assert agreement({}, "label") == ["How well they agree was not measured."]
    chance = agreement({"against": {"label": {"adjusted_rand": 0.3, "low": -0.1, "high": 0.5, "n": 4}}}, "label")
    assert "not clearly more than chance" in chance[0]


def test_making_a_map_is_begun_once_and_stopped_without_a_trace(folder, draw):
    shutil.rmtree(folder / "cases")
    app = draw(folder)
    app.button[0].click().run()
    assert "Making the map of cases" in said(app)
    (run,) = Catalogue(folder).runs()
    job = Making(run.path, out_of(Catalogue(folder), run))
    assert job.status().state == "running" and not job.start(folder / "scans" / "cohort.csv", ""), "it runs already"
    job.cancel()
    while job.status().state == "running":
        time.sleep(0.05)
    assert job.status().state == "failed" and not job.out.exists()
    assert "It was stopped. Nothing was written." in "".join(error.value for error in draw(folder).error)


@pytest.mark.proof  # UMAP alone takes its time to start
def test_a_map_is_made_with_one_button(folder, draw, sent):
    shutil.rmtree(folder / "cases")
    app = draw(folder)
    assert "Make a map of the cases as run sees them" in said(app)
    catalogue = Catalogue(folder)
    (run,) = catalogue.runs()
    job = Making(run.path, out_of(catalogue, run))
    app.button[0].click().run()
    until = time.monotonic() + SECONDS
    while job.status().state == "running":
        assert time.monotonic() < until
        time.sleep(0.2)
    assert job.status().state == "done", job.status()
    draw(folder)
    assert sent[-1]["view"] == "cases" and sent[-1]["model"] == ""


def test_three_runs_that_differ_in_their_goal_alone_are_found(tmp_path):
    from medudl.config import validate_config

    cohort = make_cohort(tmp_path / "scans", train=1, val=0, healthy=0, sick=0)
    method = {"name": "variational_autoencoder", "latent": 2, "network": "linear"}
    for name, changes in {"elbo": {}, "kl": {}, "reconstruction": {}, "other": {"latent": 3}}.items():
        goal = "elbo" if name == "other" else name
        tree = {"method": {**method, "objective": goal, **changes}, "data": {"size": [16, 16]}}
        make_run(tmp_path / name, cohort, validate_config(tree, "tiny"))
        write_embedding(tmp_path / f"{name}-cases", run=f"../{name}", latent=2)
    found = three(Catalogue(tmp_path).embeddings())
    assert {goal: each.name for goal, each in found.items()} == {
        "reconstruction": "reconstruction-cases", "kl": "kl-cases", "elbo": "elbo-cases",
    }  # fmt: skip
