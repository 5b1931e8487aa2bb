"""The studies of translation, each through its own code at the smallest size, and what their figures rest on."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medudl.metrics.detection import components
from medudl.metrics.survival import invented

pytest.importorskip("studies", reason="studies do not travel with the package")

from studies import queue  # noqa: E402
from studies import translation_heads as phantoms  # noqa: E402
from studies import translation_runs as runs  # noqa: E402

TINY = phantoms.SIZES["tiny"]


# A job of each kind, and those that a goal compares.
SOME = {"phantom_ct_mr": (0, 1, 3, 7, 8, 9), "ablation": (0, 1, 2), "calibration": (2,), "t1_t2": (0, 1, 2)}
GOALS = {"phantom_ct_mr": 4, "t1_t2": 9}


@pytest.mark.parametrize("name", SOME)
def test_a_study_runs_and_prints_its_table(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if name == "t1_t2":
        request.getfixturevalue("real_data")
    study: Any = importlib.import_module(f"studies.{name}")
    jobs = [study.jobs("tiny")[i] for i in SOME[name]]
    results = [{**json.loads(json.dumps(study.work(job, tmp_path / "run"))), **job} for job in jobs]
    printed = study.table(results)
    assert f"n = {1 if name == 't1_t2' else TINY.test} " in printed
    goals = [line for line in printed.splitlines() if "goal " in line]
    assert len(goals) == GOALS.get(name, 0) and all(line.endswith((": met", ": missed")) for line in goals)


def test_the_study_of_bf16_runs_and_compares_equal_seeds(tmp_path: Path, real_data: Path) -> None:
    study: Any = importlib.import_module("studies.bf16")
    jobs = [job for job in study.jobs("tiny") if job.get("left_out", 0) < 2]
    results = [{**json.loads(json.dumps(study.work(job, tmp_path / "run"))), **job} for job in jobs]
    printed = study.table(results).splitlines()
    assert len(printed) == 6 and all("n = 2" in line and line.endswith((": met", ": missed")) for line in printed)
    for result in results:  # bf16 that is as good as fp32 meets the goal, one that is much worse does not
        if result["precision"] == "bf16":
            result["figures"] = dict(mae=1e6, back=9.0, bone=-9.0, psnr=-99.0, ssim=-9.0, kid=1e6)
    assert all(line.endswith(": missed") for line in study.table(results).splitlines())


def test_the_study_after_t1_t2_stands_beside_its_figures(
    tmp_path: Path, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, study = (importlib.import_module(f"studies.{name}") for name in ("t1_t2", "t1_t2_after"))
    with pytest.raises(SystemExit) as ended:
        study.before(tmp_path / "t1_t2_after", "tiny")
    assert ended.value.code == 2 and "make study NAME=t1_t2" in capsys.readouterr().err
    known = [
        {**job, "figures": {job["method"]: {"psnr": 20.0 + job["left_out"], "ssim": 0.5, "kid": 50.0}}}
        for job in first.jobs("tiny")
    ]
    results = [{**study.work(job, tmp_path / "run"), **job} for job in study.jobs("tiny") if job["left_out"] == 0]
    printed = study.table([*(one for one in known if one["left_out"] == 0), *results]).splitlines()
    ways = len(study.WAYS)  # a line each, and one of its goal, below the two of `t1_t2`
    assert len(printed) == 1 + 2 + ways + ways and all(line.endswith(": missed") for line in printed[-ways:])
    for result in results:
        result["figures"] = {result["way"]: {"psnr": 19.8, "ssim": 0.5, "kid": 40.0}}
    better = study.table([*(one for one in known if one["left_out"] == 0), *results]).splitlines()
    assert all(line.endswith(": met") for line in better[-ways:])


def test_the_study_after_phantom_ct_mr_stands_beside_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, study = (importlib.import_module(f"studies.{name}") for name in ("phantom_ct_mr", "phantom_ct_mr_after"))
    out = tmp_path / "phantom_ct_mr_after"
    with pytest.raises(SystemExit) as ended:
        study.before(out, "tiny")
    assert ended.value.code == 2 and "make study NAME=phantom_ct_mr`" in capsys.readouterr().err
    at_risk = [job for job in first.jobs("tiny") if (job.get("t1"), job.get("ct")) == (0.5, 0.0)]
    queue.run(at_risk, first.work, tmp_path / "phantom_ct_mr")
    known = study.before(out, "tiny")
    assert [one["structure"] for one in known] == ["none", "mutual_information"]
    results = queue.run(study.jobs("tiny"), study.work, out)
    printed = study.table(known, results).splitlines()
    assert len(printed) == 1 + 4 + 2 and all(line.endswith((": met", ": missed")) for line in printed[-2:])
    for result in results:
        result["figures"]["share"] = [9.0] * TINY.test
    for look in known[0]["looks"].values():
        look["share"] = [0.5] * TINY.test
    goals = study.table(known, results).splitlines()[-2:]
    assert all(": .50 (.50 to .50), goal above 0: met" in line for line in goals), "a share above 1 counts as 1"


@pytest.mark.parametrize("size", ["cpu", "gpu"])
@pytest.mark.parametrize("name", [*SOME, "bf16", "t1_t2_after", "phantom_ct_mr_after"])
def test_no_two_runs_of_a_study_share_a_file(name: str, size: str) -> None:
    jobs = importlib.import_module(f"studies.{name}").jobs(size)
    assert len({tuple(job.items()) for job in jobs}) == len(jobs) and all(job["size"] == size for job in jobs)


def test_truth_is_judged_to_be_true() -> None:
    figures = runs.judged(lambda head: head.ct, TINY)
    assert figures["mae"] == figures["mae_deep"] == figures["invented"] == [0.0, 0.0]
    assert figures["bone"] == figures["air"] == figures["detected"] == [1.0, 1.0]
    assert figures["share"] == pytest.approx([1, 1]) and figures["blood"] == pytest.approx(figures["blood_true"])


def test_a_mass_is_where_it_is_said_to_be_in_both_modalities() -> None:
    for plain, sick in zip(phantoms.heads(TINY).test, phantoms.test_masses(TINY), strict=True):
        assert sick.lesion.any() and not plain.lesion.any() and (sick.brain | ~sick.lesion).all()
        assert sick.ct[sick.lesion] - plain.ct[sick.lesion] == pytest.approx(phantoms.MASS_HU, abs=0.01)
        more = (sick.source - plain.source)[0][sick.lesion].mean() * (plain.ends[1] - plain.ends[0])
        assert 0.8 * phantoms.MASS_T1 * plain.white < more <= 1.001 * phantoms.MASS_T1 * plain.white


def test_prevalence_is_the_share_of_heads_with_masses() -> None:
    group = [phantoms.heads(TINY).mr[0]] * 2
    none, half, every = (phantoms.slices(group, share, "target") for share in (0.0, 0.5, 1.0))
    count = len(none) // 2
    assert not none[:count].equal(half[:count]) and none[count:].equal(half[count:])
    assert half[:count].equal(every[:count]) and not none[count:].equal(every[count:])


def test_no_head_is_in_two_groups() -> None:
    group = phantoms.heads(TINY)
    everyone = [head.ct.tobytes() for part in (group.mr, group.ct, group.val, group.test) for head in part]
    assert len(set(everyone)) == len(everyone) == 2 * TINY.train + TINY.val + TINY.test


@pytest.mark.parametrize("paired", [True, False])
def test_pairs_stay_together_and_others_do_not(paired: bool) -> None:
    image = torch.arange(40.0).view(10, 1, 1, 4)
    batches = iter(runs._Endless(image, image, 5, seed=0, paired=paired))
    together = [bool((batch["image"] == batch["target"]).all()) for batch, _ in zip(batches, range(6), strict=False)]
    assert all(together) if paired else not any(together)


def test_the_model_of_the_last_look_wears_its_averaged_weights() -> None:
    worn: list[Any] = []

    def looks() -> Any:
        for step, model in runs.cyclegan(TINY, (0.0, 0.0), 0, [3], {}):
            worn.append([weight.clone() for weight in model.parameters()])
            yield step, model
            worn.append(model)

    kept = runs.last(looks())
    averaged, model = worn
    assert all(a.equal(b) for a, b in zip(averaged, kept.parameters(), strict=True))
    assert not all(a.equal(b) for a, b in zip(averaged, model.parameters(), strict=True))


def test_what_calibration_looks_for_is_what_counts_as_invented() -> None:
    calibration = importlib.import_module("studies.calibration")
    for plain, sick in zip(phantoms.heads(TINY).test, phantoms.test_masses(TINY), strict=True):
        made = sick.ct  # of a head without a mass: a translation that invents one
        found = calibration.invented_mask(made, plain)
        counted = invented(made, [plain.t1, plain.ct], plain.brain, spacing=plain.spacing)
        assert components(found)[1] == counted == 1 and (found & sick.lesion).any()
        assert not calibration.invented_mask(plain.ct, plain).any()


def test_a_head_without_a_figure_is_left_out() -> None:
    known = runs.over_heads([[1.0, np.nan, 4.0], [3.0, np.nan, np.nan]])
    assert known.value == 3.0 and known.n == 2
    assert runs.minus([[1.0, 2.0]], [[0.5, np.nan]]).value == 0.5
