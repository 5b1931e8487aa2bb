"""The viewer as a process: what it answers to whom, and that it ends when it should."""

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from apps.viewer.house import Settings
from apps.viewer.serve import Orders, address


def start(folder: Path, *options: str, **environment: str) -> tuple[subprocess.Popen, str]:
    command = [sys.executable, "-m", "medudl.cli", "view", str(folder), "--no-browser", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}
    )
    line = process.stdout.readline()
    return process, re.search(r"http\S+", line)[0]


def stop(process: subprocess.Popen) -> None:
    process.terminate()
    process.wait(20)
    process.stdout.close()


class Browser:
    def __init__(self, url: str) -> None:
        self.url = urlsplit(url)
        self.host = self.url.netloc
        self.headers: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=30)
        sent = {"Accept": "text/html", **self.headers, **headers}
        connection.request("GET", path, headers=sent)
        answer = connection.getresponse()
        found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def enter(self) -> "Browser":
        _, headers, _ = self.get(f"/?{self.url.query}")
        self.headers = {"Cookie": headers["set-cookie"].partition(";")[0]}
        return self

    def stream(self, **headers: str) -> int:
        """Status of the handshake of Streamlit's websocket."""
        sent = {"Origin": f"http://{self.host}", **self.headers, **headers}
        try:
            with connect(f"ws://{self.host}/_stcore/stream", additional_headers=sent, subprotocols=["streamlit"]):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    process, url = start(tmp_path_factory.mktemp("folder"), STREAMLIT_SERVER_ENABLE_STATIC_SERVING="true")
    yield Browser(url).enter()
    stop(process)


def test_the_first_page(browser):
    status, headers, body = browser.get("/")
    assert status == 200 and b"<title>" in body
    assert "server" not in headers and "content-security-policy" in headers
    assert browser.get("/_stcore/health")[0] == 200 and browser.get("/studies")[0] == 200
    assert browser.stream() == 101


def test_strangers_are_refused(browser):
    stranger = Browser(browser.url.geturl())
    for path in ("/", "/voxels/1/meta", "/asset/main.js", "/_stcore/host-config"):
        assert stranger.get(path)[0] == 403
        assert browser.get(path, Host="evil.example")[0] == 403
        assert browser.get(path, Origin="http://evil.example")[0] == 403
    assert stranger.stream() == 403
    assert browser.stream(Origin="http://evil.example") == 403
    # Another server of this machine is another origin, though its cookies are ours.
    assert browser.stream(Origin="http://127.0.0.1:1") == 403


@pytest.mark.parametrize(
    "path", ["/asset/../serve.py", "/asset/%2e%2e/serve.py", "/asset/..%2fserve.py", "/etc/passwd", "//etc/passwd",
             "/voxels/%2fetc%2fpasswd", "/static/..%5c..%5cx", "/static/../../../x", "/app/static/main.js"],
)  # fmt: skip
def test_no_way_leads_out(browser, path):
    assert browser.get(path)[0] == 404


def test_what_is_not_offered_is_not_found_and_the_component_is(browser):
    assert browser.get("/voxels/" + "0" * 24 + "/meta")[0] == 404
    status, headers, _ = browser.get("/asset/main.js")
    assert status == 200 and headers["etag"]


def test_a_viewer_for_others_asks_for_its_password(tmp_path):
    process, url = start(tmp_path, "--host", "0.0.0.0", MEDUDL_VIEW_PASSWORD="open sesame")
    try:
        assert "token" not in url
        browser = Browser(url)
        status, _, body = browser.get("/studies?study=1")
        assert status == 200 and b'type="password"' in body and browser.get("/asset/main.js", Accept="*/*")[0] == 403
        told = Path(f"/proc/{process.pid}/cmdline")
        assert not told.exists() or b"sesame" not in told.read_bytes()
        form = b"password=open+sesame&to=%2Fstudies%3Fstudy%3D1"
        connection = http.client.HTTPConnection(browser.url.hostname, browser.url.port)
        connection.request("POST", "/login", form, {"Origin": f"http://{browser.host}"})
        answer = connection.getresponse()
        assert answer.status == 303 and answer.getheader("location") == "/studies?study=1"
        browser.headers = {"Cookie": answer.getheader("set-cookie").partition(";")[0]}
        connection.close()
        assert b"<title>" in browser.get("/")[2]
    finally:
        stop(process)


def children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return [int(child) for child in found]


def family(pid: int) -> list[int]:
    return [one for child in children(pid) for one in (child, *family(child))]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_stays_behind(tmp_path, how):
    process, url = start(tmp_path)
    Browser(url).enter()
    started = family(process.pid)
    assert started
    process.send_signal(how)
    process.wait(20)
    process.stdout.close()
    deadline = time.monotonic() + 20
    while any(map(alive, started)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, started))
    assert process.returncode == (-9 if how == signal.SIGKILL else 0)


def test_the_address_is_one_that_a_browser_can_open(tmp_path):
    orders = Orders(0, (), "abc")
    for host, shown in [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("ward", "ward")]:
        assert address(Settings(tmp_path, host=host, port=1), orders) == f"http://{shown}:1/?token=abc"
    assert address(Settings(tmp_path, port=1), Orders(0, (), "", certificate="c")) == "https://127.0.0.1:1/"
