"""Stopping safely: a signal asks, the loop answers at the end of a step, after a checkpoint."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Stopped(Exception):
    """Training was asked to stop and did, with a checkpoint. `code` is the exit status a shell expects."""

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"stopped at step {step}; go on with --resume")
        self.step = step
        self.code = 128 + number  # 130 after Ctrl-C, 143 after SIGTERM


class StopSignals:
    """While it is open, Ctrl-C and SIGTERM set `number` instead of ending the process; a second Ctrl-C ends it."""

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}
        self._owner = os.getpid()

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            self._before = {s: signal.signal(s, self._asked) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a forked worker of a loader inherited us
            if number == signal.SIGINT:  # Ctrl-C reaches it too, and the main process still needs its batches
                return
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if self.number and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
