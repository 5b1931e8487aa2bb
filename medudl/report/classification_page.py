"""report.html of a classifier: one file that opens without a network."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from medudl.metrics.intervals import short

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222}
h1{font-size:1.6em} h2{font-size:1.2em;margin-top:2em} table{border-collapse:collapse}
td,th{border-bottom:1px solid #ddd;padding:.25em .8em;text-align:left;vertical-align:top}
.verdict{border-left:6px solid #1f5fa8;background:#f3f6fa;padding:.8em 1em;font-size:1.1em} .small{color:#666}
"""
_MEASURES = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "auroc": "AUROC",
    "calibration_error": "calibration error",
}
_WORDS = "Balanced accuracy is the mean, over the classes, of the share of scans called by their right name. AUROC is \
the chance that a scan of a class gets a higher probability of it than one of another class. Calibration error is how \
far the stated probabilities are from how often they come true, 0 at best."
_DEVICE = "Not a medical device. Research figures on the scans listed here; they say nothing about any other scanner, \
hospital or disease."


def page(tree: Mapping[str, Any]) -> str:
    """The whole HTML text. tree: as of `report.classification.summarise`, with notes."""
    boot = tree["bootstrap"]
    notes = [
        f"Intervals: 95 %, from {boot['repeats']} resamples of patients (seed {boot['seed']}), each class by itself.",
        "Trivial classifiers learnt from the model's own scans; their one setting was chosen on its val scans.",
        *tree["notes"],
    ]
    body = [
        f"<h1>{escape(tree['method'])}: evaluation on the {escape(tree['split'])} split</h1>",
        f"<p class='verdict'><b>{escape(tree['verdict'])}</b></p>",
        f"<p>{tree['scans']} scans of {tree['patients']} patients.</p><p>{escape(tree['calibration']['text'])}</p>",
        f"<p class='small'>{_DEVICE}</p><h2>Beside trivial classifiers</h2><p>{_WORDS}</p>{_figures(tree)}",
        f"<h2>What is called what</h2><p>Rows: the label. Columns: what the model says.</p>{_confusion(tree)}",
        f"<h2>How this was computed</h2><ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>",
    ]
    head = f"<meta charset='utf-8'><title>medudl report</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(body)}</body></html>\n"


def _figures(tree: Mapping[str, Any]) -> str:
    head = "<th></th>" + "".join(f"<th>{words}</th>" for words in _MEASURES.values())
    rows = "".join(
        f"<tr><td>{escape(row['name'])}</td>{''.join(f'<td>{_told(row[name])}</td>' for name in _MEASURES)}</tr>"
        for row in tree["figures"]
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def _confusion(tree: Mapping[str, Any]) -> str:
    head = "<th></th>" + "".join(f"<th>{escape(name)}</th>" for name in tree["classes"])
    rows = "".join(
        f"<tr><td>{escape(row['label'])}</td>"
        + "".join(
            f"<td>{count}: {_told(share)}</td>" for count, share in zip(row["called"], row["shares"], strict=True)
        )
        + "</tr>"
        for row in tree["confusion"]
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def _told(found: Mapping[str, Any]) -> str:
    if found["value"] is None:
        return "not available"
    span = "" if found["low"] is None else f" ({short(found['low'])} to {short(found['high'])})"
    return short(found["value"]) + span
