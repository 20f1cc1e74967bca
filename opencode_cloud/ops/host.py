"""The machine that a deployment is set up on: what has to be known of it beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from opencode_cloud.ops.deployment import Deployment
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.mount_dangers import Surroundings
from opencode_cloud.ops.mounts import Looked, look
from opencode_cloud.spec.mounts import BindMount
from opencode_cloud.start import ports, preflight
from opencode_cloud.start.plan import Context


class Host(Protocol):
    """Where a deployment is to run."""

    @property
    def name(self) -> str:
        """For people: `this machine`."""
        ...

    def port_owner(self, address: str, port: int) -> str:
        """Say who has a port; empty when the deployment can have it."""
        ...

    def next_free_port(self, address: str, port: int) -> int | None:
        """Give the first free port after `port`."""
        ...

    def look_at(self, mounts: Sequence[BindMount]) -> Looked:
        """Look at folders that are to be mounted."""
        ...

    def users(self) -> list[str]:
        """Give who can log in already; nobody where no deployment runs."""
        ...


@dataclass(frozen=True)
class ThisMachine:
    """The machine that `occ` runs on."""

    context: Context
    deployment: Deployment | None
    """The one that is there."""

    @property
    def name(self) -> str:
        """It is the only one yet."""
        return "this machine"

    def port_owner(self, address: str, port: int) -> str:
        """Ask the sockets, then Docker."""
        return preflight.port_owner(self.context.runner, self.context.container, address, port)

    def next_free_port(self, address: str, port: int) -> int | None:
        """Try one after the other."""
        return ports.next_free(address, port)

    def look_at(self, mounts: Sequence[BindMount]) -> Looked:
        """Look at them here."""
        return look(mounts, Surroundings.of(self.context.paths.root, self.context.docker_host))

    def users(self) -> list[str]:
        """Ask the container."""
        from opencode_cloud.ops.users import users

        if not self.deployment or not self.deployment.is_running:
            return []
        try:
            return [user.name for user in users(self.deployment) if user.enabled]
        except OperationError:
            # It is just starting, or is about to be replaced because it is broken.
            return []
