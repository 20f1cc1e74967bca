import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from opencode_cloud.ops import drift_look
from opencode_cloud.ops.drift import Difference, Drift
from opencode_cloud.start.paths import Paths
from tests.unit.cli_parts import container, deployment

CHANGED = Drift(state="changed", differences=[Difference(name="a", settings="b", container="c")])


class Compared:
    """A comparison that counts how often it was made."""

    def __init__(self, drift: Drift = CHANGED) -> None:
        self.times = 0
        self._drift = drift

    def __call__(self) -> Drift:
        self.times += 1
        return self._drift


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths(tmp_path, tmp_path / "data", tmp_path / "cache")
    found.stack_file("local").parent.mkdir()
    found.stack_file("local").write_text("config: {}\n")
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/Dockerfile").write_text("FROM x\n")
    return found


def test_what_was_found_is_remembered_while_nothing_changes(paths: Paths):
    compare = Compared()
    for _ in range(3):
        assert drift_look.remembered(paths, "local", container(), compare) == CHANGED
    assert compare.times == 1


@pytest.mark.parametrize("what", ["settings", "image", "applied", "container"])
def test_it_is_compared_anew_when_anything_changes(paths: Paths, what: str):
    compare, facts = Compared(), container()
    drift_look.remembered(paths, "local", facts, compare)
    if what == "settings":
        paths.stack_file("local").write_text("config: {} # other\n")
    elif what == "image":
        os.utime(paths.root / "docker/Dockerfile", (1, 1))
    elif what == "applied":
        paths.applied("local").parent.mkdir(parents=True)
        paths.applied("local").write_text("x")
    else:
        facts["HostConfig"] = facts["HostConfig"] | {"Memory": 1}
    drift_look.remembered(paths, "local", facts, compare)
    assert compare.times == 2


@pytest.mark.parametrize("note", ["", "[]", '{"key": 1}', "no json"])
def test_a_note_that_cannot_be_read_is_none(paths: Paths, note: str):
    compare = Compared()
    drift_look.remembered(paths, "local", container(), compare)
    (paths.cache / "drift/local.json").write_text(note)
    assert drift_look.remembered(paths, "local", container(), compare) == CHANGED
    assert compare.times == 2


def test_what_is_not_known_is_asked_again(paths: Paths):
    compare = Compared(Drift(state="unknown", reason="Docker hung"))
    for _ in range(2):
        drift_look.remembered(paths, "local", container(), compare)
    assert compare.times == 2


def test_settings_that_are_kept_elsewhere_are_not_compared(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(drift_look.project, "folder", lambda: paths.root / "stacks")
    assert drift_look.look(deployment()).state == "unknown"


def test_settings_that_cannot_be_used_are_not_compared_and_it_is_said_why(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(drift_look.project, "folder", lambda: paths.root)
    monkeypatch.setattr("opencode_cloud.ops.project.root", lambda: paths.root)
    paths.stack_file("local").write_text("config:\n  opencode:colour: red\n")
    found = drift_look.look(deployment())
    assert found.state == "unknown"
    assert "colour" in found.reason


def test_what_is_remembered_takes_nothing_slow_to_load(tmp_path: Path):
    program = (
        "import sys; import opencode_cloud.ops.status, opencode_cloud.ops.drift_look; "
        "print([n for n in ('pydantic', 'yaml', 'opencode_cloud.ops.program') if n in sys.modules])"
    )
    shown: Any = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "[]\n"


def test_mounts_in_another_order_are_the_same(paths: Paths):
    compare, mounts = Compared(), [{"Destination": path} for path in ("/a", "/b")]
    for each in (mounts, mounts[::-1]):
        drift_look.remembered(paths, "local", container() | {"Mounts": each}, compare)
    assert compare.times == 1
