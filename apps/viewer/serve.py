"""One viewer process: Streamlit behind the gate, on a socket that `medudl view` has opened."""

from __future__ import annotations

import importlib
import os
import socket
import threading
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.viewer.gate import Gate, Rules, pages
from apps.viewer.house import Settings, house, open_house
from apps.viewer.routes import ROUTES
from apps.viewer.sessions import Password

if TYPE_CHECKING:
    import uvicorn
    from streamlit import App

HERE = Path(__file__).parent
# Imported beside the first page: what it needs, in the order in which it does.
_SOON = ("pandas", "apps.viewer.catalogue", "apps.viewer.pages.studies", "medudl.api", "plotly.graph_objects")
_STREAMLIT: dict[str, Any] = {
    "server.headless": True,
    "server.fileWatcherType": "none",
    "server.enableCORS": True,
    "server.enableXsrfProtection": True,
    "server.enableStaticServing": False,
    "server.enableWebsocketCompression": False,
    "server.disconnectedSessionTTL": 60,
    "server.maxUploadSize": 1,
    "server.runOnSave": False,
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "client.showSidebarNavigation": False,
    "global.developmentMode": False,
    "logger.hideWelcomeMessage": True,
    "theme.base": "dark",
    "theme.primaryColor": "#4c8dcb",
    "theme.backgroundColor": "#0b0d10",
    "theme.secondaryBackgroundColor": "#171c22",
    "theme.textColor": "#e4e8ec",
    "theme.borderColor": "#2a313a",
}


@dataclass(frozen=True)
class Orders:
    """What `medudl view` tells its process, besides the settings of the house.

    socket: number of the listening socket that is inherited. hosts: by what names it may be called. token: opens a
    session; password: does so where the token is "". certificate, key: files for TLS, or "".
    open: show it in a browser.
    """

    socket: int
    hosts: tuple[str, ...]
    token: str
    password: str = ""
    certificate: str = ""
    key: str = ""
    open: bool = False


def serve(settings: Settings, orders: Orders) -> None:
    """Serve until stopped. Closes the house: its workers and volumes go with it."""
    open_house(settings)
    try:
        server = _server(settings, orders)
        _stop_with_parent(server)
        server.run([socket.socket(fileno=orders.socket)])
    finally:
        house().close()


def rules(settings: Settings, orders: Orders) -> Rules:
    """What the gate of this viewer goes by."""
    return Rules(
        port=settings.port,
        hosts=orders.hosts,
        token=orders.token,
        password=Password(orders.password) if orders.password else None,
        secure=bool(orders.certificate),
        pages=pages(HERE / "pages"),
    )


def build(gate: Rules) -> App:
    """The app that is served: Streamlit, our routes, and the gate around both."""
    from starlette.middleware import Middleware
    from streamlit import App

    @asynccontextmanager
    async def life(app: App) -> AsyncIterator[dict[str, Any]]:
        threading.Thread(target=_warm, name="warm", daemon=True).start()
        yield {}

    return App(HERE / "script" / "app.py", routes=ROUTES, middleware=[Middleware(Gate, rules=gate)], lifespan=life)


def configure(settings: Settings) -> None:
    """Streamlit's settings; files and variables of the user have no say, for they could name another host."""
    for name in [name for name in os.environ if name.startswith("STREAMLIT_")]:
        del os.environ[name]
    os.chdir(HERE)  # not in the folder that is viewed, whose .streamlit would be obeyed
    from streamlit.web.bootstrap import load_config_options

    load_config_options({**_STREAMLIT, "server.address": settings.host, "server.port": settings.port})


def address(settings: Settings, orders: Orders) -> str:
    """What to open in the browser."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "127.0.0.1", "localhost") else settings.host
    host = f"[{host}]" if ":" in host else host
    scheme = "https" if orders.certificate else "http"
    return f"{scheme}://{host}:{settings.port}/" + (f"?token={orders.token}" if orders.token else "")


def _server(settings: Settings, orders: Orders) -> uvicorn.Server:
    configure(settings)
    import uvicorn

    where = address(settings, orders)
    config = uvicorn.Config(
        build(rules(settings, orders)),
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_max_size=16 << 20,
        ssl_certfile=orders.certificate or None,
        ssl_keyfile=orders.key or None,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                print(f"medudl viewer: {where}\nStop it with Ctrl-C.", flush=True)
                if orders.open:
                    threading.Thread(target=webbrowser.open, args=[where], daemon=True).start()

    return Server(config)


def _warm() -> None:
    """What the first page and the first scan would wait for. One after another: the browser needs a processor too."""
    for name in _SOON:
        importlib.import_module(name)
    house().store.warm()


def _stop_with_parent(server: uvicorn.Server) -> None:
    """`medudl view` holds the other end of our standard input: when it is gone, killed even, so are we."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        server.should_exit = True

    threading.Thread(target=wait, name="parent", daemon=True).start()
