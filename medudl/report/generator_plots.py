"""The plots of a generator's report, with plotly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

_SETS = {
    "samples": ("samples", "#1f5fa8", "solid"),
    "held_out": ("held-out images", "#222222", "solid"),
    "training": ("training images", "#9a9a9a", "dot"),
    "trivial": ("trivial generator", "#c07a30", "dash"),
}  # fmt: skip
_JUDGED = ("kid", "loss")  # what a validation may be monitored by, the first that a log has


def spectra(found: Mapping[str, Any]) -> go.Figure:
    """Mean power by spatial frequency, each set a line. found: as of `generator_spectra.spectra_of`."""
    made = go.Figure()
    for key, (name, colour, dash) in _SETS.items():
        made.add_scatter(x=found["frequency"], y=found["power"][key], name=name, line={"color": colour, "dash": dash})
    made.update_yaxes(type="log", exponentformat="power", dtick=1)
    return _styled(made, "Power by spatial frequency", "cycles per pixel", "mean power")


def course(log: Sequence[Mapping[str, Any]]) -> go.Figure | None:
    """The validation KID (or loss, where there is none) by step; None where the log has neither, twice."""
    lines = [line for line in log if line.get("kind") == "validation"]
    name = next((name for name in _JUDGED if sum(name in line for line in lines) > 1), None)
    if name is None:
        return None
    rows = [(line["step"], line[name]) for line in lines if name in line]
    made = go.Figure(go.Scatter(x=[step for step, _ in rows], y=[value for _, value in rows], mode="lines+markers"))
    title = "Validation KID of coarse pixels" if name == "kid" else "Validation loss"
    return _styled(made, title, "step", name.upper() if name == "kid" else name)


def _styled(made: go.Figure, title: str, x: str, y: str) -> go.Figure:
    made.update_layout(
        title=title, xaxis_title=x, yaxis_title=y, height=420, template="plotly_white",
        margin={"l": 60, "r": 20, "t": 50, "b": 50}, legend={"orientation": "h", "y": -0.2},
    )  # fmt: skip
    made.update_yaxes(automargin=True)
    return made
