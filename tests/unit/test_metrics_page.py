import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from metrics import session
from metrics.container import STREAMS, Container
from metrics.counts import Counts
from metrics.entry import Entry
from metrics.page import page
from metrics.server import answer

from tests.unit.metrics_parts import read_exposition

LISTENER = f"0000000000000000: 00000002 00000000 00010000 0001 01 100 {STREAMS}\n"
SESSION = (
    "# HELP opencode_cloud_sessions Sessions.\n"
    "# TYPE opencode_cloud_sessions gauge\n"
    "opencode_cloud_sessions 3\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for file, text in {
        "proc/net/unix": LISTENER,
        "sys/fs/cgroup/memory.current": "1000\n",
        "run/opencode-cloud/certificates/state.json": json.dumps(
            {"issuer": "internal", "not_after": 1800000000}
        ),
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    return tmp_path


def read(text: str) -> dict[str, float]:
    return {
        name.removeprefix("opencode_cloud_"): value for name, value in read_exposition(text).items()
    }


def test_one_page_holds_all_parts(root: Path):
    counts = Counts()
    counts.add(Entry("api", "GET", "2xx", 3, 100))
    samples = read(page(counts, Container(root), SESSION))
    assert samples['up{part="session"}'] == 1
    assert samples['up{part="streams"}'] == 1
    assert samples["sessions"] == 3
    assert samples["streams"] == 0
    assert samples["container_memory_bytes"] == 1000
    assert samples['certificate_expiry_timestamp_seconds{issuer="internal"}'] == 1800000000
    assert samples['requests_total{kind="api",method="GET",code="2xx"}'] == 1


def test_what_is_not_known_is_left_out(root: Path):
    (root / "proc/net/unix").write_text("")
    (root / "sys/fs/cgroup/memory.current").unlink()
    (root / "run/opencode-cloud/certificates/state.json").unlink()
    samples = read(page(Counts(), Container(root), None))
    assert samples == {'up{part="session"}': 0, 'up{part="streams"}': 0}


def test_a_certificate_of_nobody_known_is_of_another(root: Path):
    state = root / "run/opencode-cloud/certificates/state.json"
    state.write_text('{"issuer": "\\"}\\n", "not_after": 1}')
    samples = read(page(Counts(), Container(root), None))
    assert samples['certificate_expiry_timestamp_seconds{issuer="other"}'] == 1


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\n\r\n", "200 OK"),
        (b"GET /metrics?x=y HTTP/1.0\r\n\r\n", "200 OK"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        (b"GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
        (b"GET /metrics/x HTTP/1.1\r\n\r\n", "404 Not Found"),
        (b"\x16\x03\x01", "404 Not Found"),
        (b"", "404 Not Found"),
    ],
)
def test_only_the_page_is_served(head: bytes, status: str):
    lines = answer(head, lambda: "text\n").decode().split("\r\n")
    assert lines[0] == f"HTTP/1.1 {status}"
    assert "Content-Type: text/plain; version=0.0.4; charset=utf-8" in lines
    assert (lines[-1] == "text\n") == (status == "200 OK")


Serve = Callable[[bytes], Path]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Stands in for the session service: gives its socket, on which it answers one request."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "session"))
    listener.listen()
    threads = []

    def start(received: bytes) -> Path:
        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(1000).startswith(b"GET /metrics HTTP/1.0\r\n")
                connection.sendall(received)
                if not received:
                    time.sleep(0.5)

        threads.append(threading.Thread(target=run))
        threads[0].start()
        return tmp_path / "session"

    yield start
    for thread in threads:
        thread.join()
    listener.close()


def test_the_session_service_says_its_own_part(serve: Serve):
    text = SESSION.encode()
    head = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text)
    assert session.fetch(serve(head + text)) == SESSION


@pytest.mark.parametrize(
    "received",
    [
        b"HTTP/1.0 500 Oh\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n\xff",
        b"",
    ],
)
def test_half_a_part_is_none(serve: Serve, received: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session, "SECONDS", 0.2)
    assert session.fetch(serve(received)) is None


def test_a_session_service_that_is_away_has_no_part(tmp_path: Path):
    assert session.fetch(tmp_path / "session") is None
