"""What healthy scans look like to a model: thresholds from scans it was not trained on, and what they promise."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medudl.config import Data, Detect
from medudl.data.cases import cases_of, training_cases
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.metrics.intervals import clopper_pearson
from medudl.metrics.thresholds import conformal, patient_weights, percentile
from medudl.metrics.voxels import Counts, Tally, count
from medudl.run import Run
from medudl.tasks.curve import SEED, areas_per_scan, curve, origin, thresholds
from medudl.tasks.detector import Detector, shown

FILE = "calibration.json"


@dataclass(frozen=True)
class Healthy:
    """One held-out scan: its score and how many unusual areas it shows. part: only its lesion-free slices count."""

    case: str
    subject: str
    score: float
    areas: int
    part: bool


def calibrate(
    run: str | Path | Run, cohort: Cohort | None = None, *, split: str = "val", device: str = "auto",
    progress: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Thresholds from the healthy scans of `split`; written to RUN/calibration.json and returned.

    The scan threshold is split-conformal (beside it the percentile), the voxel threshold is `voxel_percentile` of the
    healthy voxels. Where a lesion patient's lesion-free slices were learnt from, those of held-out patients count.
    Without a single held-out healthy scan there are no thresholds, and `text` says so.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    detector = Detector(run, device)
    measured = measure(detector, cohort or run.cohort(), split, progress)
    result = summary(measured.scans, measured.threshold, detector.settings, measured.curve)
    run.write_json(FILE, result)
    return result


@dataclass(frozen=True)
class Measured:
    """The held-out healthy scans, the voxel threshold (None without any), and the areas at other thresholds."""

    scans: list[Healthy]
    threshold: float | None
    curve: list[dict[str, Any]]


def measure(detector: Detector, cohort: Cohort, split: str, progress: bool) -> Measured:
    """Score every healthy scan of `split`; the voxel thresholds follow from all of them together."""
    data, settings = detector.data, detector.settings
    cases, _ = training_cases(cases_of(cohort.select({}, split), data)[0], data)
    found: list[Healthy] = []
    counts: list[Counts] = []
    with tempfile.TemporaryDirectory(prefix="medudl-") as folder:  # areas need a second look: maps wait on the disk
        for case in shown(cases, "healthy thresholds", progress):
            scan = detector.scored(cohort, case)
            part = bool(case.masked) and data.lesion_free_slices
            scan = scan.within(lesion_free(case.id, scan.prepared.mask, data), detector) if part else scan
            if np.isnan(scan.score):
                continue
            counts.append(count(scan.smooth[scan.inside]))
            keep(Path(folder) / f"{len(found)}.npy", np.where(scan.inside, scan.smooth, 0))
            found.append(Healthy(case.id, case.subject, scan.score, 0, part))
        if not found:
            return Measured([], None, [])
        tally = Tally(counts, [0] * len(counts), 1)
        levels = thresholds(tally, settings.voxel_percentile)
        maps = (np.load(Path(folder) / f"{i}.npy") for i in range(len(found)))
        rows, areas = curve(maps, [scan.subject for scan in found], levels, settings.min_voxels)
    own = next(place for place, (percent, _) in enumerate(levels) if percent == settings.voxel_percentile)
    scans = [replace(scan, areas=int(number)) for scan, number in zip(found, areas[:, own], strict=True)]
    return Measured(scans, levels[own][1], rows)


def lesion_free(case: str, mask: NDArray[np.bool_] | None, data: Data) -> NDArray[np.bool_]:
    """Slices (D, 1, 1) that lie more than `lesion_margin` slices off the lesion mask (1, D, H, W) of `case`."""
    if mask is None:
        raise UserError(f"{case}: its lesion mask is absent, so its lesion-free slices are unknown")
    touched = mask[0].any(axis=(1, 2))
    if data.lesion_margin and touched.any():
        touched = ndimage.binary_dilation(touched, iterations=data.lesion_margin)
    return np.asarray(~touched)[:, None, None]


def keep(path: Path, array: NDArray[np.float32]) -> None:
    """Write a temporary array. Raises UserError where the disk is full."""
    try:
        np.save(path, array)
    except OSError as error:
        raise UserError(f"{path.parent}: no room for maps ({error.strerror}); free some, or set TMPDIR") from None


def summary(
    scans: Sequence[Healthy], voxel_threshold: float | None, settings: Detect, curve: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """The content of calibration.json, from the held-out healthy scans; thresholds are None without any.

    curve: areas per healthy scan at other voxel thresholds, as `tasks.curve.curve` gives them.
    """
    if not scans:
        text = (
            "There is no held-out healthy scan, so no threshold: maps and scores are given, nothing is flagged."
            " Put healthy patients into the val split."
        )
        return {"n_scans": 0, "n_patients": 0, "scan": None, "voxel": None, "areas": None, "curve": None, "scans": [],
                "text": text}  # fmt: skip
    scores, patients = [s.score for s in scans], [s.subject for s in scans]
    weights, n = patient_weights(patients)
    chosen = conformal(scores, patients, settings.alpha)
    flagged = float(weights[np.array(scores) > chosen.value].sum())
    low, high = clopper_pearson(flagged * n, n)
    scan = {
        "rule": "split-conformal over patients",
        "threshold": chosen.value,
        "alpha": settings.alpha,
        "expected_false_alarms": chosen.promise,
        "low": min(low, chosen.promise),
        "high": max(high, chosen.promise),
        "alpha_reached": chosen.reached,
        "percentile_threshold": percentile(scores, patients, settings.alpha),
    }
    areas = areas_per_scan([s.areas for s in scans], patients)
    part = any(s.part for s in scans)
    voxel = {"threshold": voxel_threshold, "percentile": settings.voxel_percentile, "min_voxels": settings.min_voxels}
    return {
        "n_scans": len(scans),
        "n_patients": n,
        "scan": scan,
        "voxel": voxel,
        "areas": areas,
        "curve": {"points": list(curve), "text": origin(n, part)} if curve else None,
        "scans": [asdict(s) for s in scans],
        "seed": SEED,
        "text": _words(scan, areas, n, part),
    }


def _words(scan: dict[str, Any], areas: dict[str, Any], n: int, part: bool) -> str:
    rate = scan["expected_false_alarms"]
    begin = "" if scan["alpha_reached"] else (
        f"{n} held-out healthy {'patient is' if n == 1 else 'patients are'} too few for a rate of {scan['alpha']:.0%}:"
        " the threshold is the highest score among them. "
    )  # fmt: skip
    flags = (
        f"About 1 in {int(1 / rate + 1e-9)} healthy scans will be flagged (n = {n} healthy patient{'s' * (n > 1)},"
        f" 95 % interval {scan['low']:.1%} to {scan['high']:.1%})."
    )
    spread = "" if areas["low"] is None else f" (95 % interval {areas['low']:.1f} to {areas['high']:.1f})"
    where = f" A healthy scan shows {areas['per_healthy_scan']:.1f} unusual areas on average{spread}."
    note = " Lesion-free slices of patients with a lesion stand in for healthy scans: weaker evidence." if part else ""
    return begin + flags + where + note
