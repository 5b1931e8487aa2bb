"""The queue: at random patient by patient, then uncertain and unlike, never a test case, no copies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medudl.labels.events import LabelCase
from medudl.labels.queue import cold_start, rank


def case(number: int, subject: str, test: bool = False) -> LabelCase:
    return LabelCase(f"{number:016x}", subject, "1", (f"{number}",), test)


def two(sure: np.ndarray) -> np.ndarray:
    return np.stack([sure, 1 - sure], axis=1)


def names(count: int) -> list[str]:
    return [f"c{number}" for number in range(count)]


@given(st.lists(st.integers(0, 6), max_size=30), st.integers(0, 5))
def test_nobody_comes_twice_before_all_came_once(subjects: list[int], seed: int) -> None:
    cases = [case(number, f"p{subject}") for number, subject in enumerate(subjects)]
    order = cold_start(cases, seed)
    assert sorted(order) == [one.id for one in cases]
    owner = {one.id: one.subject for one in cases}
    seen = [owner[one] for one in order]
    for at, subject in enumerate(seen):
        others = {s for s in seen if seen.count(s) > seen[:at].count(subject)}
        assert all(seen[:at].count(other) >= seen[:at].count(subject) for other in others)


def test_the_random_order_is_the_seeds_and_not_the_cohorts() -> None:
    cases = [case(number, f"p{number % 7}") for number in range(40)]
    assert cold_start(cases, 3) == cold_start(cases[::-1], 3) != cold_start(cases, 4)
    patients = [case(number, f"p{number}") for number in range(60)]
    few = [one for one in cold_start(patients, 3) if int(one, 16) < 40]
    assert few == cold_start(patients[:40], 3), "what is there keeps its order when the cohort grows"


def test_the_first_of_the_random_order_is_each_case_equally_often() -> None:
    cases = [case(number, f"p{number}") for number in range(4)]
    first = [int(cold_start(cases, seed)[0], 16) for seed in range(2000)]
    # Binomial(2000, 1/4): standard deviation 19.4; five of them
    assert np.abs(np.bincount(first, minlength=4) - 500).max() < 97


def test_a_test_case_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cases of the random test set"):
        cold_start([case(0, "a"), case(1, "b", test=True)], 0)
    with pytest.raises(ValueError, match="2 cases of the random test set"):
        rank(names(3), two(np.array([0.5, 0.6, 0.7])), None, None, n=1, seed=0, test=["c1", "c2", "other"])


def test_the_most_uncertain_comes_first_where_all_are_equally_far() -> None:
    sure = np.array([0.9, 0.55, 0.7, 0.99, 0.5])
    picked = rank(names(5), two(sure), np.eye(5), np.zeros((1, 5)), n=5, seed=0)
    assert [one.case for one in picked] == ["c4", "c1", "c2", "c0", "c3"]


def test_the_margin_and_not_the_entropy_decides() -> None:
    # margins .10 and .02 + entropies: the first is spread over four classes (higher entropy), the second torn in two
    chance = np.array([[0.34, 0.24, 0.21, 0.21], [0.50, 0.48, 0.01, 0.01]])
    entropy = -(chance * np.log(chance)).sum(1)
    assert entropy[0] > entropy[1]
    assert rank(["spread", "torn"], chance, None, None, n=1, seed=0)[0].case == "torn"


def test_near_what_is_labelled_comes_later() -> None:
    codes = np.array([[0.0, 0.1], [5.0, 0.0], [0.0, 5.0]])
    picked = rank(names(3), two(np.array([0.50, 0.55, 0.55])), codes, np.zeros((1, 2)), n=3, seed=0)
    assert picked[-1].case == "c0"


def test_an_outlier_gains_nothing_by_being_farther_than_usual() -> None:
    # four usual cases at distance 1 and one at 1000, which the model is surer of: an unbounded distance would take it
    codes = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1], [1000, 0]])
    sure = np.array([0.55, 0.56, 0.57, 0.58, 0.80])
    picked = rank(names(5), two(sure), codes, np.zeros((1, 2)), n=5, seed=0)
    assert [one.case for one in picked] == ["c0", "c1", "c2", "c3", "c4"]


@pytest.mark.parametrize("with_codes", [True, False])
@pytest.mark.parametrize("copies", ["exact", "near"])
def test_of_a_pool_of_half_copies_the_first_hold_no_copy(with_codes: bool, copies: str) -> None:
    random = np.random.default_rng(0)
    n, labelled = 20, random.normal(size=(15, 8))
    for seed in range(10):
        codes = random.normal(size=(100, 8))
        sure = random.uniform(0.5, 1, 100)
        shift = 0 if copies == "exact" else 1e-4
        doubled = np.concatenate([codes, codes + shift * random.normal(size=codes.shape)])
        chance = two(np.concatenate([sure, sure + shift * 0.01]).clip(0, 1))
        known = (doubled, labelled) if with_codes else (None, None)
        picked = rank(names(200), chance, *known, n=n, seed=seed)
        originals = [int(one.case[1:]) % 100 for one in picked]
        assert len(set(originals)) == n
        purely = np.argsort(np.abs(chance[:, 0] - 0.5), kind="stable")[:n] % 100
        assert len(set(purely.tolist())) < n, "uncertainty alone picks a case and its copy"


def test_copies_of_labelled_cases_come_last() -> None:
    labelled = np.random.default_rng(0).normal(size=(5, 3))
    codes = np.concatenate([labelled, labelled + 3])
    picked = rank(names(10), two(np.full(10, 0.5)), codes, labelled, n=10, seed=0)
    assert {one.case for one in picked[:5]} == set(names(10)[5:])


def test_the_seed_breaks_ties_and_nothing_else_is_random() -> None:
    chance = two(np.full(30, 0.5))
    same = np.zeros((30, 2))
    orders = [[one.case for one in rank(names(30), chance, same, None, n=30, seed=seed)] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert all(sorted(order) == sorted(names(30)) for order in orders)


@given(st.integers(0, 12), st.integers(0, 15), st.integers(0, 4), st.booleans(), st.integers(0, 99))
def test_any_pool_is_ranked_once_each(count: int, n: int, labelled: int, coded: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    chance = random.dirichlet([0.3, 0.3, 0.3], count)
    codes = random.integers(0, 3, (count, 2)).astype(float) if coded else None
    known = random.integers(0, 3, (labelled, 2)).astype(float)
    picked = [one.case for one in rank(names(count), chance, codes, known, n=n, seed=seed)]
    assert len(picked) == len(set(picked)) == min(n, count)
    assert picked == [one.case for one in rank(names(count), chance, codes, known, n=count, seed=seed)][:n]


CLASSES = ["normal", "pneumonia"]


@pytest.mark.parametrize(
    ("sure", "classes", "sentence"),
    [
        (0.48, CLASSES, "The model wavers: 52 % pneumonia, 48 % normal."),
        (0.70, CLASSES, "The model leans: 70 % normal, 30 % pneumonia."),
        (0.95, CLASSES, "The model is fairly sure: 95 % normal, 5 % pneumonia."),
        (0.999, CLASSES, "The model is fairly sure: over 99 % normal, under 1 % pneumonia."),
        (0.48, [], "The model wavers: 52 % for one class, 48 % for another."),
    ],
)
def test_why_is_a_sentence(sure: float, classes: list[str], sentence: str) -> None:
    (picked,) = rank(["a"], two(np.array([sure])), None, None, n=1, seed=0, classes=classes)
    assert (picked.kind, picked.why) == ("uncertain", sentence)


def test_unlike_anything_is_said_only_where_it_is_so() -> None:
    labelled = np.array([[0.0], [1.0], [3.0]])  # nearest labelled neighbours: 1, 1, 2
    chance = two(np.array([0.39, 0.39]))
    inside, outside = rank(["inside", "outside"], chance, [[4.9], [-2.1]], labelled, n=2, seed=0, classes=CLASSES)[::-1]
    assert (outside.case, outside.kind, outside.why) == (
        "outside", "diverse", "Unlike anything labelled so far; 61 % pneumonia.",
    )  # fmt: skip
    assert (inside.case, inside.kind) == ("inside", "uncertain")


@pytest.mark.parametrize(
    ("ids", "chance", "codes", "told"),
    [
        (["a", "a"], [[0.5, 0.5]] * 2, None, "stands twice"),
        (["a"], [[1.0]], None, "K at least 2"),
        (["a"], [[0.5, 0.6]], None, "add up to 1"),
        (["a"], [[np.nan, 0.6]], None, "add up to 1"),
        (["a"], [[0.5, 0.5]], [[0.0], [1.0]], "codes of shapes"),
        (["a"], [[0.5, 0.5]], [[np.inf]], "finite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(ids: list[str], chance: list, codes: list | None, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        rank(ids, chance, codes, None, n=1, seed=0)
