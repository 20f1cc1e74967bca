"""The machine that a deployment is set up on: what has to be known of it beforehand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from opencode_cloud.ops import ports
from opencode_cloud.ops.deployment import Deployment
from opencode_cloud.ops.docker_host import DEFAULT_SOCKET, DockerHost
from opencode_cloud.ops.doctor_checks.finding import PROBLEM, WARNING, Finding
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.mounts import Looked, look_on
from opencode_cloud.settings import Settings
from opencode_cloud.spec.mounts import BindMount
from opencode_cloud.start.plan import Context

_MIB = 2**20


@dataclass(frozen=True)
class Host:
    """Where a deployment is to run. Each question raises OperationError if it cannot be asked."""

    context: Context
    deployment: Deployment | None
    """The one that is there."""

    @property
    def name(self) -> str:
        """For people, on every screen: `this machine`, or `ada@box (remote)`."""
        return f"{self.machine.name} (remote)" if self.machine.is_remote else self.machine.name

    @property
    def machine(self) -> DockerHost:
        """That machine."""
        found = self.context.docker_host.removeprefix("unix://")
        return self.context.host or DockerHost(self.context.options.stack, found or DEFAULT_SOCKET)

    def port_owner(self, address: str, port: int) -> str:
        """Say who has a port; empty when the deployment can have it."""
        own = self.context.container
        found = ports.problem(address, port, self.machine.engine(), own, self.machine)
        if not found:
            return ""
        return found.owner or f"another program ({found.to_free})"

    def next_free_port(self, address: str, port: int) -> int | None:
        """Give the first free port after `port`."""
        return ports.listeners(self.machine).next_free(address, port)

    def look_at(self, mounts: Sequence[BindMount]) -> Looked:
        """Look at folders that are to be mounted."""
        return look_on(self.machine, self.context.paths.root, mounts)

    def users(self) -> list[str]:
        """Give who can log in already; nobody where no deployment runs."""
        from opencode_cloud.ops.users import users

        if not self.deployment or not self.deployment.is_running:
            return []
        try:
            return [user.name for user in users(self.deployment) if user.enabled]
        except OperationError:
            # It is just starting, or is about to be replaced because it is broken.
            return []

    def shortages(self, settings: Settings) -> Iterator[Finding]:
        """Give what another machine lacks in room or memory.

        Of this one, what is made here says so itself as it goes.
        """
        there = self.context.host
        if not there or not there.ssh:
            return
        from opencode_cloud.ops.hosts.judgement import machine_memory, room
        from opencode_cloud.ops.hosts.look import look

        facts = look(there.ssh, settings.port, there.socket).facts
        found = [*machine_memory(facts, there.stack, settings.memory_mb * _MIB), room(facts)]
        yield from (each for each in found if each.outcome in (WARNING, PROBLEM))
