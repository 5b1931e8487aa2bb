"""The report's plots, with plotly. Every word in them is a pseudonym, a label or a name of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from medudl.metrics.curves import precision_recall_points, ranked, roc_points
from medudl.metrics.voxels import Tally
from medudl.report.records import MODEL, Record

_MODEL, _OTHER = "#1f5fa8", "#9a9a9a"
_ROWS = 14  # bars at the most
_POINTS = 400  # of a curve


def bars(rows: Sequence[dict[str, Any]], title: str, chance: float | None) -> go.Figure:
    """A figure of every map with its interval, best on top; `chance` is what a blind map reaches."""
    kept = [row for row in rows if row["value"] is not None][:_ROWS]
    kept += [row for row in rows[_ROWS:] if row["name"] == MODEL and row not in kept]
    kept = kept[::-1]
    values = np.array([row["value"] for row in kept], float)
    low = np.array([row["value"] if row["low"] is None else row["low"] for row in kept], float)
    high = np.array([row["value"] if row["high"] is None else row["high"] for row in kept], float)
    errors = {"type": "data", "symmetric": False, "array": high - values, "arrayminus": values - low}
    colours = [_MODEL if row["name"] == MODEL else _OTHER for row in kept]
    names = [row["name"] for row in kept]
    made = go.Figure(go.Bar(x=values, y=names, orientation="h", error_x=errors, marker_color=colours))
    if chance is not None:
        made.add_vline(x=chance, line_dash="dot", annotation_text="blind")
    return _styled(made, title, "", "", height=120 + 26 * len(kept))


def roc(records: Sequence[Record], baseline: str | None) -> go.Figure:
    """ROC of the scan scores, model and best baseline."""
    made = go.Figure()
    known = [r for r in records if r.sick is not None]
    for name in filter(None, (baseline, MODEL)):
        _, sick, healthy = ranked([bool(r.sick) for r in known], [_score(r, name) for r in known])
        false, true = roc_points(sick, healthy)
        made.add_scatter(x=false, y=true, name=name, line_color=_colour(name))
    made.add_scatter(x=[0, 1], y=[0, 1], name="blind", line={"dash": "dot", "color": "#cccccc"})
    return _styled(made, "Scans: ROC", "healthy scans flagged", "sick scans flagged")


def precision_recall(records: Sequence[Record], baseline: str | None) -> go.Figure:
    """Precision and recall of the voxels, model and best baseline, pooled over the scans with a mask."""
    made = go.Figure()
    masked = [r for r in records if r.counts]
    for name in filter(None, (baseline, MODEL)):
        tally = Tally([r.counts[name] for r in masked], [0] * len(masked), 1)
        recall, precision = precision_recall_points(*tally.pooled())
        pick = np.unique(np.searchsorted(recall, np.linspace(0, 1, _POINTS)).clip(0, len(recall) - 1))
        made.add_scatter(x=recall[pick], y=precision[pick], name=name, line_color=_colour(name))
    return _styled(made, "Voxels: precision and recall", "lesion voxels found", "found voxels that are lesion")


def scores(records: Sequence[Record]) -> go.Figure:
    """Scan scores by label, each scan a point, with the thresholds of the runs."""
    made = go.Figure()
    for label in sorted({_group(r) for r in records}):
        rows = [r for r in records if _group(r) == label]
        made.add_box(
            y=[r.scores[MODEL] for r in rows], name=label, boxpoints="all", pointpos=0, jitter=0.5,
            text=[r.case for r in rows], marker={"size": 5},
        )  # fmt: skip
    for threshold in sorted({r.threshold for r in records if r.threshold is not None}):
        made.add_hline(y=threshold, line_dash="dash", annotation_text="threshold")
    made.update_layout(showlegend=False)
    return _styled(made, "Scan scores", "", "score")


def recall_by_size(rows: Sequence[dict[str, Any]]) -> go.Figure:
    """Share of lesions met at the healthy threshold, by size."""
    kept = [row for row in rows if row["recall"] is not None]
    values = np.array([row["recall"] for row in kept], float)
    low = np.array([row["recall"] if row["low"] is None else row["low"] for row in kept], float)
    high = np.array([row["recall"] if row["high"] is None else row["high"] for row in kept], float)
    names = [size_words(row) for row in kept]
    errors = {"type": "data", "symmetric": False, "array": high - values, "arrayminus": values - low}
    made = go.Figure(go.Bar(x=names, y=values, error_y=errors, marker_color=_MODEL))
    made.update_yaxes(range=[0, 1.05])
    return _styled(made, "Lesions met, by size", "", "share of lesions")


def size_words(row: dict[str, Any]) -> str:
    """'0.1 to 1 ml (n = 12)'."""
    span = f"{row['from']:g} or more" if row["to"] is None else f"{row['from']:g} to {row['to']:g}"
    return f"{span} {row['unit']} (n = {row['lesions']})"


def _score(record: Record, name: str) -> float:
    every = {**record.scores, **record.numbers}
    return every[name] if name in every else -every[name.removeprefix("minus ")]


def _group(record: Record) -> str:
    return record.label or {True: "sick", False: "healthy", None: "unknown"}[record.sick]


def _colour(name: str) -> str:
    return _MODEL if name == MODEL else _OTHER


def _styled(made: go.Figure, title: str, x: str, y: str, height: int = 420) -> go.Figure:
    made.update_layout(
        title=title, xaxis_title=x, yaxis_title=y, height=height, template="plotly_white",
        margin={"l": 60, "r": 20, "t": 50, "b": 50}, legend={"orientation": "h", "y": -0.2},
    )  # fmt: skip
    made.update_yaxes(automargin=True)
    return made
