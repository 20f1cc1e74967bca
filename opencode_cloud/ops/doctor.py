"""Everything that can be wrong with a deployment, and how to mend it."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from opencode_cloud.errors import OpencodeCloudError
from opencode_cloud.ops import doctor_facts as facts
from opencode_cloud.ops import project
from opencode_cloud.ops.deployment import engine_of, find, occ
from opencode_cloud.ops.docker_engine import Engine, Trace
from opencode_cloud.ops.doctor_checks import deployment, docker, machine, pulumi, settings
from opencode_cloud.ops.doctor_checks.docker import Docker
from opencode_cloud.ops.doctor_checks.finding import PROBLEM, Finding, problem, skipped
from opencode_cloud.ops.errors import NoDeploymentError, OperationError
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
    "docker": "Docker",
    "pulumi": "Pulumi",
    "settings": "Settings",
    "deployment": "Deployment",
}

_DEFAULT_MEMORY_MB = 2048
_NOWHERE = Path("/nonexistent")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `occ doctor` found."""

    stack: str
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

    @property
    def engine(self) -> Engine:
        """The Docker engine that the settings name.

        Raises:
            OperationError: it cannot be reached from here.
        """
        return engine_of(self.stack, self.paths.root, self.trace)

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
    engine_of(stack, _NOWHERE)
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
    findings = _at_once({name: partial(look, subject) for name, look in looks.items()})
    well = all(finding.outcome != PROBLEM for finding in findings)
    return Report(stack=stack, well=well, findings=findings)


def _machine(subject: Subject) -> Iterator[Finding]:
    here = facts.machine(subject.paths)
    given = stack_file.read(subject.paths.stack_file(subject.stack)).get("memory_mb", "")
    limit = int(given) if given.isdecimal() else _DEFAULT_MEMORY_MB
    return machine.check(here, limit * 2**20)


def _docker(subject: Subject) -> Iterator[Finding]:
    try:
        engine = subject.engine
    except OperationError as error:
        yield from docker.check(Docker(socket="", failure=str(error)))
        return
    found = facts.docker(engine)
    yield from docker.check(found)
    if found.failure:
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
