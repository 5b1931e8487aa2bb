"""What is told of each item: columns learnt from the train split, places of slices, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from test_loaders import scan

from medudl.condition import Condition
from medudl.config import Data, validate_config
from medudl.data.cases import Case, cases_of
from medudl.data.cohort import Cohort, Series
from medudl.data.conditions import Told, learnt
from medudl.data.loaders import Loader
from medudl.errors import UserError

CONTRAST = Condition(name="contrast", values=("T1", "T2"))
PLACE = Condition(name="slice_position", low=0, high=1)
AGE = Condition(name="age", low=20, high=60, mean=50)


def cohort(**columns: list[str]) -> Cohort:
    """A row a value; subjects p0, p1 ... with T1 and T2 in turn."""
    count = len(next(iter(columns.values())))
    rows = [Series(f"p{n}", series=f"s{n}", path=f"{n}.nii", contrast=("T1", "T2")[n % 2]) for n in range(count)]
    made = Cohort.of(Path("scans"), rows)
    return Cohort(made.root, made.table.assign(**columns), made.meta)


def of(rows: Cohort, *names: str) -> tuple[Condition, ...]:
    return learnt(names, rows, cases(rows))


def cases(rows: Cohort, data: Data | None = None) -> list[Case]:
    return cases_of(rows, data or Data())[0]


def test_words_become_kinds_and_numbers_a_range() -> None:
    rows = cohort(age=["60", "20", "", "40.5"], sex=["F", "M", "", "F"], field=["3", "1.5", "3", "3"])
    found = of(rows, "slice_position", "contrast", "age", "sex", "field")
    assert found == (
        PLACE, CONTRAST, Condition(name="age", low=20, high=60, mean=40.1667),
        Condition(name="sex", values=("F", "M")), Condition(name="field", low=1.5, high=3),
    )  # fmt: skip
    assert of(cohort(label=["0", "1", "1"]), "label") == (Condition(name="label", values=("0", "1")),)
    assert of(cohort(grade=["2", "3a", "2"]), "grade") == (Condition(name="grade", values=("2", "3a")),)


def test_only_the_train_split_is_learnt_from_and_what_is_unknown_is_zeros_or_the_mean() -> None:
    rows = cohort(age=["20", "60", "", "80"], sex=["F", "M", "O", ""])
    of_train = learnt(("sex", "age"), rows, cases(rows)[:2])
    assert of_train[1] == Condition(name="age", low=20, high=60), "none is missing there"
    told = Told.of((of_train[0], AGE), rows, cases(rows)).of_case
    assert [told[case.id].tolist() for case in cases(rows)] == [[1, 0, 0], [0, 1, 1], [0, 0, 0.75], [0, 0, 1.5]]
    with pytest.raises(UserError, match="age: 'old' is no number; mend it"):
        Told.of((AGE,), cohort(age=["20", "old"]), cases(cohort(age=["20", "old"])))
    with pytest.raises(UserError, match="age: '' is no number"):
        Told.of(of_train[1:], rows, cases(rows))


def test_the_row_of_the_grid_series_counts_and_any_label() -> None:
    rows = cohort(label=["", "ill", "well", ""], coil=["a", "b", "b", "b"])
    rows.table["subject"] = ["p0", "p0", "p1", "p1"]
    data = Data(channels=["T1", "T2"], grid="T2")
    studies = cases(rows, data)
    assert learnt(["label"], rows, studies)[0].values == ("ill", "well")
    with pytest.raises(UserError, match="coil is b in every scan"):
        learnt(["coil"], rows, studies)
    assert learnt(["coil"], rows, cases(rows, Data(channels=["T1", "T2"])))[0].values == ("a", "b")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("contrasts", "contrasts is no column of the cohort; did you mean contrast"),
        ("slice_pos", "slice_pos is no column of the cohort; did you mean slice_position"),
        ("path", "path says which scan it is"),
        ("subject", "subject says which scan it is"),
        ("split", "split says which scan it is"),
        ("sha256", "sha256 says which scan it is"),
        ("same", "same is x in every scan learnt from, which says nothing"),
        ("size", "size is 3 in every scan learnt from, which says nothing"),
        ("none", "none is empty in every scan learnt from"),
        ("nickname", "nickname is another word for every patient"),
    ],
)
def test_what_says_nothing_or_who_it_is_is_refused(name: str, words: str) -> None:
    rows = cohort(same=["x"] * 4, size=["3", "", "3.0", "3"], none=[""] * 4, nickname=list("abcd"))
    with pytest.raises(UserError, match=f"data.condition: {words}") as told:
        of(rows, name)
    assert "\n" not in str(told.value)


def test_free_text_is_refused() -> None:
    words = [f"word {n // 2}" for n in range(66)]
    with pytest.raises(UserError, match="remark has 33 different words, and 32 is the most"):
        of(cohort(remark=words), "remark")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"condition": ["slice_position"], "view": "volume"}, "slice_position takes view: slices or slices_25d"),
        ({"condition": ["age", "age"]}, "condition names a column twice: age, age"),
    ],
)
def test_settings_that_cannot_be_are_refused(data: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        validate_config({"method": {"name": "conditional_gan"}, "data": data}, "test")


def test_a_batch_is_told_its_contrast_and_place_by_hand() -> None:
    first, second = scan("a", depth=6), scan("b", depth=5)
    first.foreground[:, [0, 5]] = False  # slices 1 to 4 have some
    told = Told({"a": np.array([0, 1, 0], np.float32), "b": np.array([1, 0, 0], np.float32)}, 2)
    for workers in (0, 2):
        loader = Loader([first, second], Data(), told=told, batch_size=9, shuffle=False, workers=workers)
        (batch,) = loader.epoch(0)
        third = 1 / 3
        assert batch["id"] == ["a/1", "a/2", "a/3", "a/4", "b/0", "b/1", "b/2", "b/3", "b/4"]
        assert batch["condition"].dtype == torch.float32
        torch.testing.assert_close(
            batch["condition"],
            torch.tensor([[0, 1, p] for p in (0, third, 2 * third, 1)] + [[1, 0, p] for p in (0, 0.25, 0.5, 0.75, 1)]),
        )
    assert "condition" not in next(Loader([first], Data(), batch_size=4, shuffle=True).epoch(0))


def test_what_is_told_follows_its_image_when_shuffled() -> None:
    told = Told({"a": np.zeros(1, np.float32)}, 0)
    for batch in Loader([scan("a", depth=6)], Data(), told=told, batch_size=3, shuffle=True, seed=3).epoch(2):
        shown = batch["image"].mean((1, 2, 3)).round() / 5  # slice d holds the value d
        torch.testing.assert_close(batch["condition"][:, 0], shown)


def test_slices_beyond_the_foreground_are_at_its_ends_and_single_slices_are_refused() -> None:
    one = scan("a", depth=6)
    one.foreground[:, [0, 1, 5]] = False
    told = Told({"a": np.zeros(1, np.float32)}, 0)
    (batch,) = Loader([one], Data(min_foreground=0), told=told, batch_size=6, shuffle=False).epoch(0)
    assert batch["condition"][:, 0].tolist() == [0, 0, 0, 0.5, 1, 1]
    with pytest.raises(UserError, match="each scan is one slice, so slice_position says nothing"):
        Loader([scan("a", depth=1)], Data(), told=told, batch_size=1, shuffle=False)


def test_numbers_said_in_words_and_asked_for() -> None:
    assert [CONTRAST.words(y) for y in ([1, 0], [0, 1], [0, 0])] == ["contrast=T1", "contrast=T2", "contrast=unknown"]
    assert [PLACE.words([x]) for x in (0, 0.5, 1)] == [
        "slice_position=.00",
        "slice_position=.50",
        "slice_position=1.00",
    ]
    assert AGE.words([0.25]) == "age=30.0" and AGE.asked("30") == [0.25] and CONTRAST.asked("T2") == [0, 1]
    for condition, text, words in (
        (CONTRAST, "T3", "contrast=T3: no such value; did you mean T[12]"),
        (CONTRAST, "perfusion", "no such value; there are T1, T2"),
        (AGE, "61", "age=61: ask for a number from 20 to 60"),
        (AGE, "young", "age=young: ask for a number from 20 to 60"),
    ):
        with pytest.raises(UserError, match=words):
            condition.asked(text)


@pytest.mark.parametrize("tree", [{"name": "age"}, {"name": "age", "low": 2, "high": 2}, {"name": "age", "values": []}])
def test_a_condition_without_values_or_range_is_none(tree: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="age needs values, or low below high"):
        Condition.model_validate(tree)
