"""Stand-ins for the machine that ``./start`` acts on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opencode_cloud.start.machine import Machine
from opencode_cloud.start.options import Options
from opencode_cloud.start.paths import Paths
from opencode_cloud.start.plan import Context
from opencode_cloud.start.process import NOT_FOUND, Answer, Runner

ROOT = Path(__file__).parents[2]
LINUX = Machine(system="Linux", family=("debian",), root=True, apt=True)


@dataclass
class RecordingRunner(Runner):
    """Runs nothing; remembers what it was asked to, and answers as it was told."""

    environment: Mapping[str, str] = field(default_factory=dict)
    machine: Machine = LINUX
    answers: dict[tuple[str, ...], Answer] = field(default_factory=dict)
    """By the first words of a command; the longest match counts."""
    ran: list[tuple[str, ...]] = field(default_factory=list)
    stdin: list[str | None] = field(default_factory=list)
    on_run: Callable[[tuple[str, ...]], None] = lambda _: None

    def ask(self, *command: str, **_: Any) -> Answer:
        known = [words for words in self.answers if command[: len(words)] == words]
        best = max(known, key=len, default=None)
        return self.answers[best] if best else Answer(NOT_FOUND, "", "not found")

    def run(self, *command: str, stdin: str | None = None, **_: Any) -> list[str]:
        self.ran.append(command)
        self.stdin.append(stdin)
        self.on_run(command)
        return []


@dataclass
class Notes:
    """What the person in front would have been told."""

    said: list[str] = field(default_factory=list)

    def progress(self, text: str) -> None:
        self.said.append(text)

    def note(self, text: str) -> None:
        self.said.append(text)


def ok(out: str = "") -> Answer:
    return Answer(0, out, "")


def context(folder: Path, runner: Runner | None = None, **options: Any) -> Context:
    """A context whose checkout and folders are below ``folder``."""
    runner = runner or RecordingRunner()
    environment = {"PATH": "/nowhere", "HOME": str(folder)}
    runner.environment = environment
    root = folder / "checkout"
    (root / "stacks").mkdir(parents=True, exist_ok=True)
    (root / "schemas").mkdir(exist_ok=True)
    (root / "schemas" / "stack.schema.json").write_text(
        (ROOT / "schemas" / "stack.schema.json").read_text()
    )
    paths = Paths(root=root, data=folder / "data", cache=folder / "cache")
    paths.data.mkdir(exist_ok=True)
    return Context(Options(**options), paths, runner.machine, runner, environment)


def runner_of(asked: Context) -> RecordingRunner:
    assert isinstance(asked.runner, RecordingRunner)
    return asked.runner
