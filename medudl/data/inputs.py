"""What a task is given as INPUT: a cohort.csv, a folder of scans, or one file."""

from __future__ import annotations

from pathlib import Path

from medudl.data.cohort import Cohort
from medudl.data.fault import show
from medudl.data.identity import Key
from medudl.data.index import index_paths
from medudl.errors import UserError


def open_input(path: str | Path, key: Key | None = None) -> Cohort:
    """The cohort that INPUT stands for; a folder or file is indexed in memory, and nothing is written.

    key: that of the run's cohort, so that its patients get the same pseudonyms here; without one they are new.
    Raises UserError in one line: absent, no scan among the files, or no usable one. Imports neither torch nor MONAI.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{show(path)}: no such file or folder; give a cohort.csv, a folder of scans, or one scan")
    if path.suffix.lower() == ".csv" and path.is_file():
        return Cohort.read(path)
    return index_paths([path], key=key)
