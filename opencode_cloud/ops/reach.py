"""How a deployment is reached from this machine: at its address, or through a tunnel."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opencode_cloud.ops.deployment import Deployment, is_loopback, occ, reached_at
from opencode_cloud.ops.docker_host import DockerHost
from opencode_cloud.ops.errors import OperationError

if TYPE_CHECKING:
    # Over SSH alone.
    from opencode_cloud.ops.tunnel import Tunnel
    from opencode_cloud.spec.ssh import Forward

_LEAST_PORT = 1024
"""Below it, ports are root's."""
_INSTEAD = 4096
_ALL = ("", "0.0.0.0", "::")  # noqa: S104 - it is asked for, not listened on


@dataclass(frozen=True)
class Way:
    """The address to open, and what has to be there for it."""

    url: str
    forward: "Forward | None" = None
    """The tunnel that leads there; ``None``: it takes none."""

    def ssh_command(self, host: DockerHost) -> str:
        """Give the command that makes the same tunnel; empty where it takes none."""
        from opencode_cloud.spec.ssh import tunnel_command

        if not self.forward or not host.ssh:
            return ""
        return tunnel_command(host.ssh.address, self.forward)


def way(deployment: Deployment, host: DockerHost, local_port: int = 0) -> Way:
    """Say how a deployment is reached from here.

    Args:
        deployment: to reach.
        host: that it runs on.
        local_port: of this machine, where a tunnel is to begin; 0: whichever is free, and the
            host's own where that can be had.

    Raises:
        OperationError: it cannot be, or the port is in use.
    """
    address, port = deployment.published
    if not port:
        raise OperationError(
            f"The deployment {deployment.stack!r} publishes no port on {host.name}, so that no "
            f"browser can reach it. See: {occ(deployment.stack, 'status')}"
        )
    if not host.is_remote:
        if local_port:
            raise OperationError(
                f"The deployment {deployment.stack!r} is on this machine, at {deployment.url}: "
                "there is no tunnel to give a port to."
            )
        return Way(deployment.url)
    if not local_port and (url := _direct(deployment, host)):
        return Way(url)
    from opencode_cloud.spec.ssh import Forward

    here = _local_port(int(port), local_port)
    scheme = "http" if deployment.tls == "off" else "https"
    forward = Forward(local_port=here, address=reached_at(address), port=int(port))
    return Way(f"{scheme}://127.0.0.1:{here}", forward)


@contextmanager
def opened(found: Way, host: DockerHost, say: Callable[[str], None]) -> Iterator["Tunnel | None"]:
    """Have the way open; gives its tunnel, where it takes one."""
    if not found.forward or not host.ssh:
        yield None
        return
    from opencode_cloud.ops.tunnel import Tunnel

    with Tunnel(host.ssh, found.forward, say) as tunnel:
        yield tunnel


def _direct(deployment: Deployment, host: DockerHost) -> str:
    """Give the address that needs no tunnel; empty when none is known.

    Without TLS there is none: the tunnel encrypts what the deployment does not.
    """
    address, port = deployment.published
    if deployment.public_name:
        return deployment.url
    if deployment.tls == "off" or is_loopback(address):
        return ""
    if address not in _ALL:
        return deployment.url
    name = deployment.public_address or (host.ssh.hostname() if host.ssh else "")
    if not name:
        return ""
    return f"https://{f'[{name}]' if ':' in name else name}:{port}"


def _local_port(remote: int, wanted: int) -> int:
    from opencode_cloud.ops import ports
    from opencode_cloud.start.ports import is_free, next_free

    if wanted:
        if problem := ports.problem("127.0.0.1", wanted):
            free = f" The next free one: --local-port {problem.next_free}"
            raise OperationError(f"{problem}{free if problem.next_free else ''}")
        return wanted
    # The same as there where it can be had: addresses and bookmarks then stay what they are.
    first = remote if remote >= _LEAST_PORT else _INSTEAD
    found = first if is_free("127.0.0.1", first) else next_free("127.0.0.1", first)
    if not found:
        raise OperationError(f"No port of this machine is free from {first} on.")
    return found
