"""The model card: every item is answered or listed, figures are the report's, nothing of a patient."""

import json
import re

import pytest
from tiny_run import make_cohort, make_run

from medudl.bundle.card import card_of, known, model_card, state, to_write
from medudl.bundle.checklists import CLAIM, EVALUATE, TRIPOD
from medudl.bundle.facts import Facts
from medudl.bundle.results import figures
from medudl.errors import UserError
from medudl.report.evaluate import evaluate
from medudl.tasks.calibrate import calibrate


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card")
    made = make_run(folder / "run", make_cohort(folder / "scans"))
    calibrate(made)
    return made


@pytest.fixture(scope="module")
def report(run):
    evaluate(run.path, out=run.path.parent / "report", progress=False)
    return run.path.parent / "report"


def test_the_lists_are_whole() -> None:
    """CLAIM 2024 has items 1 to 44; TRIPOD+AI 1 to 27, of which these have parts."""
    assert [item.number for item in CLAIM] == [str(n) for n in range(1, 45)]
    parts = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef", 20: "abc", 23: "ab"}
    parts[27] = "abc"
    wanted = [f"{n}{part}" for n in range(1, 28) for part in parts.get(n, [""])]
    assert [item.number for item in TRIPOD] == wanted


@pytest.mark.parametrize("evaluated", [False, True])
def test_every_item_is_answered_or_listed(run, report, evaluated) -> None:
    tree = json.loads((report / "report.json").read_text()) if evaluated else None
    facts = Facts(run, run.method(), tree)
    told = facts.told
    card = card_of(facts)
    listed = card.partition("## To be written")[2]
    claim, tripod = listed.split("### TRIPOD+AI")
    for items, part in ((CLAIM, claim), (TRIPOD, tripod)):
        for item in items:
            answered, open_ = known(item, told), to_write(item, told)
            assert answered or open_, item
            assert (f"- [ ] {item.number} {item.name}: {open_}\n" in part) == bool(open_), item
            assert state(item, told) == ("open" if not answered else "known in part" if open_ else "known")
    assert (EVALUATE in listed) == (not evaluated)
    assert "For research; not a medical device." in card


def test_every_fact_that_a_list_asks_for_can_be_known(run, report) -> None:
    tree = json.loads((report / "report.json").read_text())
    run.write_json("environment.json", {"medudl": "1", "python": "3", "packages": {"torch": "2"}, "device": "CPU"})
    told = Facts(run, run.method(), tree).told
    asked = {key for item in (*CLAIM, *TRIPOD) for key in item.facts}
    assert asked - told.keys() == {"demography"}  # age and sex are in no file of the tiny cohort


def test_figures_are_those_of_the_report(run, report) -> None:
    tree = json.loads((report / "report.json").read_text())
    card = model_card(run.path, report)
    assert tree["verdict"] in card
    own = figures(tree)
    assert own["voxel_average_precision"] == tree["voxel"]["average_precision"]["value"]
    assert own["scan_auroc"] == tree["scan"]["auroc"]["value"]
    for name, value in own.items():
        (shown,) = set(re.findall(rf"{name.replace('_', ' ')} ([\d.]+) \(", card))
        assert float(shown) == pytest.approx(value, abs=5.1e-4), name
    low = tree["voxel"]["average_precision"]["low"]
    assert f"interval {f'{low:.3f}'.lstrip('0')} to" in card
    limits = run.read_json("calibration.json")
    assert f"{limits['scan']['threshold']:.6g}" in card and limits["text"] in card


def test_no_patient_is_named(run, report) -> None:
    card = model_card(run.path, report)
    rows = run.cohort().series()
    assert not [word for r in rows for word in (r.subject, r.series, r.path, r.sha256) if word in card]


def test_overlapping_splits_are_told(run) -> None:
    from medudl.bundle.cohort_words import disjoint
    from medudl.data.cohort import Series

    rows = [Series("A", split="train", sha256="1"), Series("B", split="test", sha256="2")]
    assert disjoint(rows).startswith("by patient")
    assert disjoint([*rows, Series("A", split="test", sha256="3")]).startswith("not disjoint: 1 patients or files")
    assert disjoint([Series("A")]) == ""


def test_age_and_sex_of_a_handful_are_not_told() -> None:
    from medudl.bundle.cohort_words import demography
    from medudl.data.cohort import Series

    rows = [Series(f"p{n}", sex="F" if n % 2 else "M", age=f"0{40 + n}Y") for n in range(6)]
    assert demography(rows[:4]) == ""
    assert demography(rows) == "sex: F 3, M 3; median age 43 (6 known)"


def test_bad_reports_are_told_in_a_line(run, tmp_path) -> None:
    with pytest.raises(UserError, match="no report"):
        model_card(run.path, tmp_path)
