"""Whether opencode answers, asked in the container as its own health check asks."""

import json
from dataclasses import dataclass

from opencode_cloud.ops.deployment import Deployment
from opencode_cloud.ops.execution import run

# By the gateway's own socket: a public name may not lead here yet, and a deployment behind
# a proxy answers nobody else.
COMMAND = (
    *("curl", "--silent", "--show-error", "--max-time", "3", "--noproxy", "*"),
    *("--unix-socket", "/run/opencode-cloud/gateway/health.sock", "http://localhost/health"),
)


@dataclass(frozen=True)
class Health:
    """What ``/health`` said."""

    healthy: bool
    reason: str = ""
    """Why it is not healthy."""
    version: str = ""
    """Of the opencode that answers."""


def ask(deployment: Deployment) -> Health:
    """Ask once.

    Raises:
        OperationError: the container does not run.
    """
    done = run(deployment, *COMMAND)
    return read(done.out + done.err)


def read(text: str) -> Health:
    """Understand what was answered, or what curl said."""
    try:
        said = json.loads(text)
        return Health(said["healthy"] is True, said.get("reason", ""), said.get("version", ""))
    except (ValueError, KeyError, TypeError):
        return Health(False, reason=text.strip().removeprefix("curl: ") or "the gateway is silent")
