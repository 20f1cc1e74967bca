"""What the facts about a host mean for a deployment: each found well, or with what to do."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from opencode_cloud.ops.deployment import occ
from opencode_cloud.ops.doctor_checks import docker as engine_checks
from opencode_cloud.ops.doctor_checks import machine as machine_checks
from opencode_cloud.ops.doctor_checks.finding import PROBLEM, Finding, ok, problem, skipped, warning
from opencode_cloud.ops.hosts.look import Look
from opencode_cloud.spec.docker_install import DOCUMENTATION, recipe
from opencode_cloud.spec.host_probe.facts import Docker, Facts

_MACHINES = ("x86_64", "amd64", "aarch64", "arm64")
_USUAL = ("/var/run/docker.sock", "/run/docker.sock")


def findings(look: Look, stack: str, *, port: int, memory: int, install: str) -> list[Finding]:
    """Judge all that was found.

    Args:
        look: at the host.
        stack: of the deployment.
        port: that it is to answer at.
        memory: bytes that its container may take.
        install: how Docker is installed by us, as it is typed.
    """
    facts = look.facts
    return [
        system(facts),
        clock(look.skew),
        *machine_memory(facts, stack, memory),
        free_port(facts, stack, port),
        services(facts),
        *docker(facts, install),
        room(facts),
    ]


def fit(found: list[Finding]) -> bool:
    """Whether nothing keeps a deployment from running there."""
    return all(each.outcome != PROBLEM for each in found)


def system(facts: Facts) -> Finding:
    """Judge operating system and processor."""
    said = f"{facts.os.name}, {facts.system} {facts.kernel}, {facts.machine}"
    if facts.system != "Linux":
        return problem(
            "machine.system",
            said,
            "A host needs Linux.",
            "run `occ setup` on that machine itself, or take one with Linux",
        )
    if facts.machine not in _MACHINES:
        return problem(
            "machine.system",
            said,
            "opencode is made for x86-64 and arm64 alone.",
            "take another machine",
        )
    return ok("machine.system", said)


def clock(skew: int) -> Finding:
    """Judge its clock by ours."""
    apart = abs(skew)
    if apart <= engine_checks.SKEW.total_seconds():
        return ok("machine.clock", "the same as here" if not apart else f"{apart} s from here")
    return warning(
        "machine.clock",
        f"its clock is {apart} s {'ahead of' if skew > 0 else 'behind'} this machine's",
        "Certificates and sessions end at the wrong time.",
        "on the host: sudo timedatectl set-ntp true",
    )


def machine_memory(facts: Facts, stack: str, limit: int) -> Iterator[Finding]:
    """Judge its memory by what the container may take."""
    now = datetime.now(UTC)
    subject = machine_checks.Machine(
        system=facts.system,
        name=facts.os.name,
        now=now,
        built=now,
        memory=facts.memory,
        memory_available=facts.memory_available,
    )
    for finding in machine_checks.memory(subject, limit):
        typed = finding.mend.removeprefix("occ ")
        mend = occ(stack, typed) if typed != finding.mend else f"on the host: {finding.mend}"
        yield replace(finding, mend=mend) if finding.mend else finding


def free_port(facts: Facts, stack: str, port: int) -> Finding:
    """Judge whether the deployment can have its port."""
    if not facts.port_taken:
        return ok("machine.port", f"{port} is free")
    if facts.port_container == f"opencode-{stack}":
        return ok("machine.port", f"{port} is the deployment's")
    who = f"the container {facts.port_container}" if facts.port_container else "another program"
    return warning(
        "machine.port",
        f"{port} is in use by {who}",
        "The deployment cannot start at that port.",
        occ(stack, "config", "set", "port", "NUMBER"),
    )


def services(facts: Facts) -> Finding:
    """Say what starts services there."""
    found = facts.services
    if not found.state:
        return ok("machine.services", "no systemd")
    own = found.user_manager or "none"
    stays = "runs without a login" if facts.user.linger else "ends with the last login (no linger)"
    whose = f"{facts.user.name}'s own: {own}, which {stays}" if found.user_manager else "none"
    return ok("machine.services", f"systemd is {found.state}; {whose}")


def docker(facts: Facts, install: str) -> Iterator[Finding]:
    """Judge the engine, and whether it may be used."""
    engine = facts.docker
    if engine is None:
        yield no_docker(facts, install)
        return
    kind = "rootless" if engine.rootless else "of the system"
    yield ok("docker.socket", f"answers at {engine.socket} ({kind})")
    yield engine_checks.version({"ServerVersion": engine.version})
    if not facts.docker_command:
        yield problem(
            "docker.command",
            "there is no `docker` command in the PATH of commands over SSH",
            "Pulumi reaches the engine by it.",
            "on the host, install it (docker-cli), or add its folder to PATH in ~/.bashrc",
        )
    yield engine_checks.storage({"Driver": engine.driver, "DockerRootDir": engine.folder})
    yield engine_checks.limits(
        {
            "MemoryLimit": engine.limits["memory"],
            "CPUCfsQuota": engine.limits["cpu"],
            "PidsLimit": engine.limits["pids"],
            "CgroupVersion": engine.cgroup_version,
        }
    )
    yield from _boot(facts, engine)


def no_docker(facts: Facts, install: str) -> Finding:
    """Say why there is no engine to use, and what to do."""
    user = facts.user.name
    why = "Nothing can be deployed there."
    if facts.is_denied:
        return problem(
            "docker.socket",
            f"{user} may not use Docker there",
            why,
            f"on the host: sudo usermod --append --groups docker {user} (members can become root)"
            + (f", or: {install}" if facts.user.root else ""),
        )
    if facts.docker_installed:
        said = facts.docker_failures[0] if facts.docker_failures else "it does not run"
        return problem(
            "docker.socket",
            f"Docker is installed, and does not answer: {said}",
            why,
            "on the host: sudo systemctl enable --now docker",
        )
    found = recipe(facts)
    mend = f"see {DOCUMENTATION}"
    if found.commands and found.packaged and facts.user.root:
        mend = f"{install} (from the distribution's packages)"
    elif found.commands:
        mend = f"on the host, as root: {' && '.join(found.commands)}"
    return problem("docker.socket", "Docker is not installed", why, mend)


def _boot(facts: Facts, engine: Docker) -> Iterator[Finding]:
    """Judge whether the engine comes back when the host starts."""
    found = facts.services
    if not found.state:
        return
    why = "The deployment does not come back when the host starts."
    if engine.rootless:
        if found.user_docker_enabled != "enabled":
            mend = "on the host: systemctl --user enable docker"
            yield warning("docker.boot", "it is not started with the user's services", why, mend)
        if not facts.user.linger:
            mend = f"on the host: sudo loginctl enable-linger {facts.user.name}"
            yield warning("docker.boot", "it ends with the user's last login", why, mend)
    elif engine.socket in _USUAL and found.docker_enabled == "disabled":
        mend = "on the host: sudo systemctl enable docker"
        yield warning("docker.boot", "systemd does not start it at boot", why, mend)


def room(facts: Facts) -> Finding:
    """Judge the room on the disk that Docker's data is on, or will be."""
    if facts.disk_free is None:
        return skipped("docker.room", "the room on its disk", "its df does not tell")
    disk = machine_checks.Disk(
        name="docker",
        path=facts.disk,
        free=facts.disk_free,
        inodes=facts.inodes_free,
        clean="on the host: docker system df shows what takes it",
    )
    return machine_checks.room(disk)
