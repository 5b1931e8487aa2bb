"""The plots of a translation's report, with plotly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

_MODEL, _OTHER = "#1f5fa8", "#9a9a9a"


def reliability(row: Mapping[str, Any], unit: str) -> go.Figure:
    """Root mean square error against the uncertainty, ten groups of voxels; on the dotted line it is calibrated."""
    level, error = row["curves"]["level"], row["curves"]["level_error"]
    top = max((value for value in level if value is not None), default=1.0)
    made = go.Figure()
    made.add_scatter(x=[0, top], y=[0, top], name="calibrated", line={"color": "#cccccc", "dash": "dot"})
    made.add_scatter(x=level, y=error, name="voxels, in tenths", mode="lines+markers", line={"color": _MODEL})
    return _styled(made, "Reliability", f"standard deviation told ({unit})", f"root mean square error ({unit})")


def retention(rows: Sequence[Mapping[str, Any]], unit: str) -> go.Figure:
    """Mean error of the voxels that are kept, those of least uncertainty (or cycle error) first."""
    made = go.Figure()
    for row, dash in zip(rows, ("solid", "dash"), strict=False):
        curves = row["curves"]
        made.add_scatter(x=curves["kept"], y=curves["error"], name=f"least {row['by']} first",
                         line={"color": _MODEL, "dash": dash})  # fmt: skip
    curves = rows[0]["curves"]
    made.add_scatter(x=curves["kept"], y=curves["oracle"], name="least error first (at best)",
                     line={"color": _OTHER})  # fmt: skip
    made.update_yaxes(rangemode="tozero")
    return _styled(made, "Error of the voxels kept", "share of voxels kept", f"mean |error| ({unit})")


def patients(rows: Sequence[Mapping[str, Any]], unit: str) -> go.Figure:
    """Error of each patient, each scan a point, worst last."""
    ranked = sorted(rows, key=lambda row: float(row["error"]))
    made = go.Figure(
        go.Scatter(
            x=[row["patient"] for row in ranked], y=[row["error"] for row in ranked], mode="markers",
            text=[row["case"] for row in ranked], marker={"color": _MODEL, "size": 8},
        )
    )  # fmt: skip
    made.update_xaxes(type="category")
    made.update_yaxes(rangemode="tozero")
    return _styled(made, "Error of each test scan", "patient", f"mean absolute error ({unit})")


def _styled(made: go.Figure, title: str, x: str, y: str) -> go.Figure:
    made.update_layout(
        title=title, xaxis_title=x, yaxis_title=y, height=420, template="plotly_white",
        margin={"l": 60, "r": 20, "t": 50, "b": 50}, legend={"orientation": "h", "y": -0.2},
    )  # fmt: skip
    made.update_yaxes(automargin=True)
    return made
