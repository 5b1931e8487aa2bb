"""What files are, by their bytes: the key of every cache; and what may be said of them."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from apps.viewer.order import NAME
from apps.viewer.source import Source
from medudl.data.fault import show
from medudl.errors import UserError

Signature = tuple[str, ...]
_REMEMBERED = 4096  # scans whose hash is remembered
_CHUNK = 1 << 22


class Contents:
    """SHA-256 of sources, remembered as long as size, time of change and inode of every file stay as they were."""

    def __init__(self, places: Sequence[Path] | None = None) -> None:
        self._places = [os.path.realpath(folder) for folder in places] if places is not None else None
        self._keys: OrderedDict[Signature, str] = OrderedDict()
        self._lock = threading.Lock()

    def sign(self, source: Source) -> Signature:
        """What a look at the files' entries says; costs no reading. Raises UserError: absent, or outside the folder."""
        recipe = "\0".join([source.format, source.fragment, source.recipe, source.grid_format])
        entries = "\n".join(self._entry(path) for path in (*source.files, *source.grid))
        return recipe, hashlib.sha256(entries.encode("utf-8", "surrogateescape")).hexdigest()

    def known(self, signature: Signature) -> str | None:
        """The key of files that were read before."""
        return self._keys.get(signature)

    def hash(self, source: Source, signature: Signature) -> str:
        """Read all bytes of a source; its key. Raises UserError."""
        total = hashlib.sha256(signature[0].encode())
        for path in (*source.files, *source.grid):
            total.update(_digest(path))
        with self._lock:
            self._keys[signature] = total.hexdigest()
            while len(self._keys) > _REMEMBERED:
                self._keys.popitem(last=False)
        return total.hexdigest()

    def _entry(self, path: Path) -> str:
        real = os.path.realpath(path)
        # Also where a page was wrong: a table may name any file of the machine.
        if self._places is not None and all(os.path.commonpath([real, place]) != place for place in self._places):
            raise UserError(f"{NAME} lies outside the folder that is viewed; start `medudl view` on one that holds it")
        try:
            found = os.stat(real)
        except OSError:
            raise UserError(f"{NAME} is no longer where it was; was it moved or deleted? load the page again") from None
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{NAME} is not a regular file; leave it out")
        return f"{real}\0{found.st_size}\0{found.st_mtime_ns}\0{found.st_ino}"


def _digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise UserError(f"{NAME} cannot be read ({error.strerror}); check the file and its permissions") from None
    return digest.digest()


def sentence(text: str, source: Source) -> str:
    """An error's line without the paths in it: a name of a file may be the name of a patient."""
    paths = {name for path in (*source.files, *source.grid) for name in (path, path.parent)}
    for name in sorted({show(path) for path in paths} | {str(path) for path in paths}, key=len, reverse=True):
        text = text.replace(name, NAME)
    return " ".join(text.split())
