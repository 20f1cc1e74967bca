"""Lanes of ./check: real pytests, side by side, on tests of their own."""

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.unit.lane_project import PASSES, Project

ENDLESS = """
import time, pytest
from pathlib import Path

@pytest.fixture(scope="session")
def made():
    yield
    time.sleep(0.5)
    Path({gone!r}).touch()

def test_it(made):
    Path({begun!r}).touch()
    time.sleep(60)
"""
FIXTURES = """
import pytest
from pathlib import Path

@pytest.fixture(scope="session")
def lasting():
    Path({lasting!r}).touch(exist_ok=False)
    yield
    Path({lasting!r}).unlink()

@pytest.fixture(scope="module")
def shared():
    Path({shared!r}).touch(exist_ok=False)
    yield
    Path({shared!r}).unlink()
"""


@pytest.fixture
def project(tmp_path: Path, root: Path) -> Project:
    return Project(tmp_path, root)


def test_each_file_is_run_once_and_by_one_lane(project: Project):
    files = [f"{layer}/test_{number}.py" for layer in ("unit", "engine") for number in range(8)]
    for file in files:
        project.write(file, PASSES)
    results = project.run()
    assert [result.passed for result in results] == [True, True], project.said()
    shown = re.findall(r"^([ab]) \| tests/(\S+) \.\.\s*$", project.said(), re.MULTILINE)
    assert sorted(file for _, file in shown) == sorted(files)


def test_what_a_file_shares_is_ended_before_the_next_begins(project: Project):
    lasting, shared = (project.folder / name for name in ("lasting", "shared"))
    with (project.folder / "conftest.py").open("a") as conftest:
        conftest.write(FIXTURES.format(lasting=str(lasting), shared=str(shared)))
    for name in ("unit/test_a.py", "unit/test_b.py", "engine/test_c.py"):
        project.write(name, "def test_one(lasting, shared): pass\ndef test_two(shared): pass\n")
    (result,) = project.run("a")
    assert result.passed, project.said()
    assert not lasting.exists()
    assert not shared.exists()


def test_what_failed_is_told_below_in_one_piece_and_fails_its_lane(project: Project):
    project.write("unit/test_good.py", PASSES)
    project.write("engine/test_bad.py", "def test_it():\n    assert 1 == 2, 'one is not two'\n")
    results = project.run()
    assert sorted(result.passed for result in results) == [False, True], project.said()
    (failed,) = [result for result in results if not result.passed]
    assert any("one is not two" in line for line in failed.closing)
    below = project.lines[project.lines.index(f"Lane {failed.name}:") :]
    assert list(failed.closing) == below[1 : 1 + len(failed.closing)]
    assert not [line for line in project.lines if re.match(r"[ab] \| .*one is not two", line)]


def test_a_skipped_test_and_an_empty_layer_fail_a_lane_and_are_named(project: Project):
    project.write("unit/test_it.py", "import pytest\ndef test_it(): pytest.skip('why')\n")
    assert not all(result.passed for result in project.run())
    assert "SKIPPED, which counts as failed: tests/unit/test_it.py::test_it" in project.said()
    assert "NOTHING RAN in tests/unit, which counts as failed" in project.said()
    assert "NOTHING RAN in tests/engine, which counts as failed" in project.said()


def test_a_file_that_cannot_be_read_fails_every_lane(project: Project):
    project.write("unit/test_it.py", "def test_it(:\n")
    project.write("engine/test_it.py", PASSES)
    assert [result.passed for result in project.run()] == [False, False]
    assert "SyntaxError" in project.said()


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_every_lane_after_it_has_cleaned_up(
    project: Project, kind: signal.Signals
):
    names = ("unit", "engine")
    begun = [project.folder / f"{name}.begun" for name in names]
    gone = [project.folder / f"{name}.gone" for name in names]
    for name, begins, ends in zip(names, begun, gone, strict=True):
        text = ENDLESS.format(begun=str(begins), gone=str(ends))
        project.write(f"{name}/test_it.py", text)

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not all(path.exists() for path in begun):
            time.sleep(0.05)
        os.kill(os.getpid(), kind)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        project.run()
    assert all(path.exists() for path in (*begun, *gone)), project.said()
