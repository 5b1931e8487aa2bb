"""The Label page before the first case: a store made from a form, chosen, and told of where it cannot be opened."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from label_folders import save, write_cases, write_store
from streamlit.testing.v1 import AppTest

from apps.viewer import house as shared
from apps.viewer import label_component
from apps.viewer.house import Settings, house, open_house
from apps.viewer.label_train import arguments, begin, free_run, newest, training_of
from apps.viewer.process import Process
from medudl.labels.store import LabelStore

Draw = Callable[..., AppTest]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the component is told."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(label_component, "_mount", lambda: lambda **given: told.append(given["data"]))
    return told


@pytest.fixture
def draw(sent: list[dict[str, Any]]) -> Iterator[Draw]:
    """draw(folder, **query) -> the page of a viewer of this folder."""
    before = list(shared._open)

    def script() -> None:
        from apps.viewer.pages.label import page

        page()

    def page(folder: Path, **query: str) -> AppTest:
        open_house(Settings(folder=folder))
        app = AppTest.from_function(script, default_timeout=60)
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception
        return app

    yield page
    house().close()
    shared._open[:] = before


def words(app: AppTest) -> str:
    """All that stands on the page."""
    kinds = ("html", "error", "info", "subheader")
    return "\n".join(str(getattr(one, "value", "") or one.proto) for kind in kinds for one in app.get(kind))


def test_a_store_is_made_by_typing_the_classes(draw: Draw, tmp_path: Path, sent: list[dict[str, Any]]) -> None:
    write_cases(tmp_path / "viewed", 5)
    app = draw(tmp_path / "viewed")
    app.text_input[0].set_value("normal").run()
    app.button[0].click().run()
    assert "at least 2 classes" in app.error[0].value and not (tmp_path / "viewed" / "labels.sqlite").exists()
    app.text_input[0].set_value(" normal,  sick ,")
    app.radio[0].set_value("study")
    app.slider[0].set_value(40)
    app.button[0].click().run()
    store = LabelStore.open(tmp_path / "viewed" / "labels.sqlite")
    assert store.classes == ["normal", "sick"] and store.unit == "study"
    assert sum(case.test for case in store.cases()) == 2
    assert sent[-1]["classes"] == ["normal", "sick"] and sent[-1]["unit"] == "study"
    assert str(tmp_path) not in json.dumps(sent)


def test_classes_that_no_store_takes_are_told_without_the_place(draw: Draw, tmp_path: Path) -> None:
    write_cases(tmp_path / "viewed", 3)
    app = draw(tmp_path / "viewed")
    app.text_input[0].set_value("a, A")
    app.button[0].click().run()
    assert "there twice" in app.error[0].value and str(tmp_path) not in app.error[0].value


def test_of_several_stores_the_address_names_one(draw: Draw, tmp_path: Path, sent: list[dict[str, Any]]) -> None:
    write_store(tmp_path / "viewed" / "a", 3)
    write_store(tmp_path / "viewed" / "b", 4)
    app = draw(tmp_path / "viewed")
    first = sent[-1]["id"]
    assert app.selectbox[0].options == ["a/labels.sqlite", "b/labels.sqlite"]
    app.selectbox[0].select_index(1).run()
    assert sent[-1]["id"] != first
    again = draw(tmp_path / "viewed", store="0" * 24)
    assert "not in this folder any more" in words(again) and sent[-1]["id"] == first


def test_nothing_to_label_and_stores_that_cannot_be_opened(draw: Draw, tmp_path: Path) -> None:
    (tmp_path / "viewed").mkdir()
    assert "Nothing to label yet" in words(draw(tmp_path / "viewed"))
    (tmp_path / "viewed" / "labels.sqlite").write_bytes(b"no database" * 100)
    told = words(draw(tmp_path / "viewed"))
    assert "cannot be opened" in told and str(tmp_path) not in told


def test_labels_without_their_scans_are_told(draw: Draw, tmp_path: Path, sent: list[dict[str, Any]]) -> None:
    store = write_store(tmp_path / "viewed", 3)
    (store.path.parent / "cohort.csv").unlink()
    assert "The scans of these labels are not here" in words(draw(tmp_path / "viewed")) and sent == []


def test_a_training_is_ordered_as_the_command_line_takes_it(draw: Draw, tmp_path: Path, monkeypatch: Any) -> None:
    store = write_store(tmp_path / "viewed", 6)
    draw(tmp_path / "viewed")
    (pool,) = house().labels._pools.values()
    for n, case in enumerate(case for case in store.cases() if not case.test):
        save(store, case.id, store.classes[n % 2])
    run = free_run(store.path)
    common = ["label", "labels.sqlite", "train"]
    rest = ["-o", "labels-model-1", "--cohort", "cohort.csv"]
    assert arguments(pool, run) == [*common, *rest, "--set", 'data.where={"contrast": "T1"}']
    (tmp_path / "viewed" / "label.yaml").write_text("method: {name: classifier}")
    assert arguments(pool, run) == [*common, "label.yaml", *rest]
    started: list[list[str]] = []
    monkeypatch.setattr(Process, "start", lambda self, words, folder: started.append(list(words)))
    begin(pool)
    assert started == [[*common, "label.yaml", *rest]] and newest(store.path) is None
    assert training_of(pool)["alive"] is False
