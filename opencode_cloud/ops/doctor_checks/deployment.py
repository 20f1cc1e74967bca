"""The deployment itself, judged by what `occ status` knows of it and a little more."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from opencode_cloud.ops.boot import why_not
from opencode_cloud.ops.deployment import occ
from opencode_cloud.ops.doctor_checks.finding import Finding, ok, problem, skipped, warning
from opencode_cloud.ops.drift import APPLIED, CHANGED, to_apply
from opencode_cloud.ops.ports import PortProblem
from opencode_cloud.ops.service_unit import NO_RESTART, ServiceUnit
from opencode_cloud.ops.status import Certificate, Security, Status

_EXPIRES_SOON = timedelta(days=14)
_OFTEN = 3


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What is known of a deployment."""

    status: Status
    image_is_there: bool = True
    connects: bool | None = None
    """Whether something answers at its address; None: it has none, or nobody asked."""
    port_problem: PortProblem | None = None
    """Who has its port, when it is not this deployment."""
    own_volumes: tuple[str, ...] = ()
    """Volumes that carry the stack's label."""
    missing_folders: tuple[str, ...] = ()
    """Folders of its machine that are bound into it, and are not there."""
    units: tuple[ServiceUnit, ...] = ()
    """Service units of its name that its host has."""
    errors: int | None = None
    """Lines of the last hour that tell of an error; None: they could not be read."""

    @property
    def stack(self) -> str:
        """The deployment's name."""
        return self.status.stack


def missing(reason: str, start: str) -> Iterator[Finding]:
    """Judge that there is none."""
    yield problem("deployment.container", reason.partition(" To make it:")[0], "", start)


def check(found: Deployed, now: datetime) -> Iterator[Finding]:
    """Judge all of it."""
    yield container(found)
    yield health(found)
    yield restarts(found)
    yield image(found)
    yield settings(found)
    yield port(found)
    yield from boot(found)
    yield from unit(found)
    if found.status.security:
        yield exposure(found.stack, found.status.security)
        yield rights(found.stack, found.status.security)
        if found.status.security.certificate:
            yield certificate(found.stack, found.status.security.certificate, now)
    yield users(found)
    yield volumes(found)
    yield folders(found)
    yield errors(found)


def container(found: Deployed) -> Finding:
    """Judge whether it runs."""
    status = found.status
    if status.state == "running":
        return ok("deployment.container", f"{status.container} runs")
    return problem(
        "deployment.container",
        f"{status.container} does not run: {status.reason or status.state}",
        "Nobody can use it.",
        occ(found.stack, "start"),
    )


def health(found: Deployed) -> Finding:
    """Judge whether opencode answers."""
    status = found.status
    if status.state != "running":
        return skipped("deployment.health", "whether opencode answers", "it does not run")
    if status.health == "healthy":
        return ok("deployment.health", f"opencode {status.versions.opencode} answers")
    return problem(
        "deployment.health",
        f"it is not healthy: {status.reason}",
        "People may see errors.",
        f"{occ(found.stack, 'logs', '-n', '50')}; {occ(found.stack, 'restart')}",
    )


def restarts(found: Deployed) -> Finding:
    """Judge whether it keeps ending by itself."""
    resources = found.status.resources
    count = resources.restarts if resources else 0
    if "memory" in found.status.reason:
        return problem(
            "deployment.restarts",
            "it ran out of memory, and the kernel ended it",
            "It will again, under the same load.",
            occ(found.stack, "config", "set", "memory_mb", "4096"),
        )
    if count >= _OFTEN:
        return warning(
            "deployment.restarts",
            f"Docker restarted it {count} times after failures",
            "Whatever ends it, will again.",
            occ(found.stack, "logs", "--since", "1d", "--grep", "'error|fatal'"),
        )
    return ok("deployment.restarts", f"{count} after failures")


def image(found: Deployed) -> Finding:
    """Judge whether it could be made again as it is."""
    if found.image_is_there:
        return ok("deployment.image", "on this host")
    return warning(
        "deployment.image",
        "its image is gone from this host",
        "It runs on, and cannot be made again without getting the image first.",
        occ(found.stack, "start"),
    )


def settings(found: Deployed) -> Finding:
    """Judge whether it is what its settings say."""
    drift = found.status.drift
    if not drift or drift.state not in (APPLIED, CHANGED):
        why = drift.reason.splitlines()[0] if drift else "it was not found out"
        return skipped("deployment.settings", "whether it is as its settings say", why)
    if drift.state == APPLIED:
        return ok("deployment.settings", "as applied")
    return warning(
        "deployment.settings",
        f"it differs from its settings in: {drift.names}",
        "They were changed and not applied, or it was changed behind their back.",
        to_apply(found.stack, drift),
    )


def port(found: Deployed) -> Finding:
    """Judge whether its address leads to it."""
    name, status = "deployment.port", found.status
    security = status.security
    if not security or not security.port:
        return skipped(name, "its port", "it is published nowhere")
    where = f"{security.bind_address or '*'}:{security.port}"
    free = occ(found.stack, "config", "set", "port", "NUMBER")
    if taken := found.port_problem:
        owner = taken.owner or "another program"
        why = "It cannot start there."
        return problem(name, f"{where} is in use by {owner}", why, f"{free}, or {taken.to_free}")
    if status.state != "running":
        return ok(name, f"{where} is free for it")
    if found.connects is False:
        return problem(
            name,
            f"nothing answers at {where}",
            "Docker does not lead the port into the container: a firewall, or its network.",
            f"sudo systemctl restart docker (all containers restart), or another port: {free}",
        )
    return ok(name, f"{where} answers")


def boot(found: Deployed) -> Iterator[Finding]:
    """Judge whether it comes back with the machine."""
    boot = found.status.boot
    if not boot or found.status.state != "running":
        return
    if why := why_not(boot):
        mend = occ(found.stack, "config", "set", "restart_policy", "unless-stopped")
        if boot.unit:
            mend = occ(found.stack, "start")
        if boot.docker_enabled is False:
            mend = "sudo systemctl enable docker"
        what = f"it does not come back when the machine starts: {why.partition(':')[0]}"
        yield warning("deployment.boot", what, "", mend)
    else:
        by = f"its unit ({boot.unit.mode})" if boot.unit else f"Docker ({boot.restart_policy})"
        yield ok("deployment.boot", f"comes back by {by}")


def unit(found: Deployed) -> Iterator[Finding]:
    """Judge the service units that its host has of it."""
    name, units = "deployment.unit", found.units
    policy = found.status.boot.restart_policy if found.status.boot else ""
    anew = f"{occ(found.stack, 'uninstall', '--unit')}, then {occ(found.stack, 'install')}"
    if len(units) > 1 or (units and policy != NO_RESTART):
        owners = [f"the unit {unit.file}" for unit in units]
        if policy != NO_RESTART:
            owners.append(f"Docker ({policy})")
            anew = f"docker update --restart no {found.status.container}, or {anew}"
        yield problem(
            name,
            f"more than one restarts it: {', '.join(owners)}",
            "One starts again what the other has stopped.",
            anew,
        )
        return
    for unit in units:
        yield _judged(found.stack, unit)


def _judged(stack: str, unit: ServiceUnit) -> Finding:
    name, start = "deployment.unit", occ(stack, "start")
    if unit.state == "failed":
        why = "It ended too often in a row, and the unit gave up." if unit.gave_up else ""
        mend = f"{occ(stack, 'logs', '-n', '50')}; then {start}"
        return problem(name, f"its unit has failed ({unit.file})", why, mend)
    if unit.linger is False:
        why = "It does not start with the machine, and ends with the user's last session."
        return warning(name, "the user of its unit does not linger", why, start)
    if not unit.enabled or unit.state != "active":
        return ok(name, f"its unit is {unit.state}: it was stopped by hand ({start} starts it)")
    return ok(name, f"its unit is active ({unit.mode})")


def exposure(stack: str, security: Security) -> Finding:
    """Judge who can reach it, and whether they can be overheard."""
    if not security.exposed:
        return ok("deployment.exposure", "reached by its own machine alone")
    if security.tls == "off":
        return warning(
            "deployment.exposure",
            "other machines reach it, and nothing is encrypted",
            "Passwords and sessions can be read on the way.",
            f"{occ(stack, 'config', 'set', 'tls', 'internal')} (or your domain), or back to its "
            f"own machine alone: {occ(stack, 'config', 'unset', 'bind_address')}",
        )
    return ok("deployment.exposure", f"reached by other machines, encrypted (tls: {security.tls})")


def rights(stack: str, security: Security) -> Finding:
    """Judge what it may do on its host."""
    too_much = {
        "it is privileged": security.privileged,
        "not all capabilities were dropped": not security.all_capabilities_dropped,
        "programs in it may gain privileges": not security.no_new_privileges,
    }
    if found := [words for words, true in too_much.items() if true]:
        why = "Whoever breaks out of opencode can do more than need be."
        return problem("deployment.rights", "; ".join(found), why, occ(stack, "start"))
    return ok("deployment.rights", "as few as it needs")


def certificate(stack: str, found: Certificate, now: datetime) -> Finding:
    """Judge how long it is good for."""
    name = "deployment.certificate"
    until = datetime.fromtimestamp(found.not_after, UTC)
    logs = occ(stack, "logs", "certificates")
    words = f" ({found.last_error})" if found.last_error else ""
    if until <= now:
        why = f"Browsers refuse it. It is renewed by itself when it can be{words}."
        return problem(name, f"the certificate ended {until:%Y-%m-%d}", why, logs)
    if until - now < _EXPIRES_SOON or found.last_error:
        why = f"It should have been renewed by now{words}."
        return warning(name, f"the certificate ends {until:%Y-%m-%d}", why, logs)
    return ok(name, f"of {found.issuer}, until {until:%Y-%m-%d}")


def users(found: Deployed) -> Finding:
    """Judge whether anybody can sign in."""
    people = found.status.users
    if people is None:
        return skipped("deployment.users", "who can sign in", "it does not run")
    able = [user.name for user in people if user.enabled]
    if able:
        return ok("deployment.users", f"{len(able)} can sign in")
    first = people[0].name if people else ""
    mend = ("user", "enable", first) if first else ("user", "add", "NAME")
    why = "Nobody can use it."
    return problem("deployment.users", "nobody can sign in", why, occ(found.stack, *mend))


def volumes(found: Deployed) -> Finding:
    """Judge whether its data is where it is looked for again."""
    mounted = [mount.source for mount in found.status.mounts if mount.kind == "volume"]
    foreign = sorted(set(mounted) - set(found.own_volumes))
    if not mounted:
        return problem(
            "deployment.volumes",
            "it has no volumes",
            "What people make is lost with the container.",
            occ(found.stack, "start"),
        )
    if foreign:
        return warning(
            "deployment.volumes",
            f"not marked as this stack's: {', '.join(foreign)}",
            "They were made otherwise; `occ uninstall` leaves them alone.",
            "none needed",
        )
    return ok("deployment.volumes", f"{len(mounted)}, all marked as this stack's")


def folders(found: Deployed) -> Finding:
    """Judge the folders of its machine that are bound into it."""
    where = found.status.host or "this machine"
    if found.missing_folders:
        lost = ", ".join(found.missing_folders)
        return problem(
            "deployment.mounts",
            f"folders of {where} that are gone: {lost}",
            "It cannot start again without them.",
            f"mkdir -p {found.missing_folders[0]}, or {occ(found.stack, 'mount', 'remove')}",
        )
    count = sum(mount.kind == "bind" for mount in found.status.mounts)
    return ok("deployment.mounts", f"{count} folders of {where}" if count else "none")


def errors(found: Deployed) -> Finding:
    """Judge the last hour's lines."""
    name = "deployment.logs"
    if found.errors is None:
        return skipped(name, "the last hour's log", "it could not be read")
    if found.errors:
        return warning(
            name,
            f"{found.errors} lines of the last hour tell of errors",
            "Not each of them matters.",
            occ(found.stack, "logs", "--since", "1h", "--grep", "'error|fatal|fail'"),
        )
    return ok(name, "no errors in the last hour")
