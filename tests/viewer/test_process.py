"""A training's process: outlives who started it, is found again, is never mistaken, and never runs twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apps.viewer import process as module
from apps.viewer.process import Process, identity
from medudl.errors import UserError

# In place of `medudl`: says what it was told, and ends at a SIGTERM as a training does.
STAND_IN = """
import os, signal, sys, time
def stop(*_):
    print("medudl: stopped at step 5; go on with --resume", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
print(*sys.argv[1:], os.getcwd(), flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_command", lambda arguments: [sys.executable, "-c", STAND_IN, *arguments])


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "run")
    yield process
    if process.alive():
        os.kill(process._job()["pid"], signal.SIGKILL)


def until(true: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


def test_started_found_again_and_stopped(made: Process, tmp_path: Path) -> None:
    assert not made.known and not made.alive() and not made.stop() and made.output() == []
    made.start(["train", "x"], tmp_path)
    until(made.output)
    assert made.output() == [f"train x {tmp_path}"]
    again = Process(tmp_path / "run")
    assert again.alive() and again.known and not again.stopping
    assert again.stop() and again.stopping
    until(lambda: not again.alive())
    assert again.output()[-1] == "medudl: stopped at step 5; go on with --resume"
    assert not again.stop(), "nothing to stop any more"
    again.forget()
    assert not again.known and not again.place.exists()


def test_it_outlives_the_process_that_started_it(made: Process, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from apps.viewer import process\n"
        f"process._command = lambda arguments: [sys.executable, '-c', {STAND_IN!r}]\n"
        f"process.Process(Path({str(made.run)!r})).start([], Path({str(tmp_path)!r}))"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2], start_new_session=True)
    assert starter.wait() == 0
    assert made.alive()
    with pytest.raises(ProcessLookupError):
        os.killpg(starter.pid, signal.SIGTERM)
    time.sleep(0.2)
    assert made.alive(), "it has a session of its own: a closed terminal does not end it"


def test_a_number_that_is_used_again_is_not_ours(made: Process, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        made.place.mkdir(parents=True)
        job = {"pid": stranger.pid, "identity": identity(os.getpid()), "began": 0.0}
        (made.place / "job.json").write_text(json.dumps(job))
        assert not made.alive() and not made.stop()
        time.sleep(0.2)
        assert stranger.poll() is None, "a process that is not ours is never signalled"
        stranger.kill()
    assert identity(stranger.pid) == ""


def test_two_who_start_at_once_make_one(made: Process, tmp_path: Path) -> None:
    told: list[str] = []

    def press() -> None:
        try:
            Process(made.run).start(["train"], tmp_path)
        except UserError as error:
            told.append(str(error))

    threads = [threading.Thread(target=press) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 5 and all("is being trained already" in line for line in told)
    with pytest.raises(UserError, match="stop it first"):
        made.forget()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "1", "identity": "x"}', '{"pid": 1, "identity": ""}'])
def test_a_damaged_record_is_none(made: Process, content: str) -> None:
    made.place.mkdir(parents=True)
    (made.place / "job.json").write_text(content)
    assert not made.known and not made.alive() and not made.stop() and made.began == 0


def test_a_zombie_is_not_alive(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        until(lambda: " Z " in Path(f"/proc/{child.pid}/stat").read_text())
        assert identity(child.pid) == ""


def test_a_read_only_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match="read-only"):
        Process(tmp_path / "run").start([], tmp_path)
