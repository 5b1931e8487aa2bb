"""Prepared cases on the disk, computed once, keyed by the files' content and the pipeline."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medudl.data.cases import Case
from medudl.data.entry import read_entry, remove_drafts, write_entry
from medudl.data.fingerprint import Fingerprints
from medudl.data.parallel import in_processes
from medudl.data.pipeline import Pipeline, Prepared
from medudl.data.scan import files_read
from medudl.errors import UserError

if TYPE_CHECKING:
    from medudl.data.cohort import Cohort

CUT_TOLD = 0.05  # a larger share of the foreground lost to crop and pad, or not covered by a pair, is told
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Cache:
    """`fill` once, then `get`. Entries of a changed file or pipeline have another key, so old data is never served."""

    def __init__(self, root: str | Path, pipeline: Pipeline, cohort: Cohort) -> None:
        self.root = Path(root)
        self.pipeline = pipeline
        self.cohort = cohort
        self.workers = pipeline.data.cache_workers
        self._files = Fingerprints(self.root / "files.json")

    def fill(
        self, cases: Sequence[Case], progress: Callable[[int, int], None] | None = None
    ) -> tuple[list[Case], list[str]]:
        """Prepare what is not there yet, in `data.cache_workers` processes; `progress(done, of)` after each.

        Returns the cases that are ready, and sentences that name those that could not be prepared, and why, and those
        that lost more than 5 % of their foreground to crop and pad, and pairs that cover less than 95 % of it.
        Raises UserError: the disk has no room (said before anything is computed, as far as it can be known), or not
        one case could be prepared.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            remove_drafts(self.root)
            missing, why = self._missing(cases)
            self._check_room([case for case, _ in missing])
            failed, cut = self._compute(missing, progress)
            self._files.save()
        except OSError as error:
            raise self._told(error) from None
        why |= failed
        notes = [f"{case.id} is left out: {why[case.id]}" for case in cases if case.id in why]
        if cases and len(notes) == len(cases):
            raise UserError(f"not one of {len(cases)} scans can be used; {notes[0]}")
        return [case for case in cases if case.id not in why], [*notes, *cut]

    def get(self, case: Case) -> Prepared:
        """The prepared case, its arrays mapped into memory; prepared and stored now if `fill` has not done so.

        Raises UserError where it cannot be prepared.
        """
        folder = self.folder(case)
        found = read_entry(folder)
        if found is None:
            try:
                write_entry(self.pipeline.prepare(self.cohort, case), folder)
            except OSError as error:
                raise self._told(error) from None
            found = read_entry(folder)
            assert found is not None
        found.case_id = case.id  # two cases of equal files and settings share an entry
        return found

    def estimate(self, cases: Sequence[Case]) -> int:
        """Bytes that `fill` will add to the disk."""
        return sum(self.pipeline.estimate(case) for case, _ in self._missing(cases)[0])

    def folder(self, case: Case) -> Path:
        """Where the case lies: named by the hash of its files' content and the pipeline's key."""
        read = [(role, self._files.of_all(paths)) for role, paths in files_read(self.cohort, case, self.pipeline.data)]
        healthy = case.label in self.pipeline.data.healthy_labels  # decides whether a missing mask means no lesion
        facts = [self.pipeline.key, list(case.names), healthy, case.grid.modality, read]
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:40]
        return self.root / key[:2] / key

    def _missing(self, cases: Sequence[Case]) -> tuple[list[tuple[Case, Path]], dict[str, str]]:
        """Cases without an entry and where it belongs; and {case id: why} of those whose files are absent."""
        missing, why = [], {}
        for case in cases:
            try:
                folder = self.folder(case)
            except UserError as error:
                why[case.id] = str(error)
                continue
            if read_entry(folder) is None:
                missing.append((case, folder))
        return missing, why

    def _compute(
        self, missing: Sequence[tuple[Case, Path]], progress: Callable[[int, int], None] | None
    ) -> tuple[dict[str, str], list[str]]:
        """Prepare and write; {case id: why} of those that could not be, and sentences on those that were cut."""
        why, cut = {}, []
        jobs = in_processes(self._write, missing, self.workers)
        for done, ((case, _), result) in enumerate(jobs, start=1):
            if isinstance(result, UserError):
                why[case.id] = str(result)
            else:
                cut += _lost(case.id, *result)
            if progress is not None:
                progress(done, len(missing))
        return why, cut

    def _write(self, job: tuple[Case, Path]) -> tuple[float, float]:
        """Returns the share of the foreground that was cut off, and that which all channels of a pair cover."""
        case, folder = job
        prepared = self.pipeline.prepare(self.cohort, case)
        write_entry(prepared, folder)
        return float(prepared.geometry["foreground_cut"]), float(prepared.geometry["covered"])

    def _check_room(self, cases: Sequence[Case]) -> None:
        needed, free = sum(map(self.pipeline.estimate, cases)), shutil.disk_usage(self.root).free
        if needed > free:
            raise UserError(
                f"{self.root}: the prepared scans need {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
                "make room, or set data.cache to a folder on another disk"
            )

    def _told(self, error: OSError) -> UserError:
        if error.errno in _FULL:
            return UserError(f"{self.root}: the disk is full; make room, or set data.cache to a folder on another disk")
        return UserError(f"{self.root}: cannot be written ({error.strerror}); set data.cache to a folder that can")


def _lost(name: str, cut: float, covered: float) -> list[str]:
    """Sentences on what a case has lost of its foreground."""
    notes = [f"{name}: crop and pad cut off {cut:.0%} of its foreground; enlarge data.size"] if cut > CUT_TOLD else []
    if covered < 1 - CUT_TOLD:
        notes.append(
            f"{name}: its two sides cover {covered:.0%} of its foreground in common; the rest is not learnt from"
        )
    return notes
