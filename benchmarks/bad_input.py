"""Seconds and MB that `medudl index` takes to refuse each kind of bad input (goal: 3 s, 400 MB).

python benchmarks/bad_input.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from bad_inputs import FOLDERS  # noqa: E402  (the tests' own cases)

REPEATS = 3


def refuse(folder: Path, out: Path) -> tuple[float, float, int, str]:
    """Wall seconds, peak MB of the largest process, exit code and line."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "medudl.cli", "index", str(folder), "-o", str(out)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    line = process.stderr.read().strip()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - begun, usage.ru_maxrss / 1024, process.returncode, line


def main() -> None:
    """One row a case: the median of a few runs."""
    print(f"{'case':28} {'s':>5} {'MB':>5} exit  line")
    for name, make in FOLDERS.items():
        with tempfile.TemporaryDirectory() as folder:
            scans = make(Path(folder) / "scans")
            runs = [refuse(scans, Path(folder) / "cohort.csv") for _ in range(REPEATS)]
        seconds = statistics.median(run[0] for run in runs)
        line = runs[0][3].replace(folder, "")
        print(f"{name:28} {seconds:5.2f} {max(run[1] for run in runs):5.0f} {runs[0][2]:4}  {line}")


if __name__ == "__main__":
    main()
