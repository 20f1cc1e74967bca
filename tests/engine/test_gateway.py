"""The gateway, on a real container: who gets through to opencode, and who does not."""

import base64
import json
import threading
import time
from collections.abc import Iterator

import docker
import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.engine.container import BASIC, BROWSER, LANDING, Running, running, wait_until
from tests.engine.deployment import USER

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
def echo(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container whose opencode is the stand-in."""
    with running(docker_client, image) as container:
        container.run("s6-svc", "-wD", "-d", "/run/service/opencode")
        container.container.exec_run(["python3", "-c", STAND_IN], user="opencode", detach=True)
        container.wait_healthy()
        yield container


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
    answer = opencode.send_raw(
        f"POST {target} HTTP/1.1\nHost: localhost\nConnection: close\n"
        f"Authorization: Basic {token}\nContent-Length: 0\n\n",
    )
    assert answer.startswith("HTTP/1.1 403")
    assert "updated with its image" in answer


def test_a_backslash_is_refused_because_others_read_it_as_a_slash(opencode: Running):
    token = base64.b64encode(":".join(BASIC).encode()).decode()
    answer = opencode.send_raw(
        "POST /global\\upgrade HTTP/1.1\nHost: localhost\nConnection: close\n"
        f"Authorization: Basic {token}\nContent-Length: 0\n\n",
    )
    assert answer.startswith("HTTP/1.1 400")


def test_opencodes_page_is_passed_on_unchanged(opencode: Running):
    user, password = opencode.internal_basic()
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
    token = base64.b64encode(":".join(echo.internal_basic()).encode()).decode()
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
    answer = echo.send_raw(
        f"GET {sent} HTTP/1.1\nHost: x\nConnection: close\nAuthorization: Basic {token}\n\n"
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
