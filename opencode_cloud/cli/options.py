"""The options that every command knows."""

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opencode_cloud.ops import project
from opencode_cloud.ops.deployment import (
    Deployment,
    engine_of,
    find,
    occ,
)
from opencode_cloud.ops.docker_engine import Engine
from opencode_cloud.ops.docker_host import DockerHost, docker_host_of
from opencode_cloud.ops.errors import NoDeploymentError
from opencode_cloud.ops.project import DEFAULT_STACK

if TYPE_CHECKING:
    # What parses takes longer to load than most commands take.
    import typer


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was said before, or between, the words of the command."""

    host: str = DEFAULT_STACK
    """The stack: each is one deployment on one host."""
    json: bool = False
    quiet: bool = False
    no_color: bool = False
    yes: bool = False
    verbose: bool = False

    @property
    def can_ask(self) -> bool:
        """Whether there is somebody to ask."""
        return not self.quiet and sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def color(self) -> bool:
        """Whether colours are wanted, where there is a terminal."""
        return not self.no_color and not os.environ.get("NO_COLOR")

    def say(self, text: str) -> None:
        """Print what is good to know, and is no result."""
        if not self.quiet:
            print(text)

    def trace(self, line: str) -> None:
        """Print what is done beneath, when that is asked for."""
        if self.verbose:
            print(line, file=sys.stderr)

    def deployment(self) -> Deployment:
        """Find the deployment that is meant.

        Raises:
            OperationError: there is none, or Docker cannot be asked.
        """
        return find(self.host, self.engine())

    def docker_host(self) -> DockerHost:
        """Give the machine that is meant.

        Raises:
            OperationError: what the settings say of it cannot be used here.
        """
        return docker_host_of(self.host, project.folder())

    @property
    def there(self) -> str:
        """` on ada@box`, to be said behind what is there; empty: it is this machine."""
        host = self.docker_host()
        return f" on {host.name}" if host.is_remote else ""

    def engine(self) -> Engine:
        """Give the Docker engine that is meant.

        Raises:
            OperationError: it cannot be reached from here.
        """
        return engine_of(self.host, project.folder(), self.trace)

    def needed(self) -> Deployment:
        """Find the deployment that is meant; where there is none, offer to set it up.

        Raises:
            OperationError: there is none and nobody to ask, or Docker cannot be asked.
        """
        try:
            return self.deployment()
        except NoDeploymentError as missing:
            from opencode_cloud.cli import setup

            setup.offer(self, missing)
        return self.deployment()

    def occ(self, *words: str) -> str:
        """Write a command as it is typed for this deployment."""
        return occ(self.host, *words)


def options_of(context: "typer.Context") -> Options:
    """Give what the command was called with."""
    return context.find_object(Options) or Options()


def refuse_json(options: Options, command: str) -> None:
    """Say that a command has no JSON to give.

    Raises:
        typer.BadParameter: it was asked for.
    """
    if options.json:
        import typer

        raise typer.BadParameter(f"{command} has no JSON output.")
