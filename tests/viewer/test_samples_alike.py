"""What the page says of a drawing is what `medudl sample` says of the same image; and what it says where it cannot."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from asking import ask
from starlette.applications import Starlette
from tiny_run import make_cohort, make_run, tiny_config

from apps.viewer import house as shared
from apps.viewer.house import Settings, open_house
from apps.viewer.samples_addresses import SAMPLES_ROUTES
from apps.viewer.samples_alike import limits_of
from apps.viewer.samples_desk import Offered
from apps.viewer.samples_folder import read_samples
from apps.viewer.samples_nearest import Index, Limits
from apps.viewer.samples_words import table_of
from medudl.run import Run
from medudl.tasks.sample import sample

VAE = {"name": "variational_autoencoder", "network": "dense", "hidden": [8], "latent": 3}
SECONDS = 120
N = 6


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and samples of it, features by pixels."""
    place = tmp_path_factory.mktemp("alike")
    cohort = make_cohort(place / "scans", train=4, val=3, healthy=3, sick=1)
    make_run(place / "run", cohort, tiny_config().model_copy(update={"method": VAE}))
    sample(place / "run", N, place / "samples", seed=1, features="pixels", progress=False)
    return place


@pytest.fixture(scope="module")
def index(place: Path) -> Index:
    return Index(Run.open(place / "run"), read_samples(place / "samples").meta["features"])


@pytest.fixture(scope="module")
def offered(place: Path) -> Iterator[Offered]:
    before = list(shared._open)
    opened = open_house(Settings(place))
    offered = Offered("a" * 24, place / "samples", place / "run")
    opened.samples.offer(offered)
    yield offered
    opened.close()
    shared._open[:] = before


def answer(offered: Offered, rest: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Once the training images have been read."""
    app, until = Starlette(routes=SAMPLES_ROUTES), time.monotonic() + SECONDS
    while True:
        found = ask(app, f"/synthetic/{offered.id}/alike?{rest}")
        assert found.status == 200, found.body
        about = json.loads(found.header("x-about"))
        if "building" not in about:
            return np.frombuffer(found.body, np.uint8).reshape(about["shape"]), about
        assert time.monotonic() < until


@pytest.mark.parametrize("scale", [1.0, 0.0, -50.0])
def test_of_its_samples_it_says_what_samples_csv_says(place: Path, index: Index, scale: float) -> None:
    read = read_samples(place / "samples")
    limits = limits_of(read)
    # Limits moved by hand light other lamps, in the way that the real ones would.
    found = index.of(read.codes, Limits(**{**limits, "pixels": scale * limits["pixels"]}))
    table = pd.read_csv(place / "samples" / "samples.csv", dtype={"sample": str})
    live = pd.DataFrame(found.rows)
    assert live["nearest_case"].tolist() == table["nearest_case"].tolist()
    assert live["nearest_slice"].tolist() == table["nearest_slice"].tolist()
    alike = ["similarity_pixels", "distance_features", "threshold_features"]
    assert np.allclose(live[alike].astype(float), table[alike], atol=2e-3)
    if scale == 1:
        assert np.allclose(live["threshold_pixels"].astype(float), table["threshold_pixels"], atol=2e-3)
        assert live["risk"].tolist() == table["risk"].tolist()
        assert np.abs(found.nearest - np.load(place / "samples" / "nearest.npy").astype(int)).max() <= 1
    if scale < 0:
        assert set(live["risk"]) == {"copy"}
    assert found.lights == "both" and found.images == 24


def test_a_training_image_lights_up(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = next(iter(index.real.batches()))[3]
    monkeypatch.setattr(index.walker, "volume", lambda code: copy.numpy())
    (row,) = index.of([[0, 0, 0]], Limits(3.0, 3.0, index.network.name, 24)).rows
    assert (row["nearest_case"], row["nearest_slice"], row["risk"]) == (
        index.real.cases[3],
        index.real.slices[3],
        "copy",
    )
    assert row["similarity_pixels"] == pytest.approx(1, abs=1e-3)


def test_without_limits_there_is_a_case_and_no_light(index: Index) -> None:
    for limits in (Limits(None, 1.0, index.network.name), Limits(1.0, 1.0, index.network.name, images=23)):
        found = index.of([[0, 0, 0]], limits)
        assert found.lights == "none" and "risk" not in found.rows[0] and found.rows[0]["nearest_case"]
        assert "threshold_pixels" not in found.rows[0] and 0 <= found.rows[0]["similarity_pixels"] <= 1


def test_an_unknown_network_leaves_the_light_of_pixels(place: Path) -> None:
    index = Index(Run.open(place / "run"), "some network")
    (row,) = index.of([[0, 0, 0]], Limits(-50.0, -50.0, "some network")).rows
    assert row["risk"] == "copy" and "distance_features" not in row
    (row,) = index.of([[0, 0, 0]], Limits(1e9, -50.0, "some network")).rows
    assert row["risk"] == "own"


def test_the_page_tells_of_a_drawing_as_of_a_sample(offered: Offered, place: Path) -> None:
    near, about = answer(offered, "of=between&a=2&b=4&at=0")
    read = read_samples(place / "samples")
    (item,) = about["items"]
    sample = table_of(read, True)["samples"][2]
    assert {name: item[name] for name in ("risk", "case")} == {name: sample[name] for name in ("risk", "case")}
    assert [line.split("(")[0] for line in item["told"]] == [line.split("(")[0] for line in sample["told"]]
    assert np.abs(near[0] - np.load(place / "samples" / "nearest.npy")[2].astype(int)).max() <= 1
    assert about["note"] == "" and "real patients' images" in about["warning"]
    assert len(answer(offered, "of=between&a=2&b=4")[1]["items"]) == 9
    assert len(answer(offered, "of=mix&a=1,2&b=3&c=4")[1]["items"]) == 4
    assert len(answer(offered, "of=along&from=1&moves=0:1")[1]["items"]) == 1
    assert shared.house().samples.searchers.alive() == 1, "read once, for all of them"


@pytest.mark.parametrize("rest", ["", "of=table&a=1&b=2", "of=between&a=1", "of=mix&a=1&b=2&c=99"])
def test_questions_that_no_page_asks_are_not_found(offered: Offered, rest: str) -> None:
    assert ask(Starlette(routes=SAMPLES_ROUTES), f"/synthetic/{offered.id}/alike?{rest}").status == 404


def test_samples_that_nobody_judged_have_a_case_and_a_sentence(offered: Offered, place: Path) -> None:
    path = place / "samples" / "samples.json"
    kept = path.read_text()
    try:
        path.write_text(json.dumps({**json.loads(kept), "threshold_pixels": None, "compared_with": None}))
        _, about = answer(offered, "of=between&a=2&b=4&at=0")
    finally:
        path.write_text(kept)
    assert about["items"][0]["risk"] == "" and about["items"][0]["case"] and "There is no light" in about["note"]


def test_scans_that_are_gone_are_told_in_a_sentence(offered: Offered, place: Path) -> None:
    shutil.copytree(place / "run", place / "run-2")
    other = Offered("b" * 24, offered.path, place / "run-2")
    shared.house().samples.offer(other)
    (place / "scans").rename(place / "elsewhere")
    try:
        near, about = answer(other, "of=between&a=2&b=4&at=0")
    finally:
        (place / "elsewhere").rename(place / "scans")
    assert len(near) == 0 and "not at hand" in about["why"] and str(place) not in about["why"]
    assert os.sep not in about["why"]
