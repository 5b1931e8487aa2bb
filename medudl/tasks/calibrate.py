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
from medudl.metrics.intervals import bootstrap, clopper_pearson, poisson_interval, resamples
from medudl.metrics.thresholds import conformal, patient_weights, percentile
from medudl.metrics.voxels import Counts, Tally, count
from medudl.run import Run
from medudl.tasks.detector import Detector, shown
from medudl.tasks.postprocess import unusual

FILE = "calibration.json"
REPEATS, SEED = 2000, 0


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
    scans, threshold = measure(detector, cohort or run.cohort(), split, progress)
    result = summary(scans, threshold, detector.settings)
    run.write_json(FILE, result)
    return result


def measure(detector: Detector, cohort: Cohort, split: str, progress: bool) -> tuple[list[Healthy], float | None]:
    """Score every healthy scan of `split`; the voxel threshold follows from all of them together."""
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
            return [], None
        threshold = Tally(counts, [0] * len(counts), 1).percentile(settings.voxel_percentile)
        areas = [unusual(np.load(Path(folder) / f"{i}.npy"), threshold, settings)[1] for i in range(len(found))]
    return [replace(scan, areas=number) for scan, number in zip(found, areas, strict=True)], threshold


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


def summary(scans: Sequence[Healthy], voxel_threshold: float | None, settings: Detect) -> dict[str, Any]:
    """The content of calibration.json, from the held-out healthy scans; thresholds are None without any."""
    if not scans:
        text = (
            "There is no held-out healthy scan, so no threshold: maps and scores are given, nothing is flagged."
            " Put healthy patients into the val split."
        )
        return {"n_scans": 0, "n_patients": 0, "scan": None, "voxel": None, "areas": None, "scans": [], "text": text}
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
    areas = _areas(scans, weights, n)
    voxel = {"threshold": voxel_threshold, "percentile": settings.voxel_percentile, "min_voxels": settings.min_voxels}
    return {
        "n_scans": len(scans),
        "n_patients": n,
        "scan": scan,
        "voxel": voxel,
        "areas": areas,
        "scans": [asdict(s) for s in scans],
        "seed": SEED,
        "text": _words(scan, areas, n, any(s.part for s in scans)),
    }


def _areas(scans: Sequence[Healthy], weights: NDArray[np.float64], n: int) -> dict[str, Any]:
    """Unusual areas per healthy scan with an interval by patient; the exact Poisson one where not a single is seen."""
    numbers = np.array([s.areas for s in scans], float)
    subjects, place = np.unique([s.subject for s in scans], return_inverse=True)
    per_patient = np.bincount(place, weights * numbers * n, len(subjects))
    if not numbers.any():
        return {"per_healthy_scan": 0.0, "low": 0.0, "high": poisson_interval(0, n)[1], "interval": "exact Poisson"}
    drawn = resamples(np.zeros(n), REPEATS, SEED)
    made = bootstrap(float(per_patient.mean()), drawn @ per_patient / n, n).as_dict()
    rate = {"per_healthy_scan": made["value"], "low": made["low"], "high": made["high"]}
    return {**rate, "interval": "bootstrap by patient"}


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
