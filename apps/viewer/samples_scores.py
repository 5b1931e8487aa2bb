"""The report on a generator as a table: each figure beside its floor and its baseline, the verdict on top."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from apps.viewer.catalogue import read_json
from apps.viewer.theme import quiet
from apps.viewer.verdicts import items, number, part
from medudl.metrics.intervals import short

_NAMES = {
    "kid": "Distance from real images (KID)", "fid": "Distance from real images (Fréchet)",
    "fid_infinity": "Distance from real images, freed of the number of samples (Fréchet∞)",
    "inception_score": "Variety as a network sees it (inception score)",
    "precision": "Samples that look real (precision)", "recall": "Real images that are covered (recall)",
    "density": "How densely real images surround samples (density)",
    "coverage": "Real images with a sample near by (coverage)", "spectrum": "Fine detail (spectrum)",
    "copies": "Samples that may copy a patient",
}  # fmt: skip
_SIGNS = {True: "✔", False: "✘", None: "?"}
_STYLE = """<style>
.scores { border-collapse: collapse; width: 100%; font-size: .88rem; color: #dde4ea; }
.scores th { text-align: left; color: #9aa4b0; font-weight: 500; padding: .3rem .8rem; }
.scores thead { border-bottom: 1px solid #39434e; }
.scores td { padding: .35rem .8rem; border-bottom: 1px solid #20262d; vertical-align: top; }
.verdict { font-size: 1.1rem; font-weight: 600; }
.scores summary { cursor: pointer; } .scores details p { color: #9aa4b0; margin: .2rem 0 0; max-width: 32rem; }
.scores details p { font-size: .82rem; }
.scores .none, .scores small { color: #9aa4b0; } .scores td { font-variant-numeric: tabular-nums; }
</style>"""
_HEAD = (
    "Figure",
    "This model (95 % interval)",
    "Real against real",
    "A trivial generator",
    "Samples, real",
    "Feature network",
)
_FLOOR = "Real against real: the same figure between images of two groups of patients. The best that can be hoped for."
_NONE = (
    "There is no report of this generator in the folder. A report says how far its samples are from real images of"
    " patients it has not seen, beside what real images of other patients reach. In a terminal:"
)


def scores(folder: Path | None, run_name: str) -> None:
    """Draw the report that lies in `folder`; how to make one where there is none."""
    report = read_json(folder / "report.json") if folder else None
    if folder is None or not isinstance(report, dict):
        quiet(_NONE if folder is None else "The report cannot be read: it is damaged or still being written.")
        st.code(f"medudl evaluate {run_name or 'RUN'} -o {run_name or 'RUN'}-report", language=None)
        return
    st.html(page_of(report))
    page = folder / "report.html"
    if page.is_file():
        st.download_button("Save the whole report", page.read_bytes, "report.html", "text/html", on_click="ignore",
                           icon=":material/download:", key="samples-report")  # fmt: skip


def page_of(report: Mapping[str, Any]) -> str:
    """The report as HTML; whatever a damaged file holds, only text of it gets in."""
    beats = report.get("beats")
    sign = _SIGNS[beats if isinstance(beats, bool) else None]
    told = [f'<p class="verdict">{sign} {_text(report.get("verdict") or "No verdict")}</p>']
    alarm = part(report, "collapse", "alarm") is True
    if isinstance(part(report, "collapse", "sentence"), str):
        told.append(f"<p>{'⚠ ' if alarm else ''}{_text(part(report, 'collapse', 'sentence'))}</p>")
    figures = [figure for figure in items(report.get("figures")) if isinstance(figure, Mapping)]
    trivial = Counter(str(name) for figure in figures if (name := part(figure, "baseline", "name"))).most_common(1)
    usual = trivial[0][0] if trivial else ""
    rows = [_row(figure, usual) for figure in figures]
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    told.append(f'<table class="scores"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>')
    quieter = [
        _FLOOR,
        *[f"Features: {name}." for name in dict.fromkeys(str(f.get("features") or "") for f in figures) if "," in name],
        *([f"The trivial generator: {usual}, where nothing else is said."] if usual else []),
        *[str(note) for note in items(report.get("notes")) if isinstance(note, str)],
    ]
    return _STYLE + "".join(told) + "".join(f'<p class="quiet">{_text(line)}</p>' for line in quieter)


def _row(figure: Mapping[str, Any], usual: str) -> str:
    name = str(figure.get("name", ""))
    better = {"lower": "Lower is better.", "higher": "Higher is better."}.get(str(figure.get("better")), "")
    words = _text(" ".join(part for part in (str(figure.get("definition") or ""), better) if part))
    title = f"<summary title='{words}'>{_text(_NAMES.get(name, name))}</summary><p>{words}</p>"
    floor, baseline = figure.get("floor"), figure.get("baseline")
    other = str(part(baseline, "name") or usual)
    named = f"<br><small>{_text(other)}</small>" if other != usual else ""
    n, m = number(figure.get("n")), number(figure.get("m"))
    many = ", ".join(f"{count:,.0f}" for count in (n, m) if count is not None)
    cells = (
        f"<details>{title}</details>", _value(figure, figure.get("why_not")),
        _value(floor, figure.get("floor_why")), _value(baseline, "") + named, many,
        _network(figure),
    )  # fmt: skip
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _network(figure: Mapping[str, Any]) -> str:
    """The name of what made the features, without its particulars, which stand below the table."""
    full = str(figure.get("features") or "")
    return f'<span title="{_text(full)}">{_text(full.partition(",")[0])}</span>'


def _value(tree: Any, why: Any) -> str:
    """A figure with its interval, .12 (.10 to .15); why there is none."""
    value, low, high = (number(part(tree, name)) for name in ("value", "low", "high"))
    if value is None:
        return f'<span class="none">{_text(why) if isinstance(why, str) and why else "not measured"}</span>'
    ends = f" ({figure_of(low)} to {figure_of(high)})" if low is not None and high is not None else ""
    return f"<b>{figure_of(value)}</b>{ends}"


def figure_of(value: float) -> str:
    """Two decimals without a leading zero; two digits that count where it is small, whole numbers above 100."""
    if 0 < abs(value) < 0.01:
        return f"{value:.2g}".replace("0.", ".", 1) if abs(value) >= 1e-4 else ".00"
    return short(value) if abs(value) < 100 else f"{value:,.0f}"


def _text(text: Any) -> str:
    return html.escape(str(text))
