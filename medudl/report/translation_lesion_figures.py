"""The report's figures on lesions, and how common lesions are where the run learnt and where it is judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medudl.data.cases import Case
from medudl.metrics.survival import DETECTED
from medudl.report.translation_lesions import FAINT, SIGNS, SMALLEST, Lesions, Planting, areas_per_scan, survived

PREVALENCE = (
    "Figures on lesions hold for the prevalence told here. How they move with that of the training scans takes"
    " trainings at several prevalences; this report has one."
)
_KINDS = (*(kind for kind, _ in SIGNS), "real", "gone")


def lesion_figures(found: Mapping[str, Lesions], planting: Planting, unit: tuple[str, float]) -> dict[str, Any]:
    """`lesions` of report.json. unit: of the source, and the width of its nominal range."""
    name, width = unit
    return {
        "planted": {
            "contrast": planting.contrast * width, "unit": name, "contrast_nominal": planting.contrast,
            "radius_mm": planting.radius, "measured_by": planting.spread, "seed": planting.seed,
        },
        "definitions": definitions(planting),
        "makers": [{"name": who, **_of(lesions)} for who, lesions in found.items()],
        "notes": list(dict.fromkeys(note for lesions in found.values() for note in _notes(lesions))),
    }  # fmt: skip


def _notes(lesions: Lesions) -> list[str]:
    if not lesions.crowded:
        return lesions.notes
    scans = len(set(lesions.crowded))
    return [
        f"{len(lesions.crowded)} planted lesions found no room in the foreground of {scans} patients.",
        *lesions.notes,
    ]


def definitions(planting: Planting) -> dict[str, str]:
    """What each figure is."""
    of = "the same lesion's contrast in the truth" if planting.truth else "one standard deviation of the target"
    return {
        "planted": f"A smooth ellipsoid of {planting.radius:.3g} mm, one bright and one dark in every scan, added"
        " to the source. Share: the contrast that it makes of itself in the translation, lesion less ring, over"
        f" {of}{'' if planting.truth else ' (a size: nobody knows what the truth would show)'}.",
        "real": "A drawn lesion is taken out of the source (its place filled from its surroundings); share: the"
        " contrast between translations with and without it, over the same in the truth where known. Lesions"
        f" below {SMALLEST} voxels, or whose contrast in the truth is below {FAINT:g} deviations, are left out.",
        "gone": "The same lesions once they are taken out of the source: what the translation still shows at their"
        " place, over the same contrast; above 0 they come back from nothing.",
        "shown": f"Lesions whose share is {DETECTED:g} at least.",
        "invented": f"Lesion-like areas a scan ({SMALLEST} voxels or more, radius some {planting.radius / 2:.3g}"
        " mm) in the translation that neither its input nor the truth shows; beside it the number that the true scans"
        " show and their inputs do not.",
    }  # fmt: skip


def prevalence(parts: Mapping[str, Iterable[Case]], healthy: Sequence[str]) -> dict[str, Any]:
    """Scans known to be sick, of those about which a label or a mask says something; by part of the cohort."""
    found: dict[str, Any] = {}
    for part, cases in parts.items():
        rows = list(cases)
        sick = sum(bool(case.masked or (healthy and case.label and case.label not in healthy)) for case in rows)
        well = sum(not case.masked and case.label in healthy for case in rows)
        found[part] = {"sick": sick, "healthy": well, "unknown": len(rows) - sick - well}
    return found


def _of(lesions: Lesions) -> dict[str, Any]:
    made, real = areas_per_scan(lesions.made), areas_per_scan(lesions.real)
    rows: dict[str, Any] = {}
    for kind in _KINDS:
        found = survived(lesions, [kind])
        rows[kind] = None if found is None else {
            "share": found.share.as_dict(), "shown": found.shown.as_dict(), "lesions": found.lesions,
            "truth_known": all(fate.truly for fate in lesions.fates if fate.kind == kind),
        }  # fmt: skip
    return {
        **rows, "invented": None if made is None else made.as_dict(),
        "invented_in_truth": None if real is None else real.as_dict(), "faint": lesions.faint, "scans": lesions.scans,
    }  # fmt: skip
