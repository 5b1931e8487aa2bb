"""Requests to an ASGI app, byte for byte as a hostile client would send them, and sources to ask for."""

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import unquote

from apps.viewer.gate import Gate, Rules

PORT, TOKEN = 8501, "launch-token"
HOST = f"127.0.0.1:{PORT}"


@dataclass
class Answer:
    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    pieces: int = 0

    def header(self, name: str) -> str:
        return ", ".join(value for key, value in self.headers if key == name)


def ask(
    app,
    target: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    kind: str = "http",
    body: bytes = b"",
) -> Answer:
    """target: path and query as on the wire. A websocket that is closed before it is accepted counts as 403."""
    raw, _, query = target.partition("?")
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if not any(name.lower() == "host" for name, _ in pairs):
        pairs.append(("host", HOST))
    scope = {
        "type": kind, "http_version": "1.1", "method": method, "path": unquote(raw), "raw_path": raw.encode(),
        "query_string": query.encode(), "root_path": "", "scheme": "http", "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", PORT), "asgi": {"version": "3.0"}, "state": {},
        "headers": [(name.lower().encode(), value.encode()) for name, value in pairs],
    }  # fmt: skip
    answer, asked = Answer(), iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive():
        if kind == "websocket":
            return {"type": "websocket.connect"}
        return next(asked, None) or await asyncio.Event().wait()

    async def send(message):
        if message["type"] == "websocket.close":
            answer.status = 403
        elif message["type"] == "websocket.accept":
            answer.status = 101
        elif message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = [(name.decode(), value.decode()) for name, value in message["headers"]]
        else:
            answer.body += message.get("body", b"")
            answer.pieces += 1

    # In a thread of its own: a browser that other tests of this process opened keeps a loop running in ours.
    with ThreadPoolExecutor(1) as apart:
        apart.submit(asyncio.run, app(scope, receive, send)).result()
    return answer


async def everything(scope, receive, send):
    """An app that lets anybody see anything."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a patient"})


def gated(app=everything, **changes) -> Gate:
    return Gate(app, Rules(**{"port": PORT, "token": TOKEN, "pages": frozenset({"studies"}), **changes}))


def let_in(gate: Gate) -> dict[str, str]:
    """Headers of a browser with a session."""
    return {"cookie": f"{gate.rules.cookie}={gate.rules.sessions.begin()}"}
