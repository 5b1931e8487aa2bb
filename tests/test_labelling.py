"""Labels and models together: train on what was read, look at the rest, say how right it is on the test set alone."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from label_scans import CLASSES, blobs, read, some, tiny, truth_of

from medudl import api
from medudl.config import validate_config
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.labelling.measure import measure
from medudl.labelling.prepare import prepare
from medudl.labels.store import LabelStore
from medudl.run import Run
from medudl.training.stop import Stopped
from medudl.training.trainer import Trainer


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """start -> 14 labels -> train -> a run and its ranking."""
    folder = tmp_path_factory.mktemp("labelling")
    cohort = blobs(folder / "scans", 40)
    store = api.label_start(folder / "scans" / "labels.sqlite", cohort, CLASSES)
    read(store, some(store))
    (folder / "said").write_text(
        "\n".join(api.label_train(store.path, tiny(), folder / "scans" / "run", progress=False))
    )
    return folder / "scans"


@pytest.fixture
def own(way: Path, tmp_path: Path) -> Path:
    """A copy, for a test that changes the store."""
    return Path(shutil.copytree(way, tmp_path / "own"))


def _store(way: Path) -> LabelStore:
    return LabelStore.open(way / "labels.sqlite")


def test_the_queue_holds_no_test_case_and_none_that_was_read(way: Path) -> None:
    store = _store(way)
    ranking = store.ranking()
    assert ranking is not None and ranking.run == "run" and ranking.labels == 10 and ranking.changed is None
    cases = {case.id: case for case in store.cases()}
    read_cases = {label.case for label in store.labels()}
    order = [picked.case for picked in ranking.order]
    pool = {id for id, case in cases.items() if not case.test} - read_cases
    assert set(order) == pool and len(order) == len(set(order)) == 40 - 8 - 10
    assert ranking.opinions.keys() == pool | {id for id, case in cases.items() if case.test}
    assert all(abs(sum(one.values()) - 1) < 1e-4 and one.keys() == set(CLASSES) for one in ranking.opinions.values())
    assert all(picked.why for picked in ranking.order)


def test_training_sees_no_label_of_a_test_patient(way: Path) -> None:
    run = Run.open(way / "run")
    tested = {case.subject for case in _store(way).cases() if case.test}
    scans = run.read_json("scans.json")
    names = {name for part in scans.values() for name in part}
    assert not [name for name in names for subject in tested if f"sub-{subject}_" in f"{name}_"]
    assert len(scans["labelled"]) + len(scans["val"]) == 10 and len(scans["train"]) + len(scans["val"]) == 32


def test_what_is_said_of_it_is_of_the_random_test_set_alone(way: Path) -> None:
    said = json.loads((way / "run" / "labels.json").read_text())
    store = _store(way)
    assert said["labels"] == 10 and said["patients"] == 10 and said["store"] == store.id
    assert said["test"]["cases"] == said["test"]["patients"] == 4 and said["test"]["balanced_accuracy"]["n"] == 4
    assert said["text"] in (way.parent / "said").read_text()
    ranking = store.ranking()
    assert ranking is not None
    # Wrong on every picked case that was read, it is as right as before.
    tested = {case.id for case in store.cases() if case.test}
    wrong = {id: {name: float(name != label) for name in CLASSES} for id, label in store.truth().items()}
    turned = {**wrong, **{id: one for id, one in ranking.opinions.items() if id in tested}}
    assert len(turned) > len(tested)
    assert measure(store, turned) == measure(store, ranking.opinions)
    known = json.dumps(said) + (way.parent / "said").read_text()
    assert known.lower().count("accuracy") == json.dumps(said).count("balanced_accuracy") + 2


def test_measured_by_hand(tmp_path: Path) -> None:
    """Of four test patients two are normal; both right, one sick of two: (1 + 1/2) / 2 = .75, error 1/4."""
    store = api.label_start(tmp_path / "labels.sqlite", blobs(tmp_path / "scans", 20), CLASSES, test_share=0.5)
    tested = [case for case in store.cases() if case.test]
    chosen = [c for name in CLASSES for c in [c for c in tested if truth_of(c.subject) == name][:2]]
    read(store, [case.id for case in chosen])
    calls = ["normal", "normal", "sick", "normal"]
    opinions = {
        case.id: {name: float(name == call) for name in CLASSES} for case, call in zip(chosen, calls, strict=True)
    }
    found = measure(store, opinions)
    assert found.balanced_accuracy is not None and found.error is not None
    assert found.balanced_accuracy.value == 0.75 and found.error.value == 0.25 and found.patients == found.cases == 4
    assert found.balanced_accuracy.low == 0.5 and found.balanced_accuracy.high == 1.0
    assert measure(store, {}).balanced_accuracy is None and "0 labelled cases" in measure(store, {}).text()


def test_the_next_training_tells_what_has_changed(own: Path, tmp_path: Path) -> None:
    store = _store(own)
    before = store.ranking()
    assert before is not None
    read(store, [picked.case for picked in before.order[:2]])
    lines = api.label_train(store.path, tiny(seed=1), own / "second", progress=False)
    ranking = store.ranking()
    assert ranking is not None and ranking.labels == 12 and ranking.run == "second"
    both = ranking.opinions.keys() & before.opinions.keys() - {case.id for case in store.cases() if case.test}
    differ = [
        max(before.opinions[c], key=before.opinions[c].__getitem__)
        != max(ranking.opinions[c], key=ranking.opinions[c].__getitem__)
        for c in both
    ]
    assert ranking.changed == pytest.approx(np.mean(differ)) and len(both) == 20
    assert any("Too early" in line for line in lines) and any("cannot be told yet" in line for line in lines)
    table = api.label_queue(store.path, n=3, unblind=True)
    assert "second, trained on 12 labels: 20 cases, the first 3" in table and len(table.splitlines()) == 5
    assert all(picked.case in table and picked.why in table for picked in ranking.order[:3])
    assert "accuracy" not in table
    again = api.label_queue(store.path, own / "run", n=2, progress=False)
    assert "run, trained on 10 labels: 20 cases" in again and store.rankings()[-1][2] == 10


def test_a_stopped_training_goes_on_with_what_it_began_with(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _store(own)
    original = Trainer.after_step

    def stop_at_two(self: Trainer, end: int) -> None:
        if self.at.step == 2:
            self.stop.number = 2
        original(self, end)

    monkeypatch.setattr(Trainer, "after_step", stop_at_two)
    with pytest.raises(Stopped):
        api.label_train(store.path, tiny(), own / "stopped", progress=False)
    count = len(store.rankings())
    newest = store.ranking()
    assert newest is not None
    read(store, [picked.case for picked in newest.order[:1]])
    monkeypatch.setattr(Trainer, "after_step", original)
    api.label_train(store.path, tiny(), own / "stopped", progress=False)
    assert Run.open(own / "stopped").meta["status"] == "finished"
    ranking = store.ranking()
    assert ranking is not None and len(store.rankings()) == count + 1
    known = json.loads((own / "stopped" / "labels.json").read_text())["labels"]
    assert ranking.labels == known == len({label.case for label in store.labels()}) - 4 - 1
    with pytest.raises(UserError, match="is trained, and its order is in the store"):
        api.label_train(store.path, tiny(), own / "stopped", progress=False)


def test_too_few_labels_say_which(tmp_path: Path) -> None:
    store = api.label_start(tmp_path / "labels.sqlite", blobs(tmp_path / "scans", 20), CLASSES)
    cohort = Cohort.read(tmp_path / "scans" / "cohort.csv")
    with pytest.raises(UserError, match="too few labels to train on: normal has no labelled patient outside"):
        prepare(store, tiny(), tmp_path / "run", cohort)
    cases = [case for case in store.cases() if not case.test]
    normal, sick = ([c.id for c in cases if truth_of(c.subject) == name] for name in CLASSES)
    read(store, [*normal[:3], *sick[:1], *(case.id for case in store.cases() if case.test)])
    with pytest.raises(UserError, match="train on: sick has 1 labelled patient outside the test set and takes two"):
        prepare(store, tiny(), tmp_path / "run", cohort)
    read(store, sick[1:2])
    assert prepare(store, tiny(), tmp_path / "run", cohort).settings.method["classes"] == CLASSES
    plain = validate_config({"method": {"name": "autoencoder"}}, "test")
    with pytest.raises(UserError, match="autoencoder: does not classify"):
        prepare(store, plain, tmp_path / "run", cohort)


def test_a_run_of_something_else_is_not_touched(way: Path, tmp_path: Path) -> None:
    store = api.label_start(tmp_path / "labels.sqlite", way / "cohort.csv", CLASSES)
    with pytest.raises(UserError, match="holds a run that was not trained from"):
        api.label_train(store.path, tiny(), way / "run", cohort=way / "cohort.csv", progress=False)
    other = api.label_start(tmp_path / "others.sqlite", way / "cohort.csv", ["left", "right"])
    with pytest.raises(UserError, match="knows a class normal; the store: left, right"):
        api.label_queue(other.path, way / "run", cohort=way / "cohort.csv", progress=False)
    assert other.ranking() is None


def test_test_patients_that_a_run_has_seen_get_no_opinion(way: Path, tmp_path: Path) -> None:
    """Another draw of the test set: the old run learnt from some of its patients."""
    store = api.label_start(tmp_path / "labels.sqlite", way / "cohort.csv", CLASSES, seed=5)
    seen = {s.subject for s in Run.open(way / "run").cohort().series() if s.split == "train"}
    said = api.label_queue(store.path, way / "run", cohort=way / "cohort.csv", progress=False)
    ranking = store.ranking()
    assert ranking is not None
    tested = {case.id for case in store.cases() if case.test and case.subject in seen}
    assert tested and not tested & ranking.opinions.keys() and f"{len(tested)} test patients are passed over" in said


def test_a_study_has_one_opinion_of_all_its_scans(tmp_path: Path) -> None:
    cohort = blobs(tmp_path / "scans", 16, two_of=8)
    store = api.label_start(tmp_path / "scans" / "labels.sqlite", cohort, CLASSES)
    assert store.unit == "study" and len(store.cases()) == 16
    read(store, some(store, train=8, test=3))
    api.label_train(store.path, tiny(), tmp_path / "run", progress=False)
    ranking = store.ranking()
    assert ranking is not None and len(ranking.opinions) == 16 - 8 and ranking.labels == 8


def test_what_was_exported_is_what_index_takes(way: Path, tmp_path: Path) -> None:
    store = _store(way)
    said = api.label_export(store.path, tmp_path / "out")
    assert "consensus.csv" in said[-1]
    cohort = api.index([way], tmp_path / "new" / "cohort.csv", labels=tmp_path / "out" / "consensus.csv")
    told = {Path(path).name: label for path, label in zip(cohort.table["path"], cohort.table["label"], strict=True)}
    paths = {case.id: f"{case.subject[1:]}-0.png" for case in store.cases()}
    assert {name: label for name, label in told.items() if label} == {
        paths[case]: label for case, label in store.truth().items()
    }
    back = api.label_start(tmp_path / "labels.sqlite", way / "cohort.csv", CLASSES)
    taken, notes = api.label_import(back.path, tmp_path / "out" / "labels.csv", reader="Ann", cohort=way / "cohort.csv")
    assert taken == len(store.labels()) and not notes and back.truth() == store.truth()
    assert len(pd.read_csv(tmp_path / "out" / "labels.csv")) == taken


def test_the_cost_of_a_label_is_the_median_of_first_reads(way: Path, tmp_path: Path) -> None:
    from medudl.label_curve import cost_of

    store = api.label_start(tmp_path / "labels.sqlite", way / "cohort.csv", CLASSES)
    with pytest.raises(UserError, match="no label in it was timed"):
        cost_of(store.path)
    cases = some(store, train=4, test=0)
    for case, seconds in zip(cases[:3], (2.0, 30.0, 7.0), strict=True):
        read(store, [case], seconds=seconds)
    read(store, cases[:1], seconds=100.0, occasion=1)
    more: dict[str, Any] = {"id": uuid.uuid4().hex, "reader": "Ben", "kind": "label", "value": "sick", "why": "import"}
    store.save(case=cases[3], **more)
    cost = cost_of(store.path)
    assert cost.seconds == 7.0 and cost.reads == 3 and cost.unit == "series"


def test_what_a_pretraining_has_seen_counts_too(own: Path, tmp_path: Path) -> None:
    """A classifier that began from a run on other splits: the test patients that run learnt from get no opinion."""
    rows = Cohort.read(own / "cohort.csv")
    store = _store(own)
    tested = sorted({case.subject for case in store.cases() if case.test})
    rows.table["split"] = ["val" if s not in tested[:3] and n % 3 == 0 else "train"
                           for n, s in enumerate(rows.table["subject"])]  # fmt: skip
    rows.write(tmp_path / "cohort.csv")
    method = {"name": "autoencoder", "latent": 4, "width": 4, "levels": 2}
    tree = {"method": method, "data": tiny().data.model_dump(), "train": tiny().train.model_dump()}
    api.train(validate_config(tree, "test"), tmp_path / "cohort.csv", tmp_path / "pretrained", progress=False)
    settings = {"method": {"name": "classifier", "init": str(tmp_path / "pretrained")}, "train": tree["train"]}
    config = validate_config(settings, "test")
    lines = api.label_train(store.path, config, tmp_path / "run", cohort=own / "cohort.csv", progress=False)
    learnt = {s.subject for s in Run.open(tmp_path / "pretrained").cohort().series() if s.split == "train"} & {*tested}
    assert len(learnt) >= 3 and any(f"{len(learnt)} test patients are passed over" in line for line in lines)
    ranking = store.ranking()
    assert ranking is not None
    told = {case.subject for case in store.cases() if case.test and case.id in ranking.opinions}
    assert told == {*tested} - learnt
