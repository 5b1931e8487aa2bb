"""The Train page: a real training begun, watched, stopped and resumed; and what is said where something is missing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from PIL import Image
from streamlit.testing.v1 import AppTest
from tiny_run import make_cohort, make_run, tiny_config

from apps.viewer.catalogue import Catalogue
from apps.viewer.house import Settings, open_house
from apps.viewer.process import Process
from apps.viewer.train_start import about, command, configs, resume_arguments
from apps.viewer.trainings import State, duration, speed, state_of
from medudl.api import config_path
from medudl.config import validate_config, write_config

Draw = Callable[..., AppTest]
LONG = 400  # steps that take longer than it takes to press a button


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Scans with a table, and a config of the folder's own that trains in seconds."""
    make_cohort(tmp_path / "viewed")
    config = tiny_config().model_copy(update={"train": tiny_config().train.model_copy(update={
        "steps": LONG, "batch_size": 2, "device": "cpu", "validate_every": 100, "checkpoint_every": 100,
        "sample_every": 100})})  # fmt: skip
    write_config(config, tmp_path / "viewed" / "tiny.yaml")
    return tmp_path / "viewed"


@pytest.fixture
def draw() -> Draw:
    """draw(folder, private=True, **query) -> the page of a viewer of this folder."""

    def script() -> None:
        from apps.viewer.pages.train import page

        page()

    def page(folder: Path, private: bool = True, **query: str) -> AppTest:
        open_house(Settings(folder=folder, private=private))
        app = AppTest.from_function(script, default_timeout=60)
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception
        return app

    return page


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def ended(folder: Path) -> Iterator[None]:
    """No process of a test outlives it."""
    yield
    for job in folder.glob(".medudl_train/*/job.json"):
        process = Process(folder / job.parent.name)
        if process.alive():
            os.kill(process._job()["pid"], signal.SIGKILL)


def text(app: AppTest) -> str:
    """All that the page says."""
    parts = [str(getattr(block.proto, "body", "")) for block in app.main if block.type in ("html", "markdown")]
    for kind in ("markdown", "html", "warning", "error", "info", "code"):
        parts += [str(getattr(block, "value", "") or getattr(block.proto, "body", "")) for block in app.get(kind)]
    return "\n".join(parts + [str(block.proto.text) for block in app.get("progress")])


def until(true: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.1)


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click()
    app.run()
    assert not app.exception, app.exception
    return app


def run_id(folder: Path, name: str) -> str:
    return Catalogue(folder).id_of("run", folder / name)


def test_a_folder_without_a_table_points_to_studies(draw: Draw, tmp_path: Path) -> None:
    assert "Open the Studies page" in text(draw(tmp_path))


def test_a_training_from_the_first_button_to_the_end(draw: Draw, folder: Path, ended: None) -> None:
    app = draw(folder)
    app.selectbox(key="train-config").select("tiny.yaml").run()
    assert "It will learn from 3 healthy scans and choose the best weights on 5 held-out ones." in text(app)
    assert "medudl train tiny.yaml --cohort cohort.csv -o tiny-1" in text(app)
    press(app, "Start the training")
    process = Process(folder / "tiny-1")
    assert process.alive() and run_id(folder, "tiny-1") in app.query_params["run"]
    assert state_of(folder / "tiny-1").kind in ("starting", "preparing")
    del app  # the page is closed
    until(lambda: state_of(folder / "tiny-1").kind == "running")
    app = draw(folder, run=run_id(folder, "tiny-1"))
    assert "Running." in text(app) and "for 400 steps" in text(app), "with what was estimated"
    press(app, "Stop safely")
    until(lambda: not process.alive())
    app.run()
    assert "with a checkpoint. It can go on." in text(app), text(app)
    stopped = json.loads((folder / "tiny-1" / "run.json").read_text())
    assert stopped["status"] == "stopped" and 0 < stopped["step"] < LONG
    press(app, "Go on")
    until(lambda: state_of(folder / "tiny-1").kind == "finished")
    app = draw(folder, run=run_id(folder, "tiny-1"))
    assert "Finished after 400 steps." in text(app) and "Step 400 of 400" in text(app)
    assert "best on held-out scans" in text(app)
    assert (folder / "tiny-1" / "calibration.json").is_file(), "the healthy thresholds are learnt too"
    assert "going on at step" in "\n".join(process.output())


def test_a_classifier_learns_from_labelled_scans(draw: Draw, folder: Path) -> None:
    rows = pd.read_csv(folder / "cohort.csv", dtype=str, keep_default_na=False)
    rows["split"] = ["train", "val", "test"] * 5 + ["train"] * (len(rows) - 15)
    rows.to_csv(folder / "cohort.csv", index=False)
    labelled = rows[rows["split"] == "train"]
    assert set(labelled["label"]) == {"healthy", "plaque"}
    tree = {**tiny_config().model_dump(), "method": {"name": "classifier", "body": tiny_config().method}}
    write_config(validate_config(tree, "test"), folder / "labels.yaml")
    app = draw(folder)
    app.selectbox(key="train-config").select("labels.yaml").run()
    expected = f"It will learn from {len(labelled)} labelled scans and choose the best weights on 5 held-out ones."
    assert expected in text(app), text(app)


def test_what_the_command_line_refuses_is_shown_as_its_sentence(draw: Draw, folder: Path, ended: None) -> None:
    tree = yaml.safe_load((folder / "tiny.yaml").read_text())
    tree["method"]["latnet"] = 3  # known only to the method, which the page does not load
    (folder / "slip.yaml").write_text(yaml.safe_dump(tree))
    app = draw(folder)
    app.selectbox(key="train-config").select("slip.yaml").run()
    press(app, "Start the training")
    until(lambda: not Process(folder / "slip-1").alive())
    app = draw(folder, run=run_id(folder, "slip-1"))
    assert "latnet" in text(app) and "did you mean latent" in text(app) and "Traceback" not in text(app)
    press(app, "Remove from the list")
    assert not Process(folder / "slip-1").known


def test_a_config_that_cannot_be_read_is_told_at_once(draw: Draw, folder: Path) -> None:
    (folder / "slip.yaml").write_text("method: {name: autoencoder}\ntrain: {stepps: 3}\n")
    app = draw(folder)
    app.selectbox(key="train-config").select("slip.yaml").run()
    assert "did you mean steps?" in text(app) and "Start the training" not in [b.label for b in app.button]


@pytest.mark.parametrize(
    ("name", "told"), [("run", "folder of this name"), ("../x", "Use letters"), ("", "Use letters")]
)
def test_a_name_that_cannot_be_used(draw: Draw, folder: Path, name: str, told: str) -> None:
    (folder / "run").mkdir()
    app = draw(folder)
    app.selectbox(key="train-config").select("tiny.yaml").run()
    app.text_input[0].set_value(name).run()
    assert told in text(app)
    assert next(button for button in app.button if button.label == "Start the training").disabled


def test_scans_without_a_part_to_validate_on(draw: Draw, tmp_path: Path) -> None:
    make_cohort(tmp_path / "viewed", val=0)
    write_config(tiny_config(), tmp_path / "viewed" / "tiny.yaml")
    app = draw(tmp_path / "viewed")
    app.selectbox(key="train-config").select("tiny.yaml").run()
    assert "No healthy scan in the val split" in text(app)
    assert next(button for button in app.button if button.label == "Start the training").disabled


def test_settings_become_overrides(draw: Draw, folder: Path) -> None:
    app = draw(folder)
    app.selectbox(key="train-config").select("tiny.yaml").run()
    app.number_input(key="train-steps-tiny.yaml").set_value(40).run()
    app.selectbox(key="train-device-tiny.yaml").select("cuda").run()
    app.multiselect[0].set_value(["FLAIR"]).run()
    told = "-o tiny-1 --set 'data.channels=[FLAIR]' --set train.steps=40 --set train.device=cuda"
    assert told in text(app), text(app)
    assert "--set train.validate_every=10 --set train.sample_every=10" in text(app), "so that there is something to see"


@pytest.fixture
def watched(folder: Path) -> Path:
    """A folder with a run that has ended, its curves and pictures."""
    run = make_run(folder / "run", folder / "cohort.csv")
    entries = [{"kind": "train", "step": s, "autoencoder/loss": 1 / s, "phase": 0} for s in range(10, 110, 10)]
    entries += [{"kind": "validation", "step": s, "loss": 1 / s, "phase": 0} for s in (50, 100)]
    (run.path / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    (run.path / "samples").mkdir()
    for step in (50, 100):
        Image.new("L", (48, 64), step).save(run.path / "samples" / f"step-{step:09d}.png")
    run.update({"step": 100})
    return folder


def test_curves_of_several_runs(draw: Draw, watched: Path) -> None:
    shutil.copytree(watched / "run", watched / "second")
    app = draw(watched, run=run_id(watched, "run"))
    (chart,) = app.get("plotly_chart")
    assert "held-out scans" in chart.proto.spec
    app.multiselect[0].set_value([app.multiselect[0].options and _named(app, "second")]).run()
    assert not app.exception
    assert "second: training (autoencoder)" in app.get("plotly_chart")[0].proto.spec


def _named(app: AppTest, name: str) -> object:
    from apps.viewer.house import house
    from apps.viewer.trainings import trainings

    return next(one for one in trainings(Catalogue(house().settings.folder), []) if one.name == name)


@pytest.mark.parametrize("view", ["Curves", "Pictures", "Settings", "Output"])
@pytest.mark.parametrize("harm", ["none", "deleted", "log cut", "config cut", "run.json cut", "pictures cut"])
def test_a_run_that_is_damaged_while_the_page_is_open(draw: Draw, watched: Path, view: str, harm: str) -> None:
    app = draw(watched, run=run_id(watched, "run"))
    app.session_state["train-view"] = view
    app.run()
    assert not app.exception
    run = watched / "run"
    if harm == "deleted":
        shutil.rmtree(run)
    names = {"log cut": "log.jsonl", "config cut": "config.yaml", "run.json cut": "run.json"}
    if harm in names:
        (run / names[harm]).write_bytes((run / names[harm]).read_bytes()[:37])
    if harm == "pictures cut":
        for picture in (run / "samples").iterdir():
            picture.write_bytes(picture.read_bytes()[:20])
    app.run()
    assert not app.exception, app.exception
    if harm == "deleted":
        assert "not in this folder any more" in text(app)
    if harm == "log cut" and view == "Curves":
        assert "deleted or emptied" in text(app) and "No curve yet" in text(app)
    if harm == "pictures cut" and view == "Pictures":
        assert "cannot be read" in text(app)
    if harm == "config cut" and view == "Settings":
        assert "cannot be read" in text(app)
    assert "Traceback" not in text(app) and str(watched) not in text(app)


def test_settings_that_differ(draw: Draw, watched: Path) -> None:
    shutil.copytree(watched / "run", watched / "second")
    tree = yaml.safe_load((watched / "second" / "config.yaml").read_text())
    tree["train"]["steps"] = 77
    (watched / "second" / "config.yaml").write_text(yaml.safe_dump(tree))
    app = draw(watched, run=run_id(watched, "run"))
    app.session_state["train-view"] = "Settings"
    app.run()
    (table,) = app.dataframe
    assert table.value.columns.tolist()[2:] == ["run", "second"]
    assert table.value.to_numpy().tolist() == [["Steps", "train.steps", "10000", "77"]]


def test_a_run_beside_a_file_of_settings(draw: Draw, watched: Path) -> None:
    app = draw(watched, run=run_id(watched, "run"))
    app.session_state["train-view"] = "Settings"
    app.run()
    app.selectbox(key=f"train-other-{run_id(watched, 'run')}").select("settings of tiny.yaml").run()
    (table,) = app.dataframe
    names = set(table.value["Name in the file"])
    assert names == {f"train.{n}" for n in ("steps", "batch_size", "device", "validate_every", "checkpoint_every",
                                            "sample_every")}  # fmt: skip


def test_guessed_names_and_places_stay_off_the_screen(draw: Draw, watched: Path) -> None:
    run, process = watched / "run", Process(watched / "run")
    meta = {"version": 1, "readings": {"the file": 17}}
    (run / "cohort.json").write_text(json.dumps(meta))
    tree = yaml.safe_load((run / "config.yaml").read_text())
    tree["data"]["cache"] = "/disk/miller"
    (run / "config.yaml").write_text(yaml.safe_dump(tree))
    process.place.mkdir(parents=True)
    (process.place / "output.txt").write_text("medudl: critic: loss is infinite at step 7, on s00, s01/0\n")
    for view in ("Curves", "Output", "Settings"):
        for private in (True, False):
            app = draw(watched, private=private, run=run_id(watched, "run"))
            app.session_state["train-view"] = view
            said = text(app.run())
            assert ("s00" in said) is not private, said
            assert "infinite at step 7" in said
            if view == "Settings":
                assert ("miller" in said) is not private


def test_no_pictures_yet(draw: Draw, watched: Path) -> None:
    shutil.rmtree(watched / "run" / "samples")
    app = draw(watched, run=run_id(watched, "run"))
    app.session_state["train-view"] = "Pictures"
    assert "the first is made at step 1,000" in text(app.run())


def test_alarms_are_shown(draw: Draw, watched: Path) -> None:
    with (watched / "run" / "log.jsonl").open("a") as stream:
        stream.write('{"kind": "train", "step": 110, "autoencoder/loss": NaN, "phase": 0}\n')
    assert "not a number" in text(draw(watched, run=run_id(watched, "run")))


def test_a_link_to_a_run_that_is_gone(draw: Draw, watched: Path) -> None:
    assert "not in this folder any more" in text(draw(watched, run="0" * 24))


def test_how_ended_trainings_stand(watched: Path) -> None:
    run, process = watched / "run", Process(watched / "run")

    def stands(status: str) -> State:
        meta = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**meta, "status": status}))
        return state_of(run)

    assert stands("finished").kind == "finished" and not state_of(run).resumable
    assert stands("stopped").kind == "stopped" and "step 100" in state_of(run).told
    assert stands("training").kind == "lost" and "from step 100" in state_of(run).told and state_of(run).resumable
    process.place.mkdir(parents=True)
    (process.place / "output.txt").write_text("going on\nmedudl: critic: loss is not a number (NaN) at step 7\n")
    assert state_of(run).kind == "failed" and "Critic: loss is not a number (NaN) at step 7." == state_of(run).told
    os.utime(process.place / "output.txt", (1, 1))
    assert state_of(run).kind == "lost", "it has gone on since, in a terminal"


def test_one_that_is_trained_in_a_terminal(draw: Draw, watched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.viewer.trainings.is_trained", lambda _: True)
    app = draw(watched, run=run_id(watched, "run"))
    assert "outside this viewer" in text(app)
    assert not {"Stop safely", "Go on"} & {button.label for button in app.button}


def test_configs_are_named_as_the_command_line_takes_them(folder: Path) -> None:
    (folder / "denoising_autoencoder").mkdir()
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "a.yaml").write_text("method: {}\n")
    (folder / "other.yaml").write_text("a: 1\n")
    known = configs(folder)
    assert {"denoising_autoencoder", "demo/denoising_autoencoder", "tiny.yaml"} <= known.keys()
    assert not {"other.yaml", ".hidden/a.yaml"} & known.keys()
    here = Path.cwd()
    os.chdir(folder)
    try:
        assert all(config_path(name).resolve() == path.resolve() for name, path in known.items())
    finally:
        os.chdir(here)
    assert about(known["demo/denoising_autoencoder"]).startswith("Minutes on two cores") and about(folder / "x") == ""
    assert about(known["denoising_autoencoder"]).endswith("(Kascenas et al. 2022), for anomaly maps.")


def test_the_command_to_go_on() -> None:
    arguments = resume_arguments(Path("/viewed/my runs/a"), Path("/viewed"))
    assert command(arguments) == (
        "medudl train 'my runs/a/config.yaml' --cohort 'my runs/a/cohort.csv' -o 'my runs/a' --resume"
    )


def test_speed_and_time_left() -> None:
    assert speed((100, 1000.0), 300, now=1050.0) == 4.0
    assert speed(None, 300) is None and speed((100, 1000.0), 100, now=1050.0) is None
    assert [duration(s) for s in (0.2, 89, 600, 20_000)] == ["1 s", "89 s", "10 min", "5 h 33 min"]
