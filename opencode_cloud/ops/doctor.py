"""Everything that can be wrong with a deployment, and how to mend it."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path

from opencode_cloud.errors import OpencodeCloudError
from opencode_cloud.ops import doctor_facts as facts
from opencode_cloud.ops import project
from opencode_cloud.ops.deployment import find, occ
from opencode_cloud.ops.docker_engine import Engine, Trace
from opencode_cloud.ops.docker_host import DockerHost, docker_host_of
from opencode_cloud.ops.doctor_checks import deployment, docker, host, machine, pulumi, settings
from opencode_cloud.ops.doctor_checks.docker import Docker
from opencode_cloud.ops.doctor_checks.finding import PROBLEM, Finding, problem, skipped
from opencode_cloud.ops.doctor_checks.host import REACH, on_host
from opencode_cloud.ops.errors import NoDeploymentError, OperationError
from opencode_cloud.ops.hosts.look import look
from opencode_cloud.ops.status import moment
from opencode_cloud.start import stack_file
from opencode_cloud.start.engine import Finder
from opencode_cloud.start.machine import Machine as ThisMachine
from opencode_cloud.start.paths import Paths
from opencode_cloud.start.process import Runner

SECONDS = 15
"""How long all of it may take; what is not known by then is left out."""

GROUPS = {
    "machine": "This machine",
    "host": "The host",
    "docker": "Docker",
    "pulumi": "Pulumi",
    "settings": "Settings",
    "deployment": "Deployment",
}

_DEFAULT_MEMORY_MB, _DEFAULT_PORT = 2048, 4096
_NOWHERE = Path("/nonexistent")
_ON_HOST = ("docker.socket", "deployment.all")
"""What only the host can answer."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `occ doctor` found."""

    stack: str
    host: str
    """The machine that it runs on, over SSH: `ada@box`; empty: this one."""
    well: bool
    """Whether there is no problem; warnings are none."""
    findings: list[Finding]

    def count(self, outcome: str) -> int:
        """Count the findings of one kind."""
        return sum(finding.outcome == outcome for finding in self.findings)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is examined."""

    stack: str
    paths: Paths
    trace: Trace
    now: datetime

    @cached_property
    def host(self) -> DockerHost:
        """The machine that the settings name."""
        return docker_host_of(self.stack, self.paths.root)

    @property
    def engine(self) -> Engine:
        """The Docker engine that the settings name.

        Raises:
            OperationError: it cannot be reached from here.
        """
        return self.host.engine(self.trace)

    @property
    def start(self) -> str:
        """The command that makes what is missing."""
        return project.setup_command(self.stack)


def examine(stack: str, trace: Trace) -> Report:
    """Look at everything, at once.

    Raises:
        OperationError: the stack's name cannot be one.
    """
    # Where there are no settings, only the name can be wrong.
    docker_host_of(stack, _NOWHERE)
    paths = Paths.of(project.folder(), os.environ)
    subject = Subject(stack=stack, paths=paths, trace=trace, now=datetime.now(UTC))
    looks: dict[str, Callable[[Subject], Iterable[Finding]]] = {
        "machine.all": _machine,
        "docker.socket": _docker,
        "pulumi.engine": _engine,
        "pulumi.packages": _packages,
        "pulumi.state": _state,
        "pulumi.passphrase": _passphrase,
        "settings.file": _settings,
        "deployment.all": _deployment,
    }
    where = _host_of(subject)
    findings: list[Finding] = []
    if where:
        # First, as nothing of it can be asked where this fails.
        findings = _at_once({"host.all": partial(_host, subject)})
        if any(found.check == REACH and found.outcome == PROBLEM for found in findings):
            looks = {name: look for name, look in looks.items() if name not in _ON_HOST}
            findings += [_unseen(name, f"{where} cannot be reached") for name in _ON_HOST]
    findings += _at_once({name: partial(look, subject) for name, look in looks.items()})
    findings = [on_host(found, where) for found in findings] if where else findings
    well = all(finding.outcome != PROBLEM for finding in findings)
    return Report(stack=stack, host=where, well=well, findings=findings)


def _host_of(subject: Subject) -> str:
    """Name another machine than this one; empty where its settings do not allow that either."""
    try:
        return subject.host.name if subject.host.is_remote else ""
    except OperationError:
        # What is wrong with them is found with the settings.
        return ""


def _host(subject: Subject) -> Iterator[Finding]:
    there = subject.host
    if not there.ssh:
        return
    port = _number(subject, "port", _DEFAULT_PORT)
    try:
        seen = look(there.ssh, port, there.socket)
    except OperationError as error:
        what, _, mend = str(error).partition(". ")
        why = "Nothing of a deployment can be looked at."
        yield problem(REACH, what, why, mend)
        return
    yield from host.check(there.name, seen, subject.stack, _memory_limit(subject))


def _machine(subject: Subject) -> Iterator[Finding]:
    # Where it runs elsewhere, it takes no memory here.
    limit = 0 if _host_of(subject) else _memory_limit(subject)
    return machine.check(facts.machine(subject.paths), limit)


def _memory_limit(subject: Subject) -> int:
    """Give how many bytes the container may take."""
    return _number(subject, "memory_mb", _DEFAULT_MEMORY_MB) * 2**20


def _number(subject: Subject, setting: str, default: int) -> int:
    given = stack_file.read(subject.paths.stack_file(subject.stack)).get(setting, "")
    return int(given) if given.isdecimal() else default


def _docker(subject: Subject) -> Iterator[Finding]:
    try:
        engine = subject.engine
    except OperationError as error:
        yield from docker.check(Docker(socket="", failure=str(error)))
        return
    found = facts.docker(engine)
    yield from docker.check(found)
    if found.failure or subject.host.is_remote:
        return
    if disk := facts.docker_disk(found):
        yield machine.room(disk)
    if told := found.info.get("SystemTime"):
        yield docker.clock(moment(told), datetime.now(UTC))


def _engine(subject: Subject) -> Iterator[Finding]:
    if not subject.paths.requirements.is_file():
        yield skipped("pulumi.engine", "Pulumi's engine", "what it needs is not listed here")
        return
    finder = Finder(subject.paths, Runner(os.environ, ThisMachine.this()), os.environ)
    engine = finder.find()
    reason = "" if engine else finder.on_path()[1] or "a plugin is missing"
    yield pulumi.engine(engine.label if engine else "", reason, subject.start)


def _packages(subject: Subject) -> Iterator[Finding]:
    installed = project.is_installed()
    if found := facts.packages(subject.paths, installed=installed):
        anew = f"rm -rf {found.folder} && {subject.start}"
        mend = "pipx reinstall opencode-cloud (or uv tool install --reinstall opencode-cloud)"
        yield pulumi.packages(found, mend if installed else anew)
    else:
        yield skipped("pulumi.packages", "the program's packages", "they are not listed here")


def _state(subject: Subject) -> Iterator[Finding]:
    found = facts.state(subject.paths, subject.stack)
    return pulumi.state(found, subject.stack, subject.start)


def _passphrase(subject: Subject) -> Iterator[Finding]:
    return pulumi.passphrase(facts.passphrase(subject.paths, subject.stack))


def _settings(subject: Subject) -> Iterator[Finding]:
    found = facts.settings(subject.paths, subject.stack)
    return settings.check(found, occ(subject.stack, "config", "edit"))


def _deployment(subject: Subject) -> Iterator[Finding]:
    try:
        there = find(subject.stack, subject.engine)
    except NoDeploymentError as error:
        return deployment.missing(str(error), subject.start)
    return deployment.check(facts.deployed(there, subject.now), subject.now)


def _at_once(looks: Mapping[str, Callable[[], Iterable[Finding]]]) -> list[Finding]:
    """Look at several things at once; none can keep the others waiting for long."""
    found: dict[str, list[Finding]] = {}

    def look(name: str) -> None:
        try:
            found[name] = list(looks[name]())
        except (OpencodeCloudError, OSError) as error:
            found[name] = [_unseen(name, str(error))]
        except Exception as error:
            # One mistake of ours shall not hide the rest.
            found[name] = [_mistake(name, error)]

    # Whoever hangs does not keep the process: it ends with the others.
    threads = [threading.Thread(target=look, args=(name,), daemon=True) for name in looks]
    for thread in threads:
        thread.start()
    end = time.monotonic() + SECONDS
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return [finding for name in looks for finding in found.get(name) or [_late(name)]]


def _unseen(name: str, why: str) -> Finding:
    return skipped(name, "what is asked there", why.splitlines()[0].partition(". ")[0])


def _late(name: str) -> Finding:
    silence = f"no answer within {SECONDS} s"
    if name != "docker.socket":
        return _unseen(name, silence)
    mend = "sudo systemctl restart docker (all its containers restart)"
    return problem(name, f"Docker gave {silence}", "Nothing of a deployment can be reached.", mend)


def _mistake(name: str, error: Exception) -> Finding:
    what = f"a mistake of occ's own ({type(error).__name__})"
    return problem(name, what, "This could not be looked at.", "report it with this output")
