"""What a rented machine says of the last run of its steps."""

import fcntl
import json
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.script_parts import imported


@pytest.fixture
def last_run(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with its files in a folder."""
    module = imported(root / "cloud-init" / "last_run.py")
    monkeypatch.setattr(module, "STATUS", tmp_path / "status.json")
    monkeypatch.setattr(module, "LOCK", tmp_path / "lock")
    return module


def note(last_run: ModuleType, state: str) -> None:
    last_run.STATUS.write_text(json.dumps({"state": state, "step": "40-image"}))


def test_a_run_that_holds_the_lock_is_at_work(last_run: ModuleType):
    note(last_run, "applying")
    with last_run.LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert last_run.read()["state"] == "applying"
    assert last_run.read()["state"] == "interrupted"


def test_a_step_that_outlives_its_killed_run_is_at_work(last_run: ModuleType):
    note(last_run, "applying")
    with last_run.LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        step = subprocess.Popen(["sleep", "60"], pass_fds=[lock.fileno()])
    assert last_run.read()["state"] == "applying"
    step.kill()
    step.wait()
    assert last_run.read() == {"state": "interrupted", "step": "40-image"}


def test_a_run_that_a_power_failure_ended_was_interrupted(last_run: ModuleType):
    note(last_run, "applying")
    assert not last_run.LOCK.exists()
    assert last_run.read()["state"] == "interrupted"


@pytest.mark.parametrize("state", ["applied", "failed", "waiting"])
def test_a_run_that_has_ended_is_as_it_says(last_run: ModuleType, state: str):
    note(last_run, state)
    assert last_run.read()["state"] == state


@pytest.mark.parametrize("written", [None, ""])
def test_a_machine_without_a_run_says_so_without_a_traceback(
    last_run: ModuleType, written: str | None
):
    if written is not None:
        last_run.STATUS.write_text(written)
    with pytest.raises(SystemExit, match="no run has said how it went"):
        last_run.main()
