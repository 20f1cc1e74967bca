"""The Pulumi program, and a stack of it: what changes a deployment's resources.

All that runs Pulumi here are the steps of ``./start``, so that there is one ``up``.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opencode_cloud.ops import project
from opencode_cloud.ops.docker_host import DockerHost, docker_host_of, rents
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.start.engine import Finder
from opencode_cloud.start.exports import uses_own_backend
from opencode_cloud.start.machine import Machine
from opencode_cloud.start.options import Options
from opencode_cloud.start.paths import Paths
from opencode_cloud.start.plan import Context, Report
from opencode_cloud.start.process import Runner
from opencode_cloud.start.steps.deployment import ENDING_SECONDS, Deployment, fingerprint
from opencode_cloud.start.steps.image import Anew, Image

if TYPE_CHECKING:
    from opencode_cloud.settings import Settings

PULUMI_SECONDS = 120
DESTROY_SECONDS = 600

Progress = Report
"""What a long operation tells the person in front."""


def _nothing(_: str) -> None:
    pass


@dataclass(frozen=True)
class Program:
    """One stack of the Pulumi program, on this machine."""

    paths: Paths
    stack: str
    trace: Callable[[str], None] = field(default=_nothing)
    """Gets each line that Pulumi prints."""

    @property
    def file(self) -> Path:
        """Where the stack's settings are."""
        return self.paths.stack_file(self.stack)

    @property
    def exists(self) -> bool:
        """Whether the stack has settings here."""
        return self.file.is_file()

    @property
    def rents(self) -> bool:
        """Whether the stack makes its own machine, so that there may be none yet."""
        return rents(self.stack, self.paths.root)

    @property
    def is_known(self) -> bool:
        """Whether Pulumi knows the stack, as far as can be told without asking another backend."""
        stacks = self.paths.state / ".pulumi" / "stacks" / "opencode"
        own = uses_own_backend(self.paths, os.environ)
        return not own or (stacks / f"{self.stack}.json").exists()

    @property
    def is_applied(self) -> bool:
        """Whether the settings are those that were applied last, by this version of us."""
        note = self.paths.applied(self.stack)
        return note.is_file() and note.read_text() == fingerprint(self.file)

    def settings(self, config_file: Path | None = None) -> "Settings":
        """Read the stack's settings, or those of a file that is used in the place of its own.

        Raises:
            SettingsError: they cannot be used; with every problem.
            OperationError: their file cannot be read.
        """
        from opencode_cloud.configuration import load
        from opencode_cloud.ops.settings_file import StackFile
        from opencode_cloud.ops.stack_document import Document

        if config_file:
            document = Document(config_file.name, config_file.read_text(encoding="utf-8"))
        else:
            document = StackFile(self.paths.root, self.stack).read()
        return load(document.values, self.stack)

    def image(self, progress: Progress, settings: Mapping[str, str] | None = None) -> str:
        """Have the image of the settings on the Docker host; gives its name.

        Nothing that runs is touched.

        Args:
            progress: gets what is done.
            settings: others than those in the stack's file.

        Raises:
            OpencodeCloudError: it cannot be built or pulled, with the lines that matter.
        """
        step = Image(self._image_context, settings)
        return step.is_done() or step.run(progress).detail

    def image_again(self, anew: Anew, progress: Progress) -> str:
        """Build or pull the image of the settings once more; gives its name.

        Raises:
            OpencodeCloudError: it cannot be done, with the lines that matter.
        """
        name = Image(self._image_context).again(anew, progress)
        if self.rents:
            # By the same name as before, Pulumi sees nothing to apply.
            self._have_applied_again()
        return name

    def up(
        self, progress: Progress, *, config_file: Path | None = None, refresh: bool = False
    ) -> int:
        """Make the resources what the settings say; gives how many changed.

        Interrupted, Pulumi first finishes what it is doing, and leaves no lock.

        Args:
            progress: gets what is done.
            config_file: settings for this time alone; ``None``: the stack's own.
            refresh: look first what is there, and do not take Pulumi's word for it.

        Raises:
            OpencodeCloudError: Pulumi failed; with what it said.
        """
        context = self._context
        if self.rents:
            # It gets its image by what is applied to it.
            self._look_after_the_container()
        elif config_file is None:
            self.image(progress)
        # What it counts is in words only.
        step = Deployment(context, config_file, refresh, wants_outputs=False)
        changed = step.run(progress)
        return int(changed.detail.split()[0]) if changed.changed else 0

    def destroy(self, progress: Progress) -> None:
        """Remove the resources; the volumes stay, unless the stack is armed to delete them.

        Raises:
            OpencodeCloudError: Pulumi failed; with what it said.
        """
        command = ("destroy", "--stack", self.stack, "--yes", "--skip-preview")
        self._context.runner.run(
            *("pulumi", *command, "--non-interactive", "--color", "never"),
            limit=DESTROY_SECONDS,
            cwd=self.paths.root,
            environment=self._context.pulumi_environment,
            on_line=progress.progress,
            grace=ENDING_SECONDS,
        )
        self.paths.applied(self.stack).unlink(missing_ok=True)

    def outputs(self) -> dict[str, Any]:
        """Read the stack's outputs."""
        return json.loads(self.pulumi("stack", "output", "--json", "--stack", self.stack))

    def pulumi(
        self, *arguments: str, stdin: str | None = None, seconds: float = PULUMI_SECONDS
    ) -> str:
        """Run one short ``pulumi`` command in the project; gives what it prints.

        Raises:
            OperationError: it failed; with what it said. `stdin` is in no message.
        """
        import subprocess

        # Not the runner, which mixes what is printed with what is complained of.
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--color", "never"],
            cwd=self.paths.root,
            env=self._context.pulumi_environment,
            input="" if stdin is None else stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
        if done.returncode:
            said = "\n".join(f"    {line}" for line in done.stderr.strip().splitlines())
            raise OperationError(f"pulumi {arguments[0]} failed:\n{said}")
        return done.stdout

    @property
    def _setup_command(self) -> str:
        """What brings Pulumi; a stack that rents its machine brings nothing to this one."""
        return project.setup_command(project.DEFAULT_STACK if self.rents else self.stack)

    def _look_after_the_container(self) -> None:
        """Have a rented machine make its container where it has none; Pulumi does not look."""
        from opencode_cloud.ops import rented
        from opencode_cloud.ops.deployment import find

        if not rented.read(self.paths.data, self.stack):
            return
        try:
            find(self.stack, docker_host_of(self.stack, self.paths.root).engine())
        except OperationError:
            # Or it cannot be reached now, and may be another one in a moment.
            self._have_applied_again()

    def _have_applied_again(self) -> None:
        from opencode_cloud.ops import rented

        rented.have_applied_again(self.paths.data, self.stack)

    @cached_property
    def _context(self) -> Context:
        # A rented machine may not be there yet.
        return self._made(None if self.rents else docker_host_of(self.stack, self.paths.root))

    @cached_property
    def _image_context(self) -> Context:
        if not self.rents:
            return self._context
        return self._made(docker_host_of(self.stack, self.paths.root))

    def _made(self, host: DockerHost | None) -> Context:
        environment = dict(os.environ)
        docker_host = f"unix://{host.local_socket()}" if host else ""
        if host:
            # The docker command shall ask whom the stack names, and not what the shell says today.
            environment["DOCKER_HOST"] = docker_host
        machine = Machine.this()
        runner = Runner(environment, machine, show=self.trace)
        context = Context(Options(stack=self.stack), self.paths, machine, runner, environment)
        context.host = host if host and host.is_remote else None
        context.docker_host = docker_host
        context.engine = Finder(self.paths, runner, environment).find()
        if context.engine is None:
            raise OperationError(
                "The Pulumi engine, or a plugin of it, is missing here. This brings it: "
                f"{self._setup_command}"
            )
        if not self.paths.state.is_dir() and "PULUMI_BACKEND_URL" not in environment:
            raise OperationError(
                f"There is no Pulumi state in {self.paths.state} yet. This makes it: "
                f"{self._setup_command}"
            )
        return context


def find_program(stack: str, trace: Callable[[str], None] = _nothing) -> Program | None:
    """Give the program's stack; ``None`` where it has no settings here."""
    program = Program(project.paths(), stack, trace)
    return program if program.exists else None


def program_of(stack: str, trace: Callable[[str], None] = _nothing) -> Program:
    """Give the program's stack.

    Raises:
        OperationError: it has no settings here.
    """
    program = find_program(stack, trace)
    if program:
        return program
    raise OperationError(
        f"The stack {stack!r} has no settings in {project.folder() / 'stacks'}, and so cannot be "
        "changed from here. Where it was made, occ can; to make it here: "
        f"{project.setup_command(stack)}"
    )
