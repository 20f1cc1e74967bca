"""Commands in a deployment's container."""

import shlex
import socket
import time
from collections.abc import Sequence
from typing import Any

from opencode_cloud.ops.deployment import Deployment
from opencode_cloud.ops.docker_engine import Engine
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.frames import STDERR, frames
from opencode_cloud.ops.shells import Done

_ENDS_WITHIN_SECONDS = 5


def run(
    deployment: Deployment, *command: str, stdin: bytes | None = None, user: str = "root"
) -> Done:
    """Run a short command; `stdin` never shows on any command line.

    Raises:
        OperationError: the container does not run, or the engine refused.
    """
    deployment.require_running()
    engine = deployment.engine
    options = {"User": user, "AttachStdin": stdin is not None}
    identifier = create(engine, deployment.container, command, options)
    output = {STDERR: bytearray()}
    with engine.hijack(f"/exec/{identifier}/start", {"Tty": False}) as (connection, reader):
        if stdin is not None:
            connection.sendall(stdin)
            connection.shutdown(socket.SHUT_WR)
        for number, piece in frames(reader):
            output.setdefault(number, bytearray()).extend(piece)
    errors = output.pop(STDERR)
    out = b"".join(output.values())
    return Done(
        exit_code(engine, identifier), out.decode(errors="replace"), errors.decode(errors="replace")
    )


def run_together(deployment: Deployment, *commands: Sequence[str]) -> list[Done]:
    """Run several short commands as root, one after the other, at the price of one.

    What each prints on either stream is its ``out``.

    Raises:
        OperationError: the container does not run, or the engine refused.
    """
    lines = [f"{shlex.join(command)} 2>&1; printf '\\0%d\\0' $?" for command in commands]
    parts = run(deployment, "sh", "-c", "\n".join(lines)).out.split("\0")
    return [Done(int(code), out, "") for out, code in zip(parts[::2], parts[1::2], strict=False)]


def create(engine: Engine, container: str, command: Sequence[str], options: dict[str, Any]) -> str:
    """Prepare a command; gives its id."""
    body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True, **options}
    return engine.post(f"/containers/{container}/exec", body)["Id"]


def exit_code(engine: Engine, identifier: str) -> int:
    """Give the exit code of a command whose streams have ended.

    Raises:
        OperationError: it did not end.
    """
    # The engine notes the end a moment after the streams'.
    deadline = time.monotonic() + _ENDS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        facts = engine.get(f"/exec/{identifier}/json")
        if not facts["Running"] and facts["ExitCode"] is not None:
            return facts["ExitCode"]
        time.sleep(0.01)
    raise OperationError("The command closed its streams and runs on in the container.")
