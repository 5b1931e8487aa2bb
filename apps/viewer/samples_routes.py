"""Addresses of the Samples page: pictures, the course of a training, what a model draws, the test. Behind `gate`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from apps.viewer.explore_routes import smaller
from apps.viewer.house import house
from apps.viewer.samples_alike import GONE, alike
from apps.viewer.samples_codes import Codes, between, directions, mixed
from apps.viewer.samples_conditions import conditions_of, numbers, with_asked
from apps.viewer.samples_course import course_of, picture_of
from apps.viewer.samples_desk import Offered
from apps.viewer.samples_folder import Samples, taken
from apps.viewer.samples_words import table_of
from medudl.errors import UserError

MOST_PICTURES = 120  # of one answer
MOST_CONCEPT = 12  # samples of a concept
REACH = 3.0  # how far a direction leads, in standard deviations of the codes
STEPS = 9
_BODY = 4096
_THREADS = ThreadPoolExecutor(4, "samples")
_DRAWING = ThreadPoolExecutor(4, "draw-samples")
_COMPARING = ThreadPoolExecutor(4, "compare-samples")  # waits for training images, and must hold up no drawing
_RAW = {"content-encoding": "identity", "cache-control": "no-store"}


class Bad(Exception):
    """A question that no page asks."""


def table(request: Request, offered: Offered) -> Response:
    """The samples and what is told of each."""
    return JSONResponse(table_of(_current(request, offered), offered.private))


def pictures(request: Request, offered: Offered) -> Response:
    """Up to MOST_PICTURES samples, or the nearest real images of them, as one block of bytes."""
    samples = _current(request, offered)
    kinds = {"samples": samples.pictures, "nearest": samples.nearest}
    kind = kinds.get(request.query_params.get("kind", "samples"))
    rows = _rows(request, "rows", samples, MOST_PICTURES)
    if kind is None:
        raise Bad
    side = _whole(request.query_params.get("side", "512"), 1, 1024)
    return raw(smaller(taken(kind, rows), side), {"rows": rows})


def course(request: Request, offered: Offered) -> Response:
    """Which pictures were taken while it trained, and how the samples' distance from real images fell."""
    return JSONResponse(course_of(offered.run), headers={"cache-control": "no-store"})


def step(request: Request, offered: Offered) -> Response:
    """The picture of one step, as it was written."""
    data = picture_of(offered.run, _whole(request.query_params.get("step", ""), 0, 10**9))
    if data is None:
        raise Bad
    return Response(data, media_type="image/png", headers={"cache-control": "no-store"})


def _between(request: Request, offered: Offered) -> tuple[Samples, Codes]:
    """On the way from sample a to sample b: nine codes, or one where `at` (0 to 1) is given."""
    samples, codes = _coded(request, offered)
    (a,), (b,) = (_rows(request, name, samples, 1) for name in ("a", "b"))
    at = request.query_params.get("at")
    shares = np.array([_number(at, 0, 1)]) if at is not None else np.linspace(0, 1, STEPS)
    return samples, between(codes[a], codes[b], shares, numbers(conditions_of(offered.run)))


def _along(request: Request, offered: Offered) -> tuple[Samples, Codes]:
    """One code: sample `from` moved along directions, `moves=0:1.5,2:-1` in standard deviations of the codes."""
    samples, codes = _coded(request, offered)
    (start,) = _rows(request, "from", samples, 1)
    ways = _found(samples.key, offered)
    code = codes[start].copy()
    for part in filter(None, request.query_params.get("moves", "").split(",")):
        number, _, far = part.partition(":")
        way = ways[_whole(number, 0, len(ways) - 1)]
        code += _number(far, -REACH, REACH) * float((codes @ way).std()) * way
    return samples, code[None]


def _mix(request: Request, offered: Offered) -> tuple[Samples, Codes]:
    """Four codes: the concepts A, B, C (means of samples' codes) and A - B + C."""
    samples, codes = _coded(request, offered)
    a, b, c = (_rows(request, name, samples, MOST_CONCEPT) for name in ("a", "b", "c"))
    return samples, mixed(codes, a, b, c)


_WAYS = {"between": _between, "along": _along, "mix": _mix}


def _codes(way: str, request: Request, offered: Offered) -> tuple[Samples, Codes]:
    """The codes on a way, told what is asked for: `asked=class=NORMAL;...`."""
    samples, codes = _WAYS[way](request, offered)
    return samples, with_asked(codes, conditions_of(offered.run), request.query_params.get("asked", ""))


def drawn(way: str, request: Request, offered: Offered) -> Response:
    """What the model draws of the codes on a way."""
    if offered.run is None:
        raise UserError(GONE)
    samples, codes = _codes(way, request, offered)
    found = house().desk.walkers.ask(offered.run, {"codes": codes.astype(float).tolist()})
    told = {"directions": len(_found(samples.key, offered))} if way == "along" else {}
    return raw(found.pictures, {**found.about, **told})


def alike_(request: Request, offered: Offered) -> Response:
    """Of the codes on a way (`of`, and what that is asked with): the nearest training image of each, and its light."""
    way = request.query_params.get("of", "")
    if way not in _WAYS:
        raise Bad
    return raw(*alike(offered, *_codes(way, request, offered)))


def raw(found: NDArray[np.uint8], told: dict[str, Any]) -> Response:
    """Bytes as they are, never compressed: their number says nothing of what they show. The rest is in a header."""
    head = json.dumps({"shape": list(found.shape), **told})
    return Response(np.ascontiguousarray(found).tobytes(), media_type="application/octet-stream",
                    headers={**_RAW, "x-about": head})  # fmt: skip


@lru_cache(maxsize=8)
def _found(key: str, offered: Offered) -> Codes:
    samples = offered.samples()
    if samples.codes is None:
        raise Bad
    return directions(
        samples.codes, taken(samples.pictures, range(min(samples.n, 2000))), numbers(conditions_of(offered.run))
    )


def _current(request: Request, offered: Offered) -> Samples:
    samples = offered.samples()
    # A page that was drawn before the folder changed must not mix rows of two states.
    if request.query_params.get("key", samples.key) != samples.key:
        raise Changed
    return samples


def _coded(request: Request, offered: Offered) -> tuple[Samples, Codes]:
    samples = _current(request, offered)
    if samples.codes is None:
        raise Bad
    return samples, samples.codes


class Changed(Exception):
    """The folder is another one than the page was drawn from."""


def _rows(request: Request, name: str, samples: Samples, most: int) -> list[int]:
    parts = request.query_params.get(name, "").split(",")
    if len(parts) > most:
        raise Bad
    return [_whole(part, 0, samples.n - 1) for part in parts]


def _whole(text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 12 or not low <= int(text) <= high:
        raise Bad
    return int(text)


def _number(text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        raise Bad from None
    if not np.isfinite(value):
        raise Bad
    return min(max(value, low), high)


def _answering(answer: Callable[[Request, Offered], Response], pool: ThreadPoolExecutor) -> Any:
    """Find what is asked about, answer in a thread, and turn what goes wrong into a sentence."""

    async def route(request: Request) -> Response:
        offered = house().samples.find(request.path_params["id"])
        if offered is None:
            return problem(404, "no such samples; open them from their page")
        return await guarded(partial(answer, request, offered), pool)

    return route


async def guarded(work: Callable[[], Response], pool: ThreadPoolExecutor) -> Response:
    """What `work` answers, in a thread; a sentence where it cannot."""
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, work)
    except Bad:
        return problem(404, "no such sample or picture")
    except Changed:
        return problem(409, "These samples have changed on the disk. Load the page again.")
    except UserError as error:
        return problem(422, str(error))


def problem(status: int, sentence: str) -> Response:
    """A refusal in words."""
    return JSONResponse({"problem": sentence}, status)


async def reading(request: Request) -> Response:
    """One turn of the reader test: the answer is kept, then the next picture goes out."""
    from apps.viewer.samples_turns import turn

    offered = house().samples.find(request.path_params["id"])
    if offered is None:
        return problem(404, "no such samples; open them from their page")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY:
            return problem(413, "too long")
    return await guarded(partial(turn, offered, body), _THREADS)


ANSWERS: dict[str, Callable[[Request], Awaitable[Response]]] = {
    **{f.__name__: _answering(f, _THREADS) for f in (table, pictures, course, step)},
    **{way: _answering(partial(drawn, way), _DRAWING) for way in _WAYS},
    "alike": _answering(alike_, _COMPARING),
    "reading": reading,
}
