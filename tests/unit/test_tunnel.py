"""What a person is told of a tunnel that leads nowhere, whatever ssh says first."""

import sys
from pathlib import Path

import pytest

from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.ssh import Ssh
from opencode_cloud.ops.tunnel import Tunnel
from opencode_cloud.spec.ssh import Forward, SshAddress
from tests.engine.deployment import free_port

# The connection ends before the reason is said: both come from ssh at the same moment.
SSH = """\
#!{python}
import socket, sys, time
server = socket.create_server(("127.0.0.1", {port}))
print("opencode-cloud-tunnel-is-up", flush=True)
server.accept()[0].close()
time.sleep(0.3)
print({reason!r}, file=sys.stderr, flush=True)
sys.stdin.read()
"""


def refusal(folder: Path, reason: str, monkeypatch: pytest.MonkeyPatch) -> str:
    port = free_port()
    commands = folder / "commands"
    commands.mkdir()
    program = commands / "ssh"
    program.write_text(SSH.format(python=sys.executable, port=port, reason=reason))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=":")
    ssh = Ssh.of(SshAddress(stack="box", host="box.example", user="ada"), folder)
    forward = Forward(local_port=port, address="127.0.0.1", port=4096)
    with pytest.raises(OperationError) as refused, Tunnel(ssh, forward):
        pass
    return str(refused.value)


def test_a_server_that_allows_no_tunnels_is_told_apart_when_it_says_so_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    reason = "channel 2: open failed: administratively prohibited: open failed"
    assert "AllowTcpForwarding" in refusal(tmp_path, reason, monkeypatch)


def test_a_port_where_nobody_listens_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    reason = "channel 2: open failed: connect failed: Connection refused"
    assert f"Nothing answers at port 4096 of ada@box.example ({reason})" in refusal(
        tmp_path, reason, monkeypatch
    )
