"""The samples and generators that may be asked for, behind ids, as `source.Sources` does it for volumes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.viewer.samples_folder import Samples


@dataclass(frozen=True)
class Offered:
    """What one page offers. path: the folder of samples, None for a run without; run: None where it is not at hand.

    private: no name of a patient that was only guessed.
    """

    id: str
    path: Path | None
    run: Path | None
    private: bool = True

    def samples(self) -> Samples:
        """As they are on the disk now. Raises UserError."""
        from apps.viewer.samples_folder import read_samples
        from medudl.errors import UserError

        if self.path is None:
            raise UserError("No samples have been made yet.")
        return read_samples(self.path)


@dataclass
class SamplesDesk:
    """What was offered. Shared by all sessions of a viewer."""

    _known: dict[str, Offered] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def offer(self, offered: Offered) -> None:
        """From now on it may be asked for."""
        with self._lock:
            self._known[offered.id] = offered

    def find(self, id: str) -> Offered | None:
        """What has this id, None for any other string."""
        return self._known.get(id)
