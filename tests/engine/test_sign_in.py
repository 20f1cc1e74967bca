"""Signing in and out at the gateway, on a real container: who gets through, and who does not."""

import base64
import re
import time
from urllib.parse import urlencode, urlsplit

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.engine.container import BASIC, BROWSER, LANDING, Running
from tests.engine.deployment import PASSWORD, USER


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
    internal = opencode.internal_basic()
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
    answer = opencode.send_raw(
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
    answer = opencode.send_raw(
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


APP = "tauri://localhost"


def test_the_desktop_app_works_by_its_password_and_never_by_a_cookie(opencode: Running):
    browser = opencode.sign_in()
    origin = {"Origin": APP, "Sec-Fetch-Site": "cross-site"}
    sessions = f"{opencode.url}/session"
    made = requests.post(sessions, json={}, auth=BASIC, headers=origin, timeout=30)
    assert made.status_code == requests.codes.ok
    assert made.headers["Access-Control-Allow-Origin"] == APP
    by_cookie = browser.post(sessions, json={}, headers=origin, timeout=30)
    assert by_cookie.status_code == requests.codes.forbidden
    read = browser.get(sessions, headers=origin, timeout=30)
    assert read.status_code == requests.codes.unauthorized
    wrong = requests.get(sessions, auth=(USER, "wrong"), headers=origin, timeout=30)
    assert wrong.status_code == requests.codes.unauthorized
    assert wrong.headers["Access-Control-Allow-Origin"] == APP


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://tauri.localhost.evil"])
def test_no_other_page_works_by_a_password(opencode: Running, origin: str):
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    answer = requests.post(
        f"{opencode.url}/session", json={}, auth=BASIC, headers=headers, timeout=30
    )
    assert answer.status_code == requests.codes.forbidden
    assert "Access-Control-Allow-Origin" not in answer.headers


def open_terminal(opencode: Running, token: str, origin: dict[str, str]):
    """Start a shell and connect to it as programs do, which cannot set a header for this."""
    made = requests.post(f"{opencode.url}/pty", json={"title": "Try"}, auth=BASIC, timeout=30)
    query = urlencode({"directory": "/workspace", "auth_token": token})
    url = f"{opencode.url.replace('http', 'ws')}/pty/{made.json()['id']}/connect?{query}"
    return connect(url, additional_headers=origin, proxy=None)


def basic_token(password: str = PASSWORD) -> str:
    return base64.b64encode(f"{USER}:{password}".encode()).decode()


@pytest.mark.parametrize("origin", [{}, {"Origin": APP}])
def test_a_program_opens_a_terminal_by_the_token_in_its_address(
    opencode: Running, origin: dict[str, str]
):
    with open_terminal(opencode, basic_token(), origin) as terminal:
        terminal.send("echo four$((2+2))\n")
        seen = ""
        while "four4" not in seen:
            message = terminal.recv(timeout=10)
            seen += message if isinstance(message, str) else message.decode(errors="replace")
    assert basic_token() not in opencode.logs()


def test_a_wrong_token_opens_none_and_none_opens_anything_but_a_terminal(opencode: Running):
    with pytest.raises(InvalidStatus) as refusal:
        open_terminal(opencode, basic_token("wrong"), {})
    assert refusal.value.response.status_code == requests.codes.unauthorized
    with pytest.raises(InvalidStatus) as refusal:
        open_terminal(opencode, basic_token(), {"Origin": "http://evil.example"})
    assert refusal.value.response.status_code == requests.codes.forbidden
    query = {"auth_token": basic_token()}
    answer = requests.get(f"{opencode.url}/session", params=query, timeout=10)
    assert answer.status_code == requests.codes.unauthorized
