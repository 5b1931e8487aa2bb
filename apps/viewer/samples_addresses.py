"""The Samples page's addresses; what answers is imported at the first question: the viewer is to start at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_NAMES = ("table", "pictures", "course", "step", "between", "along", "mix", "alike")


def _late(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def route(request: Request) -> Response:
        from apps.viewer.samples_routes import ANSWERS

        return await ANSWERS[name](request)

    return route


SAMPLES_ROUTES = [
    *(Route(f"/synthetic/{{id:str}}/{name}", _late(name)) for name in _NAMES),
    Route("/synthetic/{id:str}/reading", _late("reading"), methods=["POST"]),
]
