"""What a run's figures say, in a reader's words. The trees are files' content, damaged and half-written ones too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medudl.metrics.intervals import short

MODEL = "the model"  # its name among the rows of a report
_BASELINES = 3  # that are shown beside the model
_MEASURES = {
    "voxel": "How well the map finds lesion voxels (average precision; 1.00 is perfect{chance})",
    "scan": "How well the score tells scans with a lesion from healthy ones (area under the curve; .50 is chance)",
}


@dataclass(frozen=True)
class Score:
    """One scan's score. sentence: score, threshold and what it means; flagged: None where there is no threshold."""

    sentence: str
    promise: str
    flagged: bool | None


@dataclass(frozen=True)
class Verdict:
    """A report in words. beats: True, False, None for no verdict. tables: a title and rows (name, figure) each."""

    text: str
    beats: bool | None
    tables: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    notes: tuple[str, ...]


def number(value: Any) -> float | None:
    """A finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def part(tree: Any, *names: str) -> Any:
    """tree[a][b]..., None where one of them is absent or no mapping."""
    for name in names:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def items(tree: Any) -> list[Any]:
    """The list that a file holds at a place, [] for anything else."""
    return tree if isinstance(tree, list) else []


def figures(a: float, b: float) -> tuple[str, str]:
    """Two figures with as many digits as it takes to tell them apart, three to five."""
    for digits in range(3, 6):
        one, other = short(a, digits), short(b, digits)
        if one != other:
            break
    return one, other


def score_of(row: Mapping[str, Any], calibration: Any) -> Score:
    """The score of one row of scores.csv. calibration: of its run, None where the run is not at hand."""
    score, threshold = number(row.get("score")), number(row.get("threshold"))
    if score is None:
        return Score("This scan has no score.", "", None)
    if threshold is None:
        why = "no healthy scan was held out when the model was trained"
        return Score(f"This scan: {short(score, 3)}. There is no threshold, so nothing is flagged: {why}.", "", None)
    flagged = score > threshold
    mine, limit = figures(score, threshold)
    verb = "flagged" if flagged else "not flagged"
    return Score(f"This scan: {mine}; threshold {limit}: {verb}.", _promise(row, calibration), flagged)


def _promise(row: Mapping[str, Any], calibration: Any) -> str:
    rate, low, high = (number(row.get(f"expected_false_alarms{end}")) for end in ("", "_low", "_high"))
    if rate is None or rate <= 0:
        return ""
    n = number(part(calibration, "n_patients"))
    told = [f"n = {int(n)} healthy {'patient' if n == 1 else 'patients'}"] if n else []
    told += [f"95 % interval {100 * low:.0f} % to {100 * high:.0f} %"] if low is not None and high is not None else []
    behind = f" ({', '.join(told)})" if told else ""
    few = part(calibration, "scan", "alpha_reached") is False and n
    asked = number(part(calibration, "scan", "alpha"))
    note = f" Too few for the rate of {100 * asked:.0f} % that was asked for." if few and asked else ""
    return f"About 1 in {int(1 / rate + 1e-9)} healthy scans is flagged{behind}.{note}"


@dataclass(frozen=True)
class Curve:
    """False alarms per healthy scan against the voxel threshold: points rise; own: the run's threshold, if any.

    text: where the points come from, or why there is only one or none.
    """

    points: tuple[dict[str, float], ...]
    own: float | None
    text: str


def curve_of(calibration: Any) -> Curve:
    """The curve of a calibration.json; of an older run the one threshold it was measured at."""
    own, n = number(part(calibration, "voxel", "threshold")), number(part(calibration, "n_patients"))
    rows = part(calibration, "curve", "points")
    points = [_point(row, row.get("threshold"), n) for row in items(rows) if isinstance(row, Mapping)]
    found = sorted((point for point in points if point), key=lambda point: point["threshold"])
    if len(found) > 1:
        text = part(calibration, "curve", "text")
        return Curve(tuple(found), own, text if isinstance(text, str) else "")
    single = _point(part(calibration, "areas"), own, n)
    if single is None:
        return Curve((), own, "No healthy scan was held out, so no rate of false alarms is known.")
    text = "Measured at one threshold only; elsewhere no rate is promised. Calibrate the run again for a curve."
    return Curve((single,), own, text)


def _point(row: Any, threshold: Any, n: float | None) -> dict[str, float] | None:
    at, rate = number(threshold), number(part(row, "per_healthy_scan"))
    if at is None or rate is None or n is None:
        return None
    low, high = number(part(row, "low")), number(part(row, "high"))
    ends = {"low": low, "high": high} if low is not None and high is not None else {}
    return {"threshold": at, "rate": rate, "n": n, **ends}


def verdict_of(report: Any) -> Verdict | None:
    """A report.json in words; None where it is none."""
    text = part(report, "verdict")
    if not isinstance(text, str):
        return None
    beats = part(report, "beats")
    tables = [table for kind in _MEASURES if (table := _table(report, kind))]
    return Verdict(text, beats if isinstance(beats, bool) else None, tuple(tables), tuple(_notes(report)))


def _table(report: Any, kind: str) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """The model and the best baselines, best first."""
    rows = [row for row in items(part(report, "baselines", kind)) if number(part(row, "value")) is not None]
    others = [row for row in rows if part(row, "name") != MODEL][:_BASELINES]
    kept = [row for row in rows if part(row, "name") == MODEL or row in others]
    if not kept:
        return None
    prevalence = number(part(report, "voxel", "prevalence"))
    chance = f", {short(prevalence, 3)} is chance" if prevalence is not None else ""
    return _MEASURES[kind].format(chance=chance), tuple((str(row["name"]), _figure(row)) for row in kept)


def _figure(row: Any) -> str:
    value, low, high = (number(part(row, name)) for name in ("value", "low", "high"))
    if value is None:
        return "not available"
    ends = f" ({short(low)} to {short(high)})" if low is not None and high is not None else ""
    return short(value) + ends


def _notes(report: Any) -> list[str]:
    scans, patients = number(part(report, "scans")), number(part(report, "patients"))
    told = [f"Judged on {scans:.0f} scans of {patients:.0f} patients."] if scans and patients else []
    for kind, words in (("sick", "scans with a lesion"), ("healthy", "healthy scans")):
        flagged = part(report, "scan", "flagged", kind)
        if isinstance(flagged, list) and len(flagged) == 2:
            told.append(f"Flagged {flagged[0]} of {flagged[1]} {words}.")
    return told
