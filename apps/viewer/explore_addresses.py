"""The Explore page's addresses; what answers is imported at the first question: the viewer is to start at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_NAMES = ("table", "cloud", "case", "thumbnails", "walk", "between", "grid", "samples")


def _late(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def route(request: Request) -> Response:
        from apps.viewer.explore_routes import ANSWERS

        return await ANSWERS[name](request)

    return route


EXPLORE_ROUTES = [
    Route("/embedding/toy/{kind:str}", _late("toy")),
    *(Route(f"/embedding/{{id:str}}/{name}", _late(name)) for name in _NAMES),
]
