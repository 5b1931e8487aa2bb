"""The maps of cases that may be asked for, behind ids, as `source.Sources` does it for volumes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.viewer.explore_faces import Faces
    from apps.viewer.explore_folder import Embedding
    from apps.viewer.explore_walkers import Walkers


@dataclass(frozen=True)
class Shown:
    """One map that a page offers. run: the folder of the run that made it, None where it lies in no place shown."""

    id: str
    path: Path
    run: Path | None
    faces: Faces

    def embedding(self) -> Embedding:
        """As it is on the disk now. Raises UserError."""
        from apps.viewer.explore_folder import read_embedding

        return read_embedding(self.path)


@dataclass
class Desk:
    """What was offered, and the models that are walked with. Shared by all sessions of a viewer."""

    _known: dict[str, Shown] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def walkers(self) -> Walkers:
        """The models; made, and imported, when first asked for."""
        from apps.viewer.explore_walkers import Walkers

        return Walkers()

    def offer(self, shown: Shown) -> None:
        """From now on it may be asked for."""
        with self._lock:
            self._known[shown.id] = shown

    def find(self, id: str) -> Shown | None:
        """The map of this id, None for any other string."""
        return self._known.get(id)

    def close(self) -> None:
        """End the workers."""
        if "walkers" in vars(self):
            self.walkers.close()
