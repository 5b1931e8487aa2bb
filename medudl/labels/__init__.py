"""Labels by several readers, kept for good: one SQLite file, never changed once written."""

from medudl.labels.events import Event, Kind, Label, LabelCase, Picked, Ranking
from medudl.labels.reader import ReaderView
from medudl.labels.store import LabelStore

__all__ = ["Event", "Kind", "Label", "LabelCase", "LabelStore", "Picked", "Ranking", "ReaderView"]
