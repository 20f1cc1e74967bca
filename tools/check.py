"""``./check``: installs what is missing, and runs the tests.

Standard library alone, because it is what brings everything else.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from opencode_cloud.errors import OpencodeCloudError
from opencode_cloud.start import packages, plan
from opencode_cloud.start.exports import PulumiEnvironment
from opencode_cloud.start.machine import Machine, which
from opencode_cloud.start.options import Options
from opencode_cloud.start.paths import Paths
from opencode_cloud.start.plan import Context, Outcome, Report, Step
from opencode_cloud.start.process import Runner
from opencode_cloud.start.screen import Screen
from opencode_cloud.start.steps.base_image import BaseImage
from opencode_cloud.start.steps.docker_engine import DockerEngine
from opencode_cloud.start.steps.pulumi_engine import PulumiEngine
from opencode_cloud.start.steps.python_environment import PythonEnvironment
from tools import lanes, second_look
from tools.aws import build as aws

ROOT = Path(__file__).resolve().parents[1]
INSTALL_SECONDS = 120
"""Copying a program of 1 GB."""
PASSED, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

TESTS = ("unit", "program", "machine", "engine", "browser")
"""What fails soonest first, and then the longest file before the many."""
LAYERS = ("lint", *TESTS)
APART = ("aws",)
"""Layers that run when they are named, and not with the others: building AWS's plugin takes half
an hour of two cores."""

COMMANDS = {
    "engine": {"sshd": "openssh-server", "docker-registry": "docker-registry"},
    "machine": {"debootstrap": "debootstrap"},
    "browser": {"chromium": "chromium"},
    "aws": {"sshd": "openssh-server"},
}
"""Programs that a layer runs, and the packages they are in."""


class TestPaths(Paths):
    """The same folders, with the tests' own Python environment."""

    @property
    def venv(self) -> Path:
        """Kept apart from the program's: its size would slow every ``up``."""
        return self.root / ".venv-dev"

    @property
    def requirements(self) -> Path:
        """The tests' packages, locked by hash."""
        return self.root / "requirements-dev.txt"


@dataclass
class TestEnvironment(PythonEnvironment):
    """The Python packages of the tests; of the largest, the clouds', few modules are imported."""

    title = "Test environment"
    compiles = False


@dataclass
class Commands:
    """Programs of the distribution that tests run."""

    context: Context
    wanted: dict[str, str]
    """Package of each command."""
    title = "Programs for tests"

    def _missing(self) -> list[str]:
        path = f"{self.context.environment.get('PATH', '')}:/usr/sbin"
        return [p for command, p in self.wanted.items() if not which(command, {"PATH": path})]

    def is_done(self) -> str:
        """Look for each command."""
        return "" if self._missing() else ", ".join(self.wanted)

    def obstacle(self) -> str:
        """Say what to install, where it cannot be done here."""
        if not self._missing() or self.context.machine.may_install:
            return ""
        return packages.install_by_hand(self.context.machine, *self._missing())

    def plan(self) -> list[str]:
        """Give the commands."""
        return packages.install_plan(self.context.machine, *self._missing())

    def run(self, report: Report) -> Outcome:
        """Install the packages."""
        missing = self._missing()
        packages.install(self.context.runner, report.progress, *missing)
        return Outcome(", ".join(missing))


@dataclass
class AwsPlugin:
    """The AWS plugin of Pulumi, built from Go modules."""

    context: Context
    title = "AWS plugin"

    def is_done(self) -> str:
        """Look whether the one of these sources is installed."""
        origin = self._origin
        is_of_these = origin.is_file() and origin.read_text() == aws.key()
        return f"aws {aws.VERSION}" if is_of_these else ""

    def obstacle(self) -> str:
        """Nothing is known beforehand."""
        return ""

    def plan(self) -> list[str]:
        """Give the commands."""
        return ["python3 -m tools.aws.build"]

    def run(self, report: Report) -> Outcome:
        """Build and install it."""
        plugin = aws.build_plugin(report.progress)
        self.context.runner.run(
            *("pulumi", "plugin", "install", "resource", "aws", aws.VERSION),
            *("--reinstall", "--file", str(plugin)),
            limit=INSTALL_SECONDS,
            environment=self._environment,
        )
        self._origin.write_text(aws.key())
        return Outcome(f"aws {aws.VERSION}")

    @property
    def _origin(self) -> Path:
        """File beside the plugin that says what it was built from."""
        plugins = Path(self._environment["PULUMI_HOME"]) / "plugins"
        return plugins / f"resource-aws-v{aws.VERSION}" / "built-from"

    @property
    def _environment(self) -> dict[str, str]:
        context = self.context
        assert context.engine  # noqa: S101 - a step before this one brings it
        return PulumiEnvironment(context.paths, context.engine, context.environment).for_commands()


def steps(layers: Sequence[str], context: Context) -> list[Step]:
    """Give what the layers need, in the order in which it is brought."""
    tests = Context(
        context.options,
        TestPaths(context.paths.root, context.paths.data, context.paths.cache),
        context.machine,
        context.runner,
        context.environment,
    )
    found: list[Step] = [TestEnvironment(tests)]
    real = [layer for layer in layers if layer in COMMANDS]
    if real:
        commands = {name: package for layer in real for name, package in COMMANDS[layer].items()}
        found += [
            PythonEnvironment(context),
            Commands(context, commands),
            DockerEngine(context),
            PulumiEngine(context),
            BaseImage(context),
        ]
    if "aws" in layers:
        found.append(AwsPlugin(context))
    return found


def linters(root: Path) -> list[tuple[str, ...]]:
    """Give the commands of the lint layer."""
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    shell = [name for name in tracked if _is_shell(root / name)]
    yaml = [name for name in tracked if name.endswith((".yaml", ".yml"))]
    return [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("basedpyright",),
        ("shellcheck", "--external-sources", *shell),
        ("hadolint", "docker/Dockerfile"),
        ("yamllint", "--strict", *yaml),
    ]


def _is_shell(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline(40)
    return path.suffix == ".sh" or (first.startswith(b"#!") and first.rstrip().endswith(b"sh"))


def main(arguments: list[str]) -> int:
    """Run the layers named, or all of them, and give the exit status."""
    known = (*LAYERS, *APART)
    unknown = [layer for layer in arguments if layer not in known]
    if unknown:
        print(f"./check: no layer {unknown[0]!r}; there are {' '.join(known)}", file=sys.stderr)
        return WRONG_USAGE
    layers = [layer for layer in known if layer in (arguments or LAYERS)]
    screen = Screen(sys.stdout, color="NO_COLOR" not in os.environ)
    try:
        environment = prepare(layers, screen)
        return report(run(layers, environment, screen), screen)
    except OpencodeCloudError as error:
        screen.stop()
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        screen.stop()
        return INTERRUPTED


def prepare(layers: Sequence[str], screen: Screen) -> dict[str, str]:
    """Bring what the layers need, and give the environment to run them in."""
    environment = dict(os.environ)
    machine = Machine.this()
    runner = Runner(environment, machine, tick=screen.tick)
    context = Context(Options(), Paths.of(ROOT, environment), machine, runner, environment)
    plan.execute(steps(layers, context), screen)
    ready = environment
    if context.engine:
        ready = PulumiEnvironment(context.paths, context.engine, environment).for_commands()
    path = f"{ROOT / '.venv-dev' / 'bin'}{os.pathsep}{ready['PATH']}"
    return {**ready, "PATH": path}


def run(
    layers: Sequence[str], environment: dict[str, str], screen: Screen
) -> dict[str, tuple[bool, float]]:
    """Run each layer to its end; gives what passed, and in how many seconds."""
    results = {}
    if "lint" in layers:
        results["lint"] = _timed(lambda: _call_all(linters(ROOT), environment, screen))
    folders = [f"tests/{layer}" for layer in layers if layer in (*TESTS, *APART)]
    if folders:
        results |= run_tests(folders, ROOT, environment, screen)
    return results


def run_tests(
    folders: Sequence[str], root: Path, environment: Mapping[str, str], screen: Screen
) -> dict[str, tuple[bool, float]]:
    """Run tests in lanes, and what may have failed by chance once more, alone."""
    beside = lanes.run(folders, root, environment, screen.say)
    again = second_look.files(beside)
    if not again:
        return {f"tests, lane {lane.name}": (lane.passed, lane.seconds) for lane in beside}
    screen.say(screen.bold("\nFailed beside another lane, and run again alone:"))
    (alone,) = lanes.run(again, root, environment, screen.say, [second_look.LANE])
    results = {
        f"tests, lane {lane.name}{'' if lane.passed else ', but for what ran again'}": (
            lane.passed or alone.passed,
            lane.seconds,
        )
        for lane in beside
    }
    return results | {f"tests, alone: {', '.join(again)}": (alone.passed, alone.seconds)}


def _timed(action: Callable[[], bool]) -> tuple[bool, float]:
    began = time.monotonic()
    return action(), time.monotonic() - began


def _call_all(
    commands: Sequence[Sequence[str]], environment: dict[str, str], screen: Screen
) -> bool:
    # All of them, also after one has failed: people mend in one go.
    passed = [_call(command, environment, screen) for command in commands]
    return all(passed)


def _call(command: Sequence[str], environment: dict[str, str], screen: Screen) -> bool:
    screen.say(screen.bold(f"$ {' '.join(command)}"))
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0


def report(results: dict[str, tuple[bool, float]], screen: Screen) -> int:
    """Say what passed, and give the exit status."""
    screen.say()
    for name, (passed, seconds) in results.items():
        screen.say(f"  {'passed' if passed else 'FAILED'}  {name}  {seconds:.0f} s")
    return PASSED if all(passed for passed, _ in results.values()) else FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
