"""The whole way from files to a cohort: find, read headers, name, compare voxels, mask, label, split."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medudl.data.cohort import Cohort
from medudl.data.dicom_header import DicomHeader
from medudl.data.discover import Found, discover
from medudl.data.duplicates import duplicate_groups
from medudl.data.fault import show
from medudl.data.identity import Key, unique_names
from medudl.data.index_dicom import Identity, dicom_drafts, is_mask, is_scan, tell_skipped
from medudl.data.index_draft import Draft, count, relative
from medudl.data.index_labels import join
from medudl.data.index_masks import MaskFile, judge_masks, link_dicom_masks, link_masks, part_masks
from medudl.data.index_names import Names, name_draft, name_rest
from medudl.data.index_passes import Result, Unreadable, hash_pass, header_pass
from medudl.data.index_progress import Progress
from medudl.data.index_rules import Rules
from medudl.data.splits import assign, check_leaks
from medudl.errors import UserError

Headers = list[DicomHeader]


@dataclass
class Findings:
    """What the first pass found. problems and notes: sentences about files that became no row."""

    drafts: list[Draft] = field(default_factory=list)
    masks: list[MaskFile] = field(default_factory=list)
    mask_drafts: dict[Path, Draft] = field(default_factory=dict)
    dicom_masks: Headers = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def build(
    paths: Sequence[str | Path], rules: Rules, key: Key, progress: Progress, *, hashes: bool = True, workers: int = 2
) -> Cohort:
    """A cohort of all scans below `paths`. workers: processes that parse, each under limits of time and memory.

    Raises UserError: no usable scan, a pattern or table that fits nothing; LeakError: a split with a patient or a copy
    on two sides.
    """
    names = Names(rules.patterns, rules.contrasts, Counter(), Counter())
    findings = _find(paths, rules, key, names, progress, workers)
    if not any(draft.shape for draft in findings.drafts):
        raise _nothing(paths, findings)
    if hashes:
        hash_pass([*findings.drafts, *findings.mask_drafts.values()], progress, workers)
    if all(draft.hopeless for draft in findings.drafts):
        raise _nothing(paths, findings)
    root = _root(paths)
    _connect(findings, rules, key, names, root)
    rows = [draft.row(root) for draft in findings.drafts]
    if rules.shares:
        rows = assign(rows, rules.shares, rules.seed)
    else:
        check_leaks(rows, " or ".join(names.readings))
        without = sum(not row.split for row in rows)
        if 0 < without < len(rows):
            findings.notes.append(f"{count(without, 'series has', 'series have')} no split, while others do")
    return Cohort.of(root, rows, _meta(findings, rules, key, names, root))


def _find(
    paths: Sequence[str | Path], rules: Rules, key: Key, names: Names, progress: Progress, workers: int
) -> Findings:
    """Find the files and read their headers."""
    found, problems, unread = discover(paths)
    found, masks, notes = part_masks(found, rules.masks, rules.patterns)
    found, more = _fitting(found, names)
    results = list(header_pass([*found, *(mask.found for mask in masks)], progress, workers))
    findings = Findings(masks=masks, problems=problems, notes=notes + more + unread)
    findings.mask_drafts = _mask_drafts(results[len(found) :])
    _sort(results[: len(found)], findings, Identity(key, rules.contrasts), names)
    return findings


def _fitting(found: Sequence[Found], names: Names) -> tuple[list[Found], list[str]]:
    """Files to read, and a note about those that fit no pattern. Raises UserError where none fits."""
    fitting = [file for file in found if file.format in ("dicom", "npz") or names.fits(file)]
    if found and not fitting:
        wanted = " or ".join(pattern.text for pattern in names.patterns)
        raise UserError(f"pattern {wanted}: fits none of {count(len(found), 'file')}, such as {show(found[0].below)}")
    left = len(found) - len(fitting)
    return fitting, [f"{count(left, 'file fits', 'files fit')} no pattern: left out"] if left else []


def _sort(results: Sequence[Result], findings: Findings, identity: Identity, names: Names) -> None:
    """Results of the first pass into drafts (image files, then DICOM), DICOM masks and problems."""
    scans: list[tuple[Found, DicomHeader]] = []
    others: Headers = []
    for result in results:
        if isinstance(result, Unreadable):
            if result.found.format == "dicom":  # a slice of nobody knows which series
                findings.problems.append(result.told())
            else:
                draft = Draft.unreadable(result.found, result.fault)
                findings.drafts.append(name_draft(draft, result.found, names))
            continue
        found, facts = result
        if not isinstance(facts, DicomHeader):
            findings.drafts += [name_draft(Draft.of(found, grid), found, names) for grid in facts]
        elif is_scan(facts):
            scans.append((found, facts))
        else:
            others.append(facts)
    name_rest(findings.drafts, names)
    findings.drafts += _dicom(scans, identity, names)
    findings.dicom_masks = [header for header in others if is_mask(header)]
    findings.notes += tell_skipped(header for header in others if not is_mask(header))


def _dicom(scans: Sequence[tuple[Found, DicomHeader]], identity: Identity, names: Names) -> list[Draft]:
    """DICOM drafts; what a pattern or BIDS folders say of their paths goes before what their headers say."""
    founds = {found.path: found for found, _ in scans}
    drafts = dicom_drafts(scans, identity)
    own: dict[str, list[Draft]] = defaultdict(list)
    for draft in drafts:
        found = founds[draft.files[0]]
        pattern = names.of_pattern(found)
        given = pattern or names.of_folders(found)
        draft.values.update({name: value for name, value in given.items() if name != "series"})
        if "subject" not in given:
            names.readings["the PatientID"] += 1
        elif not pattern and "study" not in given:
            own[given["subject"]].append(draft)
    for group in own.values():
        if len({draft.values["study"] for draft in group}) == 1:  # BIDS leaves out the only session
            for draft in group:
                draft.values["study"] = ""
    return drafts


def _mask_drafts(results: Sequence[Result]) -> dict[Path, Draft]:
    """Masks as drafts, so that the second pass looks into them too; DICOM has been seen by its header."""
    drafts = {}
    for result in results:
        if isinstance(result, Unreadable):
            drafts[result.found.path] = Draft.unreadable(result.found, result.fault)
        elif isinstance(result[1], DicomHeader):
            drafts[result[0].path] = Draft([result[0].path], result[0].below, "dicom")
        else:
            drafts[result[0].path] = Draft.of(result[0], result[1][0])
    return drafts


def _connect(findings: Findings, rules: Rules, key: Key, names: Names, root: Path) -> None:
    """Give the drafts their tables' values, their masks, and notes about their copies."""
    drafts = findings.drafts
    for draft, name in zip(drafts, unique_names(draft.values["series"] for draft in drafts), strict=True):
        draft.values["series"] = name
    judge_masks(findings.masks, findings.mask_drafts)
    findings.problems += link_masks(drafts, findings.masks, key) + link_dicom_masks(drafts, findings.dicom_masks)
    for table in rules.tables:
        findings.problems += join(table, drafts, key)
        if "subject" in table.values:
            names.readings.clear()
            names.readings[f"the subject of {table.path.name}"] = len(drafts)
    for first, *copies in duplicate_groups(drafts):
        for copy in copies:
            drafts[copy].notes.append(f"the same voxels as {show(drafts[first].path_below(root))}")


def _meta(findings: Findings, rules: Rules, key: Key, names: Names, root: Path) -> dict[str, Any]:
    dicom = [draft for draft in findings.drafts if draft.format == "dicom"]
    return {
        "key_id": key.id if dicom else "",
        "files": {draft.values["series"]: [relative(file, root) for file in draft.files] for draft in dicom},
        "contrast_rules": {draft.values["series"]: draft.rule for draft in findings.drafts},
        "readings": dict(names.readings),
        "visits": dict(names.visits),
        "problems": findings.problems,
        "notes": findings.notes,
        "settings": rules.settings,
    }


def _nothing(paths: Sequence[str | Path], findings: Findings) -> UserError:
    """One line for a place without a single usable scan: the first fault, and how many there are."""
    faults = [f"{show(draft.place)}: {draft.faults[0]}" for draft in findings.drafts if draft.faults]
    faults += findings.problems
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return UserError(f"no usable scan: {faults[0]}{more}")
    masks = findings.masks or findings.dicom_masks
    what = "masks but no scans" if masks else "no scans (DICOM, NIfTI, NRRD, MHA, PNG, JPEG, npz)"
    notes = f" ({findings.notes[0]})" if findings.notes else ""
    return UserError(f"{', '.join(show(path) for path in paths)}: holds {what}; name the folder that holds them{notes}")


def _root(paths: Sequence[str | Path]) -> Path:
    tops = [Path(path).absolute() for path in paths]
    return Path(os.path.commonpath([top if top.is_dir() else top.parent for top in tops]))
