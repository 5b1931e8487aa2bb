"""What pages and routes of one viewer share: its settings, and which volumes may be asked for. No user's state."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from apps.viewer.explore_desk import Desk
from apps.viewer.label_desk import LabelDesk
from apps.viewer.samples_desk import SamplesDesk
from apps.viewer.source import Sources
from apps.viewer.store import Store


@dataclass(frozen=True)
class Settings:
    """What `medudl view` was told.

    folder: what is looked through. also: folders whose scans a table in it may point to; nothing else is shown.
    private: no patient identity on any page. cache_bytes: decoded volumes kept.
    """

    folder: Path
    also: tuple[Path, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8501
    private: bool = True
    cache_bytes: int = 2 << 30

    @property
    def places(self) -> tuple[Path, ...]:
        """The folder, then those whose scans may be shown beside its own."""
        return (self.folder, *self.also)


@dataclass(frozen=True)
class House:
    """One viewer: made once at start, read by every session."""

    settings: Settings
    sources: Sources = field(default_factory=Sources)
    desk: Desk = field(default_factory=Desk)
    samples: SamplesDesk = field(default_factory=SamplesDesk)
    labels: LabelDesk = field(default_factory=LabelDesk)
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "store", Store(self.settings.cache_bytes, self.settings.places))

    def close(self) -> None:
        """End the workers and let go of all that is held."""
        self.desk.close()
        self.samples.close()
        self.store.close()


_open: list[House] = []


def open_house(settings: Settings) -> House:
    """Make this process the viewer of settings.folder; a test may open another after it."""
    _open[:] = [House(settings)]
    return _open[0]


def house() -> House:
    """The viewer of this process."""
    return _open[0]
