"""What one reader may see of a store: a page that is built on this cannot show another's label by accident."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from medudl.labels.events import Event, Kind, Label, reader_key, reader_name
from medudl.labels.standing import labels_of
from medudl.labels.store import LabelStore

HIDDEN = "random"  # what "test" and "repeat" are called: a reader must not know which is which
_SECRET = ("test", "repeat")


class ReaderView:
    """A store as one reader sees it: own events and leases, and opinions of cases that he or she has labelled.

    It has no readers, truth, conflicts or ranking, and no way to the store. Raises UserError for an unusable name.
    """

    __slots__ = ("classes", "reader", "unit", "_store")

    def __init__(self, store: LabelStore, reader: str) -> None:
        self.reader = reader_name(reader)
        self.classes, self.unit = list(store.classes), store.unit
        self._store = store

    def save(
        self, *, id: str, kind: Kind, case: str, value: str = "", seconds: float | None = None, occasion: int = 0,
        why: str = "history", view: dict[str, Any] | None = None,
    ) -> Event:  # fmt: skip
        """As `LabelStore.save`, in this reader's name."""
        return _veiled(
            self._store.save(
                id=id, reader=self.reader, kind=kind, case=case, value=value, seconds=seconds, occasion=occasion,
                why=why, view=view,
            )
        )  # fmt: skip

    def events(self, *, case: str | None = None, since: int = 0) -> list[Event]:
        """Own events. Test cases and repeats are both called "random"."""
        return [_veiled(event) for event in self._store.events(reader=self.reader, case=case, since=since)]

    def labels(self) -> list[Label]:
        """Own labels that count now."""
        return labels_of(self.events())

    def lease(self, case: str, seconds: float = 300.0) -> bool:
        """As `LabelStore.lease`."""
        return self._store.lease(case, self.reader, seconds)

    def release(self, case: str) -> None:
        """As `LabelStore.release`."""
        self._store.release(case, self.reader)

    def opinion(self, case: str, occasion: int = 0) -> dict[str, float] | None:
        """The newest model's {class: probability}, or None.

        None before the reader's own label of the case on that occasion is saved, and while the case is on his or her
        screen (leased), as it is in a silent repeat.
        """
        if not any(
            label.occasion == occasion for label in labels_of(self._store.events(reader=self.reader, case=case))
        ):
            return None
        holder = self._store.leased().get(case)
        if holder is not None and reader_key(holder) == reader_key(self.reader):
            return None
        ranking = self._store.ranking()
        return None if ranking is None else ranking.opinions.get(case)


def _veiled(event: Event) -> Event:
    return replace(event, why=HIDDEN) if event.why in _SECRET else event
