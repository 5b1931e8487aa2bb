"""kill -9 at random moments: what is resumed ends equal, bit by bit, to what nobody disturbed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PLACES = (HERE, HERE.parent, HERE.parents[1])


def killed(folder: Path, kills: int, workers: int, steps: int, seed: int, limit: float) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, PLACES))}
    command = [sys.executable, str(HERE / "kill_server.py"), str(folder), *map(str, (kills, workers, steps, seed))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit)
    assert done.returncode == 0, done.stderr[-4000:]
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def test_three_kills(tmp_path: Path) -> None:
    report = killed(tmp_path, kills=3, workers=0, steps=60, seed=1, limit=300)
    assert report["kills"] == 3


@pytest.mark.proof
def test_fifty_kills_with_two_workers(tmp_path: Path) -> None:
    report = killed(tmp_path, kills=50, workers=2, steps=150, seed=0, limit=3000)
    assert report["kills"] == 50 and len(set(report["resumed_at"])) >= 10, report
    print(report)
