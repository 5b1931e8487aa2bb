"""Start the viewer: what is wrong is told here, in one line, before its process begins."""

from __future__ import annotations

import errno
import getpass
import importlib.util
import ipaddress
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from medudl.data.fault import show
from medudl.errors import UserError

PORT, TRIES = 8501, 50
PASSWORD = "MEDUDL_VIEW_PASSWORD"
_LOCAL = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Shown:
    """What is shown: what lies below `folder`; the scans below `also` where a table points to them."""

    folder: Path
    also: tuple[Path, ...] = ()

    @classmethod
    def of(cls, folder: Path, also: Sequence[Path]) -> Shown:
        """Existing, readable folders. A table in the place of the folder stands for its own and that of its scans."""
        if folder.suffix.lower() == ".csv" and folder.is_file():
            from medudl.data.cohort import Cohort

            folder, also = folder.parent, (*also, Cohort.read(folder).root)
        for place in (folder, *also):
            if not place.is_dir() or not os.access(place, os.R_OK | os.X_OK):
                raise UserError(f"{show(place)}: no such folder, or not readable; name a folder with scans or runs")
        return cls(folder.resolve(), tuple(place.resolve() for place in also))


@dataclass(frozen=True)
class Network:
    """Who can reach the viewer. host: where it listens. names: others of this machine. tls: certificate and key."""

    host: str = "127.0.0.1"
    names: tuple[str, ...] = ()
    tls: tuple[str, str] = ("", "")


def view(
    shown: Shown,
    *,
    port: int | None,
    browser: bool,
    show_identity: bool,
    cache_gb: float,
    apps: Path,
    network: Network,
) -> int:
    """Serve until stopped; the exit code. apps: the folder of the viewer's code.

    Raises UserError as `api.view` says.
    """
    host, tls = network.host, network.tls
    if importlib.util.find_spec("streamlit") is None:
        raise UserError("the viewer needs streamlit, which is not installed; run `pip install streamlit`")
    password = "" if _loopback(host) else _password(host)
    listening = _listen(host, port)
    try:
        if password and not tls[0]:
            print("medudl: the way to the viewer is not encrypted; give --certificate and --key", file=sys.stderr)
        settings = {
            "folder": str(shown.folder),
            "also": list(map(str, shown.also)),
            "host": host,
            "port": listening.getsockname()[1],
            "private": not show_identity,
            "cache_bytes": int(cache_gb * 2**30),
        }
        orders = {
            "socket": listening.fileno(),
            "hosts": [*_LOCAL, *(() if _loopback(host) else (*_names(host), *network.names))],
            "token": "" if password else secrets.token_urlsafe(32),
            "password": password,
            "certificate": tls[0],
            "key": tls[1],
            "open": browser and not os.environ.get("CI"),
        }
        return _run({"settings": settings, "orders": orders}, listening, apps)
    finally:
        listening.close()


def checked_tls(certificate: str | Path | None, key: str | Path | None) -> tuple[str, str]:
    """Both files of TLS, or none. Raises UserError: one alone, or absent."""
    if certificate is None and key is None:
        return "", ""
    if certificate is None or key is None:
        raise UserError("--certificate and --key go together; give both, or none")
    for path in map(Path, (certificate, key)):
        if not path.is_file():
            raise UserError(f"{show(path)}: no such file; name a certificate and its key in PEM format")
    return str(Path(certificate).resolve()), str(Path(key).resolve())


def _run(told: dict[str, object], listening: socket.socket, apps: Path) -> int:
    """Its process inherits the socket, reads one line, and ends when our end of the pipe is gone."""
    roots = [str(apps.parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {name: value for name, value in os.environ.items() if name != PASSWORD}
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.viewer"],
        stdin=subprocess.PIPE,
        pass_fds=[listening.fileno()],
        env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, dict.fromkeys(roots)))},
    )
    assert process.stdin is not None
    before = signal.signal(signal.SIGTERM, lambda number, frame: _stopped(number, frame))
    try:
        process.stdin.write(json.dumps(told).encode() + b"\n")
        process.stdin.flush()
        listening.close()
        return process.wait()
    except (KeyboardInterrupt, _Terminated):
        return 0  # stopping it is how one leaves it
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
        signal.signal(signal.SIGTERM, before)


class _Terminated(BaseException):
    """SIGTERM has come."""


def _stopped(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _password(host: str) -> str:
    password = os.environ.get(PASSWORD, "")
    if not password and sys.stdin.isatty():
        password = getpass.getpass(f"Password for those who open the viewer on {host}: ")
    if not password:
        raise UserError(f"--host {host} lets other machines in and needs a password; set {PASSWORD}")
    return password


def _listen(host: str, port: int | None) -> socket.socket:
    """A listening socket. Without a port: 8501, or one of the next."""
    wanted = range(PORT, PORT + TRIES) if port is None else (port,)
    for number in wanted:
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
            listening = socket.socket(family, kind, protocol)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listening.bind(place)
                listening.listen(128)
            except OSError:
                listening.close()
                raise
            return listening
        except socket.gaierror:
            raise UserError(f"--host {host}: no such name or address on this machine") from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise UserError(f"cannot listen on {host}, port {number} ({error.strerror}); choose another") from None
    taken = f"port {port} is in use" if port is not None else f"ports {PORT} to {PORT + TRIES - 1} are in use"
    raise UserError(f"{taken}; choose another with --port, or stop what listens there")


def _names(host: str) -> list[str]:
    """By what other machines may call this one: the host given, its names, and its addresses."""
    names = {socket.gethostname().lower(), socket.getfqdn().lower()}
    if host not in ("0.0.0.0", "::"):
        return sorted(names | {_bracketed(host)})
    for name in tuple(names):
        try:
            names |= {_bracketed(str(entry[4][0])) for entry in socket.getaddrinfo(name, None)}
        except socket.gaierror:
            continue
    return sorted(names | _addresses())


def _addresses() -> set[str]:
    """The address by which the outer world would be reached; nothing is sent to find it."""
    found = set()
    for family, place in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((place, 9))
                found.add(_bracketed(str(probe.getsockname()[0])))
        except OSError:
            continue
    return found


def _bracketed(name: str) -> str:
    return f"[{name.partition('%')[0]}]" if ":" in name else name.lower()
