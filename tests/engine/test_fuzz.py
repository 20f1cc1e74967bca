"""Whatever strangers send to a real container: none of it reaches opencode, nothing breaks."""

import re
import socket
from collections.abc import Iterator
from urllib.parse import urlencode, urlsplit

import docker
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.container import BASIC, Running
from tests.engine.stand_in import MARK, standing_in

FUZZ = settings(
    max_examples=400,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
OPEN = ("/site.webmanifest",)
"""What opencode itself answers without a login."""

TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), max_size=30)
TARGETS = st.one_of(
    st.sampled_from(
        ["/", "/session", "/event", "/provider", "/assets/Inter.ttf", "*", "/health/.."]
    ),
    st.sampled_from(["/_gateway/check", "/_gateway/login", "/_gateway/account", "/refused"]),
    st.lists(
        st.sampled_from(["/", "..", "%2e", "%2f", ";", "?", "#", "_gateway", "session", "%00"])
    )
    .map("".join)
    .map("/".__add__),
    TEXT.map("/".__add__),
)
TOKENS = st.sampled_from(
    ["ada", "0", "1", "200", "GET", "websocket", "Basic", "Basic Og==", "Bearer x", "127.0.0.1"]
)
NAMES = st.sampled_from(
    [
        *("Authorization", "Cookie", "Origin", "Upgrade", "Connection", "Accept", "Content-Length"),
        *("X-Gateway-Account", "X-Gateway-Grant", "X-Gateway-Refusal", "X-Gateway-Method"),
        *("X-Gateway-Address", "X-Gateway-Upgrade", "X-Gateway-Origin", "X-Gateway-Target"),
        *("X-Forwarded-For", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "Range"),
        *("Sec-Fetch-Site", "Sec-Fetch-Mode", "If-None-Match", "Transfer-Encoding", "Expect", "TE"),
    ]
)
COOKIES = st.lists(
    st.tuples(
        st.sampled_from(["opencode-session-{id}", "opencode-form-{id}", "__Host-opencode", ""]),
        TEXT,
    ),
    max_size=5,
)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"])


@pytest.fixture(scope="module")
def echo(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container whose opencode is the stand-in, and that is as it was afterwards."""
    with standing_in(docker_client, image) as container:
        before = processes(container)
        yield container
        assert processes(container) == before, "a service ended and was started again"
        assert "Traceback" not in container.logs()
        assert requests.get(f"{container.url}/x", auth=BASIC, timeout=10).ok


def processes(container: Running) -> list[int]:
    return container.pids("^python3 -m (session|streams|metrics|validators)|^nginx: master")


def exchange(container: Running, request: bytes) -> bytes:
    """Send bytes as they are, and give whatever comes back until the end or a pause."""
    address = urlsplit(container.url)
    with socket.create_connection((address.hostname, address.port), timeout=2) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except OSError:
            pass
        return answer


def reached_opencode(target: str, answer: bytes) -> bool:
    return MARK.encode() in answer and not target.startswith(OPEN)


@FUZZ
@given(
    method=METHODS,
    target=TARGETS,
    headers=st.lists(st.tuples(NAMES, TEXT | TOKENS), max_size=8),
    cookies=COOKIES,
)
def test_no_made_up_request_gets_past_the_login(
    echo: Running,
    method: str,
    target: str,
    headers: list[tuple[str, str]],
    cookies: list[tuple[str, str]],
):
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += ["Cookie: " + "; ".join(f"{name}={value}" for name, value in cookies)]
    request = "\r\n".join([*lines, "", ""]).encode("latin-1")
    assert not reached_opencode(target, exchange(echo, request))


@FUZZ
@given(st.binary(max_size=400))
def test_no_bytes_get_past_the_login(echo: Running, sent: bytes):
    assert not reached_opencode("", exchange(echo, sent + b"\r\n\r\n"))


@FUZZ
@given(
    fields=st.lists(
        st.tuples(
            st.sampled_from(["csrf", "next", "username", "password", "session", ""]), st.text()
        ),
        max_size=6,
    ),
    path=st.sampled_from(["login", "logout", "account"]),
    kind=st.sampled_from(
        ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""]
    ),
)
def test_no_made_up_form_signs_anybody_in_or_breaks_a_page(
    echo: Running, fields: list[tuple[str, str]], path: str, kind: str
):
    body = urlencode(fields, errors="surrogatepass").encode()
    answer = requests.post(
        f"{echo.url}/_gateway/{path}",
        data=body,
        headers={"Content-Type": kind},
        allow_redirects=False,
        timeout=10,
    )
    assert answer.status_code < requests.codes.server_error
    assert not re.search(r"opencode-session-\w+=[^\";]", answer.headers.get("Set-Cookie", ""))
