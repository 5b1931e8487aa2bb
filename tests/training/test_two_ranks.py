"""`torchrun --nproc-per-node 2` on a CPU, as a user would start it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PLACES = (HERE, HERE.parent, HERE.parents[1])


def test_two_ranks(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, PLACES))}
    done = subprocess.run(
        [*command, str(HERE / "two_ranks.py"), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert {p.name for p in tmp_path.glob("rank-*")} == {"rank-0-done", "rank-1-done"}
