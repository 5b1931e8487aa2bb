"""Addresses of the Samples page: what was offered and nothing else, within bounds; answers from our own page alone."""

import json

import numpy as np
import pytest
from asking import HOST, ask, everything, gated, let_in
from samples_folders import LATENT, write_course, write_samples
from starlette.applications import Starlette
from tiny_run import make_cohort, make_run

from apps.viewer import house as shared
from apps.viewer.house import Settings, open_house
from apps.viewer.samples_addresses import SAMPLES_ROUTES
from apps.viewer.samples_codes import between, directions, mixed
from apps.viewer.samples_conditions import conditions_of, numbers, with_asked
from apps.viewer.samples_conditions import offered as asked_for
from apps.viewer.samples_desk import Offered
from apps.viewer.samples_find import sample_folders
from medudl.condition import Condition
from medudl.config import validate_config
from medudl.errors import UserError

VAE = {"method": {"name": "variational_autoencoder", "latent": LATENT, "network": "linear"}, "data": {"size": [16, 16]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    before = list(shared._open)
    place = tmp_path_factory.mktemp("synthetic")
    cohort = make_cohort(place / "scans", train=1, val=1, healthy=1, sick=0)
    make_run(place / "run", cohort, validate_config(VAE, "tiny"))
    write_course(place / "run")
    write_samples(place / "samples")
    opened = open_house(Settings(place))
    yield place
    opened.close()
    shared._open[:] = before


@pytest.fixture
def id(folder):
    from apps.viewer.catalogue import Catalogue

    (found,) = sample_folders(Catalogue(folder))
    shared.house().samples.offer(Offered(found.id, found.path, found.run.path))
    return found.id


@pytest.fixture
def app():
    return Starlette(routes=SAMPLES_ROUTES)


def pictures(answer) -> tuple[np.ndarray, dict]:
    assert answer.status == 200, answer.body
    about = json.loads(answer.header("x-about"))
    return np.frombuffer(answer.body, np.uint8).reshape(about["shape"]), about


def test_pictures_are_those_of_the_rows_raw_and_never_kept(app, id, folder):
    answer = ask(app, f"/synthetic/{id}/pictures?rows=4,0,23", headers={"accept-encoding": "gzip"})
    found, about = pictures(answer)
    assert about["rows"] == [4, 0, 23]
    assert np.array_equal(found, np.load(folder / "samples" / "pictures.npy")[[4, 0, 23]])
    near, _ = pictures(ask(app, f"/synthetic/{id}/pictures?rows=4&kind=nearest"))
    assert np.array_equal(near, np.load(folder / "samples" / "nearest.npy")[[4]])
    assert answer.header("content-encoding") == "identity" and answer.header("cache-control") == "no-store"
    assert pictures(ask(app, f"/synthetic/{id}/pictures?rows=1&side=16"))[0].shape == (1, 16, 16)


def test_the_course_serves_the_pictures_that_are_there(app, id, folder):
    assert json.loads(ask(app, f"/synthetic/{id}/course").body)["steps"] == [100, 200, 400, 800]
    answer = ask(app, f"/synthetic/{id}/step?step=200")
    assert answer.body == (folder / "run" / "samples" / "step-000000200.png").read_bytes()
    assert answer.header("content-type") == "image/png"


@pytest.mark.parametrize(
    "rest",
    ["pictures", "pictures?rows=24", "pictures?rows=-1", "pictures?rows=x", "pictures?rows=1&kind=held_out",
     "pictures?rows=1&kind=codes", "pictures?rows=1&side=0", "pictures?rows=" + ",".join(["1"] * 121),
     "step?step=300", "step?step=x", "step", "between?a=1", "between?a=1&b=2&at=x", "along?from=1&moves=9:1",
     "along?from=1&moves=0:nan", "mix?a=1&b=2", "mix?a=1&b=2&c=" + ",".join(["1"] * 13), "other"],
)  # fmt: skip
def test_questions_that_no_page_asks_are_not_found(app, id, rest):
    assert ask(app, f"/synthetic/{id}/{rest}").status == 404


def test_what_was_never_offered_is_not_found(app, id):
    for other in ("0" * 24, id.upper(), id + "0", "..%2fsamples"):
        for rest in ("table", "pictures?rows=1", "course", "mix?a=1&b=1&c=1"):
            assert ask(app, f"/synthetic/{other}/{rest}").status == 404
        assert ask(app, f"/synthetic/{other}/reading", method="POST", body=b"{}").status == 404


def test_walks_and_sums_are_drawn_by_the_model(app, id):
    way, _ = pictures(ask(app, f"/synthetic/{id}/between?a=5&b=8"))
    assert way.shape == (9, 16, 16) and not np.array_equal(way[0], way[8])
    half, _ = pictures(ask(app, f"/synthetic/{id}/between?a=5&b=8&at=0.5"))
    assert np.array_equal(half[0], way[4])
    still, _ = pictures(ask(app, f"/synthetic/{id}/along?from=5"))
    moved, about = pictures(ask(app, f"/synthetic/{id}/along?from=5&moves=0:3"))
    far, _ = pictures(ask(app, f"/synthetic/{id}/along?from=5&moves=0:300"))
    assert np.array_equal(still[0], way[0]) and not np.array_equal(still, moved) and np.array_equal(moved, far)
    assert about["directions"] == LATENT
    found, _ = pictures(ask(app, f"/synthetic/{id}/mix?a=5,6&b=5,6&c=8"))
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[3], found[2]), "A - A + C is C"
    assert np.array_equal(found[2], way[8])


def test_a_page_of_an_older_folder_gets_nothing_of_the_new_one(app, folder, id):
    key = json.loads(ask(app, f"/synthetic/{id}/table").body)["key"]
    path = folder / "samples" / "samples.json"
    path.write_text(path.read_text() + " ")
    for rest in ("table", "pictures?rows=1", "mix?a=1&b=1&c=1"):
        assert ask(app, f"/synthetic/{id}/{rest}{'&' if '?' in rest else '?'}key={key}").status == 409


def test_a_model_that_is_gone_is_told_in_a_sentence(app, folder, id):
    (folder / "run" / "weights.safetensors").rename(folder / "kept")
    try:
        answer = ask(app, f"/synthetic/{id}/between?a=1&b=2")
    finally:
        (folder / "kept").rename(folder / "run" / "weights.safetensors")
    assert answer.status == 422 and "gone" in json.loads(answer.body)["problem"]
    assert str(folder).encode() not in answer.body


def test_the_gate_stands_before_all_of_it(id):
    gate = gated(everything)
    inside = let_in(gate)
    target = f"/synthetic/{id}/table"
    assert ask(gate, target).status == 403, "no session"
    assert ask(gate, target, headers=inside).status == 200
    assert ask(gate, target, headers={**inside, "host": "evil.example"}).status == 403
    assert ask(gate, target, headers={**inside, "origin": "http://evil.example"}).status == 403
    assert ask(gate, target, method="POST", headers={**inside, "origin": f"http://{HOST}"}).status == 405
    assert ask(gate, target, headers=inside).header("cache-control") == "no-store"
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert ask(gate, target, headers={**inside, **link}).status == 403


def test_answers_come_from_our_own_page_alone(id):
    gate = gated(everything)
    inside, own = let_in(gate), {"origin": f"http://{HOST}"}
    target = f"/synthetic/{id}/reading"
    assert ask(gate, target, method="POST", headers={**inside, **own}).status == 200
    assert ask(gate, target, method="POST", headers=own).status == 403, "no session"
    assert ask(gate, target, method="POST", headers=inside).status == 405, "a page says where it is from"
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9"):
        assert ask(gate, target, method="POST", headers={**inside, "origin": origin}).status == 403
    assert ask(gate, target, method="POST", headers={**inside, **own, "sec-fetch-site": "same-site"}).status == 403
    for method in ("PUT", "DELETE", "PATCH"):
        assert ask(gate, target, method=method, headers={**inside, **own}).status == 405
    for other in (f"/synthetic/{id}/reading/x", "/synthetic/x/reading", f"/synthetic/{id.upper()}/reading"):
        assert ask(gate, other, method="POST", headers={**inside, **own}).status in (404, 405)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"do": 1}', b'{"do": "tell", "reader": "x"}', b"\xff",
                                  b'{"do": "answer", "reader": "x", "place": 0, "rating": 1}'])  # fmt: skip
def test_turns_that_no_page_takes_are_not_found(app, id, body):
    assert ask(app, f"/synthetic/{id}/reading", method="POST", body=body).status == 404


def test_a_long_body_is_refused(app, id):
    assert ask(app, f"/synthetic/{id}/reading", method="POST", body=b" " * 5000).status == 413


def test_the_way_between_two_codes_keeps_its_distance_from_the_middle():
    a, b = np.array([3.0, 0], np.float32), np.array([0, 5.0], np.float32)
    way = between(a, b, np.array([0, 0.5, 1]))
    assert np.allclose(way[[0, 2]], [a, b]) and np.linalg.norm(way[1]) == pytest.approx(4)
    assert np.isfinite(between(a, -a, np.array([0.5]))).all()


def test_what_was_asked_for_changes_evenly_and_no_direction_changes_it():
    a, b = np.array([3.0, 0, 1, 0], np.float32), np.array([0, 5.0, 0, 1], np.float32)
    way = between(a, b, np.array([0, 0.25, 1]), told=2)
    assert way[1, 2:].tolist() == [0.75, 0.25] and np.linalg.norm(way[1, :2]) == pytest.approx(3.5)
    random = np.random.default_rng(0)
    codes = random.normal(size=(200, 4)).astype(np.float32)
    pictures = (128 + 30 * codes[:, 3, None, None] + 9 * codes[:, 1, None, None]).clip(0, 255) * np.ones((1, 8, 8))
    assert np.abs(directions(codes, pictures.astype(np.uint8))[0]).argmax() == 3
    held = directions(codes, pictures.astype(np.uint8), told=1)
    assert np.abs(held[0]).argmax() == 1 and np.abs(held[:, 3]).max() < 1e-6


def test_a_walk_is_drawn_with_what_is_asked_for():
    known = (Condition(name="class", values=("NORMAL", "PNEUMONIA")), Condition(name="age", low=20, high=80, mean=50))
    codes = np.array([[5.0, 6, 1, 0, 0.5]], np.float32)
    assert numbers(known) == 3 and with_asked(codes, known, "").tolist() == codes.tolist()
    assert with_asked(codes, known, "class=PNEUMONIA;age=35").tolist() == [[5, 6, 0, 1, 0.25]]
    for wrong in ("class=COVID", "age=90", "sex=f", "age"):
        with pytest.raises(UserError):
            with_asked(codes, known, wrong)
    assert conditions_of(None) == () and known[0].name == asked_for(known)[0]["name"]


def test_conditions_are_read_from_the_config_of_the_run(tmp_path):
    (tmp_path / "config.yaml").write_text("method: {name: conditional_gan, classes: [NORMAL, PNEUMONIA]}\n")
    assert [one.values for one in conditions_of(tmp_path)] == [("NORMAL", "PNEUMONIA")]
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.yaml").write_text("method: {name: gan}\n")
    assert conditions_of(other) == () and conditions_of(tmp_path / "gone") == ()


def test_directions_are_those_that_change_pictures():
    random = np.random.default_rng(0)
    codes = random.normal(size=(300, 5)).astype(np.float32)
    shape = random.uniform(20, 40, (8, 8))
    pictures = (128 + codes[:, 3, None, None] * shape + 0.2 * codes[:, 1, None, None] * shape.T).clip(0, 255)
    found = directions(codes, pictures.astype(np.uint8))
    assert np.abs(found[0]).argmax() == 3 and np.allclose(np.linalg.norm(found, axis=1), 1)


def test_a_concept_is_the_mean_of_its_codes():
    codes = np.array([[1, 0], [3, 0], [0, 2], [5, 5]], np.float32)
    assert mixed(codes, [0, 1], [2], [3]).tolist() == [[2, 0], [0, 2], [5, 5], [7, 3]]
