"""Two processes never train one run folder; the end of a process lets the lock go, however it came."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medudl.errors import UserError
from medudl.training.lock import is_trained, only_one

HOLD = """
import sys, time
from pathlib import Path
from medudl.training.lock import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    assert is_trained(tmp_path)
    with pytest.raises(UserError, match="is being trained by another process"), only_one(tmp_path):
        raise AssertionError("two in one folder")


def test_a_killed_process_lets_go(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.kill()
    holder.wait()
    time.sleep(0.1)
    assert not is_trained(tmp_path)
    with only_one(tmp_path):
        pass


def test_a_folder_that_was_never_trained(tmp_path: Path) -> None:
    assert not is_trained(tmp_path) and not list(tmp_path.iterdir())
