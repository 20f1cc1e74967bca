"""Commands in a container, run by Docker's own client.

Not by its SDK for Python, which reads past what came together with the head of an answer: on a busy
machine a command's output lacks its beginning, or all of it (docker/docker-py issues 425 and 3332).
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from docker.models.containers import Container


@dataclass(frozen=True)
class Executed:
    """How a command ended, and its output of both kinds in one."""

    code: int
    output: str


def execute(
    container: Container,
    *command: str,
    user: str = "",
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    workdir: str = "",
) -> Executed:
    """Run a command to its end."""
    variables = [f"--env={name}={value}" for name, value in (environment or {}).items()]
    options = [f"--user={user}", f"--workdir={workdir}", *variables]
    done = subprocess.run(
        ["docker", "exec", "--interactive", *options, str(container.id), *command],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Executed(done.returncode, done.stdout)
