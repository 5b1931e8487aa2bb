"""report.html of a translation: one file that opens without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from medudl.report import translation_plots as plots
from medudl.report.generator_figures import three_digits
from medudl.report.translation_calibration import UNCERTAINTY
from medudl.report.translation_lesion_tables import lesions
from medudl.report.translation_pictures import FULL, Example, chosen, data_url
from medudl.report.translation_tables import amount, table, titled

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:1240px;margin:2em auto;padding:0 1em;color:#222}
h1{font-size:1.6em} h2{font-size:1.2em;margin-top:2em} table{border-collapse:collapse;margin:.5em 0}
td,th{border-bottom:1px solid #ddd;padding:.25em .8em;text-align:left;vertical-align:top}
.notice{background:#c0392b;color:#fff;padding:.4em 1em;font-weight:600}
.verdict{border-left:6px solid #1f5fa8;background:#f3f6fa;padding:.8em 1em;font-size:1.1em}
.alarm{border-left:6px solid #c0392b;background:#fbf1ef;padding:.8em 1em}
.small,.span{color:#666;font-size:.9em} .wide{overflow-x:auto}
.shown td,.shown th{border:0;padding:.1em .3em} .shown img{display:block;background:#000}
[title]{text-decoration:underline dotted;cursor:help} dt{font-weight:600;margin-top:.4em} dd{margin-left:1em}
"""
_DEVICE = "Not a medical device. Research figures on the scans listed here; they say nothing about any other scanner, \
hospital or disease. The pictures show patients' scans: treat this file as you treat the scans."
_NO_PROOF = "Made scans may look right and be wrong: a translation can leave out what a patient has and show what he \
has not. Low cycle error and low uncertainty are no proof of truth."


def page(tree: Mapping[str, Any], examples: Sequence[Example]) -> str:
    """The whole HTML text. tree: content of report.json; examples: one slice of each test scan."""
    title = f"{escape(tree['run_name'])} ({escape(tree['method'])}): {escape(tree['source'])} to"
    patients = "patient" if tree["n_patients"] == 1 else "patients"
    parts = [
        f"<p class='notice'>{escape(tree['notice'])}</p>",
        f"<h1>{title} {escape(tree['target'])} on the {escape(tree['split'])} split</h1>",
        f"<p class='verdict'><b>{escape(tree['verdict'])}</b></p>",
        f"<p>{tree['n_scans']} scans of {tree['n_patients']} {patients}. Measured over {escape(tree['mask'])}.</p>",
        f"<p class='alarm'>{_NO_PROOF}</p><p class='small'>{_DEVICE}</p>",
        _examples(tree, examples),
        _truth(tree),
        _kernel(tree),
        _calibration(tree),
        lesions(tree),
        _scans(tree),
        _method(tree),
    ]
    head = f"<meta charset='utf-8'><title>medudl report</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _examples(tree: Mapping[str, Any], examples: Sequence[Example]) -> str:
    rows = []
    for words, one in chosen(examples):
        heads = "".join(f"<th>{escape(title)}</th>" for title, _ in one.panels)
        cells = "".join(
            f"<td><img alt='{escape(title, quote=True)}' src='{data_url(panel, one.aspect)}'></td>"
            for title, panel in one.panels
        )
        told = f"{escape(words)}: {escape(one.case)}, slice {one.slice}"
        rows.append(f"<p><b>{told}</b></p><div class='wide'><table class='shown'><tr>{heads}</tr><tr>{cells}</tr>"
                    "</table></div>")  # fmt: skip
    by = "mean absolute error" if tree["paired"] else "cycle error, which is not truth; without it the first scans"
    words = (
        f"The slice in the middle of the foreground; patients ranked by {by}. Difference: red is too bright, blue too"
        f" dark; it, uncertainty and cycle error have full colour at {FULL:g} of the nominal range."
    )
    return f"<h2>Worst, median and best patient</h2><p>{words}</p>{''.join(rows)}"


def _truth(tree: Mapping[str, Any]) -> str:
    rows = [row for row in tree["figures"] if row["name"] != "kid"]
    if not tree["paired"]:
        return f"<h2>Figures that need no truth</h2>{table(rows, tree)}"
    compared = [
        f"<tr><td>{escape(one['baseline'])}</td><td>{amount(one['difference'], True)}</td>"
        f"<td>{three_digits(one['val_error']) if one['val_error'] is not None else 'not available'}</td></tr>"
        for one in tree["comparisons"]
    ]
    words = f"Error of the model less that of each baseline, paired by patient ({escape(tree['unit'])}): below 0 the \
model is nearer to the truth. The verdict is by the baseline that was best on the val split."
    chart = _chart(plots.patients(tree["scans"], tree["unit"]), "patients")
    return (
        f"<h2>Beside the truth</h2>{table(rows, tree)}<h3>Against each baseline</h3><p>{words}</p><table><tr><th></th>"
        f"<th>Difference on this split</th><th>Error on val</th></tr>{''.join(compared)}</table>{chart}"
    )


def _kernel(tree: Mapping[str, Any]) -> str:
    rows = [row for row in tree["figures"] if row["name"] == "kid"]
    words = "Do made slices look like real ones of the other side? Figures compare only within one set of features. \
Training scans: real ones of other patients in the place of made ones."
    return f"<h2>Likeness to real scans</h2><p>{words}</p>{table(rows, tree)}"


def _calibration(tree: Mapping[str, Any]) -> str:
    rows = tree["calibration"]
    if not rows:
        return ""
    heads = "".join(f"<th>{titled(_TITLES[name], text)}</th>" for name, text in tree["calibration_definitions"].items())
    body = "".join(
        f"<tr><td>{escape(row['channel'])}, by {escape(row['by'])}</td>"
        + "".join(f"<td>{amount(row['figures'].get(name))}</td>" for name in tree["calibration_definitions"])
        + "</tr>"
        for row in rows
    )
    charts = []
    for number, channel in enumerate(dict.fromkeys(row["channel"] for row in rows)):
        some = [row for row in rows if row["channel"] == channel]
        unit = next(row["unit"] for row in tree["figures"] if row["name"] == "mae" and row["channel"] == channel)
        charts += [
            _chart(plots.reliability(row, unit), f"reliability-{number}") for row in some if row["by"] == UNCERTAINTY
        ]
        charts.append(_chart(plots.retention(some, unit), f"retention-{number}"))
    words = "Does the uncertainty tell where the translation errs, and by how much? In reliability, above the dotted \
line errors are larger than the uncertainty says."
    return (
        f"<h2>Calibration of the uncertainty</h2><p>{words}</p><table><tr><th></th>{heads}</tr>{body}</table>"
        f"{''.join(charts)}"
    )


_TITLES = {
    "ause": "Sparsification error", "excess": "Share of chance", "spearman": "Rank correlation",
    "within_one": "Within 1 deviation", "within_two": "Within 2 deviations",
}  # fmt: skip


def _scans(tree: Mapping[str, Any]) -> str:
    error = f"<th>Error ({escape(tree['unit'])})</th>" if tree["paired"] else "<th>Jumps, made / source</th>"
    body = "".join(
        f"<tr><td>{escape(row['case'])}</td><td>{_number(row.get('error' if tree['paired'] else 'jump_ratio'))}</td>"
        f"<td>{_number(row['uncertainty'])}</td><td>{_number(row['cycle_error'])}</td>"
        f"<td>{escape('; '.join(row['warnings']))}</td></tr>"
        for row in tree["scans"]
    )
    head = f"<tr><th></th>{error}<th>Uncertainty</th><th>Cycle error</th><th>Unlike the training scans</th></tr>"
    return f"<details><summary>Every scan</summary><div class='wide'><table>{head}{body}</table></div></details>"


def _method(tree: Mapping[str, Any]) -> str:
    fitted, boot = tree["fitted_on"], tree["intervals"]
    kind = "registered pairs" if fitted["pairs"] else "scans of the other side"
    words = [
        *(f"{one['name']}: {one['definition']}" for one in tree["baselines"]),
        f"Baselines were fitted on {fitted['scans']} {kind} of the train split ({fitted['most']} at the most).",
        f"Intervals: 95 %, from {boot['repeats']} resamples of patients (seed {tree['seed']}), each patient the mean of"
        " his scans; of the kernel distance from subsamples that leave a fifth of the patients out. With few patients"
        " bootstrap intervals are too narrow rather than too wide.",
        "Figures are on the model's own grid.",
        *tree["notes"],
    ]
    return f"<h2>How this was computed</h2><ul>{''.join(f'<li>{escape(word)}</li>' for word in words)}</ul>"


def _number(value: float | None) -> str:
    return "" if value is None else three_digits(value)


def _chart(made: go.Figure, name: str) -> str:
    text: str = made.to_html(full_html=False, include_plotlyjs=False, div_id=name, config={"displaylogo": False})
    return text
