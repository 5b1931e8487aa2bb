"""The stores that are being labelled: opened once, each with the scans of its cases. Shared by all sessions."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from apps.viewer.label_find import label_stores, tables_for
from medudl.errors import UserError

if TYPE_CHECKING:
    from apps.viewer.catalogue import Catalogue, CohortFile
    from apps.viewer.source import Source
    from medudl.data.cohort import Series
    from medudl.labels.events import LabelCase
    from medudl.labels.store import LabelStore

GONE = "its scan is gone, or lies outside the opened folder"
Issued = tuple[str, int, str]  # why it was shown, occasion, ranking


@dataclass
class Pool:
    """One store and the scans of its cases.

    rows: case -> series, [] where they are gone. lost: case -> why it cannot be shown, found out so far. issued: what
    was shown why, by (reader, case): a reader is not told, so that the browser does not know. advice: by the newest
    ranking, whether more labels help.
    """

    catalogue: Catalogue
    store: LabelStore
    file: CohortFile | None
    cases: dict[str, LabelCase]
    rows: dict[str, list[Series]]
    stamp: tuple[int, ...]
    lost: dict[str, str] = field(default_factory=dict)
    issued: dict[tuple[str, str], Issued] = field(default_factory=dict)
    advice: dict[str, str] = field(default_factory=dict)

    def sources(self, case: str) -> list[Source]:
        """What is shown of a case, decoded already. No patient is named: a case is read for itself.

        Raises UserError: gone, or unreadable.
        """
        from apps.viewer.house import house
        from apps.viewer.words import Names

        rows = self.rows.get(case, [])
        if self.file is None or not rows:
            raise UserError(GONE)
        names = Names(self.file.cohort, True, self.file.rows)
        found = [replace(self.catalogue.source_of(self.file, row), title=names.title(row), subject="") for row in rows]
        for source in found:
            house().store.open(source)
        house().sources.offer(found)
        return found


class LabelDesk:
    """Stores by the id in their address."""

    def __init__(self) -> None:
        self._pools: dict[str, Pool] = {}
        self._lock = threading.Lock()

    def pool(self, id: str) -> Pool | None:
        """The store of this id with its scans as they are now; None where the folder has none. Raises UserError.

        A viewer that was started anew knows it too, so that a page that was open before can go on.
        """
        with self._lock:
            kept = self._pools.get(id)
            if kept is None or _stamp(kept.store.path, kept.file) != kept.stamp:
                found = _open(id, kept)
                if found is None:
                    return None
                self._pools[id] = kept = found
            return kept


def _open(id: str, before: Pool | None) -> Pool | None:
    from apps.viewer.catalogue import Catalogue
    from apps.viewer.house import house
    from medudl.labels.store import LabelStore

    catalogue = Catalogue(*house().settings.places)
    path = next((one.path for one in label_stores(catalogue) if one.id == id), None)
    if path is None:
        return None
    store = LabelStore.open(path)
    file = _table(store, tables_for(path, [one for one in catalogue.cohorts() if catalogue.shows(one)]))
    if file is not None:
        store.grow(file.cohort)
    rows = store.series_of(file.cohort) if file else {}
    issued = before.issued if before and before.store.id == store.id else {}
    return Pool(catalogue, store, file, {case.id: case for case in store.cases()}, rows, _stamp(path, file),
                issued=issued)  # fmt: skip


def _table(store: LabelStore, files: Sequence[CohortFile]) -> CohortFile | None:
    """The first table with any of the cases: one that has nothing of them must not make the store grow."""
    return next((file for file in files if any(store.series_of(file.cohort).values())), None)


def _stamp(path: Path, file: CohortFile | None) -> tuple[int, ...]:
    """Another one where the store has been replaced or the table written anew."""
    try:
        found = path.stat()
        table = file.path.stat().st_mtime_ns if file else 0
    except OSError:
        return ()
    return found.st_dev, found.st_ino, table
