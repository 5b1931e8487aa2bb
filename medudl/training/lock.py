"""One process trains a run folder at a time: a second one would mix its steps into the first one's log."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medudl.errors import UserError

NAME = ".training.lock"
_HELD = (errno.EAGAIN, errno.EACCES)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # a disk that knows no locks


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the system lets it go however the process ends, kill -9 included.

    Raises UserError where another process has it. A disk that knows no locks gives none. A lock of POSIX's kind,
    because a forked worker that outlives its training for a moment would keep one of flock's.
    """
    file = os.open(folder / NAME, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                raise UserError(f"{folder}: is being trained by another process; wait for it, or stop it") from None
            if error.errno not in _NO_LOCKS:
                raise
        yield
    finally:
        os.close(file)


def is_trained(folder: Path) -> bool:
    """Whether a process on this machine, or on another that shares the disk, trains this run now."""
    try:
        file = os.open(folder / NAME, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _HELD
    finally:
        os.close(file)
    return False
