"""The part of a translation's report on lesions."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from medudl.report.generator_figures import three_digits
from medudl.report.translation_tables import amount, titled

_ROWS = (
    ("bright", "Planted, bright", "planted"),
    ("dark", "Planted, dark", "planted"),
    ("real", "Drawn lesions", "real"),
    ("gone", "Drawn lesions, taken out", "gone"),
)
_WORDS = "How much of a lesion survives, and how often one appears from nothing. Shares: 1 is all of it, 0 nothing, \
below 0 its sign is turned. The same lesions for every column."


def lesions(tree: Mapping[str, Any]) -> str:
    """Its HTML."""
    told = tree["lesions"]
    planted, makers = told["planted"], told["makers"]
    unit = "HU" if planted["unit"] == "HU" else "of the nominal range"
    contrast = planted["contrast"] if planted["unit"] == "HU" else planted["contrast_nominal"]
    words = f"{_WORDS} Planted: {three_digits(contrast)} {unit} brighter or darker, radius \
{three_digits(planted['radius_mm'])} mm."
    head = "".join(f"<th>{escape(one['name'])}</th>" for one in makers)
    rows = []
    for kind, title, about in _ROWS:
        if all(one[kind] is None for one in makers):
            continue
        count = next(one[kind]["lesions"] for one in makers if one[kind] is not None)
        known = all(one[kind] is None or one[kind]["truth_known"] for one in makers)
        share = "share" if known else "size, in deviations of the target"
        for figure, what in (("share", share), ("shown", "found, share of the lesions")):
            definition = told["definitions"]["shown" if figure == "shown" else about]
            cells = "".join(f"<td>{amount(one[kind] and one[kind][figure])}</td>" for one in makers)
            rows.append(f"<tr><td>{titled(f'{title}: {what}', definition)}</td>{cells}<td>{count}</td></tr>")
    scans = makers[0]["scans"] if makers else 0
    for key, title in (("invented", "Invented areas a scan"), ("invented_in_truth", "The same in the true scans")):
        if all(one[key] is None for one in makers):
            continue
        cells = "".join(f"<td>{amount(one[key])}</td>" for one in makers)
        rows.append(f"<tr><td>{titled(title, told['definitions']['invented'])}</td>{cells}<td>{scans} scans</td></tr>")
    return (
        f"<h2>Lesions</h2><p>{words}</p>{_prevalence(tree)}"
        f"<table><tr><th></th>{head}<th>n</th></tr>{''.join(rows)}</table>{_asides(told)}"
    )


def _prevalence(tree: Mapping[str, Any]) -> str:
    parts = [
        f"{part}: {one['sick']} of {one['sick'] + one['healthy']} scans with a lesion"
        + (f", {one['unknown']} unknown" if one["unknown"] else "")
        if one["sick"] + one["healthy"]
        else f"{part}: unknown ({one['unknown']} scans have neither mask nor healthy label)"
        for part, one in tree["prevalence"].items()
    ]
    return f"<p>Prevalence. {escape('; '.join(parts))}. The figures hold for these, and for no other.</p>"


def _asides(told: Mapping[str, Any]) -> str:
    faint = max((one["faint"] for one in told["makers"]), default=0)
    notes = [f"{faint} drawn lesions were left out, since the truth hardly shows them"] if faint else []
    if all(one["real"] is None for one in told["makers"]):
        notes.append("No test scan has a lesion that could be taken out.")
    lines = "".join(f"<li>{escape(note)}</li>" for note in [*notes, *told["notes"]])
    words = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in told["definitions"].items())
    listed = f"<ul class='small'>{lines}</ul>" if lines else ""
    return f"{listed}<details><summary>What these are</summary><dl>{words}</dl></details>"
