"""Workers under limits: what goes wrong with one item stays with that item."""

import time
from functools import partial

import guard_targets as target
import pytest

from medudl.data.guard import Guard, guarded
from medudl.errors import UserError


@pytest.fixture(scope="module")
def guard():
    with Guard(workers=2, seconds=1, memory_mb=300) as pool:
        yield pool


def test_results_come_in_order(guard):
    assert list(guard.map(target.double, range(500))) == [2 * i for i in range(500)]
    assert list(guard.map(target.double, [])) == []


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("spin", "took too much processor time"),
        ("memory", "needs more than 300 MB"),
        ("die", "crashed its reader"),
        ("deep", "nested too deeply"),
        ("break", r"broken: cannot be read \(ValueError\)"),
        ("refuse", "no good; mend it"),
    ],
)
def test_one_bad_item_is_named_and_the_others_go_on(guard, how, words):
    items = [(f"file{i}", how if i == 21 else "fine") for i in range(60)]
    results = list(guard.map(target.misbehave, items))
    assert [str(r) for r in results[:21] + results[22:]] == [f"file{i}" for i in range(60) if i != 21]
    with pytest.raises(UserError, match=f"^file21: {words}"):
        raise results[21]
    assert "patient" not in str(results[21])


def test_an_answer_that_would_call_something_costs_one_item(guard, tmp_path):
    items = [(str(tmp_path / f"made-{i}"), "attack" if i == 3 else "fine") for i in range(8)]
    results = list(guard.map(target.attack, items))
    assert [r for r in results if not isinstance(r, UserError)] == [name for name, how in items if how == "fine"]
    assert isinstance(results[3], UserError) and "crashed its reader" in str(results[3])
    assert list(tmp_path.iterdir()) == []


def test_many_deaths_are_survived(guard):
    items = [(f"file{i}", "die" if i % 7 == 0 else "fine") for i in range(30)]
    results = list(guard.map(target.misbehave, items))
    assert [isinstance(r, UserError) for r in results] == [i % 7 == 0 for i in range(30)]


def test_waiting_forever_ends_too():
    with Guard(workers=1, seconds=0.2, memory_mb=300) as pool:
        worker = pool._take()
        worker.wall = 1.0
        pool._idle.append(worker)
        results = list(pool.map(target.misbehave, [("a", "fine"), ("slow", "sleep"), ("b", "fine")]))
    assert str(results[1]).startswith("slow: did not end within 1 s")
    assert results[::2] == ["a", "b"]


def test_a_worker_that_cannot_start_is_our_mistake_and_no_files(monkeypatch):
    monkeypatch.setattr("sys.path", [])
    with Guard(workers=1) as pool, pytest.raises(RuntimeError, match="could not start"):
        list(pool.map(target.double, [1, 2]))


def test_large_results_and_prints_pass_through(guard):
    assert [len(r) for r in guard.map(target.large, [3 * 10**6] * 5)] == [3 * 10**6] * 5
    assert list(guard.map(target.misbehave, [("a", "print"), ("b", "fine")])) == ["a", "b"]


def test_a_consumer_may_stop_early_or_be_slow(guard):
    results = guard.map(target.double, range(100))
    assert next(results) == 0
    time.sleep(0.1)
    results.close()
    assert list(guard.map(target.double, [4])) == [8]


def test_guarded_runs_one_call():
    assert guarded(target.add, 1, 2, seconds=1, memory_mb=300) == 3
    with pytest.raises(UserError, match="^x: no good"):
        guarded(target.misbehave, ("x", "refuse"), seconds=1, memory_mb=300)


def test_partials_are_allowed_and_functions_of_main_are_not(guard):
    assert list(guard.map(partial(target.add, 5), [1, 2])) == [6, 7]
    local = type(test_guarded_runs_one_call)(test_guarded_runs_one_call.__code__, {})
    local.__module__ = "__main__"
    with pytest.raises(ValueError, match="module"):
        next(guard.map(local, [1]))


def test_workers_load_neither_torch_nor_monai(guard):
    assert list(guard.map(target.loaded, [1])) == [[]]
