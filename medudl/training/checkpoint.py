"""Two generations of the training's state, so that a kill at any moment leaves one that is whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from medudl.errors import UserError
from medudl.state import load_state, save_state

GENERATIONS = 2


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write checkpoint/step-<step>.safetensors in one move, then drop all but the newest two."""
    folder.mkdir(exist_ok=True)
    save_state(folder / f"step-{step:09d}.safetensors", state)
    half_written = folder.glob(".*.tmp")  # by a process that was killed
    for old in (*_newest_first(folder)[GENERATIONS:], *half_written):
        old.unlink()


def load_checkpoint(folder: Path, tell: Callable[[str], None]) -> dict[str, Any] | None:
    """The newest state that is whole; None where training has not come to its first.

    A damaged one is told, and the one before it taken. Raises UserError where all are damaged.
    """
    found = _newest_first(folder)
    for path in found:
        try:
            state: dict[str, Any] = load_state(path)
        except UserError as error:
            tell(f"{error}; trying the checkpoint before it")
            continue
        return state
    if found:
        raise UserError(f"{folder}: every checkpoint is damaged; restore one from a copy, or train into a new folder")
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"), reverse=True)
