"""Learning curves: which, in words; smoothing by its formula; thinning that loses no peak; axes that hide nothing."""

from __future__ import annotations

import json
import math
from array import array
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from apps.viewer import curves
from medudl.training.course import Course, Curve


@pytest.fixture
def course(tmp_path: Path) -> Course:
    entries: list[dict[str, Any]] = [
        {"kind": "train", "step": step, "critic/loss": -1.0 / step, "generator/loss": 2.0, "critic/gradient": 0.5}
        for step in range(10, 110, 10)
    ]
    entries += [{"kind": "validation", "step": step, "loss": 1.0} for step in (50, 100)]
    entries.append({"kind": "picture", "step": 100, "spread/input": 0.2, "spread/answer": 0.1})
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    found = Course(tmp_path / "log.jsonl")
    found.update()
    return found


def test_quantities_in_words(course: Course) -> None:
    assert curves.quantities([course]) == ["loss", "gradient", "spread"]
    assert curves.words("loss") == "Error" and curves.words("cycle_error") == "Cycle error"
    drawn = curves.lines([("run", course)], "loss")
    assert [(line.title, line.held_out) for line in drawn] == [
        ("training (critic)", False), ("training (generator)", False), ("held-out scans", True)
    ]  # fmt: skip
    assert len({line.colour for line in drawn}) == 3
    assert [line.title for line in curves.lines([("run", course)], "spread")] == ["the answers", "the scans"]


def test_several_runs_have_a_colour_each(course: Course) -> None:
    drawn = curves.lines([("one", course), ("two", course)], "loss")
    assert len(drawn) == 6 and len({line.colour for line in drawn}) == 2
    assert drawn[0].title == "one: training (critic)" and drawn[-1].title == "two: held-out scans"


def test_smoothing_is_the_average_that_it_says() -> None:
    values, weight = [4.0, 1.0, 3.0], 0.5
    expected = [
        sum(weight ** (t - i) * values[i] for i in range(t + 1)) / sum(weight ** (t - i) for i in range(t + 1))
        for t in range(3)
    ]
    assert curves.smoothed(values, weight) == pytest.approx(expected)
    assert curves.smoothed(values, 0.0) == values
    assert curves.smoothed([2.0] * 5, 0.9) == pytest.approx([2.0] * 5), "no pull towards 0 at the start"


def test_a_gap_reaches_nothing_after_it() -> None:
    out = curves.smoothed([1.0, math.nan, math.inf, 1.0], 0.9)
    assert math.isnan(out[1]) and math.isnan(out[2]) and out[3] == pytest.approx(1.0)


def test_thinning_keeps_peaks_and_ends() -> None:
    values = array("d", [1.0] * 100_000)
    values[31_234], values[77_777] = 50.0, -50.0
    steps, kept = curves.thinned(Curve(array("q", range(100_000)), values))
    assert len(steps) <= curves.POINTS + 2 and steps == sorted(steps)
    assert max(kept) == 50 and min(kept) == -50 and (steps[0], steps[-1]) == (0, 99_999)


def test_a_logarithmic_axis_only_where_it_hides_nothing(course: Course) -> None:
    assert not curves.can_be_logarithmic(curves.lines([("run", course)], "loss"))
    assert curves.can_be_logarithmic(curves.lines([("run", course)], "gradient"))


def test_the_picture_is_a_figure(course: Course) -> None:
    drawn = curves.lines([("run", course)], "loss")
    made = curves.picture(drawn, 0.9, False, stages=[60])
    figure = go.Figure(made)
    assert len(figure.data) == 5, "two smoothed curves with their measured ones, and points that are never smoothed"
    assert figure.layout.yaxis.type == "linear" and figure.layout.shapes[0].x0 == 60
    assert curves.picture(drawn, 0.9, True)["layout"]["yaxis"]["type"] == "log"
    assert len(curves.picture(drawn, 0.0, False)["data"]) == 3
    assert curves.picture(drawn, 0.9, False, stages=[60]) == made, "equal figures are not drawn again"
