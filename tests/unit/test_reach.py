"""How a deployment is reached from here: at its address, or through a tunnel."""

import socket
from pathlib import Path
from typing import Any

import pytest

from opencode_cloud.ops.deployment import Deployment
from opencode_cloud.ops.docker_host import DEFAULT_SOCKET, DockerHost
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.reach import way
from opencode_cloud.ops.ssh import Ssh
from opencode_cloud.spec.ssh import Forward, SshAddress, SshFiles, tunnel, tunnel_command
from tests.unit.cli_parts import container, deployment

ADDRESS = SshAddress(stack="box", host="192.0.2.7", user="ada", port=2222)
FILES = SshFiles(known_hosts=Path("/k"), control=Path("/c"), docker=Path("/d"))


class Reached(Ssh):
    """A host that ssh goes to by a name that it knows."""

    def hostname(self) -> str:
        return self.address.host if not self.address.jump else ""


def remote(jump: str = "") -> DockerHost:
    address = SshAddress(stack="box", host="192.0.2.7", user="ada", jump=jump)
    return DockerHost("box", DEFAULT_SOCKET, Reached(address, FILES))


def published(address: str, port: int, **environment: str) -> Deployment:
    inside = "8443/tcp" if environment.get("TLS") else "8080/tcp"
    bindings: dict[str, Any] = {inside: [{"HostIp": address, "HostPort": str(port)}]}
    told = tuple(f"OPENCODE_CLOUD_{name}={value}" for name, value in environment.items())
    return deployment(container(environment=told, host={"PortBindings": bindings}))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_deployment_of_this_machine_needs_no_tunnel():
    here = DockerHost("local", DEFAULT_SOCKET)
    found = way(published("127.0.0.1", 4096), here)
    assert (found.url, found.forward) == ("http://127.0.0.1:4096", None)
    with pytest.raises(OperationError, match="on this machine"):
        way(published("127.0.0.1", 4096), here, local_port=5000)


def test_a_tunnel_leads_to_the_hosts_loopback_by_the_same_port_where_it_is_free():
    port = free_port()
    found = way(published("127.0.0.1", port), remote())
    assert found.url == f"http://127.0.0.1:{port}"
    assert found.forward == Forward(local_port=port, address="127.0.0.1", port=port)


def test_a_port_that_somebody_has_here_is_stepped_over_and_one_that_was_named_is_refused():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert way(published("127.0.0.1", port), remote()).url != f"http://127.0.0.1:{port}"
        with pytest.raises(OperationError, match=f"Port {port} is in use"):
            way(published("127.0.0.1", 4096), remote(), local_port=port)


def test_a_port_of_roots_on_the_host_is_none_of_roots_here():
    found = way(published("127.0.0.1", 443, TLS="internal"), remote())
    assert found.forward
    assert found.forward.port == 443
    assert found.forward.local_port >= 1024
    assert found.url.startswith("https://127.0.0.1:")


@pytest.mark.parametrize(
    ("address", "environment", "url"),
    [
        ("0.0.0.0", {"TLS": "opencode.example.org"}, "https://opencode.example.org"),
        ("0.0.0.0", {"TLS": "internal"}, "https://192.0.2.7:443"),
        (
            "0.0.0.0",
            {"TLS": "internal", "PUBLIC_ADDRESS": "2001:db8::1"},
            "https://[2001:db8::1]:443",
        ),
        ("198.51.100.1", {"TLS": "internal"}, "https://198.51.100.1:443"),
    ],
)
def test_what_is_open_to_the_network_and_encrypted_is_opened_there(
    address: str, environment: dict[str, str], url: str
):
    found = way(published(address, 443, **environment), remote())
    assert (found.url, found.forward) == (url, None)


def test_what_is_open_to_the_network_in_the_clear_is_reached_through_the_tunnel():
    found = way(published("0.0.0.0", 4096), remote())
    assert found.forward
    assert found.forward.address == "127.0.0.1"


def test_a_host_behind_another_is_reached_through_the_tunnel():
    assert way(published("0.0.0.0", 443, TLS="internal"), remote(jump="hop")).forward


def test_a_deployment_without_a_port_cannot_be_reached():
    bare = deployment(container(host={"PortBindings": {}}))
    with pytest.raises(OperationError, match="publishes no port on ada@192"):
        way(bare, remote())


def test_a_tunnel_has_a_connection_of_its_own_and_is_loopbacks_alone():
    words = tunnel(ADDRESS, FILES, Forward(local_port=5000, address="::1", port=4096), "true")
    assert words[words.index("-L") + 1] == "127.0.0.1:5000:[::1]:4096"
    # ssh takes the first of two.
    assert words.index("ControlPath=none") < words.index("ControlPath=/c")
    assert words.index("ControlMaster=no") < words.index("ControlMaster=auto")
    assert "ExitOnForwardFailure=yes" in words


def test_the_command_that_a_person_types_names_nothing_of_ours():
    shown = tunnel_command(ADDRESS, Forward(local_port=5000, address="127.0.0.1", port=4096))
    assert shown == "ssh -N -L 127.0.0.1:5000:127.0.0.1:4096 -p 2222 ada@192.0.2.7"
