"""Learning curves: which quantities there are, in words, and their picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medudl.training.course import Course, Curve

POINTS = 1500  # of a curve that are drawn: as many as a screen has columns
COLOURS = ("#4c8dcb", "#ffb454", "#7fd1a8", "#d98cc4", "#e0736d", "#b9a7ee")
WORDS = {
    "loss": "Error", "reconstruction": "Reconstruction error", "kl": "Distance from the normal distribution",
    "gradient": "Size of corrections (gradient)", "penalty": "Gradient penalty", "wasserstein": "Wasserstein distance",
    "generator": "Error of the generator", "discriminator": "Error of the discriminator",
    "accuracy": "Share that the discriminator tells right", "spread": "How much pictures differ from each other",
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One curve to draw: its run, its name in the legend, colour, and whether it is of held-out scans."""

    title: str
    curve: Curve
    colour: str
    held_out: bool


def quantities(courses: Sequence[Course]) -> list[str]:
    """What can be drawn, the error first: last parts of the names in the log ("loss", "gradient")."""
    found = dict.fromkeys(_quantity(kind, name) for course in courses for kind, name in course.curves)
    return sorted(found, key=lambda name: (name != "loss", name == "spread", name == "gradient"))


def words(quantity: str) -> str:
    """A quantity as the screen names it."""
    return WORDS.get(quantity, quantity.replace("_", " ").capitalize())


def lines(courses: Sequence[tuple[str, Course]], quantity: str) -> list[Line]:
    """The curves of one quantity, training and held-out, over all runs (name, course)."""
    found = []
    for number, (run, course) in enumerate(courses):
        mine = [key for key in sorted(course.curves) if _quantity(*key) == quantity]
        for nth, (kind, name) in enumerate(mine):
            several = len(courses) > 1
            # One run: a colour for each of its curves. Several: a colour for each run.
            colour = COLOURS[(number if several else nth) % len(COLOURS)]
            title = f"{run}: {_title(kind, name)}" if several else _title(kind, name)
            found.append(Line(title, course.curves[kind, name], colour, kind == "validation"))
    return found


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """Exponential average, freed of its start: m_t = weight * m_{t-1} + (1 - weight) * x_t, over 1 - weight^t.

    weight: 0 (as measured) to below 1. A NaN or infinity is a gap, and does not reach what follows.
    """
    mean, mass, out = 0.0, 0.0, []
    for value in values:
        if not math.isfinite(value):
            out.append(math.nan)
            continue
        mean, mass = weight * mean + (1 - weight) * value, weight * mass + (1 - weight)
        out.append(mean / mass)
    return out


def thinned(curve: Curve) -> tuple[list[int], list[float]]:
    """At most POINTS of a curve: of each stretch the lowest and the highest value, so that no peak is lost."""
    steps, values = list(curve.steps), list(curve.values)
    if len(steps) <= POINTS:
        return steps, values
    stretch = math.ceil(2 * len(steps) / POINTS)
    kept: set[int] = {0, len(steps) - 1}
    for start in range(0, len(steps), stretch):
        part = [i for i in range(start, min(start + stretch, len(steps))) if math.isfinite(values[i])]
        if part:
            kept |= {min(part, key=values.__getitem__), max(part, key=values.__getitem__)}
    chosen = sorted(kept)
    return [steps[i] for i in chosen], [values[i] for i in chosen]


def can_be_logarithmic(drawn: Sequence[Line]) -> bool:
    """Whether a logarithmic axis hides nothing: every finite value is above 0."""
    return all(value > 0 for line in drawn for value in line.curve.values if math.isfinite(value))


def picture(drawn: Sequence[Line], weight: float, logarithmic: bool, stages: Sequence[int] = ()) -> dict[str, Any]:
    """The curves as a Plotly figure: thick and smoothed; thin and as measured, where they are smoothed at all."""
    traces: list[dict[str, Any]] = []
    for line in drawn:
        # Validations are few and far apart: their points are shown as they are.
        smooth = weight > 0 and not line.held_out
        steps, raw = thinned(line.curve)
        if smooth:
            traces.append(_trace(line, steps, raw, width=1, opacity=0.45) | {"showlegend": False, "hoverinfo": "skip"})
            steps, raw = thinned(
                Curve(line.curve.steps, type(line.curve.values)("d", smoothed(line.curve.values, weight)))
            )
        traces.append(_trace(line, steps, raw, width=2, opacity=1.0))
    axis = {"gridcolor": "#20262d", "zeroline": False, "linecolor": "#2a313a"}
    return {
        "data": traces,
        "layout": {
            "uirevision": "kept",  # a zoom outlives an update
            "margin": {"l": 60, "r": 12, "t": 8, "b": 44}, "hovermode": "x unified",
            "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font": {"color": "#b9c2cd"},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "xaxis": {**axis, "title": {"text": "Step"}, "separatethousands": True},
            "yaxis": {**axis, "type": "log" if logarithmic else "linear", "exponentformat": "power"},
            "shapes": [{"type": "line", "x0": step, "x1": step, "yref": "paper", "y0": 0, "y1": 1,
                        "line": {"color": "#5a6572", "width": 1, "dash": "dot"}} for step in stages],
        },
    }  # fmt: skip


def _trace(line: Line, steps: list[int], values: list[float], width: int, opacity: float) -> dict[str, Any]:
    return {
        "type": "scatter", "x": steps, "y": [value if math.isfinite(value) else None for value in values],
        "name": line.title, "mode": "lines+markers" if line.held_out else "lines", "opacity": opacity,
        "line": {"color": line.colour, "width": width, "dash": "dot" if line.held_out else "solid"},
        "marker": {"size": 7, "symbol": "circle-open" if line.held_out else "circle"},
    }  # fmt: skip


def _quantity(kind: str, name: str) -> str:
    return "spread" if kind == "picture" else name.rpartition("/")[2]


def _title(kind: str, name: str) -> str:
    if kind == "picture":
        part = name.rpartition("/")[2]
        return {"input": "the scans", "answer": "the answers", "sample": "the made images"}.get(part, part)
    if kind == "validation":
        return "held-out scans"
    player = name.rpartition("/")[0]
    return f"training ({player.replace('_', ' ')})" if player else "training"
