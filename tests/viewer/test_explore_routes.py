"""Addresses of the Explore page: what was offered and nothing else, within bounds, with a sentence where it fails."""

import json

import numpy as np
import pytest
from asking import ask, everything, gated, let_in
from explore_folders import grey, write_embedding
from starlette.applications import Starlette
from tiny_run import make_cohort, make_run

from apps.viewer import background, explore_routes
from apps.viewer import house as shared
from apps.viewer.catalogue import Catalogue
from apps.viewer.explore_addresses import EXPLORE_ROUTES
from apps.viewer.explore_desk import Shown
from apps.viewer.explore_faces import Faces
from apps.viewer.explore_toybox import Toy
from apps.viewer.house import Settings, open_house

LATENT = 4  # of the tiny run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    before = list(shared._open)
    place = tmp_path_factory.mktemp("explore")
    make_run(place / "run", make_cohort(place / "scans", train=1, val=1, healthy=1, sick=0))
    write_embedding(place / "cases", latent=LATENT)
    opened = open_house(Settings(place))
    yield place
    opened.close()
    shared._open[:] = before


@pytest.fixture
def id(folder):
    """The cases, offered; their run lies beside them."""
    catalogue = Catalogue(folder)
    (found,) = catalogue.embeddings()
    shown = Shown(found.id, found.path, found.run.path, Faces(catalogue, found.run.path, True))
    shared.house().desk.offer(shown)
    return found.id


@pytest.fixture
def app():
    return Starlette(routes=EXPLORE_ROUTES)


def pictures(answer):
    about = json.loads(answer.header("x-about"))
    return np.frombuffer(answer.body, np.uint8).reshape(about["shape"]), about


def test_points_and_a_case(app, id):
    table = json.loads(ask(app, f"/embedding/{id}/table").body)
    assert table["n"] == 90 and len(table["projections"][0]["x"]) == 90
    case = json.loads(ask(app, f"/embedding/{id}/case?row=3&key={table['key']}").body)
    assert case["patient"] == "patient 2" and case["row"] == 3
    assert b"Miller" not in ask(app, f"/embedding/{id}/case?row=3").body


def test_a_cloud_is_as_wide_as_the_model_draws_it(app, id, folder):
    points = np.array(json.loads(ask(app, f"/embedding/{id}/cloud").body)["points"])
    code = np.load(folder / "cases" / "embedding.npy")[:, :2]
    assert points.shape == (90, 2) and 0.4 < (points - code).std() < 0.6, "sigma is .5 there"
    assert np.array_equal(points, json.loads(ask(app, f"/embedding/{id}/cloud").body)["points"])


def test_thumbnails_are_those_of_the_rows_and_small(app, id):
    answer = ask(app, f"/embedding/{id}/thumbnails?rows=4,0,89&side=16", headers={"accept-encoding": "gzip"})
    found, about = pictures(answer)
    assert found.shape == (3, 16, 16) and about["rows"] == [4, 0, 89]
    assert found[:, 2, 2].tolist() == grey([4, 0, 89]).tolist()
    assert answer.header("content-encoding") == "identity" and answer.header("cache-control") == "no-store"
    expected, _ = pictures(ask(app, f"/embedding/{id}/thumbnails?rows=4&kind=expected"))
    assert expected[0, 0, 0] == 255 - grey(4)


def test_making_smaller_takes_the_mean_of_whole_blocks():
    picture = np.arange(36, dtype=np.uint8).reshape(1, 6, 6)
    assert explore_routes.smaller(picture, 3)[0, 0].tolist() == [4, 6, 8]  # means 3.5, 5.5, 7.5, halves to the even
    assert explore_routes.smaller(picture, 6) is picture


@pytest.mark.parametrize(
    "rest",
    ["case?row=90", "case?row=-1", "case?row=x", "case", "case?row=%D9%A3", "case?row=1e1", "thumbnails",
     "walk?base=90",
     "thumbnails?rows=1&kind=embedding", "thumbnails?rows=" + ",".join(["1"] * 61), "thumbnails?rows=1&side=0",
     "walk?moves=4:1", "walk?moves=1:nan", "walk?moves=1:inf", "walk?moves=-1:1", "walk?plane=-1", "between?a=1",
     "between?a=1&b=2&at=x", "grid?across=4", "samples", "other", "table/x"],
)  # fmt: skip
def test_questions_that_no_page_asks_are_not_found(app, id, rest):
    assert ask(app, f"/embedding/{id}/{rest}").status == 404


def test_what_was_never_offered_is_not_found(app, folder, id):
    for other in ("0" * 24, id.upper(), id + "0", "cases", "..%2fcases"):
        for rest in ("table", "case?row=1", "thumbnails?rows=1", "walk"):
            assert ask(app, f"/embedding/{other}/{rest}").status == 404
    assert ask(app, "/embedding/toy/other").status == 404


def test_walks_are_drawn_by_the_model_beside_the_nearest_case(app, id):
    one, about = pictures(ask(app, f"/embedding/{id}/walk?base=5"))
    assert one.shape == (1, 16, 16) and about["nearest"] == [5] and about["far"] == [0.0]
    far, _ = pictures(ask(app, f"/embedding/{id}/walk?base=5&moves=0:3,1:-3"))
    farther, _ = pictures(ask(app, f"/embedding/{id}/walk?base=5&moves=0:60,1:-3"))
    limit, _ = pictures(ask(app, f"/embedding/{id}/walk?base=5&moves=0:6,1:-3"))
    assert not np.array_equal(one, far) and np.array_equal(farther, limit), "no slider goes farther than six sigma"
    way, about = pictures(ask(app, f"/embedding/{id}/between?a=5&b=8"))
    assert way.shape == (9, 16, 16) and about["nearest"][0] == 5 and about["nearest"][-1] == 8
    assert np.array_equal(way[0], one[0])
    half, _ = pictures(ask(app, f"/embedding/{id}/between?a=5&b=8&at=0.5"))
    assert np.array_equal(half[0], way[4])
    grid, _ = pictures(ask(app, f"/embedding/{id}/grid?base=5&across=0&up=1"))
    assert grid.shape == (49, 16, 16) and np.array_equal(grid[24], one[0]), "the middle is where it starts"
    right, _ = pictures(ask(app, f"/embedding/{id}/walk?base=5&moves=0:3"))
    above, _ = pictures(ask(app, f"/embedding/{id}/walk?base=5&moves=1:3"))
    assert np.array_equal(grid[27], right[0]) and np.array_equal(grid[3], above[0])


def test_a_page_of_an_older_folder_gets_nothing_of_the_new_one(app, folder, id):
    key = json.loads(ask(app, f"/embedding/{id}/table").body)["key"]
    path = folder / "cases" / "embedding.json"
    path.write_text(path.read_text() + " ")
    for rest in ("table", "thumbnails?rows=1", "case?row=1", "walk"):
        assert ask(app, f"/embedding/{id}/{rest}{'&' if '?' in rest else '?'}key={key}").status == 409
    assert ask(app, f"/embedding/{id}/case?row=1").status == 200


def test_a_model_that_is_gone_is_told_in_a_sentence(app, folder, id):
    (folder / "run" / "weights.safetensors").rename(folder / "kept")
    try:
        answer = ask(app, f"/embedding/{id}/walk")
    finally:
        (folder / "kept").rename(folder / "run" / "weights.safetensors")
    assert answer.status == 422 and "gone" in json.loads(answer.body)["problem"]
    assert str(folder).encode() not in answer.body


def test_the_gate_stands_before_all_of_it(id):
    gate = gated(everything)
    inside = let_in(gate)
    target = f"/embedding/{id}/table"
    assert ask(gate, target).status == 403, "no session"
    assert ask(gate, target, headers=inside).status == 200
    assert ask(gate, target, headers={**inside, "host": "evil.example"}).status == 403
    assert ask(gate, target, headers={**inside, "origin": "http://evil.example"}).status == 403
    assert ask(gate, target, method="POST", headers=inside).status == 405
    assert ask(gate, target, headers=inside).header("cache-control") == "no-store"
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert ask(gate, target, headers={**inside, **link}).status == 403


def test_a_toy_that_broke_off_says_so(folder, app, tmp_path, monkeypatch):
    monkeypatch.setattr(background.tempfile, "gettempdir", lambda: str(tmp_path))
    assert json.loads(ask(app, "/embedding/toy/roll").body) == {"running": False, "problem": ""}
    toy = Toy("roll", folder)
    assert toy.start({"turns": 1.0, "noise": 0.0, "seed": 0})
    assert toy.running and not toy.start({"turns": 1.0, "noise": 0.0, "seed": 0}), "one at a time"
    toy.stop()
    while toy.running:
        pass
    assert "before its time" in json.loads(ask(app, "/embedding/toy/roll").body)["problem"]
