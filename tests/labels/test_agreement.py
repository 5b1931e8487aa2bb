"""Agreement: tables worked by hand, closed-form standard errors, and sentences where there is no figure."""

from __future__ import annotations

import csv
import io
import json
import math
import uuid
from pathlib import Path

import numpy as np
import pytest

from medudl.data.cohort import Cohort, Series
from medudl.labels.agreement import PAUSE, adjudication, adjudication_csv, pace, report, text
from medudl.labels.events import Label
from medudl.labels.kappa import (
    class_agreement,
    cohen_kappa,
    cohen_of,
    fleiss_kappa,
    percent_agreement,
)
from medudl.labels.store import LabelStore

# Two readers, 50 cases:           second: yes  no
#                      first: yes         20    5   25
#                             no          10   15   25
#                                         30   20   50
# o = (20 + 15) / 50 = .70;  e = (25*30 + 25*20) / 2500 = .50;  kappa = (.70 - .50) / (1 - .50) = .40
YES_NO = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
TABLE = np.array([[20.0, 5], [10, 15]])

# Four readers, five cases, classes a, b, c; P_i = sum_k n_k (n_k - 1) / (4 * 3)
#   4 0 0   P = 12/12 = 1
#   2 2 0   P = (2 + 2)/12 = 1/3
#   0 3 1   P = 6/12 = 1/2
#   0 0 4   P = 1
#   1 1 2   P = 2/12 = 1/6
# P = (1 + 1/3 + 1/2 + 1 + 1/6) / 5 = 3/5
# p = (7, 6, 7) / 20;  E = (49 + 36 + 49) / 400 = .335;  kappa = (.600 - .335) / (1 - .335) = .265 / .665
FOUR = np.array([[4, 0, 0], [2, 2, 0], [0, 3, 1], [0, 0, 4], [1, 1, 2]])

# Three grades, 10 cases:   mild..  rows first reader, columns second
#   2 1 0   3        w linear = 0, 1/2, 1; quadratic = 0, 1/4, 1
#   0 3 1   4        sum w o: linear (1 + 1)/2 + 1 = 2, of 10 cases .20; quadratic (1 + 1)/4 + 1 = 1.5, .15
#   1 0 2   3        sum w e: linear 1/2 (3*4 + 4*3 + 4*3 + 3*4) + (3*3 + 3*3) = 24 + 18 = 42, /100 = .42
#   3 4 3  10                 quadratic 48/4 + 18 = 30, /100 = .30
# unweighted: o = 7/10, e = (9 + 16 + 9)/100 = .34, kappa = .36/.66;  linear 1 - .20/.42;  quadratic 1 - .15/.30
GRADES = np.array([[2.0, 1, 0], [0, 3, 1], [1, 0, 2]])


def test_cohens_kappa_of_a_table_worked_by_hand() -> None:
    found = cohen_kappa(*zip(*YES_NO, strict=True), ["yes", "no"])
    assert found.value == pytest.approx(0.40) and found.n == 50
    assert found.low < 0.40 < found.high


def test_weighted_kappas_of_grades_worked_by_hand() -> None:
    assert cohen_of(GRADES) == pytest.approx(0.36 / 0.66)
    assert cohen_of(GRADES, "linear") == pytest.approx(1 - 0.20 / 0.42)
    assert cohen_of(GRADES, "quadratic") == pytest.approx(0.5)


def test_with_two_classes_weights_change_nothing() -> None:
    assert cohen_of(TABLE, "linear") == cohen_of(TABLE, "quadratic") == pytest.approx(0.4)


def test_fleiss_kappa_of_a_table_worked_by_hand() -> None:
    assert fleiss_kappa(FOUR).value == pytest.approx(0.265 / 0.665)
    assert percent_agreement(FOUR).value == pytest.approx(0.6)


def test_the_order_of_classes_readers_and_cases_changes_nothing() -> None:
    assert fleiss_kappa(FOUR[::-1, [2, 0, 1]]).value == pytest.approx(fleiss_kappa(FOUR).value)
    swapped = cohen_kappa(*zip(*[(b, a) for a, b in YES_NO[::-1]], strict=True), ["no", "yes"])
    assert swapped.value == pytest.approx(0.40)


def test_a_case_of_one_read_is_left_out_and_reads_may_differ_in_number() -> None:
    more = np.concatenate([FOUR, [[0, 1, 0], [0, 0, 0]]])
    assert fleiss_kappa(more) == fleiss_kappa(FOUR)
    # (2 0) agrees, (1 2): 2 of 6 ordered pairs: P = (1 + 1/3)/2 = 2/3;  p = (3, 2)/5, E = 13/25
    assert fleiss_kappa([[2, 0], [1, 2]]).value == pytest.approx((2 / 3 - 13 / 25) / (1 - 13 / 25))


def test_agreement_on_a_class_is_that_of_two_by_two_tables() -> None:
    counts = [[(a == name) + (b == name) for name in ("yes", "no")] for a, b in YES_NO]
    yes, no = class_agreement(counts)
    assert yes.value == pytest.approx(2 * 20 / (25 + 30)) and yes.n == 35
    assert no.value == pytest.approx(2 * 15 / (25 + 20)) and no.n == 30


def cohen_error(table: np.ndarray) -> float:
    """Large-sample standard error of kappa (Fleiss, Cohen & Everitt 1969)."""
    n = table.sum()
    p = table / n
    rows, columns = p.sum(1), p.sum(0)
    o, e = np.trace(p), rows @ columns
    diagonal = sum(p[i, i] * ((1 - e) - (rows[i] + columns[i]) * (1 - o)) ** 2 for i in range(len(p)))
    off = sum(p[i, j] * (columns[i] + rows[j]) ** 2 for i in range(len(p)) for j in range(len(p)) if i != j)
    return float(np.sqrt((diagonal + (1 - o) ** 2 * off - (o * e - 2 * e + o) ** 2) / (n * (1 - e) ** 4)))


def fleiss_error(counts: np.ndarray) -> float:
    """Standard error of Fleiss' kappa by its influence on each case (the delta method), n reads each."""
    n = counts[0].sum()
    agreed = (counts * (counts - 1)).sum(1) / (n * (n - 1))
    p = counts.mean(0) / n
    e, o = (p**2).sum(), agreed.mean()
    influence = (agreed - o) / (1 - e) - (1 - o) / (1 - e) ** 2 * 2 * (counts / n @ p - e)
    return float(influence.std() / np.sqrt(len(counts)))


def half_width(figure: object) -> float:
    return (figure.high - figure.low) / 2 / 1.96  # type: ignore[attr-defined]


def test_the_bootstrap_of_cohens_kappa_is_its_closed_form_standard_error() -> None:
    found = cohen_kappa(*zip(*YES_NO * 6, strict=True), ["yes", "no"])
    assert half_width(found) == pytest.approx(cohen_error(TABLE * 6), rel=0.08)


def test_the_bootstrap_of_fleiss_kappa_is_its_closed_form_standard_error() -> None:
    counts = np.tile(FOUR, (60, 1))
    assert half_width(fleiss_kappa(counts)) == pytest.approx(fleiss_error(counts), rel=0.08)


def test_patients_are_drawn_and_not_cases() -> None:
    first, second = zip(*YES_NO * 4, strict=True)
    alone = cohen_kappa(first, second, ["yes", "no"])
    grouped = cohen_kappa(first, second, ["yes", "no"], subjects=[f"p{i // 10}" for i in range(200)])
    assert grouped.value == alone.value and grouped.n == 20
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_one_class_alone_has_no_kappa_and_an_exact_agreement() -> None:
    assert math.isnan(cohen_kappa(["a"] * 9, ["a"] * 9, ["a", "b"]).value)
    assert math.isnan(fleiss_kappa([[3, 0]] * 9).value)
    agreed = percent_agreement([[3, 0]] * 9)
    assert (agreed.value, agreed.high) == (1, 1) and agreed.low == pytest.approx(0.025 ** (1 / 9))


def test_readers_who_never_differ_have_kappa_one_and_no_false_certainty() -> None:
    found = cohen_kappa(["a", "b", "a"], ["a", "b", "a"], ["a", "b"])
    assert found.value == 1 and math.isnan(found.low)


def test_chance_agreement_is_kappa_nought() -> None:
    random = np.random.default_rng(0)
    first, second = (random.choice(["a", "b", "c"], 4000, p=[0.6, 0.3, 0.1]) for _ in range(2))
    found = cohen_kappa(first.tolist(), second.tolist(), ["a", "b", "c"], repeats=300)
    assert found.low < 0 < found.high and abs(found.value) < 0.05
    counts = random.multinomial(5, [0.6, 0.3, 0.1], 2000)
    assert abs(fleiss_kappa(counts, repeats=10).value) < 0.03


def label(value: str, *, seconds: float | None = 6.0, reader: str = "Ann", case: str = "c", occasion: int = 0) -> Label:
    return Label(uuid.uuid4().hex, reader, case, value, "", seconds, occasion, "test")


def test_the_pace_is_median_and_quartiles_without_pauses() -> None:
    times = [6.0, 12, 18, 24, 30, PAUSE, PAUSE + 1, None]
    found = pace([label("a", seconds=each) for each in times])["Ann"]
    # minutes .1 .2 .3 .4 .5 5: median .35, quartiles .225 and .475
    assert found["minutes_median"] == pytest.approx(0.35)
    assert found["minutes_quartiles"] == pytest.approx([0.225, 0.475])
    assert (found["timed"], found["pauses"]) == (7, 1)


def made(folder: Path, cases: int = 12) -> LabelStore:
    rows = [Series(f"p{i}", "1", f"s{i}", path=f"{i}.nii.gz") for i in range(cases)]
    return LabelStore.create(folder / "labels.sqlite", Cohort.of(folder, rows), ["normal", "sick"], test_share=0.5)


def say(
    store: LabelStore, reader: str, case: str, value: str, occasion: int = 0, kind: str = "label", seconds: float = 6.0
) -> None:
    store.save(
        id=uuid.uuid4().hex, reader=reader, kind=kind, case=case, value=value, occasion=occasion, seconds=seconds  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_report_of_three_readers(tmp_path: Path) -> None:
    store = made(tmp_path)
    cases = [case.id for case in store.cases()]
    for at, case in enumerate(cases):
        for reader, sick in (("Ann", at % 2), ("bo", at % 2 if at > 1 else 1), ("Cy", at % 3 == 0)):
            say(store, reader, case, ("normal", "sick")[int(sick)])
    for at, case in enumerate(cases[:6]):
        say(store, "Ann", case, ("normal", "sick")[at % 2 if at else 1], occasion=1)
    say(store, "bo", cases[0], "sick", occasion=1)  # the same class before and after
    found = report(store, ordered=True)
    json.dumps(found, allow_nan=False)
    assert found["readers"] == ["Ann", "bo", "Cy"] and found["labels"] == 36 and found["cases"] == 12
    tested, everything = found["between"].values()
    assert tested["cases"] == sum(case.test for case in store.cases()) < everything["cases"] == 12
    ann_bo = everything["pairs"][0]
    # 11 of 12 agree; Ann says sick 6 times, bo 7: e = (6*7 + 6*5)/144 = .5, kappa = (11/12 - 1/2)/(1/2) = 5/6
    assert ann_bo["readers"] == ["Ann", "bo"] and ann_bo["cohen_kappa"]["value"] == pytest.approx(5 / 6)
    assert ann_bo["cohen_kappa_quadratic"] == ann_bo["cohen_kappa"]
    # Ann's repeats: 5 of 6 agree; sick 3 and 4 times: e = (3*4 + 3*2)/36 = .5, kappa = 2/3
    assert found["within"]["Ann"]["cohen_kappa"]["value"] == pytest.approx(2 / 3)
    told = text(found)
    assert "3 readers, 36 first reads of 12 cases" in told
    assert "Fleiss' kappa, 3 readers: 0." in told and "Ann and bo, 12 cases: agreement 92 %" in told
    assert "weighted quadratically" in told and "weighted" not in text(report(store))
    assert "bo, 1 repeat: agreement 100 % (3 to 100 %); Cohen's kappa cannot be told, since all reads say sick" in told
    assert "Ann: median 0.10 (half of them 0.10 to 0.10), n = 18" in told
    assert "nan" not in told.lower().replace("ann", "")


def test_a_disputed_case_is_listed_until_somebody_decides(tmp_path: Path) -> None:
    store = made(tmp_path)
    one, other, agreed = (case.id for case in store.cases()[:3])
    for case, first, second in ((one, "sick", "normal"), (other, "normal", "sick"), (agreed, "sick", "sick")):
        say(store, "Ann", case, first)
        say(store, "Bo", case, second)
    assert [(found.case, found.said, found.decided) for found in adjudication(store)] == [
        (one, {"Ann": "sick", "Bo": "normal"}, None), (other, {"Ann": "normal", "Bo": "sick"}, None),
    ]  # fmt: skip
    say(store, "Chief", one, "normal", kind="adjudicate")
    assert [(found.case, found.decided) for found in adjudication(store)] == [(other, None), (one, "normal")]
    assert store.truth()[one] == "normal" and store.conflicts() == [other]
    told = text(report(store))
    assert "2 disputed cases, 1 to be decided:" in told and f"{other}: Ann says normal; Bo says sick" in told
    rows = list(csv.DictReader(io.StringIO(adjudication_csv(report(store)))))
    assert rows[1] == {"case": one, "subject": "p0", "study": "1", "Ann": "sick", "Bo": "normal", "decided": "normal"}
    assert rows[0]["decided"] == ""


def test_what_cannot_be_told_is_said_in_sentences(tmp_path: Path) -> None:
    store = made(tmp_path)
    assert "takes two readers" in text(report(store)) and "No case is disputed." in text(report(store))
    first, second = (case.id for case in store.cases()[:2])
    say(store, "Ann", first, "sick", seconds=PAUSE + 5)
    alone = text(report(store))
    assert "1 reader, 1 first read of 1 case" in alone and "takes two readers" in alone
    assert "no case has been read twice by the same reader yet" in alone
    assert "Ann: every label was interrupted; 1 label over 5 minutes left out as interrupted" in alone
    say(store, "Bo", second, "sick")
    assert "no case has labels of two readers yet" in text(report(store))
    say(store, "Bo", first, "sick")
    told = text(report(store))
    assert "agreement 100 % (3 to 100 %)" in told and "cannot be told, since all reads say sick" in told
    assert "when one says normal, another does too: nobody said it" in told
    for each in (alone, told):
        assert "nan" not in each.lower().replace("ann", "")
    json.dumps(report(store), allow_nan=False)


def test_an_undone_label_counts_nowhere(tmp_path: Path) -> None:
    store = made(tmp_path)
    case = store.cases()[0].id
    say(store, "Ann", case, "sick")
    say(store, "Bo", case, "normal")
    (undone,) = store.events(reader="Bo")
    say(store, "Bo", case, undone.id, kind="undo")
    assert adjudication(store) == [] and report(store)["readers"] == ["Ann"]


@pytest.mark.proof
def test_the_intervals_hold_the_true_kappa_as_often_as_they_say() -> None:
    # Both readers see the truth (30 % sick) and err in 10 % of cases, each by himself: kappa of the population
    sick, right = 0.3, 0.9
    both = np.array([[right**2, right * (1 - right)], [right * (1 - right), (1 - right) ** 2]])
    true = float(cohen_of((1 - sick) * both + sick * both[::-1, ::-1]))
    held = {"Cohen": 0, "Fleiss": 0}
    for seed in range(400):
        random = np.random.default_rng(seed)
        truth = random.uniform(size=100) < sick
        said = [np.where(random.uniform(size=100) < right, truth, ~truth).astype(int) for _ in range(2)]
        names = [[("normal", "sick")[each] for each in one] for one in said]
        cohen = cohen_kappa(*names, ["normal", "sick"], repeats=500, seed=seed)
        fleiss = fleiss_kappa(np.stack([2 - sum(said), sum(said)], 1), repeats=500, seed=seed)
        held["Cohen"] += cohen.low <= true <= cohen.high
        held["Fleiss"] += fleiss.low <= true <= fleiss.high
    print(f"\ntrue kappa {true:.3f}; 95 % intervals of 100 cases hold it in {held} of 400")
    assert all(0.92 <= count / 400 <= 0.98 for count in held.values())
