import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from opencode_cloud.ops import releases, versions
from opencode_cloud.ops.releases import Package, RegistryError
from opencode_cloud.start.paths import Paths

HASH = "sha512-" + "a" * 86 + "=="
OTHER = "sha512-" + "b" * 86 + "=="


def document(*names: str, latest: str = "") -> dict[str, Any]:
    listed = {name: {"version": name, "dist": {"integrity": HASH}} for name in names}
    return {"dist-tags": {"latest": latest}, "versions": listed}


def parsed(*names: str, latest: str = "") -> Package:
    return releases.parse(json.dumps(document(*names, latest=latest)).encode())


def test_versions_are_ordered_as_numbers():
    assert max(["1.9.9", "1.10.0", "1.2.30"], key=versions.order) == "1.10.0"
    assert versions.order("1.2.3-beta") == versions.order("") == versions.order("latest") == ()


@pytest.mark.parametrize(
    ("latest", "newest"),
    [("1.18.34", "1.18.34"), ("1.18.32", "1.18.32"), ("2.0.0", "1.18.34"), ("", "1.18.34")],
)
def test_the_newest_is_what_the_publisher_recommends_within_the_major(latest: str, newest: str):
    found = parsed("1.18.34", "1.18.4", "1.18.32", "2.0.0", "0.9.9", latest=latest)
    assert found.newest(1) == newest


def test_what_is_no_release_is_never_the_newest():
    said = document("1.1.0")
    said["versions"] |= {
        "1.2.0-beta.1": {"dist": {"integrity": HASH}},
        "1.3.0": {"dist": {"integrity": "sha1-short"}},
        "1.4.0": {"dist": {"integrity": HASH}, "deprecated": "broken"},
        "1.5.0": {},
    }
    found = releases.parse(json.dumps(said).encode())
    assert found.newest(1) == "1.1.0"
    # Advised against, but whoever names it may have it.
    assert "1.4.0" in found.integrities


def test_no_version_of_the_major_is_no_newest():
    assert parsed("2.0.0", latest="2.0.0").newest(1) == ""


class Registry(BaseHTTPRequestHandler):
    documents: dict[str, Any]

    def do_GET(self) -> None:
        found = self.documents.get(self.path.lstrip("/"))
        self.send_response(404 if found is None else 200)
        self.end_headers()
        self.wfile.write(found if isinstance(found, bytes) else json.dumps(found).encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (its name in the base)
        pass


@pytest.fixture
def registry() -> Iterator[tuple[str, dict[str, Any]]]:
    """A registry's address, and what it has."""
    documents: dict[str, Any] = {}
    handler = type("Handler", (Registry,), {"documents": documents})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", documents
    server.shutdown()
    server.server_close()


def test_a_release_is_known_by_the_hash_for_each_machine(registry: tuple[str, dict[str, Any]]):
    url, documents = registry
    documents["opencode-linux-x64"] = document("1.2.3")
    arm = {"1.2.3": {"dist": {"integrity": OTHER}}}
    documents["opencode-linux-arm64"] = {"versions": arm}
    found = releases.release("1.2.3", "x64", url)
    assert found.integrity == f"x64:{HASH},arm64:{OTHER}"


@pytest.mark.parametrize("other", [None, document("1.2.2"), b"<html>"])
def test_the_other_machines_hash_is_left_out_where_it_is_not_to_be_had(
    registry: tuple[str, dict[str, Any]], other: Any
):
    url, documents = registry
    documents["opencode-linux-x64"] = document("1.2.3")
    documents["opencode-linux-arm64"] = other
    assert releases.release("1.2.3", "x64", url).integrity == f"x64:{HASH}"


def test_a_version_that_there_is_not_is_refused_with_the_newest(
    registry: tuple[str, dict[str, Any]],
):
    url, documents = registry
    documents["opencode-linux-x64"] = document("1.2.3")
    with pytest.raises(RegistryError, match=r"no opencode 1.2.4 for x64.*newest 1.x is 1.2.3"):
        releases.release("1.2.4", "x64", url)


@pytest.mark.parametrize("answer", [None, b"", b"<html>", b"[]", b'{"versions": 3}', b"\xff"])
def test_a_registry_that_does_not_say_is_named(
    registry: tuple[str, dict[str, Any]], answer: bytes | None
):
    url, documents = registry
    documents["opencode-linux-x64"] = answer
    with pytest.raises(RegistryError, match=f"{url}/opencode-linux-x64 did not say"):
        releases.package("x64", url)


def test_only_a_registry_that_proves_who_it_is_is_asked():
    with pytest.raises(RegistryError, match="not an https address"):
        releases.package("x64", "http://registry.example.org")


def test_what_was_heard_is_known_to_those_who_do_not_ask(tmp_path: Path):
    paths = Paths(root=tmp_path, data=tmp_path / "data", cache=tmp_path / "cache")
    assert versions.heard(paths) is None
    versions.note(paths, "1.18.34", "x64", datetime(2026, 1, 31, tzinfo=UTC))
    assert versions.heard(paths) == versions.Heard("1.18.34", "x64", "2026-01-31T00:00:00+00:00")
    (tmp_path / "cache" / "opencode-releases.json").write_text("[]")
    assert versions.heard(paths) is None


def test_later_is_told_where_both_are_known():
    assert versions.later("1.18.34", "1.18.33") == "1.18.34"
    assert not versions.later("1.18.34", "1.18.34")
    assert not versions.later("", "1.18.33")
    assert not versions.later("1.18.34", "")
