"""What a deployment is and how it does."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from opencode_cloud import __version__
from opencode_cloud.ops import health as health_of
from opencode_cloud.ops import room
from opencode_cloud.ops.boot import Boot, boot, docker_is_enabled_on
from opencode_cloud.ops.deployment import Deployment, is_loopback
from opencode_cloud.ops.drift import Drift
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.execution import run_together
from opencode_cloud.ops.service_unit import ServiceUnit, host_unit, may_have_unit
from opencode_cloud.ops.users import LIST, User, parse
from opencode_cloud.ops.versions import later, offered

HEALTHY, STOPPED, UNHEALTHY = 0, 3, 4
"""Exit codes of `occ status`."""

_STOPPED_STATES = ("created", "exited", "dead", "removing")
# The engine's own statistics come once a second, and make their asker wait for that.
_MEMORY = (
    *("sh", "-c"),
    (
        "cd /sys/fs/cgroup; cat memory.current memory.stat 2>/dev/null || "
        "cat memory/memory.usage_in_bytes memory/memory.stat"
    ),
)
_ROOM = ("df", "-Pk", "/home/opencode/.local/share/opencode")
"""Of the volume with what people made, which costs its host no question more."""
_SENT = "org.opencode-cloud.sent"
"""As `opencode_cloud.start.image_build` writes it."""
_NEVER = "0001-01-01"
"""How the engine writes that something has not been yet."""


@dataclass(frozen=True, kw_only=True)
class Versions:
    """Of each part; empty where it is not known."""

    cli: str = __version__
    image: str = ""
    opencode: str = ""
    """The one that answers, or else the one in the image."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the image comes from."""

    reference: str
    """Its name on this host, or what was pulled."""
    digest: str
    """SHA-256 of the image's configuration: the image itself, wherever it lies."""
    pulled_as: str
    """REPOSITORY@sha256:DIGEST at its registry; empty when it was built here."""
    base: str
    sent: bool
    """Whether it was built on an operator's machine, and sent to this host."""
    created: str
    """RFC 3339."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One place in the container whose content outlives it."""

    kind: str
    """`volume` or `bind`."""
    source: str
    """The volume's name, or the host's folder."""
    path: str
    """In the container."""
    writable: bool


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What the gateway shows."""

    issuer: str
    """`internal` or `acme`."""
    fingerprint_sha256: str
    not_after: int
    """Seconds since 1970."""
    last_error: str


@dataclass(frozen=True, kw_only=True)
class Security:
    """Who can reach the deployment, and what it may do on its host."""

    bind_address: str
    port: int
    exposed: bool
    """Whether other machines can reach the address."""
    tls: str
    """`off`, `internal`, `sslip` or a domain."""
    certificate: Certificate | None
    capabilities: list[str]
    """Those left after all others were dropped."""
    all_capabilities_dropped: bool
    no_new_privileges: bool
    privileged: bool


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What it uses, and at most may."""

    memory_bytes: int | None
    """Used now, without what the kernel could take back; None when it does not run."""
    disk_free_bytes: int | None = None
    """Left on the disk with what people made; None when it does not run."""
    memory_limit_bytes: int
    """0: the host's."""
    cpus: float
    """At most; 0: all of the host's."""
    restarts: int
    """By the engine, since the container was made."""
    uptime_seconds: int | None


@dataclass(frozen=True, kw_only=True)
class Status:
    """All of it. Without a container there is only the first part."""

    stack: str
    state: str
    """`missing`, or the engine's word: running, exited, paused, restarting, created, dead."""
    health: str
    """`healthy`, `unhealthy`, or `none` when it does not run."""
    host: str = ""
    """The machine that it runs on, over SSH: `ada@box`; empty: this one."""
    reason: str = ""
    """Why it is not healthy, not running or not there."""
    url: str = ""
    """Where it answers: by its public name, or else seen from its own host."""
    reach: str = ""
    """The command that leads there from this machine; empty: `url` itself does."""
    container: str = ""
    versions: Versions = field(default_factory=Versions)
    provenance: Provenance | None = None
    users: list[User] | None = None
    """None when they cannot be asked for: they are known in the container alone."""
    mounts: list[Mount] = field(default_factory=list)
    security: Security | None = None
    newer_opencode: str = ""
    """Version that `occ update` has heard of; empty: none that is newer. Nobody is asked."""
    drift: Drift | None = None
    """Whether it is what its settings say; null when that was not found out."""
    boot: Boot | None = None
    resources: Resources | None = None

    @property
    def exit_code(self) -> int:
        """Give what `occ status` ends with."""
        if self.state == "missing" or self.state in _STOPPED_STATES:
            return STOPPED
        return HEALTHY if self.health == "healthy" else UNHEALTHY

    def as_json(self) -> dict[str, Any]:
        """Write it as schemas/status.schema.json describes it."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Inside:
    """What is known in the running container alone."""

    health: health_of.Health | None = None
    users: list[User] | None = None
    certificate: Certificate | None = None
    memory_bytes: int | None = None
    disk_free_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was asked besides `docker inspect`."""

    image: dict[str, Any] = field(default_factory=dict)
    inside: Inside = Inside()
    drift: Drift | None = None
    docker_enabled: bool | None = None
    unit: ServiceUnit | None = None
    newest_opencode: str = ""
    """That `occ update` has heard of."""


def missing(stack: str, reason: str, host: str = "") -> Status:
    """Say that there is no deployment."""
    return Status(stack=stack, host=host, state="missing", health="none", reason=reason)


def gather(deployment: Deployment, now: datetime) -> Status:
    """Ask everything, at once; what cannot be found out is left out."""
    engine, facts, host = deployment.engine, deployment.facts, deployment.host
    asks: dict[str, Callable[[], Any]] = {
        "image": lambda: engine.get(f"/images/{facts['Image']}/json"),
        "drift": lambda: _drift(deployment),
        "newest_opencode": lambda: offered(deployment.stack),
        "docker_enabled": lambda: docker_is_enabled_on(host),
    }
    if deployment.is_running:
        asks = {"inside": lambda: _inside(deployment), **asks}
    if may_have_unit(deployment):
        asks["unit"] = host_unit(deployment.stack).show
    known = {name: value for name, value in together(asks).items() if value is not None}
    found = describe(deployment, now, Found(**known))
    return replace(found, host=host.name) if host.is_remote else found


def _drift(deployment: Deployment) -> Drift:
    # Loaded while the container answers.
    from opencode_cloud.ops.drift_look import look

    return look(deployment)


def _inside(deployment: Deployment) -> Inside:
    # Each command in the container costs more than all that the engine itself is asked.
    commands = [health_of.COMMAND, LIST, _MEMORY, _ROOM]
    if deployment.tls != "off":
        commands.append(("opencode-certificate", "--json"))
    health, users, memory, disk, *rest = run_together(deployment, *commands)
    return Inside(
        health=health_of.read(health.out),
        users=parse(users.out) if users.ok else None,
        certificate=_certificate(rest[0].out) if rest and rest[0].ok else None,
        memory_bytes=memory_used(memory.out),
        disk_free_bytes=None if (left := room.free(disk.out)) is None else left * 1024,
    )


def together(asks: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """Ask several things at once; what could not be found out is None."""
    found: dict[str, Any] = dict.fromkeys(asks)

    def ask(name: str) -> None:
        try:
            found[name] = asks[name]()
        except (OperationError, OSError):
            # The rest is worth seeing all the same.
            found[name] = None

    threads = [threading.Thread(target=ask, args=(name,)) for name in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def memory_used(text: str) -> int | None:
    """Count as `docker stats` does: without files that the kernel could forget."""
    used, *rows = text.splitlines() or [""]
    if not used.isdecimal():
        return None
    details = dict(row.split() for row in rows if len(row.split()) == 2)  # noqa: PLR2004 - name, figure
    # cgroup v1 and v2 have other names for it.
    forgettable = details.get("total_inactive_file", details.get("inactive_file", "0"))
    return max(0, int(used) - int(forgettable))


def _certificate(text: str) -> Certificate:
    said = json.loads(text)
    return Certificate(
        issuer=said["issuer"],
        fingerprint_sha256=said["fingerprint_sha256"],
        not_after=int(said["not_after"]),
        last_error=said.get("last_error", ""),
    )


def describe(deployment: Deployment, now: datetime, found: Found) -> Status:
    """Put what was found together."""
    inside, health = found.inside, found.inside.health
    state = deployment.facts["State"]
    labels = deployment.labels
    running = deployment.is_running
    opencode = (health and health.version) or labels.get("org.opencode-cloud.opencode-version", "")
    return Status(
        stack=deployment.stack,
        state=state["Status"],
        health=_health(health, running=running),
        reason=_reason(state, health, found.unit, running=running),
        url=deployment.url,
        container=deployment.facts["Name"].lstrip("/"),
        versions=Versions(
            image=labels.get("org.opencode-cloud.version", ""),
            opencode=opencode,
        ),
        newer_opencode=later(found.newest_opencode, opencode),
        provenance=_provenance(deployment, found.image),
        users=inside.users,
        mounts=_mounts(deployment),
        security=_security(deployment, inside.certificate),
        drift=found.drift,
        boot=boot(deployment, docker_enabled=found.docker_enabled, unit=found.unit),
        resources=_resources(deployment, now, inside),
    )


def _health(health: health_of.Health | None, *, running: bool) -> str:
    if not running:
        return "none"
    return "healthy" if health and health.healthy else "unhealthy"


def _reason(
    state: dict[str, Any],
    health: health_of.Health | None,
    unit: ServiceUnit | None,
    *,
    running: bool,
) -> str:
    if running:
        return health.reason if health else "it could not be asked"
    if unit and unit.gave_up:
        return "it ended too often in a row, and its unit gave up"
    if state["OOMKilled"]:
        return "it ran out of memory, and the kernel ended it"
    if state["Status"] == "exited":
        return f"ended with exit code {state['ExitCode']} at {state['FinishedAt'][:19]}Z"
    return state["Error"] or f"the container is {state['Status']}"


def _provenance(deployment: Deployment, image: dict[str, Any]) -> Provenance:
    tags, digests = image.get("RepoTags") or [], image.get("RepoDigests") or []
    reference = deployment.facts["Config"]["Image"]
    # The same content may be the image of several stacks.
    own = [tag for tag in tags if tag.startswith(f"opencode-cloud:{deployment.stack}-")]
    return Provenance(
        reference=(own or tags)[0] if tags and reference.startswith("sha256:") else reference,
        digest=deployment.facts["Image"],
        pulled_as=digests[0] if digests else "",
        base=deployment.labels.get("org.opencontainers.image.base.name", ""),
        sent=_SENT in deployment.labels,
        created=image.get("Created", ""),
    )


def _mounts(deployment: Deployment) -> list[Mount]:
    return [
        Mount(
            kind=mount["Type"],
            source=mount.get("Name") or mount["Source"],
            path=mount["Destination"],
            writable=mount["RW"],
        )
        for mount in sorted(deployment.facts["Mounts"], key=lambda each: each["Destination"])
    ]


def _security(deployment: Deployment, certificate: Certificate | None) -> Security:
    host = deployment.facts["HostConfig"]
    address, port = deployment.published
    dropped = {name.removeprefix("CAP_") for name in host["CapDrop"] or []}
    return Security(
        bind_address=address,
        port=int(port or 0),
        exposed=bool(port) and not is_loopback(address),
        tls=deployment.tls,
        certificate=certificate,
        capabilities=sorted(name.removeprefix("CAP_") for name in host["CapAdd"] or []),
        all_capabilities_dropped="ALL" in dropped,
        no_new_privileges=any(
            option.startswith("no-new-privileges") and not option.endswith("false")
            for option in host["SecurityOpt"] or []
        ),
        privileged=host["Privileged"],
    )


def _resources(deployment: Deployment, now: datetime, inside: Inside) -> Resources:
    host = deployment.facts["HostConfig"]
    started = deployment.facts["State"]["StartedAt"]
    uptime = None
    if deployment.is_running and not started.startswith(_NEVER):
        uptime = max(0, int((now - moment(started)).total_seconds()))
    return Resources(
        memory_bytes=inside.memory_bytes,
        disk_free_bytes=inside.disk_free_bytes,
        memory_limit_bytes=host["Memory"],
        cpus=host["NanoCpus"] / 1e9,
        restarts=deployment.facts["RestartCount"],
        uptime_seconds=uptime,
    )


def moment(text: str) -> datetime:
    """Read the engine's times, which have more digits than Python takes."""
    return datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
