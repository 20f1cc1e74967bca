"""The service unit of a deployment, on the host where it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opencode_cloud.ops import project
from opencode_cloud.ops.deployment import Deployment
from opencode_cloud.ops.docker_host import docker_host_of
from opencode_cloud.ops.errors import OperationError

if TYPE_CHECKING:
    from opencode_cloud.ops.shells import Shell
    from opencode_cloud.spec.service_unit.spec import ServiceUnitSpec

_SECONDS = 120
"""A unit's stop waits for the container's."""
NO_RESTART = "no"
"""Docker's word for what is restarted by somebody else, if at all."""
_GIVEN_UP = "75"
"""As `opencode_cloud.spec.service_unit.spec` has it; what is asked for seldom is loaded late."""


@dataclass(frozen=True, kw_only=True)
class ServiceUnit:
    """One unit, as its host's service manager has it."""

    mode: str
    """`user` or `system`."""
    file: str
    enabled: bool
    """Whether it starts with the machine, or with its user."""
    state: str
    """The manager's word: active, activating, deactivating, inactive or failed."""
    restarts: int
    """Since it was last started by hand or by the machine."""
    linger: bool | None
    """Whether its user's units run without the user; null where there is no such thing."""
    gave_up: bool
    """Whether the container ended too often in a row."""

    @property
    def starts_at_boot(self) -> bool:
        """Whether it starts before anybody signs in."""
        return self.enabled and self.linger is not False


@dataclass(frozen=True)
class HostUnit:
    """A stack's unit on a host, whether there is one or not.

    Every method raises OperationError where the host cannot be asked, or does not do it.
    """

    stack: str
    shell: "Shell"

    def show(self) -> ServiceUnit | None:
        """Look at it; ``None``: there is none."""
        found = self.all()
        return found[0] if found else None

    def all(self) -> list[ServiceUnit]:
        """Look at every one of the name: a user's and the machine's may both be there."""
        return read(self._run("show"))

    def check(self, spec: "ServiceUnitSpec") -> None:
        """See that there can be one, as far as that shows without a change."""
        self._run("check", spec)

    def prepare(self, spec: "ServiceUnitSpec") -> None:
        """See that there can be one; where its user may, the user lingers from now on."""
        self._run("prepare", spec)

    def start(self) -> None:
        """Have it start now, and with the machine from now on."""
        self._run("start")

    def stop(self) -> None:
        """Have it stop the container, and not start with the machine any more."""
        self._run("stop")

    def remove(self) -> None:
        """Remove it; the container runs on."""
        self._run("remove")

    def _run(self, verb: str, spec: "ServiceUnitSpec | None" = None) -> str:
        from opencode_cloud.spec.service_unit.host import host_script

        script = host_script(self.stack, spec)
        done = self.shell.run(f"exec sh -s {verb}", stdin=script, seconds=_SECONDS)
        if not done.ok:
            why = done.err.strip() or done.out.strip() or f"exit code {done.code}"
            raise OperationError(
                f"The service unit of {self.stack!r} on {self.shell.name}, {verb}: {why}"
            )
        return done.out


def unit_of(deployment: Deployment) -> tuple[HostUnit, ServiceUnit] | None:
    """Give the unit that keeps a deployment running, as it is; ``None``: Docker does, or nobody.

    The host is only asked where Docker does not.

    Raises:
        OperationError: the host cannot be asked.
    """
    if not may_have_unit(deployment):
        return None
    unit = host_unit(deployment.stack)
    found = unit.show()
    return (unit, found) if found else None


def may_have_unit(deployment: Deployment) -> bool:
    """Whether its host is worth asking: where Docker starts it again, no unit does."""
    return deployment.restart_policy == NO_RESTART


def host_unit(stack: str) -> HostUnit:
    """Give what a stack's host has for a unit, or would have."""
    return HostUnit(stack, docker_host_of(stack, project.folder()).shell)


def read(text: str) -> list[ServiceUnit]:
    """Read what the host's script shows: `name=value`, each unit beginning with its mode."""
    found: list[dict[str, str]] = []
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name == "mode":
            found.append({})
        if found:
            found[-1][name] = value
    return [_unit(facts) for facts in found]


def _unit(facts: Mapping[str, str]) -> ServiceUnit:
    linger = facts.get("linger")
    state = facts.get("ActiveState", "inactive")
    return ServiceUnit(
        mode=facts["mode"],
        file=facts.get("file", ""),
        enabled=facts.get("UnitFileState") == "enabled",
        state=state,
        restarts=int(facts.get("NRestarts") or 0),
        linger=None if linger is None else linger == "yes",
        gave_up=state == "failed" and facts.get("ExecMainStatus") == _GIVEN_UP,
    )
