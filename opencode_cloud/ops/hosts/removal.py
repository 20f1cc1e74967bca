"""Doing without a host: its settings go, and never what is on it."""

import os
from collections.abc import Sequence
from pathlib import Path

from opencode_cloud.ops import lock
from opencode_cloud.ops.deployment import engine_of, occ
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.hosts.registry import Host
from opencode_cloud.ops.program import Program
from opencode_cloud.ops.ssh import SshError
from opencode_cloud.ops.uninstall_plan import on_docker, secrets_in, state_files
from opencode_cloud.start.exports import uses_own_backend


def secrets(host: Host) -> list[str]:
    """Name the secrets that are in its settings, and nowhere else."""
    return secrets_in(host.file)


def require_unused(host: Host) -> Sequence[str]:
    """See that no deployment is there; gives the volumes that stay on it.

    Raises:
        OperationError: there is one, or the host cannot be asked.
    """
    uninstall = occ(host.name, "uninstall")
    try:
        found = on_docker(engine_of(host.name, host.paths.root), host.name)
    except OperationError as error:
        gone = isinstance(error, SshError)
        forget = f" If it is gone for good: occ host remove {host.name} --forget" if gone else ""
        raise OperationError(
            f"Whether a deployment is on {host.name!r} cannot be told, so that nothing was "
            f"removed. {error}{forget}"
        ) from None
    if found.containers or found.networks:
        names = ", ".join(each.name for each in (*found.containers, *found.networks))
        raise OperationError(
            f"There is a deployment on {host.name!r} ({names}). Uninstall it first: {uninstall}. "
            "That keeps its data unless you say otherwise, and removes these settings too."
        )
    if _has_state(host):
        raise OperationError(
            f"Pulumi still knows the stack {host.name!r}. This removes it, and these settings: "
            f"{uninstall}"
        )
    return tuple(volume.name for volume in found.volumes)


def remove(host: Host, *, forget: bool) -> list[str]:
    """Remove all that is kept of a host on this machine.

    Args:
        host: to do without.
        forget: also what Pulumi's state has of it, without asking the host.

    Returns: What else is to be done by hand.
    """
    left: list[str] = []
    paths, name = host.paths, host.name
    with lock.changing(paths, name, f"occ host remove {name}"):
        if forget and uses_own_backend(paths, os.environ):
            for path in state_files(Program(paths, name)):
                _remove(path)
        elif forget:
            left.append(f"pulumi stack rm --force {name}")
        host.file.unlink(missing_ok=True)
        host.forget()
        paths.applied(name).unlink(missing_ok=True)
        (paths.cache / "drift" / f"{name}.json").unlink(missing_ok=True)
        paths.stack_lock(name).unlink(missing_ok=True)
    return left


def _has_state(host: Host) -> bool:
    own = uses_own_backend(host.paths, os.environ)
    # Another backend's is not asked.
    return own and bool(state_files(Program(host.paths, host.name)))


def _remove(path: Path) -> None:
    import shutil

    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
