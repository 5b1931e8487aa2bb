"""Saves of several readers at once into one label store: how long until acknowledged, and what a kill -9 takes away.

    python benchmarks/labels.py [--writers 8] [--saves 400] [--kills 100] [--pause 0] [--folder .] [--json]

Each writer is a process of its own that saves labels as fast as it can, or with pauses, and hands the id of each save
to its parent through a pipe once `save` has returned. With --kills, writers drawn at random are killed (SIGKILL) in the
midst and started again. Afterwards every acknowledged id must be in the store, once, and SQLite must find it sound.
Goal: 95 of 100 saves acknowledged within 100 ms, none lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medudl.data.cohort import Cohort, Series
from medudl.labels import LabelStore

CLASSES = ("normal", "sick")
PAUSE = (0.01, 0.06)  # seconds between two kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--saves", type=int, default=400, help="acknowledged by all writers together, at least")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--pause", type=float, default=0.0, help="mean seconds between two saves of a writer")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured (default: the temporary folder)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measure(Path(folder), options.writers, options.saves, options.kills, options.pause, options.seed)
    if options.json:
        print(json.dumps(found))
        return
    print(
        f"{options.writers} writers, {found['kills']} of them killed, {os.cpu_count()} cores, {found['seconds']:.1f} s"
    )
    print(
        f"  acknowledged {found['acknowledged']}, lost {found['lost']}, twice {found['twice']}, check {found['check']}"
    )
    print(f"  save -> acknowledged: p50 {found['p50']:.1f} ms, p95 {found['p95']:.1f} ms (goal 100), "
          f"longest {found['longest']:.1f} ms, n={found['acknowledged']}")  # fmt: skip


def measure(folder: Path, writers: int, saves: int, kills: int, pause: float, seed: int) -> dict[str, float | str]:
    """Run the writers until `saves` are acknowledged and `kills` done; times in ms of saves that were acknowledged."""
    rows = [Series(f"p{n}", "s", f"v{n}", "MR", "T1", f"{n}.nii") for n in range(200)]
    store = LabelStore.create(folder / "labels.sqlite", Cohort.of(folder, rows), CLASSES)
    began, chance = time.perf_counter(), random.Random(seed)
    crew = [Writer(store.path, number, pause) for number in range(writers)]
    killed = 0
    while killed < kills or sum(len(one.times) for one in crew) < saves:
        time.sleep(chance.uniform(*PAUSE))
        for one in crew:
            one.listen()
        if killed < kills:
            one = chance.choice(crew)
            one.kill()
            one.start()
            killed += 1
    for one in crew:
        one.kill()
    times = np.array([each for one in crew for each in one.times])
    acknowledged = [id for one in crew for id in one.ids]
    there = Counter(event.id for event in LabelStore.open(store.path).events())
    return {
        "kills": killed, "acknowledged": len(acknowledged), "lost": sum(there[id] == 0 for id in acknowledged),
        "twice": sum(count > 1 for count in there.values()), "unacknowledged": len(there.keys() - set(acknowledged)),
        "check": store.check(), "p50": float(np.quantile(times, 0.5)), "p95": float(np.quantile(times, 0.95)),
        "longest": float(times.max()), "seconds": time.perf_counter() - began,
    }  # fmt: skip


@dataclass
class Writer:
    """One reader in a process of its own. ids, times: of its acknowledged saves, through a pipe that a kill leaves."""

    path: Path
    number: int
    pause: float
    ids: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    process: int = 0
    pipe: int = -1
    rest: bytes = b""

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin in a fork, which needs no second start of Python."""
        self.pipe, end = os.pipe()
        os.set_blocking(self.pipe, False)
        self.process = os.fork()
        if self.process == 0:
            try:
                save_on(self.path, f"reader {self.number}", self.pause, end)
            finally:
                os._exit(1)
        os.close(end)

    def listen(self) -> None:
        """Take what the writer has told so far; a line that was cut off counts for nothing."""
        while True:
            try:
                heard = os.read(self.pipe, 65536)
            except BlockingIOError:
                return
            if not heard:
                return
            *lines, self.rest = (self.rest + heard).split(b"\n")
            for line in lines:
                id, milliseconds = line.split()
                self.ids.append(id.decode())
                self.times.append(float(milliseconds))

    def kill(self) -> None:
        """End it in the midst of whatever it does."""
        os.kill(self.process, signal.SIGKILL)
        _, status = os.waitpid(self.process, 0)
        assert os.WIFSIGNALED(status), f"a writer gave up by itself (exit {os.waitstatus_to_exitcode(status)})"
        self.listen()
        os.close(self.pipe)
        self.rest = b""


def save_on(path: Path, reader: str, pause: float, end: int) -> None:
    """Save labels until killed; tell each id after its save has returned."""
    store, chance = LabelStore.open(path), random.Random(uuid.uuid4().hex)
    cases = [case.id for case in store.cases()]
    while True:
        time.sleep(chance.expovariate(1 / pause) if pause else 0)
        id, began = uuid.uuid4().hex, time.perf_counter()
        store.save(id=id, reader=reader, kind="label", case=chance.choice(cases), value=chance.choice(CLASSES))
        os.write(end, f"{id} {1000 * (time.perf_counter() - began):.3f}\n".encode())


if __name__ == "__main__":
    main()
