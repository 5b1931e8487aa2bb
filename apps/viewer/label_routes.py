"""Addresses of the Label page: JSON in, JSON out, in threads of their own. Behind `gate`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from apps.viewer.house import house
from apps.viewer.label_acts import ACTS
from apps.viewer.label_asked import Asked, Bad, named
from apps.viewer.label_desk import Pool
from apps.viewer.words import faceless, sentence
from medudl.errors import UserError

_BODY = 8192
# A scan that is decoded for the next case must not hold up a label that is to be saved.
_SLOW = ThreadPoolExecutor(8, "label-scans")
_QUICK = ThreadPoolExecutor(8, "label-saves")
_DECODES = ("next", "open", "conflict")


async def answer(request: Request) -> Response:
    """POST /labels/<store>/<act> with {"reader": name, ...}."""
    act = request.path_params["act"]
    if act not in ACTS:
        return problem(404, "no such question")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY:
            return problem(413, "too long")
    pool = _SLOW if act in _DECODES else _QUICK
    return await asyncio.get_running_loop().run_in_executor(
        pool, partial(answered, request.path_params["id"], body, ACTS[act])
    )


def answered(id: str, body: bytes, act: Callable[[Pool, str, Asked], Asked]) -> Response:
    """What `act` answers, or a refusal in words."""
    try:
        asked: Any = json.loads(body)
        if not isinstance(asked, dict):
            raise Bad
        pool = house().labels.pool(id)
        if pool is None:
            return problem(404, "The label store is not in this folder any more.")
        return JSONResponse(act(pool, named(asked), asked), headers={"cache-control": "no-store"})
    except (Bad, ValueError):
        return problem(404, "no such case or question")
    except UserError as error:
        return problem(422, told(error))


def told(error: UserError) -> str:
    """The sentence without the path of the store: a folder may be named after somebody."""
    text = str(error)
    private = house().settings.private
    return sentence(faceless(text) if private and "/" in text else text)


def problem(status: int, words: str) -> Response:
    """A refusal in words."""
    return JSONResponse({"problem": words}, status)
