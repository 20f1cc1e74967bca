"""What `occ status` says, row by row: the same for a panel and for plain text."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from opencode_cloud.ops.boot import why_not
from opencode_cloud.ops.deployment import occ
from opencode_cloud.ops.drift import APPLIED, UNKNOWN, to_apply
from opencode_cloud.ops.room import FULL
from opencode_cloud.ops.service_unit import ServiceUnit
from opencode_cloud.ops.status import Certificate, Status
from opencode_cloud.ops.users import User

GOOD, BAD, WARNING, PLAIN = "good", "bad", "warning", ""
_MIB, _GIB = 2**20, 2**30
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True)
class Row:
    """One line: what it is about (empty: as the line before), what is said, and how it is meant."""

    name: str
    text: str
    tone: str = PLAIN


Section = tuple[Row, ...]


def sections(status: Status) -> list[Section]:
    """Give all rows, in groups that belong together."""
    groups = (_state, _settings, _versions, _people, _mounts, _security, _resources)
    return [rows for group in groups if (rows := tuple(group(status)))]


def plain(status: Status) -> str:
    """Write it without a terminal's means."""
    rows = [row for section in sections(status) for row in section]
    return "\n".join(f"{row.name:<12}{row.text}" for row in rows)


def _state(status: Status) -> Iterator[Row]:
    yield Row("Deployment", status.stack)
    if status.host:
        yield Row("Host", status.host)
    tone = {0: GOOD, 4: BAD}.get(status.exit_code, WARNING)
    word = status.state if status.health == "none" else f"{status.state}, {status.health}"
    yield Row("State", f"{word}: {status.reason}" if status.reason else word, tone)
    if status.url:
        yield Row("URL", f"{status.url}, on its host" if status.reach else status.url)
    if status.reach:
        yield Row("From here", status.reach)


def _settings(status: Status) -> Iterator[Row]:
    if drift := status.drift:
        why = drift.reason.splitlines()[0].rstrip(":") if drift.reason else ""
        text = {APPLIED: "as applied", UNKNOWN: f"not compared: {why}"}.get(
            drift.state, f"changed since: {drift.names} (to apply: {to_apply(status.stack, drift)})"
        )
        yield Row("Settings", text, PLAIN if drift.state == APPLIED else WARNING)
    if boot := status.boot:
        by = f"its unit ({boot.unit.mode})" if boot.unit else f"Docker ({boot.restart_policy})"
        why = why_not(boot)
        yield Row("At boot", f"not started: {why}" if why else f"started by {by}")
        if boot.unit:
            yield from _unit(boot.unit, status.stack)


def _unit(unit: ServiceUnit, stack: str) -> Iterator[Row]:
    words = [unit.state, "enabled" if unit.enabled else "not enabled"]
    if unit.linger is not None:
        words.append("linger on" if unit.linger else "linger off")
    if unit.restarts:
        words.append(f"{unit.restarts} restarts")
    tone = WARNING if unit.restarts else PLAIN
    yield Row("Unit", ", ".join(words), BAD if unit.state == "failed" else tone)
    yield Row("", unit.file)
    if unit.state == "failed":
        yield Row("", f"it goes on by: {occ(stack, 'start')}", WARNING)


def _versions(status: Status) -> Iterator[Row]:
    versions = status.versions
    yield Row(
        "Versions",
        f"occ {versions.cli}"
        + (f" · image {versions.image}" if versions.image else "")
        + (f" · opencode {versions.opencode}" if versions.opencode else ""),
    )
    if newer := status.newer_opencode:
        yield Row("", f"opencode {newer} is there: {occ(status.stack, 'update', '--to', newer)}")
    if not (origin := status.provenance):
        return
    yield Row("Image", origin.reference)
    yield Row("", origin.digest)
    if origin.pulled_as:
        yield Row("", f"pulled as {origin.pulled_as}")
    elif origin.base:
        where = "elsewhere" if origin.sent else "there" if status.host else "here"
        sent = ", and sent" if origin.sent else ""
        yield Row("", f"built {where} on {origin.base}{sent}")


def _people(status: Status) -> Iterator[Row]:
    if status.users is None:
        return
    names = ", ".join(_name(user) for user in status.users)
    yield Row("Users", names or "none: nobody can sign in", PLAIN if names else WARNING)


def _name(user: User) -> str:
    return user.name if user.enabled else f"{user.name} (disabled)"


def _mounts(status: Status) -> Iterator[Row]:
    folders = [mount for mount in status.mounts if mount.kind == "bind"]
    volumes = [mount for mount in status.mounts if mount.kind != "bind"]
    for name, group in (("Data", volumes), ("Mounts", folders)):
        for number, mount in enumerate(group):
            mode = "" if mount.writable else " (read-only)"
            yield Row("" if number else name, f"{mount.path} ← {mount.source}{mode}")


def _security(status: Status) -> Iterator[Row]:
    if not (security := status.security):
        return
    where = status.host or "this machine"
    if not security.port:
        yield Row("Reached at", f"no port of {where}", WARNING)
    elif security.exposed:
        yield Row(
            "Reached at",
            f"{security.bind_address or '*'}:{security.port}, by other machines too",
            WARNING if security.tls == "off" else PLAIN,
        )
    else:
        yield Row("Reached at", f"{security.bind_address}:{security.port}, by {where} alone")
    if security.tls == "off":
        yield Row("TLS", "off", WARNING if security.exposed else PLAIN)
    else:
        yield from _certificate(security.tls, security.certificate)
    dropped = "all dropped but " if security.all_capabilities_dropped else "the engine's own and "
    rights = f"capabilities: {dropped}{', '.join(security.capabilities) or 'none'}"
    tone = PLAIN if security.all_capabilities_dropped else WARNING
    yield Row("Rights", rights, tone)
    if security.privileged:
        yield Row("", "privileged: it may do all that root may", BAD)
    elif security.no_new_privileges:
        yield Row("", "no new privileges")
    else:
        yield Row("", "programs may gain privileges", WARNING)


def _certificate(tls: str, certificate: Certificate | None) -> Iterator[Row]:
    if not certificate:
        yield Row("TLS", tls)
        return
    until = datetime.fromtimestamp(certificate.not_after, UTC)
    yield Row("TLS", f"{tls}, certificate of {certificate.issuer} until {until:%Y-%m-%d}")
    yield Row("", f"SHA-256 {certificate.fingerprint_sha256}")
    if certificate.last_error:
        yield Row("", certificate.last_error, WARNING)


def _resources(status: Status) -> Iterator[Row]:
    if not (resources := status.resources):
        return
    limit = resources.memory_limit_bytes
    most = f"{limit // _MIB} MiB" if limit else "all of the host's"
    used = resources.memory_bytes
    yield Row("Memory", f"{used // _MIB} of {most}" if used is not None else f"at most {most}")
    yield Row("CPUs", f"at most {resources.cpus:g}" if resources.cpus else "all of the host's")
    if (left := resources.disk_free_bytes) is not None:
        yield _disk(left)
    if resources.uptime_seconds is not None:
        yield Row("Up", duration(resources.uptime_seconds))
    if resources.restarts:
        yield Row("Restarts", f"{resources.restarts} after failures", WARNING)


def _disk(left: int) -> Row:
    if left < FULL:
        return Row("Disk", f"full: {left // _MIB} MiB left, and what is written may be lost", BAD)
    return Row("Disk", f"{left / _GIB:.1f} GiB left")


def duration(seconds: int) -> str:
    """Write how long something takes, to two units: `3 d 4 h`."""
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    if seconds < _DAY:
        return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"
    return f"{seconds // _DAY} d {seconds % _DAY // _HOUR} h"
