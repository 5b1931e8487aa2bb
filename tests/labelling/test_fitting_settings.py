"""Settings that nobody gave: they fit the scans of the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medudl import api
from medudl.config import Config, read_config
from medudl.data.cohort import Cohort, Series
from medudl.label_api import default_settings
from medudl.labelling import settings as fit

FILM = Series("p", "s", "v", modality="DX", path="a.png", format="png", shape=(28, 28, 1), spacing=(1, 1, 1),
              orientation="LPS")  # fmt: skip
HEAD = replace(FILM, modality="MR", contrast="T1", format="nifti", shape=(256, 256, 24), spacing=(0.9, 0.9, 5),
               orientation="RAS")  # fmt: skip


def _settings(folder: Path, *rows: Series, patients: int = 6, **more: Any) -> Config:
    series = [
        replace(row, subject=f"p{n}", series=f"{n}-{k}", path=f"{n}-{k}-{row.path}")
        for n in range(patients)
        for k, row in enumerate(rows)
    ]
    Cohort.of(folder, series, {"version": 1}).write(folder / "cohort.csv")
    store = api.label_start(folder / "labels.sqlite", folder / "cohort.csv", ["a", "b"], **more)
    name, chosen = fit.chosen(store, Cohort.read(folder / "cohort.csv"))
    config = read_config(api.config_path(name), chosen)
    api.check_method(config)
    return config


def test_small_films_stay_as_they_are(tmp_path: Path) -> None:
    settings = _settings(tmp_path, FILM)
    data = settings.data
    assert settings.train.workers == 0, "epochs of few scans are over before a process has started"
    assert data.size == [28, 28] and data.spacing == [None, None, None]
    assert data.foreground == "none" and data.where == {} and data.channels == [] and not data.crop_foreground


@pytest.mark.parametrize(
    ("row", "side", "spacing"),
    [
        (HEAD, 64, 3.6),  # 230.4 mm
        (replace(HEAD, shape=(24, 256, 200), spacing=(5, 1, 1.2), orientation="RAS"), 64, 4.0),  # A-P is longer
        (replace(HEAD, shape=(24, 256, 200), spacing=(5, 1, 1.5), orientation="RSA"), 64, 4.69),  # third axis
        (replace(HEAD, shape=(40, 40, 30), spacing=(2, 2, 2)), 40, None),
    ],
)  # fmt: skip
def test_large_ones_fit_in(tmp_path: Path, row: Series, side: int, spacing: float | None) -> None:
    data = _settings(tmp_path, row).data
    assert data.size == [side, side] and data.spacing == [None, spacing, spacing]


def test_films_are_looked_at_by_a_trained_network_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = replace(FILM, shape=(1024, 800, 1))
    monkeypatch.setattr(fit, "installed", lambda: True)
    settings = _settings(tmp_path, film)
    assert settings.method["name"] == "label_spreading" and settings.train.steps == 1
    assert settings.data.size == [224, 224] and settings.data.spacing == [None, 4.57, 4.57]
    assert settings.data.intensity.clip  # type: ignore[union-attr]
    for folder in ("small", "without"):
        (tmp_path / folder).mkdir()
    assert _settings(tmp_path / "small", FILM).method["name"] == "semi_supervised_gan"
    monkeypatch.setattr(fit, "installed", lambda: False)
    settings = _settings(tmp_path / "without", film)
    assert settings.method["name"] == "semi_supervised_gan" and settings.data.size == [64, 64]
    assert settings.data.spacing == [None, 16.0, 16.0]


def test_contrasts_of_every_study_are_channels(tmp_path: Path) -> None:
    rows = [HEAD, replace(HEAD, contrast="FLAIR")]
    data = _settings(tmp_path, *rows).data
    assert data.channels == ["FLAIR", "T1"] and data.foreground == "body" and data.where == {}
    (tmp_path / "b").mkdir()
    assert _settings(tmp_path / "b", *rows, by="series").data.channels == []


def test_ct_goes_by_a_window(tmp_path: Path) -> None:
    intensity: Any = _settings(tmp_path, replace(HEAD, modality="CT")).data.intensity
    assert (intensity.kind, intensity.low, intensity.high) == ("window", -100, 200)


def test_a_stopped_run_keeps_its_own(tmp_path: Path) -> None:
    config = _settings(tmp_path, FILM)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("method: {name: classifier}\ntrain: {steps: 7}\n")
    from medudl.labels.store import LabelStore

    store, cohort = LabelStore.open(tmp_path / "labels.sqlite"), Cohort.read(tmp_path / "cohort.csv")
    assert default_settings(store, cohort, tmp_path / "run", []).train.steps == 7
    fresh = default_settings(store, cohort, tmp_path / "new", ["data.plane=coronal"])
    assert fresh.data.plane == "coronal" and fresh.method["name"] == config.method["name"] == "semi_supervised_gan"
