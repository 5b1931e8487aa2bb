"""Shared fixtures: one torch thread, and the real scans where they are present."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# A shell that puts a job into the background lets it ignore Ctrl-C, and so would every program that a test starts.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    # Two threads on a busy two-core machine are many times slower than one; torch is not imported for this alone.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real scans (MEDUDL_REAL_DATA, default ../shared/data), or a skip that says so."""
    folder = Path(os.environ.get("MEDUDL_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real scans are absent: {folder} (set MEDUDL_REAL_DATA)")
    return folder
