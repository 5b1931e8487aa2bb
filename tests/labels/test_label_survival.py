"""What was acknowledged survives: kill -9 at any moment, a log cut off by a power cut, eight writers at once."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest
from label_stores import say, store_of

from medudl.labels import LabelStore, append, connection
from medudl.labels.events import Event

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "labels.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_labels", BENCHMARK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_three_writers_and_a_few_kills(benchmark: ModuleType, tmp_path: Path) -> None:
    _check(benchmark.measure(tmp_path, writers=3, saves=20, kills=6, pause=0.0, seed=1))


@pytest.mark.proof
def test_eight_writers_and_a_hundred_kills(benchmark: ModuleType, tmp_path: Path) -> None:
    _check(found := benchmark.measure(tmp_path, writers=8, saves=1000, kills=100, pause=0.0, seed=0))
    print(f"8 writers, {found['kills']} kills: {found['acknowledged']} acknowledged, {found['lost']} lost, "
          f"{found['twice']} twice, {found['unacknowledged']} saved but not acknowledged, check {found['check']}; "
          f"save -> acknowledged p50 {found['p50']:.1f} ms, p95 {found['p95']:.1f} ms (goal 100)")  # fmt: skip


def _check(found: dict[str, float | str]) -> None:
    assert (found["lost"], found["twice"], found["check"]) == (0, 0, "ok"), found


def test_a_kill_before_the_commit_leaves_no_trace_and_one_after_it_leaves_one_event(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    case = store.cases()[0].id
    kept = say(store, "Ann", "label", case, "normal").id

    def save(id: str) -> None:
        say(store, "Ann", "label", case, "sick", id=id)

    def after_insert() -> None:
        plain = append.write_event

        def insert(database: sqlite3.Connection, event: Event, key: str) -> Event:
            plain(database, event, key)
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError

        append.write_event = insert  # type: ignore[assignment]
        save("b" * 32)

    def after_commit() -> None:
        connection.closing = lambda thing: _Deadly(thing)  # type: ignore[assignment,attr-defined]
        save("c" * 32)

    for work, there in ((after_insert, [kept]), (after_commit, [kept, "c" * 32])):
        _killed(work)
        assert LabelStore.open(store.path).check() == "ok"
        assert [event.id for event in store.events()] == there
    save("c" * 32)  # the client has no answer and tries again
    save("b" * 32)
    assert [event.id for event in store.events()] == [kept, "c" * 32, "b" * 32]


class _Deadly:
    """A connection that dies of SIGKILL when its block has ended, before `save` returns."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    def __enter__(self) -> sqlite3.Connection:
        return self.database

    def __exit__(self, *_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def _killed(work: Callable[[], None]) -> None:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)


@pytest.mark.parametrize("garbage", [b"", b"\0" * 5000, b"\xa5" * 5000])
def test_a_log_cut_off_anywhere_loses_only_what_was_not_acknowledged(garbage: bytes, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    case, log = store.cases()[0].id, tmp_path / "labels.sqlite-wal"
    with closing(sqlite3.connect(store.path)) as holder:  # keeps the log from being emptied
        holder.execute("BEGIN")
        holder.execute("SELECT * FROM events").fetchall()
        sizes, ids = [0], list[str]()
        for _ in range(4):
            ids.append(say(store, "Ann", "label", case, "sick").id)
            sizes.append(log.stat().st_size)
        file, whole = store.path.read_bytes(), log.read_bytes()
    assert len(whole) == sizes[-1] > sizes[1] > 0
    cuts = [(size, n) for n, size in enumerate(sizes)]  # at a commit
    cuts += [(size - back, n) for n, size in enumerate(sizes[1:]) for back in (1, 4096, 4097)]  # within one
    for number, (cut, acknowledged) in enumerate(cuts):
        place = tmp_path / str(number)
        place.mkdir()
        (place / "labels.sqlite").write_bytes(file)
        (place / "labels.sqlite-wal").write_bytes(whole[:cut] + garbage)
        again = LabelStore.open(place / "labels.sqlite")
        assert [event.id for event in again.events()] == ids[:acknowledged], (cut, sizes)
        say(again, "Ann", "label", case, "sick")
        assert again.check() == "ok" and len(again.events()) == acknowledged + 1
        shutil.rmtree(place)
