"""Figures of a translation that need no truth: jumps from slice to slice, cycle error, uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medudl.metrics.image import over_patients
from medudl.report.translation_collect import Collected
from medudl.report.translation_figures import SEED

_KINDS = {
    "jump_ratio": (
        "Jumps from slice to slice, made / source", "near 1",
        "Mean |difference| of neighbours from slice to slice over that within slices, of the translation over the same"
        " of its source: above 1 its slices disagree.",
    ),
    "cycle_error": (
        "Cycle error", "lower",
        "Mean |scan translated there and back - scan| over the foreground. Low cycle error is no proof of truth: a"
        " network can hide what it needs on the way back.",
    ),
    "uncertainty": (
        "Uncertainty", "lower",
        "Mean standard deviation over mirrored and moved views, over the foreground, in the target's unit. How sure it"
        " is, not how right.",
    ),
}  # fmt: skip


def plain_figures(found: Collected, source: Mapping[str, Any], target: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Entries of report.json's `figures`. source, target: of sides.json."""
    rows = []
    for name, (title, better, definition) in _KINDS.items():
        known = [row for row in found.rows if row.get(name) is not None]
        value = over_patients([row[name] for row in known], [row["patient"] for row in known], seed=SEED)
        side = target if name == "uncertainty" else source
        unit = "" if name == "jump_ratio" else side["channels"][0]["unit"]
        why = "" if known else "Single slices have none." if name == "jump_ratio" else "The method knows no way back."
        rows.append({
            "name": name, "title": title, "channel": side["name"], "unit": unit, **value.as_dict(),
            "scans": len(known), "baselines": {}, "floor": None, "better": better, "definition": definition,
            "why_not": why,
        })  # fmt: skip
    return rows
