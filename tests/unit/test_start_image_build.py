import base64
import http.server
import io
import json
import os
import socketserver
import tarfile
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from opencode_cloud.start import docker_socket, image_build
from opencode_cloud.start.image_build import Trace, context_archive, fields


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def vertex(digest: str, name: str, *, started: bool = True, cached: bool = False) -> bytes:
    parts = field(1, digest.encode()) + field(3, name.encode())
    parts += field(4, 1) if cached else b""
    parts += field(5, field(1, 1_700_000_000)) if started else b""
    return field(1, parts)


def log(text: str) -> bytes:
    return field(3, field(1, b"digest") + field(3, 1) + field(4, text.encode()))


def said(*messages: bytes) -> list[str]:
    lines: list[str] = []
    trace = Trace(lines.append)
    for message in messages:
        trace.read(message)
    return lines


def test_a_step_is_said_once_when_it_starts():
    assert said(
        vertex("a", "[base 2/4] RUN apt-get", started=False),
        vertex("a", "[base 2/4] RUN apt-get"),
        vertex("a", "[base 2/4] RUN apt-get") + vertex("b", "[2/3] COPY x"),
    ) == ["[base 2/4] RUN apt-get", "[2/3] COPY x"]


def test_a_step_from_the_cache_is_not_said():
    assert said(vertex("a", "[base 2/4] RUN apt-get", cached=True)) == []


def test_what_a_step_prints_is_passed_on_line_by_line():
    assert said(log("one\ntwo\n")) == ["  one", "  two"]


def test_fields_of_every_kind_are_read():
    message = field(1, 300) + b"\x11" + b"8" * 8 + b"\x1d" + b"4" * 4 + field(200, b"x" * 300)
    assert list(fields(message)) == [(1, 300), (2, b"8" * 8), (3, b"4" * 4), (200, b"x" * 300)]


def test_the_files_belong_to_root_and_caches_stay_out(tmp_path: Path):
    (tmp_path / "session" / "__pycache__").mkdir(parents=True)
    (tmp_path / "session" / "__pycache__" / "x.pyc").touch()
    script = tmp_path / "session" / "run"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    archive = context_archive(tmp_path)
    assert not archive[257:].startswith(b"pax"), "the engine does not know pax headers"
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = tar.getmembers()
    assert {member.name for member in members} == {".", "./session", "./session/run"}
    assert {(member.uid, member.gid) for member in members} == {(0, 0)}
    assert members[-1].mode == 0o755


class FakeEngine(socketserver.ThreadingUnixStreamServer):
    """A Docker engine that answers as it is told, on a socket."""

    def __init__(self, path: str) -> None:
        engine = self
        self.asked: dict[str, list[str]] = {}
        self.messages: list[dict[str, object]] = []
        self.status = 200

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(b'{"ApiVersion": "1.41"}')

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                engine.asked = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                lines = [json.dumps(message).encode() for message in engine.messages]
                self.reply(b"\n".join(lines))

            def reply(self, body: bytes) -> None:
                self.send_response(engine.status)
                self.end_headers()
                self.wfile.write(body)

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                pass

        super().__init__(path, Handler)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(str(tmp_path / "docker.sock")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def recipe(folder: Path) -> dict[str, object]:
    (folder / "context").mkdir()
    return {
        "socket": str(folder / "docker.sock"),
        "reference": "opencode-cloud:test",
        "context": str(folder / "context"),
        "build_args": {"EXTRA_CA_CERTIFICATES": "PEM\nPEM"},
    }


def test_a_build_asks_for_buildkit_with_the_programs_arguments(tmp_path: Path, engine: FakeEngine):
    trace = base64.b64encode(vertex("a", "[1/1] FROM scratch")).decode()
    engine.messages = [
        {"id": "moby.buildkit.trace", "aux": trace},
        {"id": "moby.image.id", "aux": {"ID": "sha256:1"}},
    ]
    lines: list[str] = []
    assert image_build.build(recipe(tmp_path), lines.append) == ""
    assert lines == ["[1/1] FROM scratch", "made sha256:1"]
    assert engine.asked["version"] == ["2"]
    assert engine.asked["t"] == ["opencode-cloud:test"]
    assert json.loads(engine.asked["buildargs"][0]) == {"EXTRA_CA_CERTIFICATES": "PEM\nPEM"}


def test_a_build_takes_what_the_cache_has_unless_it_is_not_to(tmp_path: Path, engine: FakeEngine):
    asked = recipe(tmp_path)
    image_build.build(asked, print)
    assert engine.asked.keys().isdisjoint({"nocache", "pull"})
    image_build.build(asked | {"without_cache": True, "base_again": True}, print)
    assert (engine.asked["nocache"], engine.asked["pull"]) == (["1"], ["1"])


def test_only_an_image_that_is_sent_is_marked_as_such(tmp_path: Path, engine: FakeEngine):
    asked = recipe(tmp_path)
    image_build.build(asked | {"sent": False}, print)
    assert "labels" not in engine.asked
    image_build.build(asked | {"sent": True}, print)
    assert json.loads(engine.asked["labels"][0]) == {"org.opencode-cloud.sent": "true"}


def test_a_build_that_fails_gives_the_engines_words(tmp_path: Path, engine: FakeEngine):
    engine.messages = [{"error": "process /bin/sh -c false: exit code 1"}]
    assert image_build.build(recipe(tmp_path), print) == "process /bin/sh -c false: exit code 1"


def test_an_engine_that_refuses_is_quoted(tmp_path: Path, engine: FakeEngine):
    engine.status = 400
    engine.messages = [{"message": "client version 1.41 is too old"}]
    assert "refused to build: " in image_build.build(recipe(tmp_path), print)


def test_an_engine_is_told_from_a_socket_of_something_else(tmp_path: Path, engine: FakeEngine):
    assert docker_socket.answers(str(tmp_path / "docker.sock"))
    engine.status = 500
    assert not docker_socket.answers(os.fspath(tmp_path / "no.sock"))
