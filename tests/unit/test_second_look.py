"""A second look at what failed beside another lane: real pytests, on tests of their own."""

import io
from pathlib import Path

import pytest

from opencode_cloud.start.screen import Screen
from tests.unit.lane_project import PASSES, Project
from tools import check, lanes, second_look

UNSTEADY = """
from pathlib import Path

def test_it():
    seen = Path(__file__).with_suffix(".seen")
    first = not seen.exists()
    seen.touch()
    assert not first, "only once"
"""
"""Fails in the first run, and passes in the next."""
ENDS = "\nimport pytest\ndef test_ends(): pytest.exit('why')\n"
FAILS = "def test_it(): assert 1 == 2\n"


@pytest.fixture
def project(tmp_path: Path, root: Path) -> Project:
    made = Project(tmp_path, root)
    made.write("unit/test_good.py", PASSES)
    made.write("engine/test_good.py", PASSES)
    return made


def outcome(project: Project) -> tuple[int, str]:
    """The exit status and what is said of all tests, as `./check` does."""
    said = io.StringIO()
    screen = Screen(said, color=False)
    results = check.run_tests(project.FOLDERS, project.folder, project.environment, screen)
    return check.report(results, screen), said.getvalue()


def test_what_passes_alone_passes_and_its_failure_stays_told(project: Project):
    project.write("engine/test_unsteady.py", UNSTEADY)
    status, said = outcome(project)
    assert status == check.PASSED, said
    assert "only once" in said
    assert "Failed beside another lane, and run again alone:" in said
    assert "passed  tests, alone: tests/engine/test_unsteady.py" in said
    assert "but for what ran again" in said


def test_what_fails_alone_too_fails(project: Project):
    project.write("engine/test_bad.py", FAILS)
    status, said = outcome(project)
    assert status == check.FAILED
    assert "FAILED  tests, alone: tests/engine/test_bad.py" in said


@pytest.mark.parametrize(
    "tests",
    [
        {"unit/test_unsteady.py": UNSTEADY},
        {f"engine/test_{name}.py": UNSTEADY for name in ("one", "two", "three")},
        {"engine/test_unsteady.py": UNSTEADY, "unit/test_bad.py": FAILS},
        {
            "engine/test_unsteady.py": UNSTEADY,
            "engine/test_left_out.py": "import pytest\ndef test_it(): pytest.skip('why')\n",
        },
        {"engine/test_unsteady.py": UNSTEADY, "engine/test_bad.py": "def test_it(:\n"},
        {
            "engine/test_unsteady.py": UNSTEADY,
            "unit/test_dies.py": "import os\ndef test_it(): os._exit(1)\n",
        },
        {"engine/test_unsteady.py": f"{UNSTEADY}{ENDS}"},
    ],
    ids=[
        "shares nothing",
        "many",
        "another kind",
        "skipped",
        "unreadable",
        "a lane that died",
        "a lane that ended early",
    ],
)
def test_nothing_else_gets_another_chance(project: Project, tests: dict[str, str]):
    for name, text in tests.items():
        project.write(name, text)
    status, said = outcome(project)
    assert status == check.FAILED
    assert "run again alone" not in said


def test_a_setup_that_failed_is_looked_at_as_well(project: Project):
    tests = "def test_one(made): pass\ndef test_two(made): pass\ndef test_three(made): pass\n"
    fixture = UNSTEADY.replace("def test_it", "@pytest.fixture(scope='module')\ndef made")
    project.write("engine/test_unsteady.py", f"import pytest\n{fixture}\n{tests}")
    results = project.run()
    again = second_look.files(results)
    assert again == ["tests/engine/test_unsteady.py"]
    alone = lanes.run(again, project.folder, project.environment, project.lines.append, ["alone"])
    assert [lane.passed for lane in alone] == [True], project.said()
