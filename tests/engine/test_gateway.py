"""The gateway, on a real container: who gets through to opencode, and who does not."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus

import docker
import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.engine.container import BASIC, BROWSER, LANDING, PATIENT, Running, wait_until
from tests.engine.deployment import USER
from tests.engine.stand_in import standing_in

SERVE = "^opencode serve"


@pytest.fixture(scope="module")
def echo(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container whose opencode is the stand-in."""
    names = {"OPENCODE_CLOUD_HOSTNAMES": "code.example.org,other.example.org"}
    with standing_in(docker_client, image, PATIENT | names) as container:
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
    return connect(
        f"{opencode.url.replace('http', 'ws')}/pty/{made['id']}/connect?directory=/workspace",
        additional_headers=headers | {"Cookie": "; ".join(cookies_of(browser))},
        proxy=None,
    )


def cookies_of(browser: requests.Session) -> list[str]:
    return [f"{cookie.name}={cookie.value}" for cookie in browser.cookies]


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
        assert time.monotonic() - began < 5
        assert first.startswith(b"data:")
        requests.post(f"{opencode.url}/session", json={}, auth=BASIC, timeout=30)
        posted = time.monotonic()
        for line in stream.iter_lines(chunk_size=1):
            if b"session.created" in line:
                break
        assert time.monotonic() - posted < 4


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
    headers = {
        "Origin": echo.url,
        "Upgrade": "h2c",
        "Connection": "Upgrade, HTTP2-Settings",
        "Forwarded": "for=203.0.113.9",
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Real-IP": "203.0.113.9",
        "X-Gateway-Grant": "forged",
    }
    seen = browser.get(f"{echo.url}/x", headers=headers, timeout=10)
    got = {name.lower(): value for name, value in seen.json()["headers"].items()}
    token = base64.b64encode(":".join(echo.internal_basic()).encode()).decode()
    assert got["authorization"] == f"Basic {token}"
    assert {"cookie", "origin", "upgrade"} & set(got) == set()
    assert not [name for name in got if name.startswith(("x-", "forwarded"))]
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
        f"GET {sent} HTTP/1.1\nHost: localhost\nConnection: close\nAuthorization: Basic {token}\n\n"
    )
    assert json.loads(answer.partition("\r\n\r\n")[2])["target"] == passed_on


@pytest.mark.parametrize("name", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io"])
@pytest.mark.parametrize("path", ["/", "/session", "/_gateway/login", "/assets/Inter.ttf"])
def test_a_name_that_was_not_given_to_the_deployment_is_refused(
    echo: Running, name: str, path: str
):
    """A page whose name was pointed here after it was loaded gets nothing (DNS rebinding)."""
    answer = requests.get(echo.url + path, headers={"Host": name}, auth=BASIC, timeout=10)
    assert answer.status_code == HTTPStatus.MISDIRECTED_REQUEST
    assert "hostnames" in answer.json()["error"]


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        "LOCALHOST:1234",
        "app.localhost",
        "127.0.0.1",
        "192.0.2.7:80",
        "[::1]:4096",
        "code.example.org",
        "Other.Example.org:443",
    ],
)
def test_addresses_and_names_that_were_given_are_answered_to(echo: Running, name: str):
    answer = requests.get(f"{echo.url}/x", headers={"Host": name}, auth=BASIC, timeout=10)
    assert answer.status_code == requests.codes.ok


def test_load_balancers_may_ask_for_health_by_any_name(echo: Running):
    headers = {"Host": "anything.example"}
    assert requests.get(f"{echo.url}/health", headers=headers, timeout=10).ok


HIDDEN = "GET /smuggled HTTP/1.1\nHost: localhost\n\n"
FRAMINGS = {
    "a length and chunks": f"Content-Length: 44\nTransfer-Encoding: chunked\n\n0\n\n{HIDDEN}",
    "chunks and a length": f"Transfer-Encoding: chunked\nContent-Length: 4\n\n0\n\n{HIDDEN}",
    "unknown coding": f"Transfer-Encoding: xchunked\nContent-Length: 0\n\n{HIDDEN}",
    "two codings": f"Transfer-Encoding: chunked, identity\nContent-Length: 0\n\n{HIDDEN}",
    "coding twice": f"Transfer-Encoding: chunked\nTransfer-Encoding: x\n\n0\n\n{HIDDEN}",
    "blank before the colon": f"Transfer-Encoding : chunked\nContent-Length: 0\n\n{HIDDEN}",
    "blank before the name": f" Transfer-Encoding: chunked\nContent-Length: 0\n\n{HIDDEN}",
    "folded": f"X: y\n Transfer-Encoding: chunked\nContent-Length: 0\n\n{HIDDEN}",
    "underscore": f"Transfer_Encoding: chunked\nContent-Length: 0\n\n{HIDDEN}",
    "two lengths": f"Content-Length: 0\nContent-Length: 44\n\n{HIDDEN}",
    "a list of lengths": f"Content-Length: 0, 44\n\n{HIDDEN}",
    "a signed length": f"Content-Length: +0\n\n{HIDDEN}",
    "a negative length": f"Content-Length: -1\n\n{HIDDEN}",
    "a hexadecimal length": f"Content-Length: 0x0\n\n{HIDDEN}",
    "a huge chunk": f"Transfer-Encoding: chunked\n\nfffffffffffffffff\n{HIDDEN}",
    "no chunk": f"Transfer-Encoding: chunked\n\nzz\n{HIDDEN}",
    "an upgrade": f"Upgrade: websocket\nConnection: Upgrade\n\n{HIDDEN}",
    "an upgrade to h2c": f"Upgrade: h2c\nConnection: Upgrade, HTTP2-Settings\n\n{HIDDEN}",
    "asking to wait": f"Expect: 100-continue\nContent-Length: 0\n\n{HIDDEN}",
    "dropping its login": f"Connection: Authorization\nContent-Length: 0\n\n{HIDDEN}",
    "a line feed in a value": f"X: y\\r\\nTransfer-Encoding: chunked\n\n{HIDDEN}",
}


@pytest.mark.parametrize("path", ["/x", "/event", "/provider", "/assets/Inter.ttf"])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_no_request_is_smuggled_behind_another(echo: Running, framing: str, path: str):
    token = base64.b64encode(":".join(BASIC).encode()).decode()
    echo.send_raw(
        f"POST {path} HTTP/1.1\nHost: localhost\nAuthorization: Basic {token}\n"
        f"{FRAMINGS[framing]}GET /end HTTP/1.1\nHost: localhost\nConnection: close\n\n"
    )
    seen = requests.get(f"{echo.url}/seen", auth=BASIC, timeout=10).json()["seen"]
    assert seen[-1] == "/seen"
    assert not [target for target in seen if "smuggled" in target or "end" in target]


@pytest.mark.parametrize(
    "target",
    [
        "/x%0d%0aGET%20/smuggled%20HTTP/1.1%0d%0a%0d%0a",
        "/x?a=%0d%0aGET%20/smuggled%20HTTP/1.1",
        "/x%20HTTP/1.1%0d%0aX:%20y",
        "/assets/a%0d%0aX:%20y-12345678.js",
        "/provider?x=%0d%0aX:%20y",
    ],
)
def test_a_target_cannot_end_its_own_line(echo: Running, target: str):
    token = base64.b64encode(":".join(BASIC).encode()).decode()
    answer = echo.send_raw(
        f"GET {target} HTTP/1.1\nHost: localhost\nConnection: close\n"
        f"Authorization: Basic {token}\n\n"
    )
    assert json.loads(answer.partition("\r\n\r\n")[2])["target"] == target


def test_many_cookies_of_other_programs_on_the_host_do_no_harm(echo: Running):
    browser = echo.sign_in()
    browser.headers["Cookie"] = "; ".join(
        [*(f"other{number}={'x' * 200}" for number in range(60)), *cookies_of(browser)]
    )
    assert browser.get(f"{echo.url}/x", timeout=10).status_code == requests.codes.ok


def test_what_is_no_http_is_refused_and_not_quoted_in_the_log(echo: Running):
    answer = echo.send_raw(
        "GET /x HTTP/1.1\nHost: localhost\nConnection: close\nCookie: secret=\x7f\n\n"
    )
    assert "X-Stand-In" not in answer
    assert answer.startswith(("HTTP/1.1 400", "HTTP/1.1 503"))
    assert "secret" not in echo.logs()
    assert "Traceback" not in echo.logs()


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
        wait_until(lambda: not opencode.is_healthy(), 30)
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
        requests.get(f"{opencode.url}/session", auth=BASIC, timeout=30).status_code
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
            assert time.monotonic() - began < 3
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
