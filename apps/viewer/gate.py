"""Who may ask for what: every request, and every websocket, passes here before anything else sees it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.viewer.login import Login, refusal
from apps.viewer.sessions import Password, Sessions, same

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
OPEN = ("/_stcore/health",)  # says "ok" and no more
OWN = ("/voxels/", "/embedding/", "/synthetic/", "/labels/", "/asset/")
# Answers of the reader test; what is labelled.
_WRITTEN = re.compile(r"/synthetic/[0-9a-f]{24}/reading|/labels/[0-9a-f]{24}/[a-z]{4,8}")
_ROOTS = {"", "static", "_stcore", "media", "component", "voxels", "embedding", "synthetic", "labels",
          "asset", "login", "favicon.png",
          "manifest.json"}  # fmt: skip
_PORTS = {"http": 80, "https": 443}
_TWICE = re.compile(r"%[0-9a-fA-F]{2}")
POLICY = "; ".join(
    (
        "default-src 'self'",
        # Streamlit starts a component from a blob. No eval, and nothing from another host.
        "script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' blob:",
        "worker-src 'self' blob:",
        "connect-src 'self' blob: data:",
        "frame-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass(frozen=True)
class Rules:
    """What the gate goes by.

    hosts: names, and addresses, by which this server may be called. token: opens a session (the address that was
    printed holds it); "" where a password does. secure: over TLS. pages: first parts of the addresses of pages.
    """

    port: int
    hosts: tuple[str, ...] = LOOPBACK
    token: str = ""
    password: Password | None = None
    secure: bool = False
    pages: frozenset[str] = frozenset()
    sessions: Sessions = field(default_factory=Sessions)

    @property
    def scheme(self) -> str:
        """Of this server's addresses: http or https."""
        return "https" if self.secure else "http"

    @property
    def cookie(self) -> str:
        """Name of the session's cookie: cookies know no ports, and two viewers may run side by side."""
        return f"medudl_{self.port}"


class Gate:
    """ASGI middleware: Host, Origin, path, session; and the headers of every answer."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app, self.rules = app, rules
        self.login = Login(rules.password, self._welcome) if rules.password else None
        self._hosts = frozenset(_with_port(name.lower(), rules) for name in rules.hosts) | frozenset(
            name.lower() for name in rules.hosts if rules.port == _PORTS[rules.scheme]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or hand on."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refused = self._refused(scope, Headers(scope=scope))
        if refused is None and self._needs_session(scope):
            refused = await self._let_in(scope, receive)
        if scope["type"] == "websocket":
            # Closed before it is accepted: the server answers 403.
            await (
                self.app(scope, receive, send) if refused is None else send({"type": "websocket.close", "code": 1008})
            )
            return
        await (refused or self.app)(scope, receive, _guarded(scope, send))

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        """What is wrong with it, whoever asks; None: nothing."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return refusal("This address does not belong to the viewer.")
        origins = headers.getlist("origin")
        if any(origin != f"{self.rules.scheme}://{hosts[0]}".lower() for origin in map(str.lower, origins)):
            return refusal("Another page may not ask the viewer.")
        if not self._site_may(scope, headers):
            return refusal("Another page may not ask the viewer.")
        if not _safe(scope) or not self._known(scope["path"]):
            return PlainTextResponse("Not found.", 404)
        if scope["type"] == "http" and scope["path"].startswith(OWN) and not _may(scope, bool(origins)):
            return PlainTextResponse("Not allowed.", 405, {"allow": "GET, HEAD"})
        return None

    def _site_may(self, scope: Scope, headers: Headers) -> bool:
        """Another site may link to a page, which opens in a tab of its own, and nothing else.

        "same-site" is another site here: a server on another port of this machine.
        """
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return True
        link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        return link and scope["type"] == "http" and scope["method"] == "GET" and not scope["path"].startswith(OWN)

    def _known(self, path: str) -> bool:
        """Streamlit answers any path with its page; here what is no page is not found."""
        first, _, rest = path[1:].partition("/")
        return first in _ROOTS or (first in self.rules.pages and (not rest or rest.startswith("_stcore/")))

    def _needs_session(self, scope: Scope) -> bool:
        return scope["path"] not in OPEN and not self._session(scope)

    def _session(self, scope: Scope) -> bool:
        try:
            cookies = SimpleCookie("; ".join(Headers(scope=scope).getlist("cookie")))
        except CookieError:
            return False
        return self.rules.cookie in cookies and self.rules.sessions.holds(cookies[self.rules.cookie].value)

    async def _let_in(self, scope: Scope, receive: Receive) -> Response:
        """Somebody without a session: the way in, or out."""
        if scope["type"] == "http" and self.login is not None:
            return await self.login.answer(scope, receive)
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        given = next((value for name, value in query if name == "token"), "")
        if scope["type"] == "http" and scope["method"] == "GET" and self.rules.token and same(given, self.rules.token):
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            return self._welcome(scope["path"] + (f"?{rest}" if rest else ""))
        return refusal("Open the address that medudl view printed in the terminal: it holds the key to this viewer.")

    def _welcome(self, to: str) -> Response:
        """A session, and on to the address without the token in it."""
        response = RedirectResponse(to, 303)
        # Lax, not Strict: a link to a study in a colleague's mail must open. What another site can do with Lax is to
        # open a page in a tab of its own: nothing here is changed by a GET, and Origin guards all else.
        response.set_cookie(
            self.rules.cookie,
            self.rules.sessions.begin(),
            path="/",
            httponly=True,
            samesite="lax",
            secure=self.rules.secure,
        )
        return response


def _may(scope: Scope, origin: bool) -> bool:
    """Our own addresses are only read, but for answers, and those only by a page of ours that says so (Origin)."""
    return scope["method"] in ("GET", "HEAD") or (
        scope["method"] == "POST" and origin and _WRITTEN.fullmatch(scope["path"]) is not None
    )


def pages(folder: Path) -> frozenset[str]:
    """First parts of the pages' addresses: the modules in a folder."""
    return frozenset(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def _with_port(name: str, rules: Rules) -> str:
    return name if re.search(r":\d+$", name) and not name.endswith("]") else f"{name}:{rules.port}"


def _safe(scope: Scope) -> bool:
    """No way up, no second root, nothing encoded that decodes into one, even twice."""
    raw = scope.get("raw_path") or scope["path"].encode()
    path = unquote(raw.decode("latin-1"))
    if _TWICE.search(path) or re.search(rb"%(2f|5c|00)", raw, re.IGNORECASE):
        return False
    parts = path[1:].split("/")
    plain = path.startswith("/") and not any(c in path for c in "\\\0:")
    return plain and not any(part in (".", "..") for part in parts) and "" not in parts[:-1]


def _guarded(scope: Scope, send: Send) -> Send:
    """Adds the headers that every answer carries."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _headers(scope["path"]):
                headers[name] = value
            headers.setdefault("referrer-policy", "no-referrer")
        await send(message)

    return sending


def _headers(path: str) -> Iterable[tuple[str, str]]:
    yield from _HEADERS.items()
    if path.startswith(("/voxels/", "/embedding/", "/synthetic/", "/labels/")):
        yield "cache-control", "no-store"
