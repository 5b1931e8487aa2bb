"""`medudl index`: from folders of scans to cohort.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from medudl.data.cohort import Cohort, write_whole
from medudl.data.fault import show
from medudl.data.identity import KEY_NAME, Key
from medudl.data.index_build import build
from medudl.data.index_progress import Progress, shown
from medudl.data.index_rules import rules_of
from medudl.data.splits import LeakError
from medudl.errors import UserError


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

    progress: show a bar (or write lines, see `index_progress`) and print the summary. Raises UserError as `index_paths`
    does, and nothing is written then; but a LeakError leaves `<out>.leaks.csv`: every patient and copy on two sides,
    with its files.
    """
    out = Path(out)
    if out.is_dir() or out.suffix.lower() != ".csv":
        raise UserError(f"{show(out)}: the table needs a file name that ends in .csv, such as cohort.csv")
    rules = rules_of(patterns, masks, contrasts, labels, split, seed)
    key_file = out.parent / KEY_NAME
    key = Key.load(key_file) if key_file.exists() else Key.generate()
    try:
        cohort = build(paths, rules, key, shown() if progress else Progress())
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
) -> Cohort:
    """As `index`, in memory: nothing is written. key: of the pseudonyms; by default a new one, which joins nothing.

    Raises UserError: a path that is absent, no usable scan, a pattern, rule or table that is wrong or fits nothing;
    LeakError: a split with a patient or a copy on two sides.
    """
    return build(paths, rules_of(patterns, masks, contrasts, labels, split), key or Key.generate(), Progress())


def _write_leaks(error: LeakError, out: Path) -> Path:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["kind", "name", "splits", "path"])
    for leak in error.leaks:
        writer.writerows([leak.kind, leak.name, " ".join(leak.splits), path] for path in leak.paths)
    path = out.with_suffix(".leaks.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, stream.getvalue())
    return path
