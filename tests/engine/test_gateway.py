"""The gateway, on a real container: who gets through to opencode, and who does not."""

import base64
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import docker
import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.engine.container import LANDING, Running, running, wait_until
from tests.engine.deployment import PASSWORD, USER

BASIC = (USER, PASSWORD)
BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
SERVE = "^opencode serve"
STAND_IN = """
import http.server, json

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        while length > 0:
            length -= len(self.rfile.read(min(length, 1 << 20)))
        seen = {"healthy": True, "version": "0", "target": self.path, "headers": dict(self.headers)}
        body = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "planted=1")
        self.send_header("WWW-Authenticate", "Basic realm=x")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

http.server.ThreadingHTTPServer(("127.0.0.1", 4096), Handler).serve_forever()
"""
"""A server in opencode's place that tells what it was sent."""


@pytest.fixture(scope="module")
def opencode(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container that tests leave as healthy as they found it."""
    with running(docker_client, image) as container:
        yield container


@pytest.fixture(scope="module")
def echo(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container whose opencode is the stand-in."""
    with running(docker_client, image) as container:
        container.run("s6-svc", "-wD", "-d", "/run/service/opencode")
        container.container.exec_run(["python3", "-c", STAND_IN], user="opencode", detach=True)
        container.wait_healthy()
        yield container


def internal_basic(opencode: Running) -> tuple[str, str]:
    """opencode's own credentials, which must be of no use outside."""
    return "opencode", opencode.run("cat", "/run/opencode-cloud/opencode/password").strip()


def raw(opencode: Running, request: str) -> str:
    """Send bytes as they are and give the whole answer."""
    address = urlsplit(opencode.url)
    with socket.create_connection((address.hostname, address.port or 80), timeout=10) as connection:
        connection.sendall(request.replace("\n", "\r\n").encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.decode(errors="replace")


def test_signing_in_by_the_form_leads_to_a_ready_prompt(opencode: Running):
    browser = requests.Session()
    answer = opencode.send_form(browser)
    assert (answer.status_code, answer.headers["Location"]) == (303, LANDING)
    page = browser.get(opencode.url + LANDING, headers=BROWSER, timeout=30)
    assert page.status_code == requests.codes.ok
    assert "<title>OpenCode</title>" in page.text


def test_programs_sign_in_by_basic(opencode: Running):
    answer = requests.get(f"{opencode.url}/global/health", auth=BASIC, timeout=30)
    assert answer.json()["healthy"] is True


@pytest.mark.parametrize(
    "credentials",
    [
        (USER, "wrong"),
        (USER, ""),
        ("eve", PASSWORD),
        ("root", ""),
        ("", ""),
        (USER.upper(), PASSWORD),
    ],
)
def test_wrong_credentials_let_nobody_in(opencode: Running, credentials: tuple[str, str]):
    answer = requests.get(f"{opencode.url}/global/health", auth=credentials, timeout=30)
    assert answer.status_code == requests.codes.unauthorized
    name, password = credentials
    form = opencode.send_form(requests.Session(), username=name, password=password)
    assert form.status_code == requests.codes.unauthorized
    assert 'role="alert"' in form.text


def test_opencodes_own_password_opens_nothing_from_outside(opencode: Running):
    internal = internal_basic(opencode)
    token = base64.b64encode(":".join(internal).encode()).decode()
    health = f"{opencode.url}/global/health"
    for answer in (
        requests.get(health, auth=internal, timeout=30),
        requests.get(health, params={"auth_token": token}, timeout=30),
    ):
        assert answer.status_code == requests.codes.unauthorized


OPEN = ("/health", "/_gateway/login", "/_gateway/page.css", "/site.webmanifest")


@pytest.mark.parametrize("path", OPEN)
def test_what_needs_no_login_answers_without_one(opencode: Running, path: str):
    assert requests.get(opencode.url + path, timeout=10).status_code == requests.codes.ok


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "FOO"])
@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/doc",
        "/config",
        "/session",
        "/event",
        "/global/health",
        "/api/health",
        "/pty",
        "/assets/index.js",
        "/refused",
        "/_gateway/check",
        "/_gateway/unavailable",
        "/_gateway/../session",
        "/_gateway/%2e%2e/session",
        "/_gateway/..%2fsession",
        "/_gateway/login/../../session",
        "/_gateway//../session",
        "/health/",
        "/health/../session",
        "/health;/../session",
        "/health%00/session",
        "/Health",
        "//session",
        "/./session",
        "/_gateway\\..\\session",
        "/site.webmanifest/../session",
        "/site.webmanifest%2f..%2fsession",
        "/session?/health",
        "/session#/health",
        "http://localhost/session",
        "http://localhost:4096/session",
        "*",
    ],
)
def test_nothing_of_opencode_is_reached_without_a_login(
    opencode: Running, method: str, target: str
):
    answer = raw(
        opencode,
        f"{method} {target} HTTP/1.1\nHost: localhost\nConnection: close\n"
        "X-Gateway-Account: ada\nX-Gateway-Method: GET\nX-Original-URL: /health\n"
        "X-Rewrite-URL: /health\nX-Accel-Redirect: /session\nContent-Length: 0\n\n",
    )
    status = int(answer.split(" ", 2)[1])
    assert status in (400, 401, 403, 404, 405), answer
    assert '"healthy"' not in answer
    assert "OpenCode" not in answer


@pytest.mark.parametrize("cookie", ["", "x", "%00", "ÿ", "a" * 4000, "'; DROP TABLE sessions; --"])
def test_a_made_up_cookie_lets_nobody_in(opencode: Running, cookie: str):
    name = next(c.name for c in opencode.sign_in().cookies if "session" in c.name)
    answer = raw(
        opencode,
        f"GET /session HTTP/1.1\nHost: localhost\nConnection: close\nCookie: {name}={cookie}\n\n",
    )
    assert answer.startswith("HTTP/1.1 401")


def test_a_browser_is_sent_to_sign_in_and_returns_to_where_it_was_going(opencode: Running):
    browser = requests.Session()
    wanted = f"{LANDING}?a=b&c=%2F"
    answer = browser.get(opencode.url + wanted, headers=BROWSER, timeout=10)
    assert urlsplit(answer.url).path == "/_gateway/login"
    fields = dict(re.findall(r'name="(csrf|next)" value="([^"]*)"', answer.text))
    assert fields["next"].replace("&amp;", "&") == wanted
    form = opencode.send_form(browser, next=wanted)
    assert form.headers["Location"] == wanted


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example", "/\\evil.example", "x"]
)
def test_signing_in_never_leads_to_another_site(opencode: Running, wanted: str):
    assert opencode.send_form(requests.Session(), next=wanted).headers["Location"] == LANDING


def test_only_programs_are_asked_by_a_prompt(opencode: Running):
    for headers, asked in [
        ({"User-Agent": "curl/8"}, True),
        ({"User-Agent": "Mozilla/5.0"}, False),
        ({"Sec-Fetch-Mode": "cors"}, False),
    ]:
        answer = requests.get(f"{opencode.url}/session", headers=headers, timeout=10)
        assert answer.status_code == requests.codes.unauthorized
        assert ("WWW-Authenticate" in answer.headers) == asked
        assert "sign in" in answer.json()["error"]


def test_signing_out_ends_the_session(opencode: Running):
    browser, other = opencode.sign_in(), opencode.sign_in()
    page = browser.get(f"{opencode.url}/_gateway/logout", timeout=10)
    csrf = re.findall(r'name="csrf" value="([^"]*)"', page.text)[0]
    kept = browser.cookies.copy()
    browser.post(f"{opencode.url}/_gateway/logout", data={"csrf": csrf}, timeout=10)
    assert not opencode.lets_in(browser)
    browser.cookies.update(kept)
    assert not opencode.lets_in(browser)
    assert opencode.lets_in(other)


@pytest.mark.parametrize("change", ["passwd", "disable", "remove"])
def test_a_changed_account_is_out_within_a_second(opencode: Running, change: str):
    opencode.add_user("eve", "a good password")
    browser = opencode.sign_in(username="eve", password="a good password")
    health, basic = f"{opencode.url}/global/health", ("eve", "a good password")
    assert requests.get(health, auth=basic, timeout=10).status_code == requests.codes.ok
    opencode.run("opencode-user", change, "eve", stdin="another password\n")
    done = time.monotonic()
    assert not opencode.lets_in(browser)
    assert requests.get(health, auth=basic, timeout=10).status_code == requests.codes.unauthorized
    assert time.monotonic() - done < 1
    assert opencode.lets_in(opencode.sign_in())
    if change == "passwd":
        assert opencode.lets_in(opencode.sign_in(username="eve", password="another password"))
    if change == "disable":
        opencode.run("opencode-user", "enable", "eve")
        assert opencode.lets_in(opencode.sign_in(username="eve", password="a good password"))
        assert not opencode.lets_in(browser)
    if change != "remove":
        opencode.run("opencode-user", "remove", "eve")


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}],
)
def test_another_sites_page_can_neither_change_anything_nor_open_a_terminal(
    opencode: Running, headers: dict[str, str]
):
    browser = opencode.sign_in()
    before = len(browser.get(f"{opencode.url}/session", timeout=30).json())
    text = {"Content-Type": "text/plain"}
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = browser.request(
            method, f"{opencode.url}/session", data="{}", headers=headers | text, timeout=30
        )
        assert answer.status_code == requests.codes.forbidden
    assert len(browser.get(f"{opencode.url}/session", timeout=30).json()) == before
    with pytest.raises(InvalidStatus) as refusal:
        open_terminal(opencode, browser, headers)
    assert refusal.value.response.status_code == requests.codes.forbidden


def open_terminal(opencode: Running, browser: requests.Session, headers: dict[str, str]):
    """Start a shell and connect to it as the web page does."""
    made = browser.post(f"{opencode.url}/pty", json={"title": "Try"}, timeout=30).json()
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies)
    return connect(
        f"{opencode.url.replace('http', 'ws')}/pty/{made['id']}/connect?directory=/workspace",
        additional_headers=headers | {"Cookie": cookies},
        proxy=None,
    )


def test_a_terminal_works_on_the_cookie_alone(opencode: Running):
    browser = opencode.sign_in()
    with open_terminal(opencode, browser, {"Origin": opencode.url}) as terminal:
        terminal.send("echo four$((2+2))\n")
        seen = ""
        while "four4" not in seen:
            message = terminal.recv(timeout=10)
            seen += message if isinstance(message, str) else message.decode(errors="replace")


def test_events_arrive_at_once(opencode: Running):
    began = time.monotonic()
    with requests.get(f"{opencode.url}/event", auth=BASIC, stream=True, timeout=30) as stream:
        first = next(stream.iter_lines())
        assert time.monotonic() - began < 2
        assert first.startswith(b"data:")
        requests.post(f"{opencode.url}/session", json={}, auth=BASIC, timeout=30)
        posted = time.monotonic()
        for line in stream.iter_lines(chunk_size=1):
            if b"session.created" in line:
                break
        assert time.monotonic() - posted < 1


@pytest.mark.parametrize(
    "target",
    [
        "/global/upgrade",
        "/global/%75pgrade",
        "//global//upgrade",
        "/global/upgrade/",
        "/x/../global/upgrade",
    ],
)
def test_opencode_cannot_be_upgraded_from_inside(opencode: Running, target: str):
    token = base64.b64encode(":".join(BASIC).encode()).decode()
    answer = raw(
        opencode,
        f"POST {target} HTTP/1.1\nHost: localhost\nConnection: close\n"
        f"Authorization: Basic {token}\nContent-Length: 0\n\n",
    )
    assert answer.startswith("HTTP/1.1 403")
    assert "updated with its image" in answer


def test_a_backslash_is_refused_because_others_read_it_as_a_slash(opencode: Running):
    token = base64.b64encode(":".join(BASIC).encode()).decode()
    answer = raw(
        opencode,
        "POST /global\\upgrade HTTP/1.1\nHost: localhost\nConnection: close\n"
        f"Authorization: Basic {token}\nContent-Length: 0\n\n",
    )
    assert answer.startswith("HTTP/1.1 400")


def test_opencodes_page_is_passed_on_unchanged(opencode: Running):
    user, password = internal_basic(opencode)
    config = f'user = "{user}:{password}"\n'
    direct = opencode.run(
        "curl", "--silent", "--config", "-", "http://127.0.0.1:4096/", stdin=config
    )
    page = requests.get(f"{opencode.url}/", auth=BASIC, timeout=30)
    assert page.text == direct
    assert "Content-Security-Policy" in page.headers


def test_opencode_gets_its_own_credentials_and_nothing_of_ours(echo: Running):
    browser = echo.sign_in()
    browser.cookies.set("other", "1")
    headers = {"Origin": echo.url, "Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings"}
    seen = browser.get(f"{echo.url}/x", headers=headers, timeout=10)
    got = {name.lower(): value for name, value in seen.json()["headers"].items()}
    token = base64.b64encode(":".join(internal_basic(echo)).encode()).decode()
    assert got["authorization"] == f"Basic {token}"
    assert {"cookie", "origin", "upgrade"} & set(got) == set()
    assert not [name for name in got if name.startswith("x-gateway")]
    assert "WWW-Authenticate" not in seen.headers
    assert "Set-Cookie" not in seen.headers


@pytest.mark.parametrize(
    ("sent", "passed_on"),
    [
        ("/a%20b?c=%26&d", "/a%20b?c=%26&d"),
        ("/a?auth_token=x", "/a?"),
        ("/a?b=1&auth_token=x&c=2", "/a?b=1&c=2"),
        ("/a?%61uth%5ftoken=x&c=2", "/a?c=2"),
        ("/a?my_auth_token=x", "/a?my_auth_token=x"),
    ],
)
def test_a_target_is_passed_on_as_it_was_sent_but_for_the_token(
    echo: Running, sent: str, passed_on: str
):
    token = base64.b64encode(":".join(BASIC).encode()).decode()
    answer = raw(
        echo, f"GET {sent} HTTP/1.1\nHost: x\nConnection: close\nAuthorization: Basic {token}\n\n"
    )
    assert json.loads(answer.partition("\r\n\r\n")[2])["target"] == passed_on


def test_two_tokens_are_one_too_many(echo: Running):
    url = f"{echo.url}/a?auth_token=x&b=1&%61uth_token=y"
    assert requests.get(url, auth=BASIC, timeout=10).status_code == requests.codes.bad_request


def test_a_large_body_goes_through(echo: Running):
    body = b"x" * 50_000_000
    assert requests.post(f"{echo.url}/x", data=body, auth=BASIC, timeout=60).ok
    assert not echo.run("find", "/run/opencode-cloud/gateway", "-type", "f", "-size", "+1M")


def test_health_is_opencodes_own_and_says_what_is_wrong(opencode: Running):
    answer = requests.get(f"{opencode.url}/health", timeout=10)
    assert answer.json() == {
        "healthy": True,
        "version": opencode.run("opencode", "--version").strip(),
    }
    pid = str(opencode.pids(SERVE)[0])
    opencode.run("kill", "-STOP", pid)
    try:
        time.sleep(1)
        began = time.monotonic()
        answer = requests.get(f"{opencode.url}/health", timeout=10)
        assert time.monotonic() - began < 3
        assert answer.status_code == requests.codes.unavailable
        assert answer.json()["healthy"] is False
        assert "did not answer" in answer.json()["reason"]
        assert opencode.attempt("/usr/lib/opencode-cloud/healthcheck").returncode != 0
    finally:
        opencode.run("kill", "-CONT", pid)
    opencode.wait_healthy()
    assert opencode.attempt("/usr/lib/opencode-cloud/healthcheck").returncode == 0


def test_while_opencode_starts_people_see_a_page_and_programs_an_error(opencode: Running):
    opencode.run("s6-svc", "-wD", "-d", "/run/service/opencode")
    try:
        wait_until(lambda: not opencode.is_healthy(), 1)
        page = requests.get(opencode.url + LANDING, headers=BROWSER, auth=BASIC, timeout=10)
        assert page.status_code == requests.codes.unavailable
        assert "opencode is starting" in page.text
        assert 'http-equiv="refresh"' in page.text
        answer = requests.get(f"{opencode.url}/session", auth=BASIC, timeout=10)
        assert answer.status_code == requests.codes.unavailable
        assert answer.headers["Retry-After"] == "2"
        assert "try again" in answer.json()["error"]
    finally:
        opencode.run("s6-svc", "-u", "/run/service/opencode")
    # A request sent during the boot would hang; until opencode is up, none is passed on.
    deadline = time.monotonic() + 60
    while (
        requests.get(f"{opencode.url}/session", auth=BASIC, timeout=5).status_code
        != requests.codes.ok
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_wrong_passwords_hold_nobody_up(opencode: Running):
    browser = opencode.sign_in()
    stop = threading.Event()

    def guess() -> None:
        while not stop.is_set():
            requests.get(f"{opencode.url}/session", auth=(USER, str(time.time())), timeout=60)

    guessers = [threading.Thread(target=guess) for _ in range(8)]
    for guesser in guessers:
        guesser.start()
    try:
        time.sleep(0.5)
        for _ in range(10):
            began = time.monotonic()
            assert opencode.lets_in(browser)
            assert time.monotonic() - began < 1
    finally:
        stop.set()
        for guesser in guessers:
            guesser.join()


def test_without_a_user_the_page_says_how_to_add_one(opencode: Running):
    opencode.run("opencode-user", "disable", "--force", USER)
    try:
        page = requests.get(f"{opencode.url}/_gateway/login", timeout=10)
        assert page.status_code == requests.codes.ok
        assert "opencode-user add" in page.text
        assert 'type="password"' not in page.text
    finally:
        opencode.run("opencode-user", "enable", USER)


def test_the_session_service_being_away_is_an_error_and_no_way_in(opencode: Running):
    opencode.run("s6-svc", "-wD", "-d", "/run/service/session")
    try:
        for path in ("/", "/session", "/_gateway/login", "/health"):
            answer = requests.get(opencode.url + path, auth=BASIC, timeout=10)
            assert answer.status_code == requests.codes.unavailable, path
        assert requests.get(f"{opencode.url}/health", timeout=10).json()["healthy"] is False
    finally:
        opencode.run("s6-svc", "-u", "/run/service/session")
    opencode.wait_healthy()
