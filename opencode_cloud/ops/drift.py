"""Whether a deployment is what its settings say: a specification, against `docker inspect`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opencode_cloud.ops.deployment import occ

if TYPE_CHECKING:
    from opencode_cloud.spec.container import ContainerSpec
    from opencode_cloud.spec.image import ImageSpec

APPLIED, CHANGED, UNKNOWN = "applied", "changed", "unknown"

_MEBIBYTE = 1024 * 1024
_SECOND = 1_000_000_000
"""In the engine's unit, of time and of processors."""
_PREFIX = "OPENCODE_CLOUD_"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that applying the settings would change. Values of variables are left out."""

    name: str
    settings: str
    """As the settings have it; empty: not at all."""
    container: str
    """As the container has it; empty: not at all."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What applying the settings would change."""

    state: str
    """`applied`: nothing; `changed`; `unknown`: they cannot be compared."""
    reason: str = ""
    """Why it is unknown."""
    differences: list[Difference] = field(default_factory=list)

    @property
    def names(self) -> str:
        """What differs, for people."""
        return ", ".join(dict.fromkeys(difference.name for difference in self.differences))


def to_apply(stack: str, drift: Drift) -> str:
    """Write the command that makes a deployment what its settings say."""
    # Another image is not only to be applied: it has a backup before, and a way back.
    return occ(stack, "update" if drift.names == "image" else "start")


def image_drift(wanted: "ImageSpec", image: Mapping[str, Any]) -> Iterator[Difference]:
    """Compare the image that the settings would run with the one that runs."""
    names = [*(image.get("RepoTags") or []), *(image.get("RepoDigests") or [])]
    if wanted.reference not in names:
        have = names[0] if names else str(image.get("Id", ""))
        yield Difference(name="image", settings=wanted.reference, container=have)


def drift(spec: "ContainerSpec", facts: Mapping[str, Any]) -> list[Difference]:
    """Compare the container that the settings would make with what `docker inspect` says."""
    host = facts["HostConfig"]
    return [
        *_differences("port", *_ports(spec, host)),
        *_differences("volume or mount", *_mounts(spec, facts)),
        *_variables(spec, facts["Config"]["Env"] or []),
        *(each for each in _plain(spec, facts, host) if each.settings != each.container),
    ]


def _ports(spec: "ContainerSpec", host: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    wanted = {f"{port.address}:{port.host} to {port.container}" for port in spec.ports}
    bound = {
        f"{binding['HostIp']}:{binding['HostPort']} to {inside.removesuffix('/tcp')}"
        for inside, bindings in (host["PortBindings"] or {}).items()
        for binding in bindings or []
    }
    return wanted, bound


def _mounts(spec: "ContainerSpec", facts: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    from opencode_cloud.spec.volumes import MOUNT_PATHS

    wanted = {f"{name} at {MOUNT_PATHS[volume]}" for volume, name in spec.volumes.items()}
    wanted |= {_place(mount.source, mount.target, mount.writable) for mount in spec.mounts}
    there = {
        _place(mount.get("Name") or mount["Source"], mount["Destination"], mount["RW"])
        for mount in facts["Mounts"]
    }
    return wanted, there


def _place(source: str, target: str, writable: bool) -> str:
    return f"{source} at {target}{'' if writable else ' (read-only)'}"


def _variables(spec: "ContainerSpec", environment: Iterable[str]) -> Iterator[Difference]:
    """Compare what opencode and the gateway are told; only names are said."""
    pairs = (entry.partition("=") for entry in environment)
    there = {name: value for name, _, value in pairs if name.startswith(_PREFIX)}
    wanted = spec.environment
    for name in sorted(wanted.keys() | there.keys()):
        if wanted.get(name) == there.get(name):
            continue
        yield Difference(
            name=_setting(name),
            settings="" if name not in wanted else "another value" if name in there else "a value",
            container="a value" if name in there else "",
        )


def _setting(variable: str) -> str:
    """Name the setting that a variable is made of."""
    name = variable.removeprefix(_PREFIX)
    if name.startswith("ENV_"):
        return f"variable {name.removeprefix('ENV_')}"
    return {"DEPLOYMENT": "name", "PUBLISHED_PORT": "port"}.get(name, name.lower())


def _plain(
    spec: "ContainerSpec", facts: Mapping[str, Any], host: Mapping[str, Any]
) -> Iterator[Difference]:
    """Give what is one value each, differing or not."""
    config = facts["Config"]
    labels = config["Labels"] or {}
    rows: dict[str, tuple[object, object]] = {
        "memory": (_memory(spec.memory_mb * _MEBIBYTE), _memory(host["Memory"])),
        "swap": (_memory(spec.memory_mb * _MEBIBYTE), _memory(host["MemorySwap"])),
        "cpus": (spec.cpus or "all", host["NanoCpus"] / _SECOND or "all"),
        "restart policy": (_restart(spec.restart, spec.most_restarts), _policy(host)),
        "capabilities": (_words(spec.capabilities), _words(host["CapAdd"], "CAP_")),
        "dropped capabilities": ("ALL", _words(host["CapDrop"], "CAP_")),
        "security options": (_words(spec.security_options), _words(host["SecurityOpt"])),
        "privileged": (False, host["Privileged"]),
        "sysctls": (_pairs(spec.sysctls), _pairs(host["Sysctls"])),
        "logging": (_pairs(spec.log_options), _pairs(host["LogConfig"]["Config"])),
        "health check": (_health(spec), _check(config.get("Healthcheck") or {})),
        "time to stop": (spec.stop_seconds, config.get("StopTimeout")),
        "host name": (spec.hostname, config["Hostname"]),
        "labels": (_pairs(spec.labels), _pairs({k: labels.get(k) for k in spec.labels})),
    }
    for name, (wanted, there) in rows.items():
        yield Difference(name=name, settings=_text(wanted), container=_text(there))


def _differences(name: str, wanted: set[str], there: set[str]) -> Iterator[Difference]:
    """Pair what is new with what goes, in their order."""
    new, gone = sorted(wanted - there), sorted(there - wanted)
    for number in range(max(len(new), len(gone))):
        yield Difference(
            name=name,
            settings=new[number] if number < len(new) else "",
            container=gone[number] if number < len(gone) else "",
        )


def _memory(count: int) -> str:
    return f"{count / _MEBIBYTE:g} MiB" if count > 0 else "not limited"


def _policy(host: Mapping[str, Any]) -> str:
    policy = host["RestartPolicy"]
    return _restart(policy["Name"] or "no", policy.get("MaximumRetryCount") or 0)


def _restart(when: str, most: int) -> str:
    return f"{when}:{most}" if most else when


def _health(spec: "ContainerSpec") -> str:
    health = spec.health
    times = (health.interval, health.timeout, health.start_period)
    return _words((*health.command, *map(str, times), str(health.retries)), order=False)


def _check(health: Mapping[str, Any]) -> str:
    times = (health.get(name, 0) // _SECOND for name in ("Interval", "Timeout", "StartPeriod"))
    command = health.get("Test") or ()
    return _words((*command[1:], *map(str, times), str(health.get("Retries", 0))), order=False)


def _words(values: Iterable[str] | None, prefix: str = "", *, order: bool = True) -> str:
    words = [value.removeprefix(prefix) for value in values or ()]
    return " ".join(sorted(words) if order else words)


def _pairs(values: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted((values or {}).items()))


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
