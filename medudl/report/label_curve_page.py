"""label_curve.html: the curve and its table, one file that opens without a network."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.colors import qualitative
from plotly.offline import get_plotlyjs

from medudl.report.label_curve_words import amount, reading, told

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222}
h1{font-size:1.6em} table{border-collapse:collapse}
td,th{border-bottom:1px solid #ddd;padding:.25em .8em;text-align:left}
.verdict{border-left:6px solid #1f5fa8;background:#f3f6fa;padding:.8em 1em;font-size:1.1em} .small{color:#666}
"""


def page(tree: Mapping[str, Any]) -> str:
    """The whole HTML text. tree: as of `report.label_curve.summarise`."""
    counted = tree["unit"] == "per_class"
    how = (
        "So many patients a class are learnt from, and as many at most choose the weights."
        if counted
        else "The share is taken of the patients who are learnt from, and of those who choose the weights."
    )
    words = (
        f"{len(tree['classes'])} classes ({', '.join(tree['classes'])}). Tested on {tree['test_scans']} scans of"
        f" {tree['test_patients']} patients that no classifier and no pretraining has seen. Each point is the mean of"
        f" {tree['seeds']} trainings on other patients; larger amounts hold the smaller ones. {how}"
        " Intervals: 95 %, over patients and trainings together. 'no gain': the interval of the difference includes 0."
    )
    cost = "".join(f"<li>{escape(line)}</li>" for line in reading(tree))
    chart = curve(tree).to_html(full_html=False, include_plotlyjs=False, div_id="curve", config={"displaylogo": False})
    head = f"<meta charset='utf-8'><title>label curve</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script>"
    return (
        f"<!doctype html><html lang='en'><head>{head}</head><body><h1>What are labels worth?</h1>"
        f"<p class='verdict'><b>{escape(tree['verdict'])}</b></p><p>{escape(words)}</p>{chart}{_table(tree)}"
        f"{'<h2>What the labels cost</h2><ul>' + cost + '</ul>' if cost else ''}"
        "<p class='small'>Not a medical device. Figures on these scans; they say nothing about any other hospital.</p>"
        "</body></html>\n"
    )


def curve(tree: Mapping[str, Any]) -> go.Figure:
    """Balanced accuracy by amount of labels, a line an arm with its interval; above it minutes of reading, if known."""
    made = go.Figure()
    column = "share" if tree["unit"] == "share" else "per_class"
    for number, arm in enumerate(dict.fromkeys(row["arm"] for row in tree["rows"])):
        rows = [row for row in tree["rows"] if row["arm"] == arm]
        found = [row["balanced_accuracy"] for row in rows]
        colour = qualitative.D3[number % len(qualitative.D3)]
        made.add_scatter(
            x=[row[column] for row in rows], y=[f["value"] for f in found], name=arm, mode="lines+markers",
            line={"color": colour, "dash": "solid" if arm in tree["pairs"] else "dash"},
            error_y={"type": "data", "symmetric": False, "thickness": 1, "color": colour,
                     "array": [(f["high"] or f["value"]) - f["value"] for f in found],
                     "arrayminus": [f["value"] - (f["low"] or f["value"]) for f in found]},
        )  # fmt: skip
    told_at = {row[column]: amount(row) for row in tree["rows"]}
    title = "of the labels" if column == "share" else "labels"
    made.update_xaxes(type="log", tickvals=list(told_at), ticktext=list(told_at.values()), title=title)
    made.update_yaxes(title="balanced accuracy")
    made.update_layout(template="plotly_white", height=460, legend={"orientation": "h", "y": -0.2})
    if tree["cost"] is not None:
        _second_axis(made, {row[column]: row["minutes"] for row in tree["rows"]})
    return made


def _second_axis(made: go.Figure, minutes: Mapping[float, float]) -> None:
    """The same amounts in minutes of reading, above the curve."""
    # An axis without a trace is not drawn: an unseen one carries it.
    made.add_scatter(x=list(minutes), y=[None] * len(minutes), xaxis="x2", showlegend=False, hoverinfo="skip")
    made.update_layout(
        xaxis2={"overlaying": "x", "matches": "x", "side": "top", "type": "log", "title": "minutes of reading",
                "tickvals": list(minutes), "ticktext": [f"{value:g}" for value in minutes.values()]}
    )  # fmt: skip


def _table(tree: Mapping[str, Any]) -> str:
    head = (
        "<tr><th>labels</th><th>scans</th><th>from</th><th>balanced accuracy (95 %)</th><th>error (95 %)</th>"
        "<th>against labels alone (95 %)</th>"
    )
    body = "".join(
        f"<tr><td>{amount(row)}</td><td>{row['scans']}</td><td>{escape(row['arm'])}</td>"
        f"<td>{told(row['balanced_accuracy'])}</td><td>{told(row['error'])}</td><td>{_against(row)}</td></tr>"
        for row in tree["rows"]
    )
    return f"<table>{head}</tr>{body}</table>"


def _against(row: Mapping[str, Any]) -> str:
    found = row["difference_from_scratch"]
    return "" if found is None else f"{told(found, signed=True)}: <b>{row['judged']}</b>"
