"""What a process and its workers take: processor time, and memory above what they began with."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable
from pathlib import Path


def cpu_seconds() -> float:
    """Of this process and the workers it has outlived."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


class Memory:
    """Peak of the memory of this process and its workers above that at the start, looked at ten times a second."""

    def __init__(self) -> None:
        self.base = self._look()

    def peak(self, work: Callable[[], object]) -> dict[str, float]:
        """In MB, while `work` is done."""
        looks, done = [self._look()], threading.Event()

        def watch() -> None:
            while not done.wait(0.1):
                looks.append(self._look())

        thread = threading.Thread(target=watch)
        thread.start()
        work()
        done.set()
        thread.join()
        return {f"{key}_mb": (max(look[key] for look in looks) - self.base[key]) / 1e6 for key in self.base}

    @staticmethod
    def _look() -> dict[str, float]:
        """Bytes. A forked worker shares the parent's pages until it writes: its private anonymous ones alone count."""
        rollup = _rollup(os.getpid())
        own, rss = rollup.get("Anonymous", 0), rollup.get("Rss", 0)
        for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
            private = _rollup(int(child))
            own += private.get("Private_Dirty", 0)
        return {"own": own, "mapped": max(0.0, rss - rollup.get("Anonymous", 0))}


def _rollup(pid: int) -> dict[str, float]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:  # it has just ended
        return {}
    return {line.split(":")[0]: 1024.0 * float(line.split()[1]) for line in lines}
