"""Who is let in, and to what."""

import pytest
from asking import HOST, PORT, TOKEN, ask, gated, let_in

from apps.viewer import sessions
from apps.viewer.gate import LOOPBACK, POLICY, pages
from apps.viewer.sessions import Password, Sessions

ROUTES = [
    "/",
    "/studies",
    "/voxels/0123",
    "/asset/main.js",
    "/_stcore/stream",
    "/_stcore/host-config",
    "/static/js/a.js",
]


@pytest.fixture
def gate():
    return gated()


@pytest.mark.parametrize("target", ROUTES)
def test_without_a_session_nothing_is_seen(gate, target):
    for kind in ("http", "websocket"):
        answer = ask(gate, target, kind=kind)
        assert answer.status == 403 and b"a patient" not in answer.body


@pytest.mark.parametrize("target", ROUTES)
def test_with_a_session_all_is(gate, target):
    assert ask(gate, target, headers=let_in(gate)).body == b"a patient"
    assert ask(gate, target, headers=let_in(gate), kind="websocket").status == 101


def test_health_needs_no_session_but_the_right_host(gate):
    assert ask(gate, "/_stcore/health").status == 200
    assert ask(gate, "/_stcore/health", headers={"host": "evil.example"}).status == 403


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1:9", "127.0.0.1", "", f"{HOST}.evil.example"]
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_foreign_host_is_refused(gate, host, kind):
    assert ask(gate, "/", headers={**let_in(gate), "host": host}, kind=kind).status == 403


def test_two_hosts_are_refused(gate):
    assert ask(gate, "/", headers=[*let_in(gate).items(), ("host", HOST), ("host", HOST)]).status == 403


@pytest.mark.parametrize("name", LOOPBACK)
def test_every_name_of_the_loopback_is_its_own(gate, name):
    headers = {**let_in(gate), "host": f"{name}:{PORT}", "origin": f"http://{name}:{PORT}"}
    assert ask(gate, "/", headers=headers).status == 200


def test_a_name_that_was_allowed_with_and_without_a_port():
    gate = gated(hosts=("ward.example", "proxy.example:444"))
    for host, status in [(f"ward.example:{PORT}", 200), ("WARD.example:8501", 200), ("ward.example", 403),
                         ("proxy.example:444", 200), (f"proxy.example:{PORT}", 403)]:  # fmt: skip
        assert ask(gate, "/", headers={**let_in(gate), "host": host}).status == status, host


def test_the_default_port_is_not_sent():
    gate = gated(port=443, secure=True, hosts=("ward.example",))
    assert (
        ask(gate, "/", headers={**let_in(gate), "host": "ward.example", "origin": "https://ward.example"}).status == 200
    )


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:9", "https://" + HOST, "http://localhost:8501", "null", ""]
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_foreign_origin_is_refused(gate, origin, kind):
    assert ask(gate, "/_stcore/stream", headers={**let_in(gate), "origin": origin}, kind=kind).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_may_link_to_a_page_only(gate, site):
    link = {**let_in(gate), "sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert ask(gate, "/studies?study=1", headers=link).status == 200
    assert ask(gate, "/voxels/1", headers=link).status == 403
    assert ask(gate, "/", headers=link, method="POST").status == 403
    assert ask(gate, "/studies", headers={**link, "sec-fetch-dest": "iframe"}).status == 403
    assert ask(gate, "/asset/main.js", headers={**let_in(gate), "sec-fetch-site": site}).status == 403


@pytest.mark.parametrize(
    "target",
    ["/voxels/../../etc/passwd", "/asset/../main.py", "/asset/%2e%2e/main.py", "/asset/..%2fmain.py",
     "/asset/%252e%252e/x",
     "/asset/..%5cmain.py", "/asset/..\\main.py", "//etc/passwd", "/voxels//etc/passwd", "/etc/passwd", "/asset/%00.js",
     "/static/./x", "/voxels/%2Fetc%2Fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "/studies/../voxels/1", "/C:/x",
     "/studies/x",
     "etc/passwd", "/home", "/work", "/asset/%25%32%65%25%32%65/x"],
)  # fmt: skip
def test_no_way_leads_out(gate, target):
    assert ask(gate, target, headers=let_in(gate)).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("target", ["/voxels/1", "/asset/main.js"])
def test_our_routes_are_only_read(gate, method, target):
    assert ask(gate, target, headers=let_in(gate), method=method).status == 405


def test_the_printed_address_opens_a_session_and_leaves_the_token_behind(gate):
    answer = ask(gate, f"/anomalies?run=a%20b&token={TOKEN}&scan=1".replace("anomalies", "studies"))
    assert answer.status == 303 and answer.header("location") == "/studies?run=a+b&scan=1"
    cookie = answer.header("set-cookie")
    assert cookie.startswith(f"medudl_{PORT}=") and TOKEN not in cookie
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; ")) and "Domain" not in cookie
    assert ask(gate, "/", headers={"cookie": cookie.partition(";")[0]}).status == 200


def test_over_tls_the_cookie_is_never_sent_in_the_clear():
    gate = gated(secure=True)
    assert "Secure" in ask(gate, f"/?token={TOKEN}").header("set-cookie")


@pytest.mark.parametrize("query", ["token=", "token=wrong", f"token={TOKEN}x", f"TOKEN={TOKEN}", ""])
def test_a_wrong_token_opens_nothing(gate, query):
    answer = ask(gate, f"/?{query}")
    assert answer.status == 403 and not answer.header("set-cookie") and b"medudl view" in answer.body


def test_a_token_opens_no_websocket_and_no_post(gate):
    assert ask(gate, f"/_stcore/stream?token={TOKEN}", kind="websocket").status == 403
    assert ask(gate, f"/?token={TOKEN}", method="POST").status == 403


@pytest.mark.parametrize("cookie", ["", "medudl_8501=", "medudl_8501=x", "medudl_1=x", "=;;", 'medudl_8501="\\'])
def test_a_made_up_cookie_is_none(gate, cookie):
    assert ask(gate, "/", headers={"cookie": cookie}).status == 403


def test_an_empty_launch_token_lets_nobody_in():
    assert ask(gated(token=""), "/?token=").status == 403


def test_every_answer_carries_the_headers(gate):
    for answer in (ask(gate, "/"), ask(gate, "/", headers=let_in(gate)), ask(gate, "/etc", headers=let_in(gate))):
        assert answer.header("content-security-policy") == POLICY
        assert answer.header("x-content-type-options") == "nosniff" and answer.header("x-frame-options") == "DENY"
        assert answer.header("referrer-policy") == "no-referrer"
        assert answer.header("cross-origin-resource-policy") == "same-origin"
    assert ask(gate, "/voxels/1", headers=let_in(gate)).header("cache-control") == "no-store"
    assert not [part for part in ("http", "*", " 'unsafe-eval'") if part in POLICY]


def test_a_session_dies_of_silence_and_by_number():
    now = [0.0]
    known = Sessions(most=2, clock=lambda: now[0])
    first = known.begin()
    now[0] += sessions.IDLE_SECONDS - 1
    assert known.holds(first)
    now[0] += sessions.IDLE_SECONDS - 1
    assert known.holds(first)
    now[0] += sessions.IDLE_SECONDS + 1
    assert not known.holds(first) and not known.holds(first)
    first, second, third = known.begin(), known.begin(), known.begin()
    assert not known.holds(first) and known.holds(second) and known.holds(third)


PAGE = {"accept": "text/html"}
FORM = {"content-type": "application/x-www-form-urlencoded", "origin": f"http://{HOST}"}


@pytest.fixture
def locked():
    now = [0.0]
    gate = gated(token="", password=Password("right & wrong", clock=lambda: now[0]))
    return gate, now


def try_(gate, password: str, to: str = "/studies?study=1"):
    from urllib.parse import urlencode

    return ask(gate, "/login", method="POST", headers=FORM, body=urlencode({"password": password, "to": to}).encode())


def test_the_password_is_asked_for_and_opens(locked):
    gate, _ = locked
    asked = ask(gate, '/studies?study=1&x="><b>', headers=PAGE)
    assert asked.status == 200 and b'type="password"' in asked.body and b"<b>" not in asked.body
    assert asked.header("referrer-policy") == "same-origin"
    answer = try_(gate, "right & wrong")
    assert answer.status == 303 and answer.header("location") == "/studies?study=1"
    assert ask(gate, "/", headers={"cookie": answer.header("set-cookie").partition(";")[0]}).body == b"a patient"


def test_what_is_no_page_is_refused_without_a_form(locked):
    gate, _ = locked
    for target in ("/voxels/1", "/asset/main.js", "/?token="):
        assert ask(gate, target).status == 403
    assert ask(gate, "/_stcore/stream", kind="websocket").status == 403


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "/\\evil.example", "studies", "/a\r\nset-cookie: x"]
)
def test_the_way_on_leads_to_this_server(locked, to):
    answer = try_(locked[0], "right & wrong", to)
    assert answer.status == 303 and answer.header("location") == "/"


def test_failures_lock_for_longer_and_longer(locked):
    gate, now = locked
    for _ in range(5):
        assert try_(gate, "guess").status == 403
    assert try_(gate, "right & wrong").status == 429
    now[0] += 2.1
    assert try_(gate, "guess").status == 403
    now[0] += 2.1
    assert try_(gate, "right & wrong").status == 429
    now[0] += 2.1
    assert try_(gate, "right & wrong").status == 303
    assert try_(gate, "guess").status == 403


def test_tries_that_were_sent_all_at_once_are_locked_too():
    """Each passed the first look before any had failed."""
    password = Password("right", clock=lambda: 0.0)
    assert [password.fits("guess", "a") for _ in range(5)] == [False] * 5
    assert not password.fits("right", "a") and password.fits("right", "b")


def test_a_foreign_page_cannot_send_the_form(locked):
    headers = {**FORM, "origin": "http://evil.example"}
    assert ask(locked[0], "/login", method="POST", headers=headers, body=b"password=right+%26+wrong").status == 403


def test_a_form_without_end_is_not_read(locked):
    answer = ask(locked[0], "/login", method="POST", headers=FORM, body=b"password=right+%26+wrong&x=" + b"x" * 10_000)
    assert answer.status == 403


def test_pages_are_the_modules(tmp_path):
    for name in ("studies.py", "__init__.py", "_part.py", "notes.txt"):
        (tmp_path / name).touch()
    assert pages(tmp_path) == {"studies"}
