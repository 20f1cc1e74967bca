"""What `occ doctor` finds out before it judges. Nothing here changes anything, or asks for long."""

import json
import os
import platform
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from opencode_cloud.errors import OpencodeCloudError
from opencode_cloud.ops import folders, lock, logs, ports
from opencode_cloud.ops.deployment import LABEL, Deployment, reached_at
from opencode_cloud.ops.docker_engine import Engine
from opencode_cloud.ops.docker_host import DockerHost
from opencode_cloud.ops.doctor_checks.deployment import Deployed
from opencode_cloud.ops.doctor_checks.docker import Docker
from opencode_cloud.ops.doctor_checks.machine import Disk, Machine
from opencode_cloud.ops.doctor_checks.pulumi import Lock, Packages, Passphrase, State
from opencode_cloud.ops.doctor_checks.settings import SettingsFile, Wrong
from opencode_cloud.ops.errors import EngineError, OperationError
from opencode_cloud.ops.passphrase import opens
from opencode_cloud.ops.service_unit import ServiceUnit, host_unit
from opencode_cloud.ops.status import gather
from opencode_cloud.start.exports import (
    PASSPHRASE_VARIABLES,
    backend_url,
    uses_own_backend,
    uses_own_passphrase,
)
from opencode_cloud.start.machine import OS_RELEASE, os_release
from opencode_cloud.start.paths import Paths
from opencode_cloud.start.steps.deployment import is_alive, lock_owner

_DOCKER_ROOT = "/var/lib/docker"
_PRUNE = "docker image prune (removes images that have no name)"
_CONNECT_SECONDS = 2
_LOG_LINES = 5000
_NOT_FOUND = 404
_NO_BASH = 3


def machine(paths: Paths) -> Machine:
    """Look at this machine."""
    release = os_release(OS_RELEASE.read_text()) if OS_RELEASE.exists() else {}
    memory = _memory()
    return Machine(
        system=platform.system(),
        name=release.get("PRETTY_NAME", platform.platform(terse=True)),
        now=datetime.now(UTC),
        built=datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC),
        data=_disk("data", _nearest(paths.data), f"du -xh {paths.data} | sort -h | tail"),
        memory=memory.get("MemTotal"),
        memory_available=memory.get("MemAvailable"),
    )


def _disk(name: str, path: Path, clean: str) -> Disk | None:
    try:
        found = os.statvfs(path)
    except OSError:
        # Another machine's: the engine's own virtual one has it.
        return None
    return Disk(
        name=name,
        path=str(path),
        free=found.f_bavail * found.f_frsize,
        inodes=found.f_favail if found.f_files else None,
        clean=clean,
    )


def _nearest(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())


def _memory() -> dict[str, int]:
    """Read /proc/meminfo, where there is one, in bytes."""
    try:
        told = Path("/proc/meminfo").read_text()
    except OSError:
        return {}
    rows = re.findall(r"^(\w+): +(\d+) kB$", told, re.MULTILINE)
    return {name: int(count) * 1024 for name, count in rows}


def docker(engine: Engine) -> Docker:
    """Ask the engine what it is."""
    try:
        return Docker(socket=engine.where or engine.socket_path, info=engine.get("/info"))
    except (EngineError, ValueError, OSError) as error:
        return Docker(socket=engine.where or engine.socket_path, failure=str(error))


def docker_disk(found: Docker) -> Disk | None:
    """Look at where the engine keeps everything; None where that is not on this machine."""
    return _disk("docker", Path(found.info.get("DockerRootDir") or _DOCKER_ROOT), _PRUNE)


def packages(paths: Paths, *, installed: bool) -> Packages | None:
    """Compare the program's Python environment with its lock; None where there is no lock."""
    if not paths.requirements.is_file():
        return None
    folders = [str(each) for each in paths.venv.glob("lib/python3*/site-packages")]
    if not folders or not paths.python.exists():
        return Packages(folder=str(paths.venv), there=False)
    there = {_plain(each.name): each.version for each in distributions(path=folders)}
    # What has a condition behind it may be meant for other systems.
    pins = re.findall(
        r"^([A-Za-z0-9_.-]+)==([^\s;\\]+) *\\?$", paths.requirements.read_text(), re.MULTILINE
    )
    wrong = tuple(
        f"{name} {there.get(_plain(name), 'is missing')} (wanted {version})"
        for name, version in pins
        # Installed, it has what pipx or uv chose.
        if _plain(name) not in there or (not installed and there[_plain(name)] != version)
    )
    return Packages(folder=str(paths.venv), there=True, wrong=wrong)


def _plain(name: str) -> str:
    """Write a package's name in the one way that they all can be (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def state(paths: Paths, stack: str) -> State:
    """Look at the state of a stack."""
    backend = backend_url(paths, os.environ)
    if not uses_own_backend(paths, os.environ):
        return State(backend=re.sub(r"//[^/@]*@", "//", backend).partition("?")[0], own=False)
    changing = lock.is_held(paths.stack_lock(stack))
    locks = tuple(_locks(paths, stack))
    facts: dict[str, Any] = {"backend": backend, "own": True, "locks": locks, "changing": changing}
    try:
        latest = _checkpoint(paths, stack)
    except (OSError, ValueError) as error:
        return State(**facts, readable=_why(error), stack_is_there=True)
    if latest is None:
        return State(**facts)
    pending = tuple(
        f"{operation.get('type', '?')} {operation.get('resource', {}).get('urn', '?')}"
        for operation in latest.get("pending_operations") or ()
    )
    return State(**facts, stack_is_there=True, pending=pending)


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    # The text of what could not be understood is nobody's to see.
    return "it is not what Pulumi writes"


def _checkpoint(paths: Paths, stack: str) -> dict[str, Any] | None:
    """Read the latest state; None when there is no such stack."""
    file = paths.state / ".pulumi" / "stacks" / "opencode" / f"{stack}.json"
    if not file.exists():
        return None
    found = json.loads(file.read_text())
    if not isinstance(found, dict):
        raise ValueError(file.name)  # noqa: TRY004 - as for what is no JSON
    return found.get("checkpoint", {}).get("latest") or {}


def _locks(paths: Paths, stack: str) -> Iterator[Lock]:
    folder = paths.state / ".pulumi" / "locks"
    for file in folder.rglob(f"opencode/{stack}/*.json"):
        if owner := lock_owner(file):
            yield Lock(process=owner, alive=is_alive(owner))


def passphrase(paths: Paths, stack: str) -> Passphrase:
    """Look at what opens the stack's secrets, and try it."""
    own = uses_own_passphrase(paths, os.environ)
    file = paths.passphrase if own else Path(os.environ.get(PASSPHRASE_VARIABLES[1], ""))
    given = None if own else os.environ.get(PASSPHRASE_VARIABLES[0])
    name = str(file) if given is None else f"${PASSPHRASE_VARIABLES[0]}"
    salt, states = _salt(paths, stack), _salt_of_state(paths, stack)
    try:
        text = file.read_text().strip() if given is None else given
    except (OSError, ValueError):
        return Passphrase(path=name, there=False, needed=bool(salt or states), own=own)
    return Passphrase(
        path=name,
        there=True,
        own=own,
        mode=file.stat().st_mode & 0o777 if given is None else 0o600,
        opens=opens(text, salt) if salt else None,
        salts_agree=not (salt and states) or salt == states,
    )


def _salt(paths: Paths, stack: str) -> str:
    file = paths.stack_file(stack)
    text = file.read_text(errors="replace") if file.is_file() else ""
    match = re.search(r"^encryptionsalt: *(\S+)", text, re.MULTILINE)
    return match[1] if match else ""


def _salt_of_state(paths: Paths, stack: str) -> str:
    try:
        latest = _checkpoint(paths, stack) or {}
    except (OSError, ValueError):
        return ""
    return ((latest.get("secrets_providers") or {}).get("state") or {}).get("salt", "")


def settings(paths: Paths, stack: str) -> SettingsFile:
    """Read the stack's settings as the program would."""
    from opencode_cloud.ops.settings_file import StackFile
    from opencode_cloud.ops.stack_overview import overview

    file = paths.stack_file(stack)
    if not file.is_file():
        return SettingsFile(path=str(file), there=False)
    try:
        found = overview(StackFile(paths.root, stack).read(), stack)
    except OpencodeCloudError as error:
        return SettingsFile(path=str(file), there=True, unreadable=str(error))
    wrong = [
        Wrong(f"{problem.key} = {problem.value!r} {problem.why}", problem.fix)
        for problem in found.problems
    ]
    return SettingsFile(path=str(file), there=True, wrong=wrong)


def deployed(deployment: Deployment, now: datetime) -> Deployed:
    """Look at the deployment, in the container and around it."""
    engine, status = deployment.engine, gather(deployment, now)
    address, port = deployment.published
    host = deployment.host
    running = deployment.is_running
    volumes = engine.get("/volumes", filters=json.dumps({"label": [f"{LABEL}={status.stack}"]}))
    binds = [mount.source for mount in status.mounts if mount.kind == "bind"]
    return Deployed(
        status=status,
        image_is_there=_has_image(deployment),
        connects=_connects(host, address, int(port)) if port and running else None,
        port_problem=_taken(deployment, address, int(port)) if port and not running else None,
        own_volumes=tuple(volume["Name"] for volume in volumes.get("Volumes") or ()),
        missing_folders=tuple(_gone(host, binds)),
        units=_units(deployment),
        errors=_errors(deployment, now),
    )


def _units(deployment: Deployment) -> tuple[ServiceUnit, ...]:
    try:
        return tuple(host_unit(deployment.stack).all())
    except OperationError:
        # The host of whoever asks is not one that has units.
        return ()


def _has_image(deployment: Deployment) -> bool:
    try:
        deployment.engine.get(f"/images/{deployment.facts['Image']}/json")
    except EngineError as error:
        return error.status != _NOT_FOUND
    return True


def _gone(host: DockerHost, paths: list[str]) -> Iterator[str]:
    """Give those that are not on the machine any more."""
    if not host.is_remote:
        yield from (path for path in paths if not Path(path).exists())
    elif paths:
        seen = folders.see_there(host.shell, paths).seen
        yield from (path for path in paths if seen[path].kind == folders.MISSING)


def _connects(host: DockerHost, address: str, port: int) -> bool | None:
    """Whether the machine itself gets a connection; None where it has nothing to try it by."""
    if host.is_remote:
        to = f"/dev/tcp/{reached_at(address)}/{port}"
        tried = host.shell.run(
            f"command -v bash > /dev/null || exit 3; timeout {_CONNECT_SECONDS} bash -c ': < {to}'"
        )
        return None if tried.code == _NO_BASH else tried.ok
    try:
        with socket.create_connection((reached_at(address), port), timeout=_CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _taken(deployment: Deployment, address: str, port: int) -> ports.PortProblem | None:
    """Say who has the port of a deployment that does not run."""
    try:
        all_of_it = "0.0.0.0"  # noqa: S104 - what Docker would take
        return ports.problem(address or all_of_it, port, deployment.engine, host=deployment.host)
    except ValueError:
        return None


def _errors(deployment: Deployment, now: datetime) -> int | None:
    """Count the lines of the last hour that tell of an error."""
    wanted = logs.Wanted(since=now - timedelta(hours=1), count=_LOG_LINES)
    try:
        return sum(logs.tells(line.text) for line in logs.read(deployment, wanted))
    except (OperationError, OSError):
        return None
