"""From folders of scans to cohort.csv: find, read headers, name, hash, label, mask, split."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medudl.data.cohort import Cohort, Series, write_whole
from medudl.data.contrast import Rule, parse_rules
from medudl.data.dicom_header import DicomHeader
from medudl.data.discover import Found, discover
from medudl.data.duplicates import duplicate_groups
from medudl.data.fault import show
from medudl.data.identity import KEY_NAME, Key, unique_names
from medudl.data.index_dicom import Identity, dicom_drafts, is_mask, is_scan, tell_skipped
from medudl.data.index_draft import Draft, relative
from medudl.data.index_labels import VALUES, join, read_table
from medudl.data.index_masks import judge_masks, link_dicom_masks, link_masks, part_masks
from medudl.data.index_names import Names, name_draft, name_rest
from medudl.data.index_passes import Grid, Unreadable, hash_pass, header_pass
from medudl.data.index_progress import Bar, Progress
from medudl.data.patterns import Pattern, compile_pattern
from medudl.data.splits import LeakError, assign, check_leaks, parse_shares
from medudl.errors import UserError


@dataclass(frozen=True)
class Rules:
    """What the user says about the scans, checked before any file is opened."""

    patterns: tuple[Pattern, ...] = ()
    masks: tuple[Pattern, ...] = ()
    contrasts: tuple[Rule, ...] = ()
    labels: Path | None = None
    split: str = ""  # "70/15/15", or "from:CSV"
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)  # as given, for cohort.json


def rules_of(
    patterns: Sequence[str] = (), masks: Sequence[str] = (), contrasts: Sequence[str] = (),
    labels: str | Path | None = None, split: str | None = None, seed: int = 0,
) -> Rules:  # fmt: skip
    """Check and compile what the user says. Raises UserError, for each as its own module says."""
    if split and not split.startswith("from:"):
        parse_shares(split)
    settings = {
        "patterns": list(patterns), "masks": list(masks), "contrasts": list(contrasts),
        "labels": Path(labels).name if labels else "", "split": split or "", "seed": seed,
    }  # fmt: skip
    return Rules(
        tuple(map(compile_pattern, patterns)), tuple(map(compile_pattern, masks)), parse_rules(contrasts),
        Path(labels) if labels else None, split or "", seed, settings,
    )  # fmt: skip


def index(
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    patterns: Sequence[str] = (),
    masks: Sequence[str] = (),
    labels: str | Path | None = None,
    split: str | None = None,
    seed: int = 0,
    contrasts: Sequence[str] = (),
    progress: bool = False,
) -> Cohort:
    """Index `paths` and write `out` (cohort.csv), cohort.json and, for DICOM, the key of the pseudonyms beside it.

    progress: show a bar and print the summary. A LeakError leaves `<out>.leaks.csv`, every patient and copy on two
    sides with its files, and no cohort. Raises UserError as `index_paths` does.
    """
    out = Path(out)
    if out.is_dir() or out.suffix.lower() != ".csv":
        raise UserError(f"{show(out)}: the table needs a file name that ends in .csv, such as cohort.csv")
    key_file = out.parent / KEY_NAME
    key = Key.load(key_file) if key_file.exists() else Key.generate()
    try:
        cohort = index_rules(
            paths, rules_of(patterns, masks, contrasts, labels, split, seed), key, Bar() if progress else Progress()
        )
    except LeakError as error:
        raise LeakError(f"{error}; all of them: {show(_write_leaks(error, out))}", error.leaks) from None
    if cohort.key_id:
        key.save(key_file)
    cohort.write(out)
    if progress:
        from medudl.data.summary import print_summary

        print_summary(cohort)
    return cohort


def index_paths(
    paths: Sequence[str | Path],
    *,
    patterns: Sequence[str] = (),
    masks: Sequence[str] = (),
    labels: str | Path | None = None,
    split: str | None = None,
    contrasts: Sequence[str] = (),
    key: Key | None = None,
    hashes: bool = True,
) -> Cohort:
    """As `index`, in memory: nothing is written. key: of the pseudonyms, a new one by default, which joins nothing.

    Raises UserError: no usable scan, a pattern or table that fits nothing; LeakError: a split with a patient or a copy
    on two sides.
    """
    rules = rules_of(patterns, masks, contrasts, labels, split)
    return index_rules(paths, rules, key or Key.generate(), Progress(), hashes=hashes)


def index_rules(
    paths: Sequence[str | Path], rules: Rules, key: Key, progress: Progress, *, hashes: bool = True, workers: int = 2
) -> Cohort:
    """The whole way from files to a cohort. workers: processes that parse, each under limits of time and memory."""
    found, problems = discover(paths)
    found, masks, notes = part_masks(found, rules.masks)
    names = Names(rules.patterns, rules.contrasts, Counter())
    found, more = _fitting(found, names)
    results = list(header_pass([*found, *(mask.found for mask in masks)], progress, workers))
    mask_drafts = _mask_drafts(results[len(found) :])
    results = results[: len(found)]
    problems += [
        result.told() for result in results if isinstance(result, Unreadable) and result.found.format == "dicom"
    ]
    drafts, dicom_masks, skipped = _drafts(results, Identity(key, rules.contrasts), names)
    if not any(draft.shape for draft in drafts):
        raise _nothing(paths, drafts, problems, bool(dicom_masks or masks))
    if hashes:
        hash_pass([*drafts, *mask_drafts.values()], progress, workers)
    if all(draft.hopeless for draft in drafts):
        raise _nothing(paths, drafts, problems, False)
    judge_masks(masks, mask_drafts)
    for draft, name in zip(drafts, unique_names(draft.values["series"] for draft in drafts), strict=True):
        draft.values["series"] = name
    problems += link_masks(drafts, masks, key) + link_dicom_masks(drafts, dicom_masks)
    problems += _tables(drafts, rules, key, names)
    root = _root(paths)
    _note_copies(drafts, root)
    rows = _split([draft.row(root) for draft in drafts], rules, names)
    meta = {
        "key_id": key.id if any(draft.format == "dicom" for draft in drafts) else "",
        "files": {d.values["series"]: [relative(f, root) for f in d.files] for d in drafts if d.format == "dicom"},
        "contrast_rules": {draft.values["series"]: draft.rule for draft in drafts},
        "readings": dict(names.readings), "problems": problems, "notes": notes + more + skipped,
        "settings": rules.settings,
    }  # fmt: skip
    return Cohort.of(root, rows, meta)


def _fitting(found: Sequence[Found], names: Names) -> tuple[list[Found], list[str]]:
    """Files to read, and a note about those that fit no pattern. Raises UserError where none fits."""
    fitting = [file for file in found if file.format in ("dicom", "npz") or names.fits(file)]
    if found and not fitting:
        wanted = " or ".join(pattern.text for pattern in names.patterns)
        raise UserError(
            f"pattern {wanted}: fits none of {len(found)} files, such as {show(found[0].below)}; correct it"
        )
    left = len(found) - len(fitting)
    return fitting, [f"{left} files fit no pattern and are left out"] if left else []


def _drafts(
    results: Sequence[tuple[Found, list[Grid] | DicomHeader] | Unreadable], identity: Identity, names: Names
) -> tuple[list[Draft], list[DicomHeader], list[str]]:
    """Drafts in the order of their files, DICOM masks, and notes about what is no scan."""
    drafts: list[Draft] = []
    scans: list[tuple[Found, DicomHeader]] = []
    others: list[DicomHeader] = []
    for result in results:
        if isinstance(result, Unreadable):
            if result.found.format != "dicom":
                drafts.append(
                    _named(Draft([result.found.path], result.found.below, result.found.format), result.found, names)
                )
                drafts[-1].condemn(result.fault)
        elif isinstance(result[1], DicomHeader):
            scans += [(result[0], result[1])] if is_scan(result[1]) else []
            others += [] if is_scan(result[1]) else [result[1]]
        else:
            drafts += [_named(grid.draft(result[0]), result[0], names) for grid in result[1]]
    name_rest(drafts, names)
    founds = {found.path: found for found, _ in scans}
    for draft in dicom_drafts(scans, identity):
        given = names.of_pattern(founds[draft.files[0]])
        draft.values.update({name: value for name, value in given.items() if name != "series"})
        names.readings["a PatientID"] += "subject" not in given
        drafts.append(draft)
    masks = [header for header in others if is_mask(header)]
    return drafts, masks, tell_skipped(header for header in others if not is_mask(header))


def _mask_drafts(results: Sequence[tuple[Found, list[Grid] | DicomHeader] | Unreadable]) -> dict[Path, Draft]:
    """Masks as drafts, so that the second pass looks into them too; what is DICOM has been seen by its header."""
    drafts = {}
    for result in results:
        found = result.found if isinstance(result, Unreadable) else result[0]
        draft = Draft([found.path], found.below, found.format)
        if isinstance(result, Unreadable):
            draft.condemn(result.fault)
        elif not isinstance(result[1], DicomHeader):
            draft = result[1][0].draft(found)
        drafts[found.path] = draft
    return drafts


def _named(draft: Draft, found: Found, names: Names) -> Draft:
    name_draft(draft, found, names)
    return draft


def _tables(drafts: Sequence[Draft], rules: Rules, key: Key, names: Names) -> list[str]:
    """Take over the user's tables; returns what they hold about scans that are not here."""
    told = []
    tables = [read_table(rules.labels, VALUES)] if rules.labels else []
    if rules.split.startswith("from:"):
        tables.append(read_table(rules.split.removeprefix("from:"), ("split",)))
    for table in tables:
        told += join(table, drafts, key)
        if "subject" in table.values:
            names.readings.clear()
            names.readings[f"the subject of {table.path.name}"] = len(drafts)
    return told


def _note_copies(drafts: Sequence[Draft], root: Path) -> None:
    rows = [draft.row(root) for draft in drafts]
    for group in duplicate_groups(rows):
        first = rows[group[0]].path
        for i in group[1:]:
            drafts[i].notes.append(f"the same voxels as {show(first)}")


def _split(rows: list[Series], rules: Rules, names: Names) -> list[Series]:
    if rules.split and not rules.split.startswith("from:"):
        return assign(rows, parse_shares(rules.split), rules.seed)
    check_leaks(rows, " or ".join(names.readings) or "a PatientID")
    return rows


def _nothing(paths: Sequence[str | Path], drafts: Sequence[Draft], problems: Sequence[str], masks: bool) -> UserError:
    """One line for a place without a single usable scan: the first fault, and how many there are."""
    faults = [f"{show(draft.place)}: {draft.faults[0]}" for draft in drafts if draft.faults] + list(problems)
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return UserError(f"no usable scan: {faults[0]}{more}")
    where = ", ".join(show(path) for path in paths)
    what = "masks but no scans" if masks else "no scans (DICOM, NIfTI, NRRD, MHA, PNG, JPEG, npz)"
    return UserError(f"{where}: holds {what}; name the folder that holds them")


def _root(paths: Sequence[str | Path]) -> Path:
    tops = [Path(path).absolute() for path in paths]
    return Path(os.path.commonpath([top if top.is_dir() else top.parent for top in tops]))


def _write_leaks(error: LeakError, out: Path) -> Path:
    import csv
    import io

    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["kind", "name", "splits", "path"])
    for leak in error.leaks:
        writer.writerows([leak.kind, leak.name, " ".join(leak.splits), path] for path in leak.paths)
    path = out.with_suffix(".leaks.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, stream.getvalue())
    return path
