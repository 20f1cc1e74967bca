import hashlib
import http.server
import io
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opencode_cloud.start import official
from opencode_cloud.start.errors import StartError
from opencode_cloud.start.official import archive_name, install, reachable

VERSION = "3.232.0"


def release(programs: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in programs.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


class Source:
    """A download site on loopback."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.truncate = False
        self.code = 404
        source = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(source.code)
                self.end_headers()

            def do_GET(self) -> None:
                body = source.files.get(self.path)
                self.send_response(source.code if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write((body or b"")[: -10 if source.truncate else None])

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/download"

    def offer(self, archive: bytes, digest: str = "") -> None:
        name = archive_name(VERSION, "Linux", official.platform.machine())
        listed = digest or hashlib.sha256(archive).hexdigest()
        self.files[f"/download/v{VERSION}/{name}"] = archive
        self.files[f"/download/v{VERSION}/pulumi-{VERSION}-checksums.txt"] = (
            f"{'0' * 64}  something-else.tar.gz\n{listed}  {name}\n".encode()
        )


@pytest.fixture
def source() -> Iterator[Source]:
    source = Source()
    yield source
    source.server.shutdown()


def test_a_release_is_fetched_checked_and_unpacked(source: Source, tmp_path: Path):
    source.offer(release({"pulumi/pulumi": "#!engine", "pulumi/pulumi-language-python": "#!host"}))
    said: list[str] = []
    install(VERSION, tmp_path / "v3", said.append, source.url)
    assert (tmp_path / "v3/pulumi").read_text() == "#!engine"
    assert (tmp_path / "v3/pulumi").stat().st_mode & 0o111
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v3"]
    assert any("MB" in text for text in said)


def test_files_that_are_not_programs_of_the_release_are_never_written(
    source: Source, tmp_path: Path
):
    source.offer(
        release({"pulumi/pulumi": "#!", "../evil": "x", "pulumi/../../evil": "x", "/evil": "x"})
    )
    install(VERSION, tmp_path / "deep" / "v3", lambda _: None, source.url)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["pulumi"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda s: s.offer(release({"pulumi/pulumi": "x"}), "1" * 64),
            "does not have the checksum",
        ),
        (lambda s: s.offer(release({"other/pulumi": "x"})), "holds no pulumi program"),
        (lambda s: s.offer(b"no archive at all"), "not a gzip file"),
        (lambda _: None, "404"),
    ],
    ids=["checksum", "content", "format", "absent"],
)
def test_a_release_that_is_wrong_leaves_nothing(source: Source, tmp_path: Path, spoil, words: str):
    spoil(source)
    with pytest.raises(StartError, match=words):
        install(VERSION, tmp_path / "v3", lambda _: None, source.url)
    assert not list(tmp_path.iterdir())


def test_a_download_that_breaks_off_leaves_nothing(source: Source, tmp_path: Path):
    source.offer(release({"pulumi/pulumi": "x" * 1000}))
    source.truncate = True
    with pytest.raises(StartError):
        install(VERSION, tmp_path / "v3", lambda _: None, source.url)
    assert not list(tmp_path.iterdir())


def test_a_source_that_answers_is_reachable_whatever_it_answers(source: Source):
    assert reachable(source.url)


@pytest.mark.parametrize("code", [403, 407])
def test_a_proxy_that_refuses_is_not_the_source(source: Source, code: int):
    source.code = code
    assert not reachable(source.url)


def test_a_source_that_refuses_connections_is_given_up_at_once(tmp_path: Path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/download"
        started = time.monotonic()
        assert not reachable(url)
        with pytest.raises(StartError, match="refused"):
            install(VERSION, tmp_path / "v3", lambda _: None, url)
        assert time.monotonic() - started < 2


def test_a_source_that_says_nothing_is_given_up_in_seconds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(official, "SILENCE_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        assert not reachable(f"http://127.0.0.1:{silent.getsockname()[1]}/download")
        assert time.monotonic() - started < 3


def test_releases_are_named_for_the_platforms_that_have_one():
    assert archive_name("3.1.0", "Linux", "x86_64") == "pulumi-v3.1.0-linux-x64.tar.gz"
    assert archive_name("3.1.0", "Linux", "aarch64") == "pulumi-v3.1.0-linux-arm64.tar.gz"
    assert archive_name("3.1.0", "Darwin", "arm64") == "pulumi-v3.1.0-darwin-arm64.tar.gz"
    with pytest.raises(StartError, match="no official release for Linux on riscv64"):
        archive_name("3.1.0", "Linux", "riscv64")


def test_only_encrypted_sources_are_asked():
    with pytest.raises(StartError, match="not an https address"):
        reachable("http://example.invalid/download")
