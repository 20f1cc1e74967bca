"""Removing a stack and all that belongs to it alone. Can be interrupted, and done again."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from opencode_cloud.errors import OpencodeCloudError
from opencode_cloud.ops import lock, project
from opencode_cloud.ops.deployment import occ
from opencode_cloud.ops.docker_engine import Engine
from opencode_cloud.ops.errors import EngineError, OperationError
from opencode_cloud.ops.hosts.registry import Host
from opencode_cloud.ops.program import Program, Progress
from opencode_cloud.ops.service_unit import host_unit
from opencode_cloud.ops.timers import Timers
from opencode_cloud.ops.uninstall_plan import (
    Plan,
    armed,
    on_docker,
    others,
    secrets_in,
    state_files,
)
from opencode_cloud.start.exports import uses_own_backend

_NOT_FOUND, _CONFLICT = 404, 409
_GIT_SECONDS = 20
_UNTRACKED = 1
"""What `git ls-files --error-unmatch` ends with for a file that is not git's."""
_KEPT = ("backups", "rollback")
"""Folders in the user's data that hold backups: never removed."""


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    data: bool = False
    """Remove people's data too."""
    all: bool = False
    """With the last stack, remove what all stacks share."""
    force: bool = False
    """Go on by Docker's labels where Pulumi cannot."""


def plan(program: Program, engine: Engine, wish: Wish) -> Plan:
    """Find out what is to be removed.

    Raises:
        OperationError: it cannot be removed so; says what to say or do.
    """
    stack, paths = program.stack, program.paths
    docker = on_docker(engine, stack)
    rest = others(paths, stack)
    if wish.all and rest:
        raise OperationError(
            f"--all removes what {', '.join(rest)} needs too: Pulumi's state and its passphrase. "
            f"Uninstall these first, or leave --all out."
        )
    # Another backend than ours is not asked; without settings here, the stack is not ours to know.
    own = uses_own_backend(paths, os.environ)
    known = program.is_known and (own or program.exists)
    if docker.containers and not known and not wish.force:
        raise OperationError(
            f"Pulumi's state here ({paths.state}) does not know the stack {stack!r}: it was made "
            "by another user, or with another state. Uninstall it there; or remove what carries "
            f"its label on this Docker host: {occ(stack, 'uninstall', '--force')}"
        )
    file = program.file if program.exists else None
    return Plan(
        stack=stack,
        docker=docker,
        stack_in_pulumi=known,
        file=file if file and _differs(file) else None,
        secrets=tuple(secrets_in(file)) if file else (),
        file_is_gits=bool(file and _in_git(file)),
        data=wish.data,
        units=_units(stack),
        service_unit=", ".join(unit.file for unit in host_unit(stack).all()),
        changes=paths.changes.read_text() if paths.changes.is_file() else "",
        user_data=paths.data if wish.all and _has_more_than_backups(paths.data) else None,
    )


def _timer(stack: str) -> str:
    """Name the units of `occ backup schedule`."""
    return f"opencode-cloud-backup-{stack}"


def _units(stack: str) -> tuple[Path, ...]:
    try:
        folder = Timers.here(os.environ).folder
    except OperationError:
        # No systemd, so that there is no schedule either.
        return ()
    return tuple(sorted(folder.glob(f"{_timer(stack)}.*")))


def _has_more_than_backups(folder: Path) -> bool:
    return folder.is_dir() and any(entry.name not in _KEPT for entry in folder.iterdir())


def carry_out(plan: Plan, program: Program, engine: Engine, wish: Wish, report: Progress) -> None:
    """Remove it. Whatever is gone already is no error.

    Raises:
        OpencodeCloudError: something could not be removed; the same command goes on from there.
    """
    with lock.changing(program.paths, plan.stack, occ(plan.stack, "uninstall")):
        if plan.units:
            report.progress("removing the schedule of backups")
            Timers.here(os.environ).remove(_timer(plan.stack))
        if plan.stack_in_pulumi:
            _by_pulumi(plan, program, wish, report)
        if plan.service_unit:
            # Pulumi has removed it, where it could.
            host_unit(plan.stack).remove()
        _on_docker(plan, engine, report)
        if plan.file:
            _put_back(plan.file) if plan.file_is_gits else plan.file.unlink(missing_ok=True)
        Host(plan.stack, {}, program.paths).forget()
        program.paths.applied(plan.stack).unlink(missing_ok=True)
        (program.paths.cache / "drift" / f"{plan.stack}.json").unlink(missing_ok=True)
        program.paths.stack_lock(plan.stack).unlink(missing_ok=True)
    if plan.user_data:
        report.progress(f"removing {plan.user_data}")
        _empty(plan.user_data)


def _by_pulumi(plan: Plan, program: Program, wish: Wish, report: Progress) -> None:
    try:
        if not wish.data:
            _refuse_armed(program)
        report.progress("pulumi destroy")
        program.destroy(report)
        program.pulumi("stack", "rm", plan.stack, "--yes", "--preserve-config")
    except _ArmedError:
        raise
    except OpencodeCloudError as error:
        if not wish.force:
            raise OperationError(
                f"{error}\nNothing more was removed; the same command tries again. Without "
                f"Pulumi, by Docker's labels: {occ(plan.stack, 'uninstall', '--force')}"
            ) from None
        report.note(f"Pulumi could not, and is done without: {str(error).splitlines()[0]}")
        if uses_own_backend(program.paths, os.environ):
            for path in state_files(program):
                _remove(path)


class _ArmedError(OperationError):
    """The stack would take people's data with it."""


def _refuse_armed(program: Program) -> None:
    """Refuse to run a `destroy` that deletes data nobody wants deleted."""
    exported = json.loads(program.pulumi("stack", "export", "--stack", program.stack))
    resources = (exported.get("deployment") or {}).get("resources") or []
    if volumes := armed(resources):
        stack = program.stack
        disarm = occ(stack, "config", "unset", "delete_data_on_destroy", "--apply", "--yes")
        raise _ArmedError(
            f"The stack is armed to delete its data with it ({', '.join(volumes[:3])}, …): "
            f"delete_data_on_destroy says so. To keep the data: {disarm}. To delete it: "
            f"{occ(stack, 'uninstall', '--data', '--confirm', stack)}"
        )


def _on_docker(plan: Plan, engine: Engine, report: Progress) -> None:
    """Remove what carries the stack's label, and is there still."""
    found = plan.docker
    for container in found.containers:
        report.progress(f"removing the container {container.name}")
        _gone(lambda each=container: engine.post(f"/containers/{each.id}/stop", seconds=60))
        _gone(lambda each=container: engine.delete(f"/containers/{each.id}", force=1))
    for network in found.networks:
        _gone(lambda each=network: engine.delete(f"/networks/{each.id}"))
    for image in found.images:
        report.progress(f"removing the image {image}")
        # Only the name goes where the image has others, or somebody's container runs it.
        _gone(lambda each=image: engine.delete(f"/images/{each}"), or_in_use=True)
    if plan.data:
        for volume in found.volumes:
            report.progress(f"removing the volume {volume.name}")
            _gone(lambda each=volume: engine.delete(f"/volumes/{each.name}"))


def _gone(action: Callable[[], object], *, or_in_use: bool = False) -> None:
    try:
        action()
    except EngineError as error:
        if error.status == _NOT_FOUND or (or_in_use and error.status == _CONFLICT):
            return
        raise


# --- the stack's settings ---------------------------------------------------


def _git(file: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ("git", *words),
        cwd=file.parent,
        check=False,
        capture_output=True,
        text=True,
        timeout=_GIT_SECONDS,
    )


def _in_git(file: Path) -> bool:
    """Whether git keeps the file: it then came with the checkout.

    Raises:
        OperationError: git cannot tell.
    """
    if project.is_installed() or not (file.parents[1] / ".git").exists():
        return False
    if not shutil.which("git"):
        raise OperationError(f"{file} belongs to a checkout, and git is not here to put it back.")
    done = _git(file, "ls-files", "--error-unmatch", file.name)
    if done.returncode not in (0, _UNTRACKED):
        raise OperationError(f"git cannot tell whether {file} is its own: {done.stderr.strip()}")
    return done.returncode == 0


def _differs(file: Path) -> bool:
    """Whether there is something to take back, or to remove."""
    if not _in_git(file):
        return True
    shipped = _git(file, "show", f"HEAD:./{file.name}")
    return shipped.returncode != 0 or shipped.stdout != file.read_text(errors="replace")


def _put_back(file: Path) -> None:
    """Make the file what git has, and have git look at it again."""
    # ./start marks it, so that a checkout stays clean (docs/adr/0003).
    words = (
        ("update-index", "--no-skip-worktree", "--", file.name),
        ("checkout", "--", file.name),
    )
    for each in words:
        done = _git(file, *each)
        if done.returncode:
            raise OperationError(
                f"{file} could not be put back as git has it: {done.stderr.strip()}. All else is "
                f"removed. By hand: git {' '.join(each)}"
            )


def _empty(folder: Path) -> None:
    """Remove all but backups; and the folder itself, when nothing is left in it."""
    for entry in folder.iterdir():
        if entry.name not in _KEPT:
            _remove(entry)
    with suppress(OSError):
        folder.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def again(plan: Plan, engine: Engine) -> Plan:
    """Give the plan with what Docker still has, to say what is left."""
    with suppress(EngineError):
        found = on_docker(engine, plan.stack)
        return replace(plan, docker=replace(found, pulled=plan.docker.pulled))
    return plan
