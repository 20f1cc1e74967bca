import os
import subprocess
import sys
from pathlib import Path

import pytest

from opencode_cloud.start.machine import Machine
from opencode_cloud.start.options import Options
from opencode_cloud.start.paths import Paths
from opencode_cloud.start.plan import Context
from opencode_cloud.start.process import Runner
from tools import check

CONFTEST = """
from tests.honest import Honest, layers_asked_for

def pytest_configure(config):
    config.pluginmanager.register(Honest(layers_asked_for(config)))
"""


def run_layer(folder: Path, root: Path, test: str) -> subprocess.CompletedProcess[str]:
    layer = folder / "tests" / "unit"
    layer.mkdir(parents=True)
    (folder / "conftest.py").write_text(CONFTEST)
    (layer / "test_it.py").write_text(test)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/unit"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_layer_whose_tests_ran_passes(tmp_path: Path, root: Path):
    assert run_layer(tmp_path, root, "def test_it(): pass").returncode == 0


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (
            "import pytest\ndef test_one(): pass\ndef test_it(): pytest.skip('no engine')",
            "SKIPPED, which counts as failed: tests/unit/test_it.py::test_it",
        ),
        ("", "NOTHING RAN in tests/unit, which counts as failed"),
    ],
)
def test_a_skipped_test_or_an_empty_layer_fails_the_run_and_is_named(
    tmp_path: Path, root: Path, test: str, said: str
):
    done = run_layer(tmp_path, root, test)
    assert done.returncode != 0
    assert said in done.stdout


def test_an_unknown_layer_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]):
    assert check.main(["unti"]) == check.WRONG_USAGE
    assert "no layer 'unti'; there are lint unit program" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("layers", "brought"),
    [
        (["unit", "program"], {"Test environment"}),
        (["engine"], {"Docker engine", "Pulumi engine", "Base image", "Programs for tests"}),
    ],
)
def test_a_layer_brings_what_it_needs(root: Path, layers: list[str], brought: set[str]):
    machine = Machine(system="Linux")
    context = Context(Options(), Paths.of(root, {}), machine, Runner({}, machine), {})
    titles = {step.title for step in check.steps(layers, context)}
    assert brought <= titles
    assert ("Docker engine" in titles) == ("engine" in layers)


def test_every_shell_script_is_linted(root: Path):
    shellcheck = next(command for command in check.linters(root) if command[0] == "shellcheck")
    assert {"start", "check", ".ci/run", "bench/run"} <= set(shellcheck)


def test_the_layer_of_aws_runs_when_it_is_named_and_brings_its_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[list[str]] = []
    monkeypatch.setattr(check, "prepare", lambda layers, _: asked.append(layers) or {})
    monkeypatch.setattr(check, "run", lambda *_: {})
    check.main([])
    check.main(["aws"])
    assert asked == [list(check.LAYERS), ["aws"]]
    context = Context(
        Options(),
        Paths.of(tmp_path, {"HOME": str(tmp_path)}),
        Machine.this(),
        Runner({}, Machine.this()),
        {},
    )
    brought = [type(step).__name__ for step in check.steps(["aws"], context)]
    assert brought.index("PulumiEngine") < brought.index("AwsPlugin")
    assert "AwsPlugin" not in [type(step).__name__ for step in check.steps(["engine"], context)]
