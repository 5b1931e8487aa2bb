"""Signals during a training."""

from __future__ import annotations

import os
import signal

from medudl.training.stop import StopSignals


def _ends(number: int) -> int:
    """How a process ends that was forked while a training runs, and gets the signal before it has set itself up."""
    with StopSignals() as stop:
        worker = os.fork()
        if worker == 0:
            os.kill(os.getpid(), number)
            os._exit(7)
        _, status = os.waitpid(worker, 0)
        assert stop.number == 0
    return os.waitstatus_to_exitcode(status)


def test_ctrl_c_leaves_a_worker_alone_that_has_only_just_begun() -> None:
    assert _ends(signal.SIGINT) == 7


def test_a_worker_ends_when_it_is_told_to() -> None:
    assert _ends(signal.SIGTERM) == -signal.SIGTERM
