"""Doing what `occ setup` was told: by the steps of ``./start``."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from opencode_cloud.errors import OpencodeCloudError
from opencode_cloud.ops.docker_host import DockerHost
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.settings_file import StackFile
from opencode_cloud.ops.setup_plan import NEW, Person
from opencode_cloud.ops.stack_change import edited
from opencode_cloud.ops.stack_document import Document
from opencode_cloud.start import command, preflight
from opencode_cloud.start.machine import Machine
from opencode_cloud.start.options import Options
from opencode_cloud.start.paths import Paths
from opencode_cloud.start.plan import Context, Outcome, Report, Step
from opencode_cloud.start.process import Runner
from opencode_cloud.start.screen import Screen
from opencode_cloud.start.steps import all_steps
from opencode_cloud.start.steps.python_environment import PythonEnvironment
from opencode_cloud.start.steps.stack import Stack

BROUGHT = ("Docker engine", "Pulumi engine", "Base image")
"""Titles of the steps that bring something to the machine."""


@dataclass
class WriteSettings:
    """Step: what the deployment is to be, in the stack's file."""

    file: StackFile
    wanted: Document
    title = "Settings"

    def is_done(self) -> str:
        """See whether the file says so already."""
        there = self.file.path.exists() and self.file.read().text == self.wanted.text
        return self.file.name if there else ""

    def obstacle(self) -> str:
        """There is none."""
        return ""

    def plan(self) -> list[str]:
        """Give what is written."""
        return [f"write {self.file.name}"]

    def run(self, report: Report) -> Outcome:
        """Write it, whole or not at all."""
        report.progress("writing")
        if not self.file.path.exists():
            # A stack's file is replaced, and never half there.
            self.file.path.write_text(NEW)
        self.file.write(edited(self.file.read(), self.wanted.text, self.file.stack))
        return Outcome(self.file.name)


@dataclass
class ApiKeys:
    """Step: what opencode asks its models with, encrypted in the stack's file."""

    context: Context
    keys: Mapping[str, str]
    title = "API keys"

    def is_done(self) -> str:
        """There is nothing to do without any."""
        return "" if self.keys else "none given"

    def obstacle(self) -> str:
        """There is none."""
        return ""

    def plan(self) -> list[str]:
        """Give the commands."""
        return [f"occ secret set {name}" for name in self.keys]

    def run(self, report: Report) -> Outcome:
        """Encrypt each; no value is on a command line or in a log."""
        from opencode_cloud.ops.program import Program
        from opencode_cloud.ops.secrets import set_secret

        program = Program(self.context.paths, self.context.options.stack)
        file = StackFile(program.paths.root, program.stack)
        for name, value in self.keys.items():
            report.progress(name)
            file.write(set_secret(program, file.read(), name, value))
        return Outcome(", ".join(self.keys))


def context_of(host: DockerHost, paths: Paths, screen: Screen, *, verbose: bool = False) -> Context:
    """Give what the steps know at first; `host` is the machine that the deployment runs on."""
    environment = dict(os.environ)
    machine = Machine.this()
    runner = Runner(environment, machine, tick=screen.tick, tell=screen.note)
    if verbose:
        runner.show = screen.note
    context = Context(Options(stack=host.stack), paths, machine, runner, environment)
    context.host = host if host.is_remote else None
    return context


def steps_of(context: Context, keys: Mapping[str, str]) -> list[Step]:
    """Give the steps, in their order.

    The Python environment is the one that this runs in: whatever it may lack, it is not
    made anew beneath a running program.
    """
    steps: list[Step] = []
    for step in all_steps(context):
        if not isinstance(step, PythonEnvironment):
            steps.append(step)
        if isinstance(step, Stack):
            steps.append(ApiKeys(context, keys))
    return steps


def check_machine(context: Context) -> None:
    """Refuse a machine on which it cannot be done, before anything is asked.

    Raises:
        StartError: with every obstacle, and what to do about each.
    """
    preflight.check_system(context.machine)
    preflight.check_obstacles(steps_of(context, {}))


def missing(context: Context, *, builds: bool) -> tuple[str, ...]:
    """Name what has to be brought to the machine. Reads only."""
    wanted = BROUGHT if builds else BROUGHT[:-1]
    steps = [step for step in steps_of(context, {}) if step.title in wanted]
    return tuple(step.title for step in steps if not step.is_done())


def document_of(file: StackFile) -> Document:
    """Read a stack's settings; those of a new one, where it has none yet."""
    return file.read() if file.path.exists() else Document(file.name, NEW)


def work(
    context: Context,
    file: StackFile,
    wanted: Document,
    person: Person,
    *,
    password: str | None,
    keys: Mapping[str, str],
    screen: Screen,
    what: str,
) -> float:
    """Do all of it; gives the seconds that it took.

    Args:
        context: as the questions left it.
        file: of the stack.
        wanted: what is to be in it.
        person: who gets a login.
        password: of that person; ``None``: generated where nobody can log in yet.
        keys: API keys, by name.
        screen: shows each step.
        what: the command, as typed, that goes on from where this stops.

    Raises:
        OpencodeCloudError: a step failed; says what to do.
        KeyboardInterrupt: with words that say how to go on.
    """
    began = time.monotonic()
    stack = context.options.stack
    user = None if person.source == "kept" else person.name
    context.options = Options(stack=stack, user=user, password_stdin=password is not None)
    context.password = password
    try:
        steps = [WriteSettings(file, wanted), *steps_of(context, keys)]
        command.carry_out(context, steps, screen, what)
    except OperationError:
        raise
    except OpencodeCloudError as error:
        # The steps speak as the command that they are usually run by.
        raise OperationError(str(error).replace("./start", what)) from None
    return time.monotonic() - began
