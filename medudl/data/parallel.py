"""Work on many cases in a few processes, one thread each."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from medudl.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")
_job: Callable[[Any], Any] | None = None  # set in each worker when it is forked


def in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Result | UserError]]:
    """(item, function(item)) in order; a UserError is handed over in place of the result, any other error is raised.

    Workers are forked, so `function` may be a closure; results should be small, since they are pickled. One worker,
    or one item, is done in this process. Raises UserError where a worker was killed, mostly for want of memory.
    """
    workers = min(workers, len(items))
    if workers <= 1:
        for item in items:
            yield item, _caught(function, item)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _begin, (function,)) as pool:
        try:
            futures = _submitted(pool, items)
            for item, future in zip(items, futures, strict=True):
                yield item, future.result()
        except BrokenProcessPool:
            raise UserError(
                "a worker was killed while it prepared scans, mostly for want of memory; "
                "set data.cache_workers: 1, or smaller data.size or coarser data.spacing"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _submitted(pool: ProcessPoolExecutor, items: Sequence[Item]) -> list[Future[Any]]:
    with warnings.catch_warnings():
        # Python 3.12+ warns of forks beside threads. The workers use none of the parent's: see `_begin`.
        warnings.filterwarnings("ignore", message=".*use of fork.*", category=DeprecationWarning)
        return [pool.submit(_work, item) for item in items]


def _begin(function: Callable[[Any], Any]) -> None:
    """Threads of the parent do not exist here: torch and SimpleITK must not wait for them."""
    global _job
    import torch

    from medudl.data.registration import one_thread

    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    one_thread()
    _job = function


def _work(item: Any) -> Any:
    assert _job is not None
    return _caught(_job, item)


def _caught(function: Callable[[Item], Result], item: Item) -> Result | UserError:
    try:
        return function(item)
    except UserError as error:
        return error
