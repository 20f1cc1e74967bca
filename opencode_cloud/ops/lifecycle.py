"""Starting and stopping the container that a deployment has."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from opencode_cloud.ops import health, logs, ports
from opencode_cloud.ops.deployment import Deployment, occ
from opencode_cloud.ops.errors import EngineError, OperationError
from opencode_cloud.ops.service_unit import unit_of

HEALTHY_SECONDS = 60
_STOP_SECONDS = 60
"""More than the engine gives the container before it kills it."""
_TRY_EVERY = 0.3
_ENDED = ("exited", "dead")
_UNIT_AT_WORK = ("active", "activating", "deactivating")
_PLAIN, _METRICS = "8080/tcp", "8081/tcp"
"""Ports in the container; the first is the gateway's, or under TLS sends people on to it."""


def start(deployment: Deployment, progress: Callable[[str], None]) -> bool:
    """Start the container unless it runs, and wait until opencode answers.

    Gives whether anything was to be done; `progress` gets what is waited for.

    Raises:
        OperationError: it did not start, or is not healthy in time; with the lines that matter.
    """
    began = datetime.now(UTC)
    running = deployment.is_running
    if deployment.facts["State"]["Paused"]:
        _do(deployment, "unpause")
    elif not running:
        _do(deployment, "start")
    supervised = supervise(deployment)
    wait_healthy(deployment, progress, began)
    return supervised or not running


def supervise(deployment: Deployment) -> bool:
    """Have the deployment's unit keep it running, if it has one; gives whether it did not.

    Raises:
        OperationError: it cannot.
    """
    there = unit_of(deployment)
    if not there:
        return False
    unit, found = there
    if found.starts_at_boot and found.state == "active":
        return False
    unit.start()
    return True


def restart(deployment: Deployment, progress: Callable[[str], None]) -> None:
    """Stop the container if it runs, start it, and wait until opencode answers.

    Raises:
        OperationError: as `start`.
    """
    stop(deployment, progress)
    start(deployment.again(), progress)


def stop(deployment: Deployment, progress: Callable[[str], None]) -> bool:
    """Stop the container, unless it is; gives whether anything was to be done.

    It stays stopped, also when the machine starts, until it is started.

    Raises:
        OperationError: it cannot be stopped.
    """
    state = deployment.facts["State"]
    is_ended = not state["Running"] and not state["Restarting"]
    # It would start again what was stopped.
    stopped = _stop_unit(deployment, progress)
    if is_ended:
        return stopped
    progress("stopping")
    _do(deployment, "stop")
    return True


def _stop_unit(deployment: Deployment, progress: Callable[[str], None]) -> bool:
    there = unit_of(deployment)
    if not there:
        return False
    unit, found = there
    if not found.enabled and found.state not in _UNIT_AT_WORK:
        return False
    progress("stopping its service unit")
    unit.stop()
    return True


def wait_healthy(
    deployment: Deployment,
    progress: Callable[[str], None],
    began: datetime,
    seconds: float = HEALTHY_SECONDS,
) -> None:
    """Wait until opencode answers.

    Raises:
        OperationError: it does not within `seconds`, or its container ended.
    """
    deadline = time.monotonic() + seconds
    while why := _problem(deployment):
        ended = deployment.again().facts["State"]["Status"] in _ENDED
        if ended or time.monotonic() > deadline:
            raise OperationError(_failure(deployment, why, began, seconds, ended=ended))
        progress(why)
        time.sleep(_TRY_EVERY)


def _problem(deployment: Deployment) -> str:
    now = deployment.again()
    if not now.is_running:
        state = now.facts["State"]
        return f"its container is {state['Status']} (exit code {state['ExitCode']})"
    try:
        answer = health.ask(now)
    except EngineError as error:
        # It ended between the two questions.
        return str(error)
    return "" if answer.healthy else answer.reason


def _failure(
    deployment: Deployment, why: str, began: datetime, seconds: float, *, ended: bool
) -> str:
    # The engine's clock may not be quite ours.
    wanted = logs.Wanted(since=began - timedelta(seconds=1))
    lines = logs.that_matter([line.text for line in logs.read(deployment, wanted)])
    first = "did not start" if ended else f"is not healthy after {seconds:.0f} s"
    return "\n".join(
        [
            f"The deployment {deployment.stack!r} {first}: {why}. The last lines that matter:",
            *(f"    {line}" for line in lines or ["(it printed nothing)"]),
            f"All of them: {occ(deployment.stack, 'logs')}",
        ]
    )


def _do(deployment: Deployment, verb: str) -> None:
    try:
        deployment.engine.post(f"/containers/{deployment.container}/{verb}", seconds=_STOP_SECONDS)
    except EngineError as error:
        taken = taken_port(str(error))
        if not taken:
            raise
        raise OperationError(_taken(deployment, taken)) from None


def taken_port(message: str) -> str:
    """Find which port of the host the engine could not get; empty when it is not about that."""
    if not re.search(r"already allocated|already in use", message):
        return ""
    # The host's own address and port come before the container's.
    match = re.search(r"(?:\d+(?:\.\d+){3}|\]):(\d+)", message)
    return match[1] if match else ""


def _taken(deployment: Deployment, port: str) -> str:
    address = _address(deployment, port)
    found = ports.described(address, int(port), deployment.engine, deployment.host)
    return ports.explained(found, deployment.stack, _setting(deployment, port))


def _bound(deployment: Deployment, port: str) -> Iterator[tuple[str, str]]:
    """Give what is to lead into the container from a port: address, and port inside."""
    for inside, bindings in (deployment.facts["HostConfig"]["PortBindings"] or {}).items():
        for binding in bindings or []:
            if binding["HostPort"] == port:
                yield binding["HostIp"], inside


def _address(deployment: Deployment, port: str) -> str:
    return next((address for address, _ in _bound(deployment, port) if address), "127.0.0.1")


def _setting(deployment: Deployment, port: str) -> str:
    """Name the setting that a port comes from."""
    inside = next((inside for _, inside in _bound(deployment, port)), "")
    if inside == _METRICS:
        return "metrics_port"
    return "http_port" if inside == _PLAIN and deployment.tls != "off" else "port"
