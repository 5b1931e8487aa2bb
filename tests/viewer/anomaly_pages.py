"""A folder with scans, a run, its maps and a report, and the Anomalies page over it, for tests."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from tiny_run import make_cohort, make_run

from apps.viewer import background, component
from apps.viewer.house import Settings, open_house
from medudl import api
from medudl.tasks.calibrate import calibrate

Draw = Callable[..., AppTest]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans, a run, its maps of the test scans and a report."""
    folder = tmp_path_factory.mktemp("anomalies") / "viewed"
    run = make_run(folder / "run", make_cohort(folder / "scans"))
    calibrate(run)
    api.detect(run.path, folder / "scans" / "cohort.csv", folder / "maps", split="test", progress=False)
    api.evaluate(run.path, folder / "scans" / "cohort.csv", out=folder / "report", progress=False)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(made, tmp_path / "viewed")
    return tmp_path / "viewed"


@pytest.fixture
def entered() -> Iterator[Callable[..., None]]:
    """entered(folder) makes a viewer of it; its workers end with the test."""
    houses = []
    yield lambda folder, **options: houses.append(open_house(Settings(folder=folder, **options)))
    for one in houses:
        one.store.close()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What the component was last told: a real one needs a browser."""
    told: list[dict] = []

    def mount(**arguments: object) -> dict:
        told.append(dict(arguments["data"]))  # type: ignore[call-overload]
        return {}

    monkeypatch.setattr(component, "_mount", lambda: mount)
    return told


@pytest.fixture
def draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: list[dict], entered) -> Draw:
    """draw(folder, private=True, **query) -> the page of a viewer of this folder."""
    monkeypatch.setattr(background.tempfile, "gettempdir", lambda: str(tmp_path))

    def script() -> None:
        from apps.viewer.pages.anomalies import page

        page()

    def page(folder: Path, private: bool = True, **query: str) -> AppTest:
        entered(folder, private=private)
        app = AppTest.from_function(script, default_timeout=60)
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    return page


def said(app: AppTest) -> str:
    """Every word on the page."""
    assert not app.exception, app.exception
    words = []
    for block in app.main:
        value = getattr(block, "value", None)
        words.append(str(value) if value is not None else "")
        words.append(str(getattr(getattr(block, "proto", None), "body", "")))
    return "\n".join(words)
