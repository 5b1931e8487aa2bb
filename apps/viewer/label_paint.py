"""The address that takes a painted mask: a line of JSON, then its voxels. Behind `gate`."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from apps.viewer.label_acts import room, save
from apps.viewer.label_asked import Asked
from apps.viewer.label_desk import Pool
from apps.viewer.label_routes import answered, problem

_HEAD = 4096
_THREADS = ThreadPoolExecutor(4, "label-masks")
_ONE = threading.Lock()  # a mask that is sent again while its first sending is still being written is one mask


async def paint(request: Request) -> Response:
    """POST /labels/<store>/paint: {"reader", "id", "case", "series", "key", ...} and a line feed, then lengths of runs.

    The runs are as `mask_of` takes them, and no more bytes than the series has voxels.
    """
    id, head, body, limit = request.path_params["id"], b"", bytearray(), _HEAD
    async for chunk in request.stream():
        body += chunk
        if not head and b"\n" in body[:_HEAD]:
            head, _, rest = bytes(body).partition(b"\n")
            body = bytearray(rest)
            told = await _in(answered, id, head, _room)
            if told.status_code != 200:
                return told
            limit = json.loads(bytes(told.body))["limit"]
        if len(body) > limit:
            return problem(413, "The mask is larger than its scan")
    return await _in(answered, id, head, partial(_save, runs=bytes(body)))


def _room(pool: Pool, reader: str, asked: Asked) -> Asked:
    return {"limit": room(pool, reader, asked)}


def _save(pool: Pool, reader: str, asked: Asked, *, runs: bytes) -> Asked:
    with _ONE:
        return save(pool, reader, {**asked, "kind": "mask", "runs": runs})


async def _in(function: Callable[..., Response], *args: Any) -> Response:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, partial(function, *args))
