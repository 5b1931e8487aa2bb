"""The two pages of the viewer that are not Streamlit's: a refusal, and the question for the password."""

from __future__ import annotations

import asyncio
import html
import math
from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope

from apps.viewer.sessions import Password

_FORM_BYTES = 4096
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>medudl</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
 body {{ background: #0e1117; color: #fafafa; font: 16px/1.5 system-ui, sans-serif; margin: 0;
        display: flex; min-height: 100vh; align-items: center; justify-content: center; }}
 main {{ max-width: 28rem; padding: 2rem; border: 1px solid #31333f; border-radius: .5rem; background: #161a23; }}
 h1 {{ font-size: 1.2rem; margin: 0 0 .75rem; }}
 p {{ margin: .5rem 0; color: #c9cbd3; }}
 input, button {{ font: inherit; width: 100%; box-sizing: border-box; padding: .5rem .75rem; margin-top: .5rem;
        border-radius: .375rem; border: 1px solid #4b4f5c; background: #0e1117; color: #fafafa; }}
 button {{ background: #2b6cb0; border-color: #2b6cb0; cursor: pointer; }}
 .problem {{ color: #ffb4a2; }}
</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"""
_FORM = """<p>Scans are shown to those who know this viewer's password.</p>{problem}
<form method="post" action="/login"><input type="hidden" name="to" value="{to}">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" autofocus required>
<button type="submit">Open the viewer</button></form>"""


def refusal(sentence: str) -> Response:
    """403, and what to do."""
    body = f"<p>{html.escape(sentence)}</p>"
    return HTMLResponse(
        _PAGE.format(title="This viewer is closed to you", body=body), 403, {"cache-control": "no-store"}
    )


class Login:
    """Asks for the password. welcome: makes the answer to who knows it, given where they wanted to go."""

    def __init__(self, password: Password, welcome: Callable[[str], Response]) -> None:
        self._password, self._welcome = password, welcome
        self._hashing = asyncio.Semaphore(2)  # hashing costs processor time and 16 MB each

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        """To somebody without a session: the form for a page, the outcome of the form, 403 for all else."""
        request = Request(scope, receive)
        if request.url.path == "/login" and request.method == "POST":
            return await self._tried(request)
        page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        if not page:
            return refusal("Open the viewer in the browser and give its password.")
        query = f"?{request.url.query}" if request.url.query else ""
        return _form("/" if request.url.path == "/login" else request.url.path + query)

    async def _tried(self, request: Request) -> Response:
        fields = await _fields(request)
        to = fields.get("to", "/")
        # Only an address of this server: "//host" and "\\host" lead elsewhere.
        to = to if to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable() else "/"
        address = request.client.host if request.client else ""
        if (wait := self._password.wait(address)) > 0:
            return _form(to, f"Too many wrong passwords. Try again in {math.ceil(wait)} s.", 429)
        async with self._hashing:
            fits = await asyncio.to_thread(self._password.fits, fields.get("password", ""), address)
        return self._welcome(to) if fits else _form(to, "That is not the password.", 403)


async def _fields(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_BYTES:
            return {}
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


def _form(to: str, problem: str = "", status: int = 200) -> Response:
    told = f'<p class="problem" role="alert">{html.escape(problem)}</p>' if problem else ""
    body = _FORM.format(problem=told, to=html.escape(to, quote=True))
    # With no-referrer a browser would send "Origin: null" with the form.
    headers = {"referrer-policy": "same-origin", "cache-control": "no-store"}
    return HTMLResponse(_PAGE.format(title="medudl viewer", body=body), status, headers)
