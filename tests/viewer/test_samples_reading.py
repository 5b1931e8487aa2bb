"""The blind reader test: nothing is told early, nothing is lost, and the figure at the end is an honest one."""

import json
from pathlib import Path

import numpy as np
import pytest
from asking import ask
from samples_folders import write_samples
from starlette.applications import Starlette

from apps.viewer import house as shared
from apps.viewer.house import Settings, open_house
from apps.viewer.samples_addresses import SAMPLES_ROUTES
from apps.viewer.samples_auc import auc, caution, verdict
from apps.viewer.samples_desk import Offered
from apps.viewer.samples_folder import read_samples
from apps.viewer.samples_reading import PLACE, Reading, most, readers, slug
from medudl.errors import UserError
from medudl.tasks.sample import sample

ID = "0" * 24


@pytest.fixture
def folder(tmp_path):
    before = list(shared._open)
    write_samples(tmp_path / "samples", held_out=12)
    opened = open_house(Settings(tmp_path))
    opened.samples.offer(Offered(ID, tmp_path / "samples", None))
    yield tmp_path / "samples"
    opened.close()
    shared._open[:] = before


def turn(**asked):
    app = Starlette(routes=SAMPLES_ROUTES)
    return ask(app, f"/synthetic/{ID}/reading", method="POST", body=json.dumps({"reader": "Anna", **asked}).encode())


def about(answer) -> dict:
    assert answer.status == 200, answer.body
    return json.loads(answer.header("x-about"))


def lines(folder: Path, name: str = "anna") -> list[dict]:
    return [json.loads(line) for line in (folder / PLACE / f"{name}.jsonl").read_text().splitlines()]


def test_before_the_end_an_answer_says_a_place_and_nothing_that_differs_by_kind(folder):
    reading = Reading(read_samples(folder), "Anna")
    seen, answer = set(), turn(do="begin", n=20)
    order = Reading(read_samples(folder), "Anna").order
    files = {"real": np.load(folder / "held_out.npy"), "synthetic": np.load(folder / "pictures.npy")}
    for place in range(20):
        told = about(answer)
        assert told == {"shape": [1, 32, 32], "place": place, "of": 20}
        assert answer.body == files[order[place].kind][order[place].row].tobytes()
        head = [(name, value) for name, value in answer.headers if name != "x-about"]
        seen.add((len(answer.body), len(answer.headers), json.dumps(head)))
        answer = turn(do="answer", place=place, rating=3, seconds=1.5)
    assert len(seen) == 1, "size and headers are the same for every image"
    assert about(answer)["auc"] == 0.5 and not reading.began
    assert sorted(item.kind for item in order) == ["real"] * 10 + ["synthetic"] * 10
    assert len({item.id for item in order}) == 20


def test_every_reader_has_the_same_images_in_an_order_of_his_own(folder):
    samples = read_samples(folder)
    orders = []
    for name in ("Anna", "Bert", "Carl"):
        reading = Reading(samples, name)
        reading.begin(20)
        orders.append(reading.order)
    assert len({tuple(order) for order in orders}) == 3 and len({frozenset(order) for order in orders}) == 1
    assert [one.reader for one in readers(samples)] == ["Anna", "Bert", "Carl"]


def test_answers_are_lines_that_stay_and_the_test_goes_on_where_it_stopped(folder):
    turn(do="begin", n=20)
    turn(do="answer", place=0, rating=1, seconds=2.345)
    turn(do="answer", place=1, rating=5, seconds=1)
    assert about(turn(do="undo"))["place"] == 1
    kept = lines(folder)
    first, order = kept[0], Reading(read_samples(folder), "Anna").order
    assert first["case"] == order[0].id and first["truth"] == order[0].kind and first["answer"] == "real"
    assert first["confidence"] == 3 and first["seconds"] == 2.35 and first["time"].endswith("+00:00")
    assert len(kept) == 3 and kept[2]["undo"] == order[1].id, "what was taken back stays on the record"
    with (folder / PLACE / "anna.jsonl").open("a") as stream:
        stream.write('{"case": "cut o')
    again = about(turn(do="begin", n=40))
    assert again["place"] == 1 and again["of"] == 20, "resumed, whatever length is asked for now"
    assert about(turn(do="answer", place=1, rating=2, seconds=1))["place"] == 2
    assert Reading(read_samples(folder), "anna ").ratings() == [1, 2]


def test_an_image_is_answered_once(folder):
    turn(do="begin", n=20)
    turn(do="answer", place=0, rating=1)
    late = turn(do="answer", place=0, rating=6)
    assert late.status == 422 and b"another window" in late.body and len(lines(folder)) == 1
    for wrong in ({"rating": 7}, {"rating": 0}, {"rating": True}, {"rating": "1"}, {"place": -1}, {"place": None}):
        assert turn(**{"do": "answer", "place": 1, "rating": 1, **wrong}).status == 404
    assert about(turn(do="undo"))["place"] == 0 and about(turn(do="undo"))["place"] == 0


def test_an_answer_is_on_the_disk_before_the_next_image_goes_out(folder, monkeypatch):
    turn(do="begin", n=20)
    done: list[str] = []
    monkeypatch.setattr("os.fsync", lambda file: done.append("kept"))
    monkeypatch.setattr("apps.viewer.samples_turns.raw", lambda *given: done.append("shown") or answer(*given))
    from apps.viewer.samples_routes import raw as answer

    turn(do="answer", place=0, rating=1)
    assert done == ["kept", "shown"]


def test_the_end_tells_the_figure_and_shows_what_was_mistaken(folder):
    turn(do="begin", n=20)
    order = Reading(read_samples(folder), "Anna").order
    for place, item in enumerate(order):
        rating = 6 if item.kind == "synthetic" else 1
        answer = turn(do="answer", place=place, rating=7 - rating if place == 0 else rating, seconds=1)
    told = about(answer)
    assert told["auc"] == pytest.approx(0.95) and told["low"] < 0.9 < told["high"]
    assert told["told"][0].startswith("You could tell them apart better than chance: AUC .95 (")
    assert "right in 19 of 20" in " ".join(told["told"]) and told["mistaken"] == [order[0].kind]
    assert about(turn(do="undo"))["place"] == 20, "after the end nothing is taken back"
    assert turn(do="answer", place=20, rating=1).status == 422


def test_names_and_changes_that_spoil_a_test_are_sentences(folder, tmp_path):
    for name in ("", "  ", "...", "../x", "a/b", "x" * 61, "a\nb\x00"):
        assert turn(do="begin", n=20, reader=name).status == 422, name
    turn(do="begin", n=20)
    pictures = np.load(folder / "pictures.npy")
    np.save(folder / "pictures.npy", pictures[::-1])
    changed = turn(do="begin", n=20)
    assert changed.status == 422 and b"changed since" in changed.body
    few = read_samples(write_samples(tmp_path / "few", held_out=3))
    with pytest.raises(UserError, match="5 images of each kind"):
        Reading(few, "Anna").begin(20)
    assert most(read_samples(write_samples(tmp_path / "none", held_out=0))) == 0


def test_samples_that_readers_have_judged_are_not_made_anew(folder):
    turn(do="begin", n=20)
    with pytest.raises(UserError, match="readers have judged these samples"):
        sample(folder.parent / "run", 4, folder)
    assert Reading(read_samples(folder), "Anna").began


def test_names_of_files_are_equal_for_equal_names_alone():
    assert slug("Anna") == slug("anna") == "anna"
    assert slug("Dr. M\u00fcller") != slug("Dr. Moller") and slug("Dr. M\u00fcller").isascii()
    assert slug("\u674e") != slug("\u738b") and "/" not in slug("../../x")


def test_a_read_only_folder_is_a_sentence(folder, monkeypatch):
    turn(do="begin", n=20)

    def refused(*given, **also):
        raise PermissionError

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(UserError, match="read-only"):
        reading = Reading.__new__(Reading)
        reading._log = folder / "x.jsonl"
        reading._append({})


def test_the_area_counts_pairs_and_its_interval_is_never_empty():
    truth = [False, False, True, True]
    assert auc(truth, [1, 2, 3, 4]).value == 1 and auc(truth, [1, 1, 1, 1]).value == 0.5
    all_right = auc([False] * 30 + [True] * 30, [1] * 30 + [6] * 30)
    assert all_right.high == 1 and 0.85 < all_right.low < 0.97
    mirrored = auc([False] * 30 + [True] * 30, [6] * 30 + [1] * 30)
    assert mirrored.low == 0 and mirrored.high == pytest.approx(1 - all_right.low)
    assert np.isnan(auc([True, True], [1, 2]).value)


def test_its_interval_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    for shift, area in ((0.0, 0.5), (1.19, 0.8), (2.33, 0.95)):  # area = Phi(shift / sqrt 2)
        truth = [False] * 30 + [True] * 30
        found = [auc(truth, np.r_[random.normal(0, 1, 30), random.normal(shift, 1, 30)]) for _ in range(400)]
        covered = np.mean([one.low <= area <= one.high for one in found])
        print(f"area {area}: covered {covered:.3f} of 400")
        assert 0.92 <= covered <= 0.985


def test_words_say_what_the_figure_means_and_what_not():
    chance = auc([False, True] * 30, [1, 2, 2, 1] * 15)
    assert verdict(chance) == "You could not tell them apart better than chance: AUC .50 (.36 to .64), n = 60."
    assert "does not prove" in caution(chance) and "up to .64" in caution(chance)
    right = auc([False, True] * 30, [1, 6] * 30)
    assert verdict(right).startswith("You could tell them apart better than chance: AUC 1.00") and caution(right) == ""
    assert "wrong way round" in verdict(auc([False, True] * 30, [6, 1] * 30))
