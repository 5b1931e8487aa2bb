"""SHA-256 of files, computed again only when a file has changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path


class Fingerprints:
    """File hashes, remembered in one JSON file by the file's place, size and times.

    The change time (ctime) is set by the system and not by programs that copy old dates along, so a file that was
    swapped for another of equal size and date is hashed again. A lost or broken memory only costs time.
    """

    def __init__(self, memory: Path) -> None:
        self.memory = memory
        self._known: dict[str, str] = _load(memory)
        self._new = 0

    def of(self, path: Path) -> str:
        """SHA-256 of the file's bytes, hexadecimal."""
        stat = os.stat(path)
        facts = (os.path.abspath(path), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        key = hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()
        if key not in self._known:
            with open(path, "rb") as stream:
                self._known[key] = hashlib.file_digest(stream, "sha256").hexdigest()
            self._new += 1
        return self._known[key]

    def of_all(self, paths: Iterable[Path]) -> list[str]:
        """`of` each."""
        return [self.of(path) for path in paths]

    def save(self) -> None:
        """Write what is new, whole or not at all."""
        if not self._new:
            return
        draft = self.memory.with_name(f"{self.memory.name}.{os.getpid()}.tmp")
        try:
            draft.write_text(json.dumps({**_load(self.memory), **self._known}), encoding="utf-8")
            os.replace(draft, self.memory)
        finally:
            draft.unlink(missing_ok=True)
        self._new = 0


def _load(path: Path) -> dict[str, str]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in tree.items()} if isinstance(tree, dict) else {}
