"""The rows of a label curve in words: the verdict, the table on the screen, what the labels cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medudl.metrics.intervals import short
from medudl.report.verdict import FEWEST

Row = Mapping[str, Any]


def amount(row: Row) -> str:
    """'5%' of the labels, or '10 a class'."""
    return f"{row['share']:.0%}" if row["share"] is not None else f"{row['per_class']} a class"


def verdict(rows: Sequence[Row], patients: int) -> str:
    """One line an arm that is compared: at which amounts it gained."""
    if patients < FEWEST:
        return f"No verdict: {patients} test patients are too few, {FEWEST} are the least."
    any_amount = "any share of the labels" if rows[0]["share"] is not None else "any number of labels"
    lines = []
    for arm in dict.fromkeys(row["arm"] for row in rows if row["judged"]):
        found = {amount(row): row["judged"] for row in rows if row["arm"] == arm}
        parts = [
            f"{word} at {', '.join(at for at, each in found.items() if each == word)}"
            for word in ("gain", "no gain", "loss")
            if word in found.values()
        ]
        whole = next(iter(found.values())) if len(set(found.values())) == 1 else ""
        lines.append(f"{arm}: {whole} at {any_amount}" if whole else f"{arm}: {'; '.join(parts)}")
    return ". ".join(lines) + "." if lines else "Nothing to compare: every arm has the labels alone."


def reading(tree: Mapping[str, Any]) -> list[str]:
    """What the labels of each amount cost: '50 labels a class: about 41 minutes of reading'."""
    if tree["cost"] is None:
        return []
    lines = {}
    for row in tree["rows"]:
        what = f"{row['share']:.0%} of the labels" if row["share"] is not None else f"{row['per_class']} labels a class"
        lines[what] = (
            f"{what}: about {minutes(row['minutes'])} of reading"
            f" ({row['scans']} scans to learn from, {row['chosen']} to choose the weights)"
        )
    cost = tree["cost"]
    told = f"A label takes {cost['seconds']:.1f} seconds (median of {cost['reads']} first reads, one a {cost['unit']})."
    return [told, *lines.values()]


def minutes(value: float) -> str:
    """'41 minutes', below ten with a digit."""
    return f"{value:.1f} minutes" if value < 10 else f"{value:.0f} minutes"


def table(rows: Sequence[Row]) -> str:
    """The rows as text, aligned."""
    timed = rows[0]["minutes"] is not None
    head = ["labels", "scans", *(["minutes"] if timed else []), "from", "balanced accuracy (95 %)", "error (95 %)",
            "against labels alone (95 %)", ""]  # fmt: skip
    lines = [head]
    for row in rows:
        lines.append([
            amount(row), str(row["scans"]), *([f"{row['minutes']:g}"] if timed else []), row["arm"],
            told(row["balanced_accuracy"]), told(row["error"]),
            told(row["difference_from_scratch"], signed=True) if row["difference_from_scratch"] else "", row["judged"],
        ])  # fmt: skip
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
                     for line in lines)  # fmt: skip


def told(found: Mapping[str, Any], signed: bool = False) -> str:
    """'.61 (.52 to .70)'; signed: '+.04 (-.05 to +.17)'."""

    def one(value: float) -> str:
        return (("-" if value < 0 else "+") + short(abs(value), 3)) if signed else short(value, 3)

    if found["value"] is None:
        return "not available"
    return one(found["value"]) + (
        "" if found["low"] is None else f" ({one(found['low'])} to {one(found['high'])})"
    )  # fmt: skip
