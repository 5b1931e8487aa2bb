"""report.html: one file that opens without a network, in words a radiologist uses."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from medudl.metrics.intervals import short
from medudl.report import plots
from medudl.report.montage import picture
from medudl.report.records import Record

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222}
h1{font-size:1.6em} h2{font-size:1.2em;margin-top:2em} table{border-collapse:collapse;margin:.5em 0}
td,th{border-bottom:1px solid #ddd;padding:.25em .8em;text-align:left;vertical-align:top}
.verdict{border-left:6px solid #1f5fa8;background:#f3f6fa;padding:.8em 1em;font-size:1.1em}
.small{color:#666;font-size:.9em} img{max-width:100%;image-rendering:auto;background:#000}
"""
_VOXEL = "Each voxel of the foreground is ranked by the map. Average precision (AP) is 1 when every lesion voxel ranks \
above every other voxel; a blind map reaches the share of lesion voxels."
_SCAN = "Each scan has one score. AUROC is the chance that a sick scan scores higher than a healthy one: 1 is perfect, \
.5 is blind."
_DEVICE = "Not a medical device. Research figures on the scans listed here; they say nothing about any other scanner, \
hospital or disease. The pictures show patients' scans: treat this file as you treat the scans."


def page(tree: dict[str, Any], records: Sequence[Record], notes: Sequence[str]) -> str:
    """The whole HTML text. tree: as of `summarise`; notes: who was left out, and what else there is to know."""
    parts = [
        f"<h1>{escape(str(tree['method']))}: evaluation on the {escape(tree['split'])} split</h1>",
        f"<p class='verdict'><b>{escape(tree['verdict'])}</b></p>",
        f"<p>{tree['scans']} scans of {tree['patients']} patients{_folds(tree['folds'])}.</p>",
        f"<p>{escape(tree['calibration']['text'])}</p>",
        f"<p class='small'>{_DEVICE}</p>",
        _examples(records),
        _voxels(tree, records),
        _scans(tree, records),
        _lesions(tree),
        _kinds(tree),
        _variants(tree),
        _method(tree, notes),
    ]
    head = f"<meta charset='utf-8'><title>medudl report</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _folds(number: int) -> str:
    return f", pooled over {number} folds, each scored by a model that had not seen them" if number > 1 else ""


def _examples(records: Sequence[Record]) -> str:
    shown = [r.example for r in records if r.example is not None]
    rows = [
        f"<p><b>{escape(e.label or 'no label')}</b>, {escape(e.case)}, slice {e.slice}<br>"
        f"<img alt='scan, expected, map, truth' src='{picture(e)}'></p>"
        for e in shown
    ]
    words = "<p>From left to right: the scan, what the model expects of it, the map (bright is unusual), and the scan \
with the lesion outlined in red where one was drawn. The first scans of each kind, not the best ones.</p>"
    return f"<h2>Examples</h2>{words}{''.join(rows)}" if rows else ""


def _voxels(tree: dict[str, Any], records: Sequence[Record]) -> str:
    voxel = tree["voxel"]
    if voxel is None:
        return ""
    rows = [
        ("Average precision (AP) of the map", _estimate(voxel["average_precision"])),
        ("AP of a blind map (share of lesion voxels)", _plain(voxel["prevalence"], 3)),
        ("Dice at the threshold learnt from healthy scans", _estimate(voxel["dice_at_healthy_threshold"])),
        ("Best Dice over all thresholds (optimistic: picked on these scans)", _plain(voxel["best_dice_optimistic"])),
        ("Share of the raw map on the rim of the foreground", _plain(tree["rim"]["share_of_map"])),
        ("Share of the foreground's voxels that are rim", _plain(tree["rim"]["share_of_voxels"])),
    ]
    chart = plots.bars(tree["baselines"]["voxel"], "Average precision, voxels", voxel["prevalence"])
    return (
        f"<h2>Where is it? {voxel['scans']} scans with a lesion mask</h2><p>{_VOXEL}</p>{_rows(rows)}"
        f"{_chart(chart, 'voxel-bars')}"
        f"{_chart(plots.precision_recall(records, voxel['best_baseline']), 'voxel-curve')}"
    )


def _scans(tree: dict[str, Any], records: Sequence[Record]) -> str:
    chart = _chart(plots.scores(records), "scores")
    scan = tree["scan"]
    if scan is None:
        return f"<h2>Scan scores</h2><p>Healthy and sick scans are not both there: no AUROC.</p>{chart}"
    rows = [
        ("AUROC", _estimate(scan["auroc"])),
        ("Average precision", _estimate(scan["average_precision"])),
        *_flagged(scan["flagged"]),
    ]
    return (
        f"<h2>Is it there? {scan['sick']} sick and {scan['healthy']} healthy scans</h2><p>{_SCAN}</p>"
        f"{_rows(rows)}{chart}"
        f"{_chart(plots.roc(records, scan['best_baseline']), 'scan-curve')}"
        f"{_chart(plots.bars(tree['baselines']['scan'], 'AUROC, scan scores', 0.5), 'scan-bars')}"
    )


def _flagged(flagged: dict[str, Any] | None) -> list[tuple[str, str]]:
    if flagged is None:
        return []
    return [(f"{kind.capitalize()} scans above the threshold", f"{k} of {n}") for kind, (k, n) in flagged.items()]


def _lesions(tree: dict[str, Any]) -> str:
    rows = [
        (f"Lesions of {plots.size_words(row)} met", f"{row['met']} of {row['lesions']}: {_estimate(row, 'recall')}")
        for row in tree["lesion_recall"]
        if row["recall"] is not None
    ]
    for kind, words in (("scans_with_lesion", "scan with a lesion"), ("healthy_scans", "healthy scan")):
        found = tree["false_areas_per_scan"][kind]
        if found is not None:
            rows.append((f"False unusual areas per {words}", _estimate(found)))
    if not rows:
        return ""
    words = "<p>At the threshold learnt from healthy scans. A lesion is met when a tenth of it is marked; an unusual \
area is false when it touches no lesion.</p>"
    some = any(row["recall"] is not None for row in tree["lesion_recall"])
    chart = _chart(plots.recall_by_size(tree["lesion_recall"]), "recall") if some else ""
    return f"<h2>Lesion by lesion</h2>{words}{_rows(rows)}{chart}"


def _kinds(tree: dict[str, Any]) -> str:
    if not tree["kinds"]:
        return ""
    head = "<tr><th>kind</th><th>patients</th><th>figure</th><th>model</th><th>best trivial baseline for this kind</th>\
<th>difference</th><th></th></tr>"
    body = "".join(
        f"<tr><td>{escape(row['kind'])}</td><td>{row['patients']}</td><td>{row['measure']}</td>"
        f"<td>{_estimate(row['model'])}</td><td>{escape(row['best_baseline'])}: {_estimate(row['baseline'])}</td>"
        f"<td>{_estimate(row['difference'])}</td>"
        f"<td>{'the model is ahead' if row['model_is_ahead'] else '<b>the model loses</b>'}</td></tr>"
        for row in tree["kinds"]
    )
    return f"<h2>Each kind of lesion by itself</h2><table>{head}{body}</table>"


def _variants(tree: dict[str, Any]) -> str:
    """The model as set, and otherwise."""
    if len(tree["variants"]) < 2:
        return ""
    words = (
        "<p>The same model, with parts of the postprocessing switched off and with its other scan scores. Differences \
are from the model as it was set, paired by patient. For understanding, not for choosing: a setting picked from this \
table is picked on the test scans.</p>"
    )
    head = "<tr><th></th><th>AP, voxels</th><th>difference</th><th>AUROC, scans</th><th>difference</th></tr>"
    cells = "".join(
        f"<tr><td>{escape(row['name'])}</td>{_variant(row['voxel'])}{_variant(row['scan'])}</tr>"
        for row in tree["variants"]
    )
    return f"<h2>What each part of the postprocessing does</h2>{words}<table>{head}{cells}</table>"


def _variant(found: dict[str, Any] | None) -> str:
    if found is None:
        return "<td></td><td></td>"
    difference = "" if found["difference"] is None else _estimate(found["difference"])
    return f"<td>{_estimate(found['figure'])}</td><td>{difference}</td>"


def _method(tree: dict[str, Any], notes: Sequence[str]) -> str:
    settings, boot = tree["settings"], tree["bootstrap"]
    words = [
        f"Every baseline went through the same foreground (eroded by {settings['erode']} voxels), the same median"
        f" filter ({settings['median']} voxels) and the same scan score ({settings['score']}) as the model.",
        "Scan scores of baselines are tried with both signs; a sign that helps is named (minus ...). The best baseline"
        " is picked on these very scans, which favours the baseline.",
        f"Intervals: 95 %, from {boot['repeats']} resamples of patients (seed {boot['seed']}); with few patients they"
        " are too narrow rather than too wide. Figures on the model's own grid.",
        *notes,
    ]
    return f"<h2>How this was computed</h2><ul>{''.join(f'<li>{escape(word)}</li>' for word in words)}</ul>"


def _rows(rows: Sequence[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><td>{escape(a)}</td><td>{escape(b)}</td></tr>" for a, b in rows) + "</table>"


def _estimate(found: dict[str, Any] | None, key: str = "value") -> str:
    if found is None or found[key] is None:
        return "not available"
    text = short(found[key])
    if found["low"] is not None:
        text += f" (95 % interval {short(found['low'])} to {short(found['high'])}"
        return text + (f", n = {found['n']} patients)" if "n" in found else ")")
    return text


def _plain(value: float | None, digits: int = 2) -> str:
    return "not available" if value is None else short(value, digits)


def _chart(made: go.Figure, name: str) -> str:
    text: str = made.to_html(full_html=False, include_plotlyjs=False, div_id=name, config={"displaylogo": False})
    return text
