"""The Docker engine."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from opencode_cloud.ops.doctor_checks.finding import Finding, ok, problem, skipped, warning
from opencode_cloud.start.engine import parse_version

OLDEST = (20, 10, 0)
"""The engine that everything is tested with."""

SKEW = timedelta(minutes=2)
"""How far two clocks may be apart."""


@dataclass(frozen=True, kw_only=True)
class Docker:
    """What the engine said of itself."""

    socket: str
    failure: str = ""
    """Why it did not answer, with what to do."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """As ``GET /info``."""


def check(docker: Docker) -> Iterator[Finding]:
    """Judge all of it."""
    if docker.failure:
        yield answers(docker)
        why = "Docker did not answer"
        for name in ("version", "storage", "limits", "room", "clock"):
            yield skipped(f"docker.{name}", f"Docker's {name}", why)
        return
    yield answers(docker)
    yield version(docker.info)
    yield storage(docker.info)
    yield limits(docker.info)


def answers(docker: Docker) -> Finding:
    """Judge whether it can be asked at all."""
    if not docker.failure:
        return ok("docker.socket", f"answers at {docker.socket}")
    what, _, mend = docker.failure.partition(". ")
    return problem("docker.socket", what, "Nothing of a deployment can be reached.", mend)


def version(info: Mapping[str, Any]) -> Finding:
    """Judge the engine's age."""
    text = info.get("ServerVersion", "")
    found = parse_version(text) or ()
    if found < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        return problem(
            "docker.version",
            f"version {text or 'unknown'}; {wanted} or newer is needed",
            "Older engines do not know all that the container is made with.",
            "install a newer one: https://docs.docker.com/engine/install/",
        )
    return ok("docker.version", text)


def storage(info: Mapping[str, Any]) -> Finding:
    """Judge how it keeps images."""
    driver = info.get("Driver", "")
    if driver == "vfs":
        return warning(
            "docker.storage",
            "images are kept by vfs",
            "Each layer is a whole copy: slow, and many times the room.",
            "see https://docs.docker.com/engine/storage/drivers/select-storage-driver/",
        )
    return ok("docker.storage", f"{driver} in {info.get('DockerRootDir', '?')}")


def limits(info: Mapping[str, Any]) -> Finding:
    """Judge whether the kernel keeps containers within their limits."""
    kinds = {"MemoryLimit": "memory", "CPUCfsQuota": "processors", "PidsLimit": "processes"}
    missing = [words for key, words in kinds.items() if info.get(key) is False]
    if missing:
        return warning(
            "docker.limits",
            f"containers cannot be limited in {', '.join(missing)}",
            "One container can then take all of the machine.",
            "see https://docs.docker.com/engine/security/rootless/tips/#limiting-resources, or "
            "the kernel's cgroup options",
        )
    return ok("docker.limits", f"kept by cgroup v{info.get('CgroupVersion', '?')}")


def clock(engine: datetime, now: datetime) -> Finding:
    """Judge the engine's clock by ours."""
    apart = abs(engine - now)
    if apart > SKEW:
        return warning(
            "docker.clock",
            f"Docker's clock is {int(apart.total_seconds())} s from this machine's",
            "Certificates and sessions end at the wrong time. So it is after sleep.",
            "restart Docker (its virtual machine, where it has one)",
        )
    return ok("docker.clock", "the same as this machine's")
