"""The samples and generators that may be asked for, behind ids, as `source.Sources` does it for volumes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.viewer.explore_walkers import Walkers
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


_IDLE = 1800.0  # seconds: to read a run's training images again may take minutes


@dataclass
class SamplesDesk:
    """What was offered, and the training images that are searched. Shared by all sessions of a viewer."""

    _known: dict[str, Offered] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def searchers(self) -> Walkers:
        """Processes with the training images of a run each; made, and imported, when first asked for."""
        from apps.viewer.explore_walkers import Walkers

        return Walkers(_IDLE, "apps.viewer.samples_worker")

    def offer(self, offered: Offered) -> None:
        """From now on it may be asked for."""
        with self._lock:
            self._known[offered.id] = offered

    def find(self, id: str) -> Offered | None:
        """What has this id, None for any other string."""
        return self._known.get(id)

    def close(self) -> None:
        """End the processes."""
        if "searchers" in vars(self):
            self.searchers.close()
