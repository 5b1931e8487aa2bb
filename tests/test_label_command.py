"""`medudl label` as a team types it: the whole way, and one line for what cannot be."""

from __future__ import annotations

import io
import json
import logging
import signal
import subprocess
import sys
import time
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from label_scans import CLASSES, blobs, read, some, truth_of

from medudl import cli
from medudl.data.cohort import Cohort
from medudl.labels.store import LabelStore

CONFIG = """
method: {name: semi_supervised_gan, latent: 4, width: 4}
data: {foreground: none, intensity: {kind: window, low: 0, high: 255}, cache_workers: 1}
train: {steps: 4, batch_size: 4, validate_every: 2, checkpoint_every: 2, sample_every: 50, device: cpu}
"""


def medudl(*args: str | Path) -> tuple[int, str, str]:
    """The command line in this process: exit code, standard output and error."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
        patch.setattr(sys, "argv", ["medudl", *map(str, args)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    logging.disable(logging.NOTSET)
    return int(str(end.value.code)), out.getvalue(), err.getvalue()


def said(*args: str | Path) -> str:
    """Standard output of a command that has to end well."""
    code, out, err = medudl(*args)
    assert code == 0, err
    return out


def refused(*args: str | Path) -> str:
    """The one line of a command that has to refuse."""
    code, _, err = medudl(*args)
    (line,) = [line for line in err.splitlines() if line.strip()]
    assert code == 2 and line.startswith("medudl: ") and len(line) < 600
    return line


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """start -> 12 labels -> train -> queue -> export, by the commands."""
    folder = tmp_path_factory.mktemp("label") / "scans"
    cohort = blobs(folder, 30)
    (folder / "tiny.yaml").write_text(CONFIG)
    store = folder / "labels.sqlite"
    (folder / "started").write_text(said("label", store, "start", cohort, "--classes", "normal, sick"))
    opened = LabelStore.open(store)
    read(opened, some(opened, train=8, test=4))
    trained = said("label", store, "train", folder / "tiny.yaml", "-o", folder / "run")
    (folder / "trained").write_text(trained)
    (folder / "queued").write_text(said("label", store, "queue", "-n", "5"))
    (folder / "exported").write_text(said("label", store, "export", "-o", folder.parent / "out"))
    return folder


def test_the_whole_way(way: Path) -> None:
    store = LabelStore.open(way / "labels.sqlite")
    assert store.classes == CLASSES and "30 cases, one a series, 6 of them of the random test set" in (
        way / "started"
    ).read_text()  # fmt: skip
    trained = (way / "trained").read_text()
    assert "Trained on 8 labels of 8 patients" in trained and "4 labelled cases of 4 patients of the random" in trained
    queued = (way / "queued").read_text().splitlines()
    assert len(queued) == 2 + 5 and queued[1].split() == ["case", "subject", "study", "kind", "why"]
    tests = {case.id for case in store.cases() if case.test}
    assert not [line for line in queued[2:] if line.split()[1] in tests]
    ranking = store.ranking()
    assert ranking is not None and not {picked.case for picked in ranking.order} & tests
    assert {"labels.csv", "consensus.csv", "events.csv", "data_dictionary.csv"} == {
        path.name for path in (way.parent / "out").iterdir()
    }
    new = way.parent / "new" / "cohort.csv"
    said("index", way, "-o", new, "--labels", way.parent / "out" / "consensus.csv")
    truth = {case.subject: store.truth()[case.id] for case in store.cases() if case.id in store.truth()}
    assert len(truth) == 12 and all(truth_of(subject) == label for subject, label in truth.items())
    assert sum(line.split(",")[10] in CLASSES for line in new.read_text().splitlines()[1:]) == 12


def test_accuracy_is_said_of_the_random_test_set_alone(way: Path) -> None:
    """Of all that the commands print and write, one figure is an accuracy, and it names its test cases."""
    told = [(way / name).read_text() for name in ("started", "trained", "queued", "exported")]
    lines = [line for text in told for line in text.splitlines() if "accuracy" in line.lower() or "right" in line]
    assert len(lines) == 1 and "of the random test set" in lines[0]
    tree = json.loads((way / "run" / "labels.json").read_text())
    assert tree["test"]["cases"] == 4 and [key for key in tree if "accuracy" in json.dumps(tree[key]).lower()] in (
        ["test", "text"], ["test"],
    )  # fmt: skip
    out = "".join(path.read_text() for path in (way.parent / "out").iterdir())
    assert "accuracy" not in out.lower()


def test_agreement_is_told_and_written(way: Path, tmp_path: Path) -> None:
    store = tmp_path / "labels.sqlite"
    said("label", store, "start", way / "cohort.csv", "--classes", "normal,sick", "--test-share", "0")
    opened = LabelStore.open(store)
    cases = some(opened, train=6, test=0)
    read(opened, cases, reader="Ann")
    read(opened, cases[:5], reader="Ben")
    wrong = next(name for name in CLASSES if name != opened.truth()[cases[5]])
    opened.save(id="0" * 32, reader="Ben", kind="label", case=cases[5], value=wrong)
    told = said("label", store, "agreement", "-o", tmp_path / "out")
    assert "Ann and Ben" in told and "kappa" in told and cases[5] in told
    tree = json.loads((tmp_path / "out" / "agreement.json").read_text())
    assert tree["readers"] == ["Ann", "Ben"] and [one["case"] for one in tree["adjudication"]] == [cases[5]]
    assert (tmp_path / "out" / "adjudication.csv").read_text().splitlines()[0] == "case,subject,study,Ann,Ben,decided"


def test_labels_come_in_by_csv(way: Path, tmp_path: Path) -> None:
    store = tmp_path / "labels.sqlite"
    said("label", store, "start", way / "cohort.csv", "--classes", "normal,sick")
    (tmp_path / "mine.csv").write_text("subject,label\np00,normal\np01,sick\np02,odd\nnobody,sick\n")
    command = ("label", store, "import", tmp_path / "mine.csv", "--reader", "Ann", "--cohort", way / "cohort.csv")
    code, out, err = medudl(*command)
    assert code == 0 and "2 labels taken in, 2 left out" in out
    assert len(err.splitlines()) == 2 and LabelStore.open(store).readers() == ["Ann"]
    assert "--reader NAME" in refused("label", store, "import", tmp_path / "mine.csv", "--cohort", way / "cohort.csv")
    assert "no such file; say where" in refused("label", store, "import", tmp_path / "mine.csv", "--reader", "Ann")


def test_what_cannot_be_is_one_line(way: Path, tmp_path: Path) -> None:
    store = way / "labels.sqlite"
    assert "exists" in refused("label", store, "start", way / "cohort.csv", "--classes", "a,b")
    new = tmp_path / "labels.sqlite"
    assert "1 classes" in refused("label", new, "start", way / "cohort.csv", "--classes", "a")
    assert not new.exists()
    assert "no such label store" in refused("label", new, "queue")
    assert "a folder; give the file of labels in it" in refused("label", way, "queue")
    (tmp_path / "text.sqlite").write_text("not a database")
    assert "text.sqlite" in refused("label", tmp_path / "text.sqlite", "agreement")
    assert "is trained, and its order is in the store" in refused(
        "label", store, "train", way / "tiny.yaml", "-o", way / "run"
    )
    assert "does not classify" in refused("label", store, "train", "autoencoder", "-o", tmp_path / "run")
    assert "no labelled case came as DICOM" in refused("label", store, "export", "--dicom", "-o", tmp_path / "out")
    assert "no such run" in refused("label", store, "queue", "--run", tmp_path / "none")
    assert "Missing command" in refused("label", store)
    assert "goes with --label-curve" in refused("evaluate", way / "run", "--labels", "5", "-o", tmp_path / "out")
    assert "whole numbers parted by commas" in refused(
        "evaluate", way / "run", "--label-curve", "--labels", "5,x", "-o", tmp_path / "out"
    )
    said("label", new, "start", way / "cohort.csv", "--classes", "normal,sick")
    assert "no model has looked at it yet" in refused("label", new, "queue")
    line = refused("label", new, "train", way / "tiny.yaml", "-o", tmp_path / "run", "--cohort", way / "cohort.csv")
    assert "too few labels to train on: normal has no labelled patient" in line
    assert not (tmp_path / "run").exists() and not (tmp_path / "out").exists()


def test_the_queue_says_what_the_model_thinks_only_where_it_is_asked_for(way: Path) -> None:
    store = way / "labels.sqlite"
    ranking = LabelStore.open(store).ranking()
    assert ranking is not None
    opinions = [picked.why for picked in ranking.order if "%" in picked.why]
    plain, told = said("label", store, "queue", "-n", "30"), said("label", store, "queue", "-n", "30", "--unblind")
    assert opinions and "%" not in plain and "The model is unsure of this case." in plain
    assert all(why in told for why in opinions)


def test_a_cohort_that_has_grown(way: Path, tmp_path: Path) -> None:
    store, cohort = tmp_path / "labels.sqlite", tmp_path / "cohort.csv"
    rows = (way / "cohort.csv").read_text().splitlines()
    cohort.write_text("\n".join(rows[:21]) + "\n")
    assert "20 cases" in said("label", store, "start", cohort, "--classes", "normal,sick")
    cohort.write_text("\n".join(rows) + "\n")
    assert "labels.sqlite grow" in refused("label", store, "start", cohort, "--classes", "normal,sick")
    assert "10 new; " in (told := said("label", store, "grow")) and "30 cases, one a series, 6 of them" in told
    assert "0 new; " in said("label", store, "grow", "--cohort", way / "cohort.csv")
    other = blobs(tmp_path / "other", 3)
    other.write_text(other.read_text().replace("p0", "q0"))
    assert "has none of its scans" in refused("label", store, "grow", "--cohort", other)


@pytest.mark.parametrize(
    ("split", "options", "told"),
    [
        ([*["train"] * 6, *["test"] * 2], (), ""),
        ([""] * 8, ("--test-share", "0"), "no patient is of the test set"),
        ([*["train"] * 3, *["test"] * 5], (), "outside the test set are 3 cases of 3 patients: a model takes two"),
        ([*["train"] * 4, *["test"] * 5], (), "most cases are of the test set, since patients stay whole"),
        ([""], (), "outside the test set is 1 case of 1 patient"),
    ],
)
def test_a_store_that_nothing_can_be_learnt_from_says_so(
    split: list[str], options: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    cohort = Cohort.read(blobs(tmp_path / "scans", len(split)))
    cohort.table["split"] = split
    cohort.write(tmp_path / "scans" / "cohort.csv")
    code, out, err = medudl(
        "label", tmp_path / "labels.sqlite", "start", tmp_path / "scans" / "cohort.csv", "--classes", "a,b", *options
    )
    assert code == 0 and told in err and bool(err) == bool(told)
    whose = f"{split.count('test')} of them of the test set (the split of the table)" if "test" in split else "random"
    assert whose in out and ("1 case, one" in out) == (len(split) == 1)


def test_a_class_may_have_a_comma_in_quotes(way: Path, tmp_path: Path) -> None:
    store = tmp_path / "labels.sqlite"
    said("label", store, "start", way / "cohort.csv", "--classes", 'Lungenödem, "sick, mild" ,5" ball')
    assert LabelStore.open(store).classes == ["Lungenödem", "sick, mild", '5" ball']


def test_ctrl_c_says_how_to_go_on(way: Path, tmp_path: Path) -> None:
    command = ["label", way / "labels.sqlite", "train", way / "tiny.yaml", "-o", way / "long", "--set",
               "train.steps=100000"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "medudl.cli", *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 120
    while not (way / "long" / "weights.safetensors").is_file() and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command goes on from there" in err


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys\nfrom medudl import cli\n"
        "try:\n    cli.app(['label', '--help'], standalone_mode=False)\nexcept SystemExit:\n    pass\n"
        "print({'torch', 'monai', 'numpy', 'pandas', 'scipy', 'sqlite3'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.rstrip().endswith("set()"), done.stdout[-300:]
    assert all(verb in done.stdout for verb in ("start", "grow", "import", "export", "agreement", "queue", "train"))
