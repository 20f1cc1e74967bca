"""The steps in their order, and what they tell one another."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from opencode_cloud.start.engine import Engine
from opencode_cloud.start.errors import StartError
from opencode_cloud.start.exports import PulumiEnvironment
from opencode_cloud.start.machine import Machine
from opencode_cloud.start.options import Options
from opencode_cloud.start.paths import Paths
from opencode_cloud.start.process import Runner
from opencode_cloud.start.screen import Screen

if TYPE_CHECKING:
    from opencode_cloud.ops.docker_host import DockerHost


@dataclass(frozen=True)
class Outcome:
    """What a step did."""

    detail: str = ""
    changed: bool = True


class Report(Protocol):
    """What a running step tells the person in front."""

    def progress(self, text: str) -> None:
        """Say what is being done now; the next text takes its place."""
        ...

    def note(self, text: str) -> None:
        """Say something that stays to be read."""
        ...


@dataclass
class Context:
    """What every step knows. The lower half is filled in by the steps, in their order."""

    options: Options
    paths: Paths
    machine: Machine
    runner: Runner
    environment: dict[str, str]
    password: str | None = None
    """The one that was given; never one that was generated."""

    engine: Engine | None = None
    host: "DockerHost | None" = None
    """The machine that the deployment runs on; ``None``: this one."""
    docker_host: str = ""
    """Where its engine is reached from here."""
    base_image: str = ""
    """What to build on; empty: what the Dockerfile pins."""
    extra_ca: str = ""
    """PEM text of the machine's own certificate authorities."""
    outputs: dict[str, str] = field(default_factory=dict)
    """The stack's outputs."""
    users: list[str] = field(default_factory=list)
    """Who can log in."""
    generated_password: str | None = None
    fingerprint: str = ""
    """SHA-256 of a certificate that no browser knows; empty when there is none."""
    changes: list[str] = field(default_factory=list)
    """What this run did to the machine, for people."""

    @property
    def container(self) -> str:
        """Name of the deployment's container."""
        return f"opencode-{self.options.stack}"

    @property
    def is_remote(self) -> bool:
        """Whether the deployment runs on another machine."""
        return self.host is not None and self.host.is_remote

    def docker(self, *words: str) -> tuple[str, ...]:
        """Give the command line of docker on the deployment's machine."""
        return self.host.docker(*words) if self.host else ("docker", *words)

    @property
    def pulumi_environment(self) -> dict[str, str]:
        """The environment of every ``pulumi`` command."""
        if self.engine is None:
            raise RuntimeError("no engine yet: the step that finds one comes first")
        return PulumiEnvironment(self.paths, self.engine, self.environment).for_commands()

    def note_change(self, what: str) -> None:
        """Remember what was done to the machine, also for later runs."""
        self.changes.append(what)
        self.paths.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.paths.changes.open("a") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M')}  {what}\n")


class Step(Protocol):
    """One thing that must be there before opencode runs."""

    title: str

    def is_done(self) -> str:
        """Say in a few words what is there already; empty when the step has to run.

        Cheap, and reads only.
        """
        ...

    def obstacle(self) -> str:
        """Say why this machine or user cannot run the step, and what to do; else empty."""
        ...

    def plan(self) -> list[str]:
        """Give the commands or actions of ``run``, for ``--dry-run``."""
        ...

    def run(self, report: Report) -> Outcome:
        """Do it. Half done and run again, it comes to the same end."""
        ...


def execute(steps: Sequence[Step], screen: Screen) -> None:
    """Run the steps that are not done."""
    for number, step in enumerate(steps, start=1):
        screen.begin(number, len(steps), step.title)
        try:
            found = step.is_done()
            outcome = Outcome(found, changed=False) if found else step.run(screen)
        except StartError:
            screen.end("failed")
            raise
        except KeyboardInterrupt:
            screen.end("stopped")
            raise
        screen.end("done" if outcome.changed else "already there", outcome.detail)


def explain(steps: Sequence[Step], screen: Screen) -> None:
    """Print what ``execute`` would do."""
    for number, step in enumerate(steps, start=1):
        screen.begin(number, len(steps), step.title)
        found = step.is_done()
        lines = [found] if found else [step.obstacle(), *step.plan()]
        screen.end("already there" if found else "to do")
        for line in lines:
            for part in line.splitlines():
                screen.say(f"          {part}")
