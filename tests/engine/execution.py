"""Commands in a container, run by Docker's own client.

Not by its SDK for Python, which reads past what came together with the head of an answer: on a busy
machine a command's output lacks its beginning, or all of it (docker/docker-py issues 425 and 3332).
"""

import subprocess
from collections.abc import Mapping


def execute(
    container: str | None,
    *command: str,
    user: str = "",
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    workdir: str = "",
    apart: bool = False,
    seconds: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in a container of this name or id.

    What it prints of both kinds is in `stdout`, as it comes, unless they are to be `apart`.
    """
    variables = [f"--env={name}={value}" for name, value in (environment or {}).items()]
    options = [f"--user={user}", f"--workdir={workdir}", *variables]
    return subprocess.run(
        ["docker", "exec", "--interactive", *options, str(container), *command],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if apart else subprocess.STDOUT,
        text=True,
        check=False,
        timeout=seconds,
    )
