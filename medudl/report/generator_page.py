"""report.html of a generator: one file that opens without a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image
from plotly.offline import get_plotlyjs

from medudl.report import generator_plots as plots
from medudl.report.generator_figures import KINDS, three_digits

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}
h1{font-size:1.6em} h2{font-size:1.2em;margin-top:2em} table{border-collapse:collapse;margin:.5em 0}
td,th{border-bottom:1px solid #ddd;padding:.25em .8em;text-align:left;vertical-align:top}
.verdict{border-left:6px solid #1f5fa8;background:#f3f6fa;padding:.8em 1em;font-size:1.1em}
.alarm{border-left:6px solid #c0392b;background:#fbf1ef;padding:.8em 1em}
.small,.span{color:#666;font-size:.9em} .span{white-space:nowrap} img{max-width:100%}
dt{font-weight:600;margin-top:.4em} dd{margin-left:1em}
"""
_DEVICE = "Not a medical device. Research figures on the scans listed here. Samples are synthetic and not for \
diagnosis. The pictures show patients' images too: treat this file as you treat the scans."
_TABLE = (
    "In brackets: 95 % intervals by patient. <b>Real images</b>: training images in the place of samples, which is \
what a perfect generator can be asked for, and what one reaches too that knows the training images by heart: hence the \
copies below. <b>Trivial generator</b>: a Gaussian with the mean and the covariance of the training images. \
Figures compare only within one set of features."
)
_OTHERS = ("copies", "spectrum", "inception_score")
_GRID = "The first samples, not the best ones; below each the training image that is nearest to it."


def page(
    tree: Mapping[str, Any], grid: NDArray[np.uint8], log: Sequence[Mapping[str, Any]]
) -> str:  # fmt: skip
    """The whole HTML text. tree: content of report.json; grid: picture of samples; log: lines of log.jsonl."""
    held_out = tree["held_out"]
    parts = [
        f"<h1>{escape(tree['run_name'])} ({escape(tree['method'])}): samples against the {escape(tree['split'])} split"
        "</h1>",
        f"<p class='verdict'><b>{escape(tree['verdict'])}</b></p>",
        _alarms(tree),
        f"<p>{tree['n_samples']} samples; {tree['n_real']} held-out images of {held_out['scans']} scans of"
        f" {tree['n_patients']} patients; learnt from {tree['training']['images']} images of"
        f" {tree['training']['patients']} patients.</p>",
        f"<p class='small'>{_DEVICE}</p>",
        f"<h2>Samples</h2><p>{_GRID}</p><img alt='samples and their nearest training images' src='{_data_url(grid)}'>",
        _figures(tree),
        _copies(tree),
        _others(tree),
        _spectra(tree),
        _course(log),
        _notes(tree),
    ]
    head = f"<meta charset='utf-8'><title>medudl report</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _alarms(tree: Mapping[str, Any]) -> str:
    collapse = tree["collapse"]
    if collapse is None:
        return ""
    kind = "alarm" if collapse["alarm"] else "small"
    return f"<p class='{kind}'>{escape(collapse['sentence'])}</p>"


def _figures(tree: Mapping[str, Any]) -> str:
    """A table for each set of features."""
    parts = [f"<h2>Beside held-out patients</h2><p>{_TABLE}</p>"]
    for features in tree["features"]:
        rows = [row for row in tree["figures"] if row["features"] == features and row["name"] not in _OTHERS]
        parts.append(f"<h3>Features: {escape(features)}</h3>{_table(rows)}")
    return "".join(parts)


def _copies(tree: Mapping[str, Any]) -> str:
    rows = [row for row in tree["figures"] if row["name"] == "copies"]
    body = "".join(f"<tr><td>By {escape(row['features'])}</td>{_cells(row)}</tr>" for row in rows)
    head = "<tr><th></th><th>Samples</th><th>Held-out images</th><th>Training images themselves</th></tr>"
    words = (
        f"{rows[0]['definition']} Held-out images show what is found by chance; the training images in the place of \
samples show what a generator gives that knows them by heart."
    )
    return f"<h2>Copies of training images</h2><p>{words}</p><table>{head}{body}</table>"


def _others(tree: Mapping[str, Any]) -> str:
    """What does not belong to one of the feature networks."""
    return f"<h2>Spectrum and classes</h2>{_table([row for row in tree['figures'] if row['name'] in _OTHERS[1:]])}"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = "<tr><th></th><th>Samples</th><th>Real images</th><th>Trivial generator</th><th>Better</th></tr>"
    body = "".join(f"<tr><td>{KINDS[row['name']].title}</td>{_cells(row)}<td>{row['better']}</td></tr>" for row in rows)
    words = "".join(f"<dt>{KINDS[row['name']].title}</dt><dd>{escape(row['definition'])}</dd>" for row in rows)
    asides = "".join(
        f"<li>{KINDS[row['name']].title}: {escape(row['floor_why'])}</li>" for row in rows if row["floor_why"]
    )
    said = f"<ul class='small'>{asides}</ul>" if asides else ""
    return f"<table>{head}{body}</table>{said}<details><summary>What these are</summary><dl>{words}</dl></details>"


def _cells(row: Mapping[str, Any]) -> str:
    """The samples' figure, the real images', the trivial generator's; or why there is none, across all three."""
    if row["value"] is None:
        return f"<td colspan='3' class='small'>{escape(row['why_not'])}</td>"
    return "".join(f"<td>{_value(found)}</td>" for found in (row, row["floor"], row["baseline"]))


def _value(found: Mapping[str, Any] | None) -> str:
    if found is None or found["value"] is None:
        return "not available"
    text = three_digits(found["value"])
    if found.get("low") is not None:
        text += f" <span class='span'>({three_digits(found['low'])} to {three_digits(found['high'])})</span>"
    return text


def _spectra(tree: Mapping[str, Any]) -> str:
    spectra = tree["spectra"]
    if spectra is None:
        return ""
    board = spectra["checkerboard"]
    words = "Low frequencies are large shapes, high ones fine detail. Samples below the real images are too smooth, \
above them too rough."
    if board is not None and board["found"]:
        words += " The samples have a checkerboard, as strided upsampling leaves it, and the real images have none."
    return f"<h2>Spectrum</h2><p>{words}</p>{_chart(plots.spectra(spectra), 'spectra')}"


def _course(log: Sequence[Mapping[str, Any]]) -> str:
    chart = plots.course(log)
    if chart is None:
        return ""
    words = "What training itself measured on the validation images; the weights with the lowest value were kept."
    return f"<h2>Course of the training</h2><p>{words}</p>{_chart(chart, 'course')}"


def _notes(tree: Mapping[str, Any]) -> str:
    words = [
        f"Intervals: 95 %, from {tree['intervals']['subsamples']} subsamples that leave a fifth of the patients (and of"
        " the samples) out; with few patients they are wide, as they should be. All images were clipped to [0, 1].",
        "The verdict is by the first set of features.",
        *tree["notes"],
    ]
    return f"<h2>How this was computed</h2><ul>{''.join(f'<li>{escape(word)}</li>' for word in words)}</ul>"


def _data_url(picture: NDArray[np.uint8]) -> str:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _chart(made: go.Figure, name: str) -> str:
    text: str = made.to_html(full_html=False, include_plotlyjs=False, div_id=name, config={"displaylogo": False})
    return text
