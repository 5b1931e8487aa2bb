"""Trains in forked children and kills them with SIGKILL at random moments. Run by test_kill.py, not a test by itself.

    python kill_server.py FOLDER KILLS WORKERS STEPS SEED

Importing takes seconds and a kill during it tells nothing, so this process imports everything once and forks. Whenever
a training comes to its end in spite of the kills, the next begins in a folder of its own, until KILLS have been given;
the last is let go to its end. Prints one JSON line.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

import torch
from tiny import equal
from tiny_cohort import config, write_cohort

import medudl.training.session  # noqa: F401  (imported once, here)
from medudl.config import Config
from medudl.data.cohort import Cohort
from medudl.run import Run
from medudl.state import load_state
from medudl.training.course import read_log
from medudl.training.train import fit

warnings.simplefilter("ignore")
torch.set_num_threads(1)


def start(settings: Config, cohort: Cohort, out: Path, log: Path) -> int:
    """Fork a child that trains, or goes on training, in `out`. Returns its process id."""
    child = os.fork()
    if child:
        return child
    try:
        errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(errors, 2)
        fit(settings, cohort, out, resume=out.exists(), progress=False)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def ends(child: int, seconds: float | None, log: Path) -> bool:
    """Whether the child came to its end within the time; it is killed if not."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0, log.read_text()
            return True
        if deadline is not None and time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        time.sleep(0.001)


def same(one: Path, other: Path, steps: int) -> bool:
    """Whether two runs ended equal: best weights, the whole last state, the validations of the log."""
    names = ("weights.safetensors", f"checkpoint/step-{steps:09d}.safetensors")
    states = all(equal(load_state(one / name), load_state(other / name)) for name in names)
    logs = [[e for e in read_log(path / "log.jsonl") if e["kind"] == "validation"] for path in (one, other)]
    return states and logs[0] == logs[1] and Run.open(one).meta["status"] == "finished"


def main(folder: Path, kills: int, workers: int, steps: int, seed: int) -> None:
    random.seed(seed)
    log = folder / "errors.txt"
    cohort = write_cohort(folder / "scans", 32 * "t" + "vvv")  # an epoch is 16 steps
    settings = config({"steps": steps, "workers": workers, "validate_every": 10, "checkpoint_every": 4})
    whole = folder / "whole"
    begun = time.monotonic()
    assert ends(start(settings, cohort, whole, log), None, log)
    limit = time.monotonic() - begun  # follows how busy the machine is, so that most kills strike in the midst
    given, runs, reached, killed_at, place = 0, 0, 0, [], folder / "run-0"
    while given < kills:
        if ends(start(settings, cohort, place, log), random.uniform(0, limit), log):
            assert same(place, whole, steps), f"{place.name} differs from the undisturbed run"
            runs, reached, limit = runs + 1, 0, 0.7 * limit
            place = folder / f"run-{runs}"
            continue
        given += 1
        found = sorted(p.name for p in (place / "checkpoint").glob("step-*"))
        killed_at.append(int(found[-1][5:14]) if found else 0)
        limit *= 1.2 if killed_at[-1] == reached else 0.95
        reached = killed_at[-1]
    assert ends(start(settings, cohort, place, log), None, log)
    assert same(place, whole, steps), f"{place.name} differs from the undisturbed run"
    report = {"kills": given, "runs": runs + 1, "seconds": round(time.monotonic() - begun), "resumed_at": killed_at}
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:6]))
