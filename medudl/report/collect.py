"""What evaluation keeps of each scan: scores of every map, voxel counts, lesions, rim. Never the images themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.config import Data
from medudl.data.cases import Case, cases_of, is_healthy, training_cases
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.metrics.detection import lesions, rim_share
from medudl.metrics.voxels import Counts, count
from medudl.report.baselines import Reference, baseline_maps, baseline_numbers
from medudl.report.montage import example
from medudl.report.records import MODEL, Record
from medudl.report.variants import variants
from medudl.tasks.calibrate import FILE, lesion_free
from medudl.tasks.detector import Detector, Scored, shown
from medudl.tasks.outputs import without_paths
from medudl.tasks.postprocess import filtered, inner, scan_score, unusual

EXAMPLES = 2  # scans of each label that the report shows
REFERENCE_SCANS = 200  # healthy training scans behind mean and standard deviation, evenly picked where there are more
_RIM = 2  # voxels: the rim looked at where the foreground is not eroded


def collect(
    detector: Detector, cohort: Cohort, split: str, fold: int, progress: bool
) -> tuple[list[Record], list[str]]:
    """A record of every scan of `split` that can be scored, and sentences about those left out and about baselines.

    Raises UserError: nothing in the split; a patient of the test split was trained on.
    """
    data, healthy = detector.data, detector.run.read_json(FILE)
    cases, notes = cases_of(cohort.select({}, split), data)
    if not cases:
        why = notes[0] if notes else "the cohort has no scan in it"
        raise UserError(f"split {split}: nothing to evaluate ({why}); name another split, or index again with --split")
    notes += _leaks(cases, detector.run.cohort(), split)
    reference, told = _reference(detector, progress)
    records: list[Record] = []
    notes, seen = notes + told, Counter[str]()
    for case in shown(cases, f"evaluating, fold {fold}" if fold else "evaluating", progress):
        wanted = seen[case.label] < EXAMPLES
        try:
            scan = detector.scored(cohort, case, expected=wanted)
        except UserError as error:
            notes.append(f"{case.id} left out: {error}")
            continue
        if np.isnan(scan.score):
            notes.append(f"{case.id} left out: nothing of its foreground is left after erosion")
            continue
        seen[case.label] += 1
        record = _record(detector, scan, healthy, reference)
        records.append(replace(record, fold=fold, example=example(scan) if wanted else None))
    return records, [without_paths(note, cohort, cohort.series()) for note in notes]


def truth(case: Case, data: Data) -> bool | None:
    """Whether the scan is sick; None where neither a label nor a mask says so."""
    if is_healthy(case, data) and (data.healthy_labels or not data.lesion_free_slices):
        return False
    return True if data.healthy_labels or case.masked else None


def _leaks(cases: Sequence[Case], trained: Cohort, split: str) -> list[str]:
    known = {series.subject for series in trained.series() if series.split == "train"}
    both = sorted({case.subject for case in cases} & known)
    if both and split == "test":
        raise UserError(
            f"the model was trained on {len(both)} of these patients ({', '.join(both[:5])}), which would flatter it;"
            " evaluate on patients that it has not seen"
        )
    return [f"the model was trained on {len(both)} of these patients: the figures flatter it"] if both else []


def _reference(detector: Detector, progress: bool) -> tuple[Reference | None, list[str]]:
    """From the scans that the run itself was trained on."""
    data, cohort = detector.data, detector.run.cohort()
    cases, _ = training_cases(cases_of(cohort.select({}, "train"), data)[0], data)
    if not cases:
        return None, ["no healthy training scan: the baselines |x - mean| / std are missing"]
    picked = [cases[i] for i in np.linspace(0, len(cases) - 1, min(len(cases), REFERENCE_SCANS)).round().astype(int)]
    first = detector.prepared(cohort, picked[0]).image.shape

    def scans() -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
        for case in shown(picked, "mean of healthy scans", progress):
            prepared = detector.prepared(cohort, case)
            valid = prepared.foreground[0]
            if case.masked and data.lesion_free_slices:
                valid = valid & lesion_free(case.id, prepared.mask, data)
            yield prepared.image, valid

    return Reference.of(scans(), first[1:]), [f"mean and standard deviation of |x - mean| / std: {len(picked)} scans"]


def _record(detector: Detector, scan: Scored, healthy: dict[str, Any], reference: Reference | None) -> Record:
    case, settings, dims = scan.case, detector.settings, detector.data.dims
    mask = lesion_mask(scan)
    region = scan.foreground if mask is None else scan.foreground | mask
    image, names = scan.prepared.image, list(case.names)
    scores: dict[str, float] = {MODEL: scan.score}
    counts: dict[str, Counts] = {}
    if mask is not None:
        counts[MODEL] = count(scan.smooth[region], mask[region])
    for name, raw in baseline_maps(image, scan.foreground, names, reference, dims):
        smooth = filtered(raw, scan.inside, settings, dims)
        scores[name] = scan_score(smooth, scan.inside, settings)
        if mask is not None:
            counts[name] = count(smooth[region], mask[region])
    sick = truth(case, detector.data)
    voxel = healthy["voxel"] and healthy["voxel"]["threshold"]
    rim = inner(scan.foreground, settings.model_copy(update={"erode": settings.erode or _RIM}), dims)
    return Record(
        case=case.id, subject=case.subject, label=case.label, sick=sick, scores=scores,
        numbers=baseline_numbers(image, scan.foreground, names), rim=rim_share(scan.raw, scan.foreground, rim),
        millilitres=_millilitres(scan), threshold=healthy["scan"] and healthy["scan"]["threshold"],
        voxel_threshold=voxel, counts=counts, variants=variants(scan, mask, settings, dims),
        **_areas(scan, mask, sick, voxel, detector),
    )  # fmt: skip


def lesion_mask(scan: Scored) -> NDArray[np.bool_] | None:
    """The lesions (D, H, W); None where nobody drew any (a healthy scan's mask is empty, and no lesion scan)."""
    mask = scan.prepared.mask
    return mask[0] if mask is not None and mask.any() else None


def _areas(
    scan: Scored, mask: NDArray[np.bool_] | None, sick: bool | None, threshold: float | None, detector: Detector
) -> dict[str, Any]:
    if threshold is None:
        return {}
    called, number = unusual(scan.smooth, threshold, detector.settings)
    if mask is None:
        return {"false": number if sick is False else None}
    found = lesions(called, mask)
    overlap = 2.0 * float((called[mask] > 0).sum()), float((called > 0).sum() + mask.sum())
    return {"lesions": found, "false": found.false, "overlap": overlap}


def _millilitres(scan: Scored) -> float:
    """Volume of a voxel of the model's grid in ml; 0 where the scan is a single image."""
    affine = np.asarray(scan.prepared.geometry["affine"], float)
    return 0.0 if scan.foreground.shape[0] == 1 else float(abs(np.linalg.det(affine[:3, :3])) / 1000)
