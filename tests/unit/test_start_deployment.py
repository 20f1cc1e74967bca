import json
import os
import shutil
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from opencode_cloud.start.engine import Engine
from opencode_cloud.start.plan import Context
from opencode_cloud.start.process import Answer, CommandError
from opencode_cloud.start.steps.deployment import Deployment, diagnostics, lock_holder
from tests.unit.start_parts import Notes, RecordingRunner, context, ok


def lock_by(asked: Context, **owner: object) -> Path:
    lock = asked.paths.state / ".pulumi/locks/organization/opencode/local/1.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(json.dumps({"hostname": os.uname().nodename} | owner))
    return lock


@dataclass
class PulumiRunner(RecordingRunner):
    """Answers for pulumi, and remembers what was asked."""

    asked: list[tuple[str, ...]] = field(default_factory=list)

    def ask(self, *command: str, **_: Any) -> Answer:
        self.asked.append(command)
        return ok('{"url": "http://127.0.0.1:1"}')

    @property
    def cancelled(self) -> bool:
        return any("cancel" in command for command in self.asked)


@pytest.mark.parametrize(
    ("owner", "freed"),
    [
        ({"pid": 2**22 + 1}, True),
        ({"pid": os.getpid()}, True),
        ({"pid": 2**22 + 1, "hostname": "elsewhere"}, False),
        ({}, False),
    ],
    ids=["dead", "number taken by another program", "another machine's", "unknown"],
)
def test_only_the_lock_of_a_pulumi_that_is_dead_is_freed(
    tmp_path: Path, owner: dict[str, object], freed: bool
):
    runner = PulumiRunner()
    asked = context(tmp_path, runner)
    asked.engine = Engine("test")
    lock_by(asked, **owner)
    Deployment(asked).run(Notes())
    assert runner.cancelled is freed


def test_a_pulumi_that_is_at_work_is_waited_for(tmp_path: Path):
    runner = PulumiRunner()
    asked = context(tmp_path, runner)
    asked.engine = Engine("test")
    pulumi = tmp_path / "pulumi"
    pulumi.symlink_to(shutil.which("sleep") or "")
    with subprocess.Popen([pulumi, "1"]) as working:
        lock = lock_by(asked, pid=working.pid)

        def end() -> None:
            working.wait()
            lock.unlink()

        threading.Thread(target=end).start()
        notes = Notes()
        Deployment(asked).run(notes)
    assert f"waiting for another pulumi (process {working.pid}) to end" in notes.said
    assert not lock.exists()
    assert not runner.cancelled


LEFT_OVER = CommandError(
    "pulumi failed:", ['Conflict. The name "/opencode-local" is already in use by container "x"']
)


@pytest.mark.parametrize(("found", "mended"), [("4f5d", True), ("", False)])
def test_a_container_that_an_interrupted_run_left_is_removed_once_if_it_is_ours(
    tmp_path: Path, found: str, mended: bool
):
    answers = {
        ("docker", "container", "ls"): ok(found),
        ("docker", "network", "ls"): ok(""),
        ("docker", "container", "rm", "--force", "4f5d"): ok(),
        ("pulumi",): ok("{}"),
    }
    runner = RecordingRunner(answers=answers)
    asked = context(tmp_path, runner)
    asked.engine = Engine("test")
    tries: list[tuple[str, ...]] = []

    def conflict_at_first(command: tuple[str, ...]) -> None:
        tries.append(command)
        if len(tries) == 1:
            raise LEFT_OVER

    runner.on_run = conflict_at_first
    if mended:
        Deployment(asked).run(Notes())
        assert len(tries) == 2
        return
    with pytest.raises(CommandError):
        Deployment(asked).run(Notes())
    assert len(tries) == 1


def test_of_all_that_pulumi_prints_the_reason_is_what_is_shown():
    printed = [
        "@ updating....",
        " +  docker:index:Container opencode-container creating (0s)",
        "Diagnostics:",
        "  docker:index:Container (opencode-container):",
        "    error: port is already allocated",
        "Outputs:",
        "    url: ...",
        "Resources:",
        "    1 errored",
    ]
    assert diagnostics(printed) == [
        "  docker:index:Container (opencode-container):",
        "    error: port is already allocated",
    ]
    assert diagnostics(["error: no such stack"]) == []


def test_who_holds_a_stack_is_found_in_what_pulumi_prints():
    printed = [
        "error: the stack is currently locked by 1 lock(s). Either wait for the others to end.",
        "  file:///state/locks/x.json: created by ada@laptop (pid 42) at 2026-01-31T10:00:00Z",
    ]
    assert lock_holder(printed) == "ada@laptop (process 42), since 2026-01-31T10:00:00Z"
    assert lock_holder(["error: something else"]) == ""


def test_a_host_over_ssh_gets_no_more_at_once_than_one_connection_takes(tmp_path: Path):
    over_ssh = context(tmp_path, stack="box")
    file = over_ssh.paths.stack_file("box")
    file.write_text("config:\n  opencode:target: ssh\n")
    assert "--parallel" in Deployment(over_ssh).plan()[0]
    file.write_text("config:\n  opencode:target: local\n")
    assert "--parallel" not in Deployment(over_ssh).plan()[0]
