"""A real SSH server of the test run's own."""

import getpass
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engine.deployment import free_port

SSHD = Path("/usr/sbin/sshd")


@dataclass(frozen=True)
class SshServer:
    """On loopback, for the user who runs the tests."""

    folder: Path
    port: int

    @property
    def connection(self) -> dict[str, Any]:
        """As pulumi-command takes it."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "private_key": (self.folder / "client").read_text(),
            "host_key": (self.folder / "host.pub").read_text(),
            "dial_error_limit": 1,
        }

    def command(self, to: Path) -> Path:
        """Make the folder `to` with an `ssh` in it whose user has this server's keys."""
        to.mkdir()
        hosts, config, ssh = to / "known_hosts", to / "config", to / "ssh"
        key = (self.folder / "host.pub").read_text()
        hosts.write_text(f"[127.0.0.1]:{self.port} {key}")
        config.write_text(f"IdentityFile {self.folder / 'client'}\nUserKnownHostsFile {hosts}\n")
        ssh.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {config} "$@"\n')
        ssh.chmod(0o755)
        return to


@contextmanager
def ssh_server(folder: Path, *more: str) -> Iterator[SshServer]:
    """Have one run, with its keys in `folder` and more lines in its configuration."""
    assert SSHD.exists(), f"no {SSHD}: install openssh-server"
    for name, passphrase in (("host", ""), ("client", ""), ("locked", "open sesame")):
        make_key(folder / name, passphrase)
    keys = [(folder / f"{name}.pub").read_text() for name in ("client", "locked")]
    (folder / "authorized_keys").write_text("".join(keys))
    if os.geteuid() == 0:
        # Only its systemd unit makes the folder that sshd wants to see.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\n"
        f"HostKey {folder / 'host'}\n"
        f"AuthorizedKeysFile {folder / 'authorized_keys'}\n"
        "PasswordAuthentication no\nPermitRootLogin yes\nStrictModes no\n"
        f"UsePAM {'yes' if os.geteuid() == 0 else 'no'}\n"
        "AcceptEnv GREETING PULUMI_COMMAND_STDOUT\nPidFile none\nSubsystem sftp internal-sftp\n"
        + "".join(f"{line}\n" for line in more)
    )
    command = [str(SSHD), "-D", "-e", "-f", str(folder / "config")]
    with (folder / "log").open("w") as log, background(command, stderr=log):
        _wait_for(port, folder / "log")
        yield SshServer(folder, port)


def make_key(path: Path, passphrase: str = "") -> None:
    """Make a pair of keys."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)]
    subprocess.run(command, check=True)


@contextmanager
def background(command: list[str], **options: Any) -> Iterator[None]:
    """Run a command for as long as the context lasts."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield
        finally:
            process.terminate()


def _wait_for(port: int, log: Path) -> None:
    for _ in range(100):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"sshd does not listen:\n{log.read_text()}")
