"""The arms of a label curve: runs that classify themselves, what they may look at, and who is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "training"))
from tiny_cohort import write_cohort  # noqa: E402

from medudl import api  # noqa: E402
from medudl.config import validate_config  # noqa: E402
from medudl.curves import fits  # noqa: E402
from medudl.curves.arms import arms_of  # noqa: E402
from medudl.curves.scans import Chosen, Scans  # noqa: E402
from medudl.data.cohort import Cohort  # noqa: E402
from medudl.errors import UserError  # noqa: E402
from medudl.run import Run  # noqa: E402

DATA = {"foreground": "none", "intensity": {"kind": "window", "low": 0, "high": 255}, "cache_workers": 1}
TRAIN = {"steps": 2, "batch_size": 4, "validate_every": 2, "checkpoint_every": 2, "sample_every": 50, "device": "cpu"}
METHODS: dict[str, dict[str, Any]] = {
    "semi": {"name": "semi_supervised_gan", "latent": 4, "width": 4},
    "graph": {"name": "label_spreading", "features": "random", "stages": [1]},
    "plain": {"name": "classifier", "body": {"name": "autoencoder", "latent": 4, "width": 4, "levels": 2}},
    "drawer": {"name": "gan", "latent": 4, "width": 4},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve labelled train scans among twenty, six for validation, eight for testing; a run of each method."""
    folder = tmp_path_factory.mktemp("arms")
    rows = write_cohort(folder / "scans", "t" * 20 + "v" * 6 + "e" * 8)
    rows.table["label"] = ["" if 12 <= n < 20 else "NORMAL" if n % 2 else "ILL" for n in range(len(rows))]
    rows.write(folder / "cohort.csv")
    for name, method in METHODS.items():
        data = {**DATA, "healthy_labels": ["NORMAL"]} if name == "drawer" else DATA
        config = validate_config({"method": method, "data": data, "train": TRAIN}, name)
        api.train(config, folder / "cohort.csv", folder / name, progress=False)
    return folder


def _arms(place: Path, *names: str) -> list[Any]:
    settings = validate_config({"method": METHODS["plain"], "train": TRAIN}, "test")
    return arms_of([str(place / name) for name in names], settings, [], Cohort.read(place / "cohort.csv"))


def test_a_semi_supervised_run_is_compared_with_its_labels_alone(place: Path) -> None:
    arms = _arms(place, "semi", "plain")
    assert [arm.name for arm in arms] == [
        "semi: labels alone", "plain", "semi: gan", "semi: pseudo-labels", "pixels",
    ]  # fmt: skip
    assert {arm.name: arm.against for arm in arms if arm.against} == {
        "semi: gan": "semi: labels alone", "semi: pseudo-labels": "semi: labels alone",
    }  # fmt: skip
    methods = [{k: v for k, v in arm.config.method.items() if k != "unlabelled"} for arm in arms[::2][:2]]
    assert methods[0] == methods[1], "the arms differ in one word"
    assert {arm.config.method["unlabelled"] for arm in arms if arm.name.startswith("semi")} == {
        "none",
        "gan",
        "pseudo_labels",
    }


def test_label_spreading_is_compared_with_its_labels_alone_and_is_put_in(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = _arms(place, "graph")
    assert [(arm.name, arm.against) for arm in arms] == [
        ("graph: labels alone", ""), ("graph: graph", "graph: labels alone"), ("pixels", ""),
    ]  # fmt: skip
    notes: list[str] = []
    original = fits._tested

    def note(method: Any, *more: Any) -> Any:
        notes.append(method.notes()[-1])
        return original(method, *more)

    monkeypatch.setattr(fits, "_tested", note)
    api.label_curve(place / "graph", tmp_path / "out", labels=[4], seeds=1, progress=False)
    assert notes == ["learnt from 8 images with a label", "labels of 8 images spread over 12 without one"]


def test_labels_alone_have_no_consistency_which_is_an_arm_of_its_own(place: Path) -> None:
    settings = validate_config({"method": METHODS["plain"], "train": TRAIN}, "test")
    run, cohort = str(place / "semi"), Cohort.read(place / "cohort.csv")
    found = {arm.name: arm for arm in arms_of([run], settings, ["method.consistency=2"], cohort)}
    asked = {
        name: (arm.config.method["unlabelled"], arm.config.method["consistency"], arm.against)
        for name, arm in found.items()
        if name != "pixels"
    }
    alone = "semi: labels alone"
    assert asked == {
        alone: ("none", 0, ""), "semi: gan": ("gan", 2, alone), "semi: pseudo-labels": ("pseudo_labels", 2, alone),
        "semi: consistency": ("none", 2, alone),
    }  # fmt: skip


def test_no_arm_is_shown_a_test_scan_or_a_label_that_it_was_not_dealt(place: Path) -> None:
    (arm,) = (arm for arm in _arms(place, "semi") if arm.name == "semi: gan")
    scans = Scans(arm, Cohort.read(place / "cohort.csv"))
    dealt = scans.chosen(2, "per_class", seed=0)
    assert len(dealt.train) == 4 and len(dealt.val) == 4
    more = scans.chosen(3, "per_class", seed=0)
    assert {case.id for case in dealt.train} < {case.id for case in more.train}, "larger numbers hold the smaller"
    seen: dict[str, set[int]] = {}
    loader = scans.training(dealt.train, seed=0)
    for epoch in range(3):
        for batch in loader.epoch(epoch):
            for name, label in zip(batch["id"], batch["label"].tolist(), strict=True):
                seen.setdefault(name.rpartition("/")[0], set()).add(label)
    known = {case.id for case in dealt.train}
    assert {name for name, labels in seen.items() if labels != {-1}} == known
    tested = {case.id for split in ("val", "test") for case in scans.labelled[split]}
    assert len(seen) == 20 and not seen.keys() & tested


def test_error_against_the_number_of_labels(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dealt: list[tuple[str, int, int]] = []
    original = fits.trained

    def note(arm: Any, seed: int, scans: Any, chosen: Chosen, *more: Any) -> Any:
        dealt.append((arm.name, len(chosen.train), len(chosen.val)))
        return original(arm, seed, scans, chosen, *more)

    monkeypatch.setattr(fits, "trained", note)
    arguments: dict[str, Any] = {"labels": [1, 4], "seeds": 2, "overrides": ["train.steps=1"], "progress": False}
    tree = api.label_curve(place / "semi", tmp_path / "out", **arguments)
    assert sorted(dealt) == sorted(
        (f"semi: {words}", 2 * n, min(2 * n, 6))
        for words in ("labels alone", "gan", "pseudo-labels")
        for n in (1, 4)
        for _ in range(2)
    )
    assert tree["unit"] == "per_class" and tree["test_patients"] == 8 and len(tree["rows"]) == 2 * 4
    assert [row["scans"] for row in tree["rows"]] == [2] * 4 + [8] * 4
    assert {row["arm"] for row in tree["rows"] if row["judged"]} == {"semi: gan", "semi: pseudo-labels"}
    assert all(0 <= row["error"]["value"] <= 1 and row["minutes"] is None for row in tree["rows"])
    assert tree == json.loads((tmp_path / "out" / "label_curve.json").read_text())
    trained = len(dealt)
    api.label_curve(place / "semi", tmp_path / "out", **arguments)
    assert len(dealt) == trained, "finished fits are kept"
    store = api.label_start(tmp_path / "labels.sqlite", place / "cohort.csv", ["NORMAL", "ILL"])
    store.save(id="0" * 32, reader="Ann", kind="label", case=store.cases()[0].id, value="ILL", seconds=30.0)
    priced = api.label_curve(place / "semi", tmp_path / "out", store=store.path, **arguments)
    assert [row["minutes"] for row in priced["rows"]] == [2.0] * 4 + [7.0] * 4, "(2 + 2) / 2, (8 + 6) / 2"
    assert len(dealt) == trained and "1 first reads" in (tmp_path / "out" / "label_curve.html").read_text()
    with pytest.raises(UserError, match="has 6 labelled patients of"):
        api.label_curve(place / "semi", tmp_path / "out", labels=[7], progress=False)
    with pytest.raises(UserError, match="1 at least"):
        api.label_curve(place / "semi", tmp_path / "out", labels=[0], progress=False)


def test_who_cannot_says_so(place: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="drawer: gan has no code that a classifier could stand on"):
        _arms(place, "drawer")
    tree = json.loads((place / "plain" / "run.json").read_text())
    (tmp_path / "run").mkdir()
    for name in ("cohort.csv", "cohort.json"):
        (tmp_path / "run" / name).write_text((place / "plain" / name).read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps({**tree, "method": "pix2pix"}))
    (tmp_path / "run" / "config.yaml").write_text(
        "method: {name: pix2pix, target_channels: 1}\ndata: {channels: [T1], target: [T2]}\n"
    )
    with pytest.raises(UserError, match="pix2pix makes one kind of scan of another and learns no classes"):
        arms_of([str(tmp_path / "run")], Run.open(place / "plain").config, [], Cohort.read(place / "cohort.csv"))


def test_unlabelled_images_of_test_patients_count_as_seen(place: Path, tmp_path: Path) -> None:
    """A scan that the semi-supervised run learnt from without its label, in the test split of another cohort."""
    rows = Cohort.read(place / "cohort.csv")
    unlabelled = rows.table["subject"] == "p13"
    rows.table.loc[unlabelled, ["split", "label"]] = ["test", "ILL"]
    rows.write(tmp_path / "cohort.csv")
    with pytest.raises(UserError, match="semi: was trained on images of 1 of the test patients"):
        api.label_curve(place / "semi", tmp_path / "out", cohort=tmp_path / "cohort.csv", progress=False)
    rows.table.loc[unlabelled, "subject"] = "another name"
    rows.write(tmp_path / "cohort.csv")
    with pytest.raises(UserError, match="semi: was trained on images of 1 of the test patients"):
        api.label_curve(place / "semi", tmp_path / "out", cohort=tmp_path / "cohort.csv", progress=False)
    assert not (tmp_path / "out").exists()
