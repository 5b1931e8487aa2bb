"""Tables of a translation's report: figures with the model's value, every baseline's, and what each is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from medudl.report.generator_figures import three_digits


def table(rows: Sequence[Mapping[str, Any]], tree: Mapping[str, Any]) -> str:
    """Rows of report.json's `figures`; a definition shows where the pointer rests, and below the table."""
    baselines = list(dict.fromkeys(name for row in rows for name in row["baselines"]))
    floors = any(row["floor"] for row in rows)
    heads = [tree["target"] + ", made", *baselines, *(["training scans"] if floors else []), "n", "better"]
    body = "".join(f"<tr><td>{titled(_name(row), row['definition'])}</td>{_cells(row, baselines, floors)}</tr>"
                   for row in rows)  # fmt: skip
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    words = "".join(
        f"<dt>{escape(title)}</dt><dd>{escape(text)}</dd>"
        for title, text in dict.fromkeys((row["title"], row["definition"]) for row in rows)
    )
    return (
        f"<div class='wide'><table><tr><th></th>{head}</tr>{body}</table></div>"
        f"<details><summary>What these are</summary><dl>{words}</dl></details>"
    )


def titled(text: str, definition: str) -> str:
    """Words whose definition shows where the pointer rests."""
    return f"<span title='{escape(definition, quote=True)}'>{escape(text)}</span>"


def amount(found: Mapping[str, Any] | None, signed: bool = False) -> str:
    """A figure with its interval."""
    if found is None or found["value"] is None:
        return "<span class='span'>not available</span>"

    def words(value: float) -> str:
        return ("+" if signed and value > 0 else "") + three_digits(value)

    if found.get("low") is None:
        return words(found["value"])
    return f"{words(found['value'])} <span class='span'>({words(found['low'])} to {words(found['high'])})</span>"


def _name(row: Mapping[str, Any]) -> str:
    about = ", ".join(filter(None, [row["channel"], row.get("features", "").split(",")[0], row["unit"]]))
    return f"{row['title']} ({about})"


def _cells(row: Mapping[str, Any], baselines: Sequence[str], floors: bool) -> str:
    if row["value"] is None and row["why_not"]:
        return f"<td colspan='{len(baselines) + floors + 3}' class='small'>{escape(row['why_not'])}</td>"
    found = [row, *(row["baselines"].get(name) for name in baselines), *([row["floor"]] if floors else [])]
    cells = "".join(f"<td>{amount(one)}</td>" for one in found)
    return f"{cells}<td>{row['n']}</td><td>{row['better']}</td>"
