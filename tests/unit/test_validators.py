import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from validators.handler import etag, handler, is_known

BODY = json.dumps({"all": ["provider"] * 1000}).encode()


class Opencode(BaseHTTPRequestHandler):
    """Answers with what it was asked, without any validator."""

    def do_GET(self) -> None:
        if self.path == "/hangs-up":
            self.connection.close()
            return
        status = 404 if self.path == "/missing" else 200
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(BODY)))
        self.send_header("X-Asked", json.dumps(dict(self.headers)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name in the base)
        pass


@pytest.fixture
def service() -> Iterator[ThreadingHTTPServer]:
    opencode = ThreadingHTTPServer(("127.0.0.1", 0), Opencode)
    validators = ThreadingHTTPServer(("127.0.0.1", 0), handler("127.0.0.1", opencode.server_port))
    servers = (opencode, validators)
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield validators
    for server in servers:
        server.shutdown()
        server.server_close()


def ask(
    service: ThreadingHTTPServer, path: str, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", service.server_port, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", path, headers=named)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_an_answer_passes_whole_and_gets_a_tag(service: ThreadingHTTPServer):
    answer, body = ask(service, "/provider?directory=%2F", Authorization="Basic x")
    assert (answer.status, body) == (200, BODY)
    assert answer.headers["ETag"] == etag(BODY)
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.headers["X-Asked"])["Authorization"] == "Basic x"


def test_what_is_known_is_not_sent_again(service: ThreadingHTTPServer):
    answer, body = ask(service, "/provider", If_None_Match=f"W/{etag(BODY)}")
    assert (answer.status, body) == (304, b"")
    assert answer.headers["ETag"] == etag(BODY)
    assert "Content-Length" not in answer.headers
    assert "If-None-Match" not in json.loads(answer.headers["X-Asked"])


def test_another_content_is_sent(service: ThreadingHTTPServer):
    answer, body = ask(service, "/provider", If_None_Match=etag(b"older"))
    assert (answer.status, body) == (200, BODY)


def test_an_error_of_opencodes_passes_without_a_tag(service: ThreadingHTTPServer):
    answer, body = ask(service, "/missing", If_None_Match="*")
    assert (answer.status, body) == (404, BODY)
    assert "ETag" not in answer.headers


def test_an_answer_that_breaks_off_is_an_error_and_never_half_an_answer(
    service: ThreadingHTTPServer, capsys: pytest.CaptureFixture[str]
):
    answer, _ = ask(service, "/hangs-up")
    assert answer.status == 502
    assert "opencode sent no whole answer" in capsys.readouterr().out


@given(body=st.binary(), other=st.binary())
def test_a_tag_knows_its_own_bytes_alone(body: bytes, other: bytes):
    known = f'"x", W/{etag(body)} , "y"'
    assert is_known(etag(body), known)
    assert is_known(etag(other), known) == (body == other)


@given(st.text())
def test_no_header_is_taken_for_a_tag_that_it_does_not_name(header: str):
    tag = etag(b"body")
    assert not is_known(tag, header) or tag in header or header.strip() == "*"
