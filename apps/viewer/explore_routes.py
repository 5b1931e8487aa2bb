"""Addresses of the Explore page: points, thumbnails, a case, and pictures that the model draws. Behind `gate`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from apps.viewer.explore_columns import table_of
from apps.viewer.explore_desk import Shown
from apps.viewer.explore_folder import Embedding, Rows
from apps.viewer.explore_toybox import KINDS, Toy
from apps.viewer.house import house
from medudl.errors import UserError

THUMBNAILS = 60  # of one answer
MOST_SIGMA = 6.0  # how far a slider may go
STEPS, GRID = 9, 7  # pictures between two cases; along each side of a grid
_THREADS = ThreadPoolExecutor(4, "explore")
_DRAWING = ThreadPoolExecutor(4, "draw")  # waits for models, and must not hold up thumbnails
_RAW = {"content-encoding": "identity", "cache-control": "no-store"}
_NO_MODEL = "The model that made these cases lies outside the opened folder or is gone, so that nothing can be drawn."


class _Bad(Exception):
    """A question that no page asks."""


def table(request: Request, shown: Shown, embedding: Embedding) -> Response:
    """Points and columns."""
    return JSONResponse(table_of(embedding))


def cloud(request: Request, shown: Shown, embedding: Embedding) -> Response:
    """Where pictures lie in the two directions that say most, as the model draws codes: mean + sigma * noise.

    In the code's own units, not standardised as on the map: beside the prior, how wide the cloud is matters.
    """
    two = embedding.order[:2]
    if len(two) < 2:
        raise UserError("The code has a single number; there is no plane to look at.")
    points = embedding.code[:, two].astype(float)
    if embedding.uncertainty is not None and embedding.uncertainty.shape == embedding.code.shape:
        sigma = np.nan_to_num(embedding.uncertainty.whole()[:, two], posinf=0)
        points += sigma * np.random.default_rng(0).standard_normal(points.shape)
    return JSONResponse({"points": points.tolist()})


def case(request: Request, shown: Shown, embedding: Embedding) -> Response:
    """What is told of one point."""
    return JSONResponse(shown.faces.case(embedding, _row(request.query_params.get("row", ""), embedding)))


def thumbnails(request: Request, shown: Shown, embedding: Embedding) -> Response:
    """Pictures of up to 60 rows as one block of bytes, each side at most `side` pixels."""
    rows = [_row(text, embedding) for text in request.query_params.get("rows", "").split(",")]
    kinds: dict[str, Rows | None] = {"pictures": embedding.pictures, "expected": embedding.expected}
    kind = kinds.get(request.query_params.get("kind", "pictures"))
    if kind is None or len(rows) > THUMBNAILS:
        raise _Bad
    return _pictures(smaller(kind.take(rows), _whole(request, "side", 512, 1, 512)), {"rows": rows})


def walk(request: Request, shown: Shown, embedding: Embedding) -> Response:
    """One drawn picture: a base (a row, or the mean) moved along directions by sigmas."""
    return _draw(
        request, shown, embedding, _moved(_base(request, embedding), _moves(request, embedding), embedding)[None]
    )


def between(request: Request, shown: Shown, embedding: Embedding) -> Response:
    """Pictures on the straight way from row a to row b; one where `at` (0 to 1) is given, else nine."""
    one, other = (embedding.code[_row(request.query_params.get(name, ""), embedding)] for name in ("a", "b"))
    at = request.query_params.get("at")
    shares = [min(max(_float(at), 0.0), 1.0)] if at is not None else np.linspace(0, 1, STEPS)
    return _draw(request, shown, embedding, np.stack([(1 - share) * one + share * other for share in shares]))


def grid(request: Request, shown: Shown, embedding: Embedding) -> Response:
    """7 x 7 pictures over two directions, row by row; the first one grows to the right, the second upwards."""
    base, z = _base(request, embedding), embedding.code.shape[1]
    across, up = _whole(request, "across", 0, 0, z - 1), _whole(request, "up", 0, 0, z - 1)
    reach = np.linspace(-3, 3, GRID)
    codes = [
        _moved(base, {up: -v, across: u} if across != up else {across: u}, embedding) for v in reach for u in reach
    ]
    return _draw(request, shown, embedding, np.stack(codes))


def samples(request: Request, shown: Shown, embedding: Embedding) -> Response:
    """Pictures that the model makes up."""
    if "sample" not in embedding.verbs:
        raise _Bad
    question = {"sample": _whole(request, "count", 16, 1, 64), "seed": _whole(request, "seed", 0, 0, 1 << 30)}
    drawn = house().desk.walkers.ask(_run(shown), question | _where(request))
    return _pictures(drawn.pictures, drawn.about)


def _draw(request: Request, shown: Shown, embedding: Embedding, codes: NDArray[Any]) -> Response:
    """Decode codes, and name the nearest real case of each."""
    if "decode" not in embedding.verbs:
        raise _Bad
    drawn = house().desk.walkers.ask(_run(shown), {"codes": codes.astype(float).tolist(), **_where(request)})
    rows, far = embedding.nearest(codes)
    return _pictures(drawn.pictures, {**drawn.about, "nearest": rows, "far": far})


def _where(request: Request) -> dict[str, int]:
    """The plane and the slice that are asked for of a volume."""
    return {name: _whole(request, name, 0, 0, 4096) for name in ("plane", "slice") if name in request.query_params}


def _run(shown: Shown) -> Any:
    if shown.run is None:
        raise UserError(_NO_MODEL)
    return shown.run


def smaller(pictures: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """(n, h, w) with sides of at most `side`, by the mean of whole blocks."""
    step = -(-max(pictures.shape[1:]) // side)
    if step == 1:
        return pictures
    n, h, w = pictures.shape
    cut = pictures[:, : h // step * step, : w // step * step]
    blocks = cut.reshape(n, h // step, step, w // step, step)
    return np.asarray(blocks.mean(axis=(2, 4)).round(), np.uint8)


def _pictures(pictures: NDArray[np.uint8], about: dict[str, Any]) -> Response:
    """Raw bytes; the shape and the rest stand in a header as JSON."""
    head = json.dumps({"shape": list(pictures.shape), **about})
    data = np.ascontiguousarray(pictures).tobytes()
    return Response(data, media_type="application/octet-stream", headers={**_RAW, "x-about": head})


def _base(request: Request, embedding: Embedding) -> NDArray[np.float32]:
    text = request.query_params.get("base", "mean")
    return embedding.mean if text == "mean" else embedding.code[_row(text, embedding)]


def _moves(request: Request, embedding: Embedding) -> dict[int, float]:
    """`moves=3:1.5,7:-2`: direction 3 by +1.5 sigma, direction 7 by -2."""
    found = {}
    for part in filter(None, request.query_params.get("moves", "").split(",")):
        direction, _, sigmas = part.partition(":")
        if not direction.isascii() or not direction.isdigit() or int(direction) >= embedding.code.shape[1]:
            raise _Bad
        found[int(direction)] = _float(sigmas)
    return found


def _moved(base: NDArray[np.float32], moves: dict[int, float], embedding: Embedding) -> NDArray[np.float32]:
    code = base.copy()
    for direction, sigmas in moves.items():
        code[direction] += min(max(sigmas, -MOST_SIGMA), MOST_SIGMA) * embedding.sigma[direction]
    return code


def _row(text: str, embedding: Embedding) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) >= embedding.n:
        raise _Bad
    return int(text)


def _whole(request: Request, name: str, instead: int, low: int, high: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return instead
    if not (text.isascii() and text.isdigit()) or len(text) > 12 or not low <= int(text) <= high:
        raise _Bad
    return int(text)


def _float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _Bad from None
    if not np.isfinite(value):
        raise _Bad
    return value


async def toy(request: Request) -> Response:
    """How far a toy is, and what it draws."""
    kind = request.path_params["kind"]
    if kind not in KINDS:
        return _problem(404, "no such toy")
    told = await asyncio.get_running_loop().run_in_executor(_THREADS, Toy(kind, house().settings.folder).told)
    return JSONResponse(told, headers={"cache-control": "no-store"})


def _answering(answer: Callable[[Request, Shown, Embedding], Response], pool: ThreadPoolExecutor) -> Any:
    """Find the map, answer in a thread, and turn what goes wrong into a sentence."""

    def work(request: Request, shown: Shown) -> Response:
        embedding = shown.embedding()
        # A page that was drawn before the folder changed must not mix rows of two states.
        if request.query_params.get("key", embedding.key) != embedding.key:
            return _problem(409, "These cases have changed on the disk. Load the page again.")
        return answer(request, shown, embedding)

    async def route(request: Request) -> Response:
        shown = house().desk.find(request.path_params["id"])
        if shown is None:
            return _problem(404, "no such cases; open them from their page")
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, partial(work, request, shown))
        except _Bad:
            return _problem(404, "no such case or picture")
        except UserError as error:
            return _problem(422, str(error))

    return route


def _problem(status: int, sentence: str) -> Response:
    return JSONResponse({"problem": sentence}, status)


ANSWERS: dict[str, Callable[[Request], Awaitable[Response]]] = {
    "toy": toy,
    **{f.__name__: _answering(f, _THREADS) for f in (table, cloud, case, thumbnails)},
    **{f.__name__: _answering(f, _DRAWING) for f in (walk, between, grid, samples)},
}
