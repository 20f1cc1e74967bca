"""The runner of a rented machine's steps, on a machine that is a folder."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from opencode_cloud.spec.machine import File
from opencode_cloud.spec.vm_bundle import END, packed
from tests.unit.script_parts import imported

TOLD: list[dict[str, Any]] = []


class Waiting(BaseHTTPRequestHandler):
    """Whoever waits for a machine, as CloudFormation does."""

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        TOLD.append(json.loads(body) | {"type": self.headers["Content-Type"]})
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called
        ...


@pytest.fixture
def waiting() -> Iterator[str]:
    TOLD.clear()
    server = HTTPServer(("127.0.0.1", 0), Waiting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/?signed=yes"
    server.shutdown()
    server.server_close()


@pytest.fixture
def runner(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with its folders below another one and no systemd."""
    module = imported(root / "cloud-init" / "apply.py")
    for name in ("CONF", "STATE", "LIB"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(module, name, tmp_path / name)
    monkeypatch.setattr(module, "LOG", tmp_path / "log")
    monkeypatch.setattr(module, "run", lambda *_: None)
    monkeypatch.setattr(module, "gateway_answers", lambda: True)
    (tmp_path / "LIB" / "steps").mkdir()
    (tmp_path / "CONF" / "machine.conf").write_text("PORT=443\nHTTP_PORT=80\n")
    return module


def step(runner: ModuleType, name: str, script: str) -> None:
    path = runner.LIB / "steps" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def apply(runner: ModuleType) -> int:
    """Run the steps, as who has the lock."""
    with (runner.STATE.parent / "lock").open("w") as lock:
        return runner.apply(lock)


def status(runner: ModuleType) -> dict[str, Any]:
    return json.loads((runner.STATE / "status.json").read_text())


def test_steps_run_in_their_order_and_leave_a_marker(runner: ModuleType):
    step(runner, "20-b", "echo second")
    step(runner, "10-a", "echo first")
    assert apply(runner) == 0
    log = runner.LOG.read_text()
    assert log.index("first") < log.index("second")
    assert status(runner)["state"] == "applied"
    assert list(status(runner)["seconds"]) == ["10-a", "20-b"]
    assert (runner.STATE / "applied").exists()


def test_a_step_that_fails_ends_the_run_with_its_last_lines(runner: ModuleType):
    step(runner, "10-a", "echo of the first")
    step(runner, "20-b", "seq 1 100; echo the reason >&2; exit 3")
    step(runner, "30-c", "echo never")
    assert apply(runner) == 1
    told = status(runner)
    assert (told["state"], told["step"]) == ("failed", "20-b")
    assert told["lines"][-1] == "the reason"
    assert len(told["lines"]) == 15
    assert "never" not in runner.LOG.read_text()
    assert not (runner.STATE / "applied").exists()
    step(runner, "20-b", "true")
    assert apply(runner) == 0


def test_who_waits_is_no_failure(runner: ModuleType):
    step(runner, "10-a", "echo waits for an image; exit 75")
    assert apply(runner) == 75
    assert status(runner)["state"] == "waiting"
    assert status(runner)["lines"] == ["waits for an image"]


def test_a_step_that_never_ends_is_ended_with_what_it_started(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runner, "STEP_SECONDS", 0.5)
    step(runner, "10-a", "sleep 60 & sleep 60")
    assert apply(runner) == 1
    assert "took longer than 0.5 s, and was ended" in status(runner)["lines"]


def test_whoever_waits_for_the_machine_is_told_once_that_it_is_there(
    runner: ModuleType, waiting: str
):
    (runner.CONF / "machine.conf").write_text(f"PORT=443\nCOMPLETION_URL={waiting}\n")
    step(runner, "10-a", "echo the reason; exit 1")
    apply(runner)
    assert TOLD[-1]["Status"] == "FAILURE"
    assert TOLD[-1]["Reason"] == "10-a\nthe reason"
    step(runner, "10-a", "true")
    apply(runner)
    apply(runner)
    assert [told["Status"] for told in TOLD] == ["FAILURE", "SUCCESS"]
    # CloudFormation's address is signed with an empty one.
    assert TOLD[-1]["type"] == ""


def test_nobody_listening_is_said_and_harms_nothing(runner: ModuleType):
    (runner.CONF / "machine.conf").write_text("PORT=443\nCOMPLETION_URL=http://127.0.0.1:1/\n")
    step(runner, "10-a", "true")
    assert apply(runner) == 0
    assert "could not tell how it went" in runner.LOG.read_text()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([File("/usr/sbin/opencode-cloud-apply", "")], "ends too early"),
        ([File("/etc/passwd", ""), END], "no place of ours"),
        ([File("/etc/opencode-cloud/../passwd", ""), END], "cannot be read"),
        ([File("/../etc/opencode-cloud/x", ""), END], "cannot be read"),
    ],
)
def test_an_archive_that_is_not_whole_or_not_ours_changes_nothing(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch, files: list[File], said: str
):
    def never(*_: object) -> None:
        raise AssertionError("moved")

    monkeypatch.setattr(runner, "move", never)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(packed(files))))
    with pytest.raises(SystemExit) as caught:
        runner.put_into_place()
    assert said in str(caught.value)
    assert "Nothing was changed" in str(caught.value)
    assert list(runner.STATE.iterdir()) == []
