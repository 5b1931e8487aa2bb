"""The Label page's addresses; what answers is imported at the first question: the viewer is to start at once."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ACTS = ("begin", "state", "next", "save", "open", "conflict", "train", "release")


async def _late(request: Request) -> Response:
    from apps.viewer.label_routes import answer

    return await answer(request)


async def _late_paint(request: Request) -> Response:
    from apps.viewer.label_paint import paint

    return await paint(request)


LABEL_ROUTES = [
    Route("/labels/{id:str}/paint", _late_paint, methods=["POST"]),
    Route("/labels/{id:str}/{act:str}", _late, methods=["POST"]),
]
