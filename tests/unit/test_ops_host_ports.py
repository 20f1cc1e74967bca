"""Who listens on a host, by its kernel's tables."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from opencode_cloud.ops import ports
from opencode_cloud.ops.docker_host import DockerHost
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.host_ports import HostPorts, read
from opencode_cloud.ops.shells import Done, LocalShell
from opencode_cloud.ops.ssh import Ssh
from opencode_cloud.spec.ssh import SshAddress, SshFiles
from opencode_cloud.start import ports as here
from tests.engine.deployment import free_port

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1000 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 4242 1 0 100
   1: 0100007F:1001 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000 0 4243 1 0 100
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0 0 4244 1 0 100
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000001000000:1002 00000000000000000000000000000000:0000 0A 0:0 0:0 0 3 0 7
   1: 00000000000000000000000000000000:1003 00000000000000000000000000000000:0000 0A 0:0 0:0 0 3 0 8
"""


@pytest.fixture
def taken() -> Iterator[int]:
    # Not one of those that the system gives to connections, next to which others come and go.
    with socket.create_server(("127.0.0.1", free_port())) as server:
        yield server.getsockname()[1]


class Box(Ssh):
    """A host that is this machine."""

    def run(self, script: str, *, stdin: str = "", seconds: float = 60) -> Done:
        return LocalShell().run(script, stdin=stdin, seconds=seconds)


@pytest.fixture
def box() -> DockerHost:
    files = SshFiles(known_hosts=Path("/k"), control=Path("/c"), docker=Path("/d"))
    return DockerHost("box", "/d.sock", Box(SshAddress(stack="box", host="box", user="ada"), files))


@pytest.mark.parametrize(
    ("address", "port", "is_free"),
    [
        ("127.0.0.1", 0x1000, False),
        ("0.0.0.0", 0x1000, False),
        ("127.0.0.2", 0x1000, True),
        ("::1", 0x1000, True),
        ("::", 0x1000, False),
        ("127.0.0.1", 0x1001, True),
        ("192.0.2.1", 22, False),
        ("::1", 22, True),
        ("::1", 0x1002, False),
        ("127.0.0.1", 0x1002, True),
        ("127.0.0.1", 0x1003, False),
        ("::1", 0x1003, False),
    ],
)
def test_a_port_is_taken_where_a_listener_overlaps(address: str, port: int, is_free: bool):
    found = [each for each in read(TABLE) if each.is_in_the_way(address, port)]
    assert (not found) is is_free


def test_the_owner_is_named_as_on_this_machine(taken: int, box: DockerHost):
    there = HostPorts(box.shell)
    assert not there.is_free("127.0.0.1", taken)
    assert there.owner(taken) == here.owner(taken)
    free = there.next_free("127.0.0.1", taken)
    assert free
    assert here.is_free("127.0.0.1", free)


def test_dockers_proxy_is_named_to_those_who_may_not_see_its_sockets(taken: int):
    words = ["-proto", "tcp", "-host-ip", "127.0.0.1", "-host-port", str(taken), "-x"]
    # A program of this name, that has no such socket.
    keeps = [
        "import ctypes, time",
        "ctypes.CDLL(None).prctl(15, b'docker-proxy')",
        "print(flush=True)",
        "time.sleep(60)",
    ]
    command = [sys.executable, "-c", "; ".join(keeps), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as proxy:
        assert proxy.stdout
        proxy.stdout.readline()

        class NotOurs(LocalShell):
            def run(self, script: str, *, stdin: str = "", seconds: float = 60) -> Done:
                unseen = script.replace("/fd 2>", "/none 2>")
                return super().run(unseen, stdin=stdin, seconds=seconds)

        assert HostPorts(NotOurs()).owner(taken) == f"docker-proxy (process {proxy.pid})"
        proxy.kill()


def test_of_a_program_that_one_may_not_see_it_is_said_whose_it_is():
    class Others(LocalShell):
        def run(self, script: str, **_: object) -> Done:
            return Done(0, TABLE if "/proc/net/tcp" in script else "root\n", "")

    assert HostPorts(Others()).owner(22) == "a program of the user root"
    assert HostPorts(Others()).owner(23) == ""


def test_the_host_is_named_with_its_port(taken: int, box: DockerHost):
    found = ports.problem("127.0.0.1", taken, host=box)
    assert found
    assert str(found).startswith(f"Port {taken} of ada@box is in use by ")
    assert found.to_free == f"on ada@box, kill {os.getpid()}"
    assert "free this one: on ada@box, kill" in ports.explained(found, "box", "port")


def test_a_host_without_such_tables_says_so():
    class Odd(LocalShell):
        def run(self, *_: object, **__: object) -> Done:
            return Done(1, "", "cat: /proc/net/tcp: No such file")

    with pytest.raises(OperationError, match="No such file"):
        HostPorts(Odd()).is_free("127.0.0.1", 1)
