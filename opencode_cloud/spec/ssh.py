"""How a host is reached over SSH: the words that the system's own `ssh` is given.

Users, keys, agents and jump hosts are ssh's to find, in `~/.ssh/config` and by these words. What it
is never left to decide is whom it talks to: the host's keys are pinned.
"""

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CONNECT_SECONDS = 15
"""How long one attempt to connect may take."""
PERSIST_SECONDS = 120
"""How long a connection that nobody uses is kept for the next command."""
_ALIVE_EVERY_SECONDS, _ALIVE_TRIES = 5, 4
"""A connection whose other side says nothing so many times is given up."""


@dataclass(frozen=True, kw_only=True)
class SshAddress:
    """One host, as its stack's settings name it."""

    stack: str
    host: str
    """Name or address, or a `Host` of `~/.ssh/config`."""
    user: str = ""
    """Empty: as ssh decides. So are the other empty values."""
    port: int = 0
    identity_file: str = ""
    jump: str = ""
    """Hosts to go through, as ssh's `-J` takes them."""
    host_keys: tuple[str, ...] = ()
    """The host's own public keys, each `TYPE BASE64`. None is trusted where there are none."""
    learns: bool = False
    """Whether a host that was never seen is believed to be the right one, and known by its keys
    from then on. For a machine that was made a moment ago, whose keys nobody can have read."""

    @classmethod
    def of(cls, settings: Mapping[str, str], stack: str) -> "SshAddress":
        """Take it from the plain settings of a stack's file."""
        user, _, host = settings.get("ssh_host", "").rpartition("@")
        keys = settings.get("ssh_host_key", "").split(",")
        return cls(
            stack=stack,
            host=host,
            user=user,
            port=int(settings.get("ssh_port") or 0),
            identity_file=settings.get("ssh_identity_file", ""),
            jump=settings.get("ssh_jump", ""),
            host_keys=tuple(key.strip() for key in keys if key.strip()),
        )

    @property
    def destination(self) -> str:
        """`user@host`, or the host alone."""
        return f"{self.user}@{self.host}" if self.user else self.host

    @property
    def alias(self) -> str:
        """Name under which the host's keys are known: an address may change, the host stays."""
        return f"opencode-cloud-{self.stack}"

    @property
    def known_hosts(self) -> str:
        """The pinned keys, as a file for ssh."""
        return "".join(f"{self.alias} {key}\n" for key in self.host_keys)

    @property
    def command(self) -> str:
        """The command that a person types to reach it."""
        return " ".join(["ssh", *_ways(self), self.destination])

    def fingerprint(self) -> str:
        """Tell one connection from another: hex, short enough for the path of a socket."""
        words = (self.stack, self.destination, *map(str, _ways(self)), *self.host_keys)
        return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class SshFiles:
    """What ssh is to find, and to make, on this machine."""

    known_hosts: Path
    control: Path
    """Socket of the connection that commands share."""
    docker: Path
    """Socket that leads to the host's Docker engine, while a command of ours uses it."""


@dataclass(frozen=True, kw_only=True)
class Forward:
    """A port of this machine's loopback that leads to where the host reaches something."""

    local_port: int
    address: str
    """Seen from the host."""
    port: int

    @property
    def words(self) -> tuple[str, str]:
        """Write it as ssh's option."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return "-L", f"127.0.0.1:{self.local_port}:{address}:{self.port}"


def options(address: SshAddress, files: SshFiles) -> tuple[str, ...]:
    """Give the options of every call of ssh for a host, before its destination.

    Nothing is asked: what needs a person (a new host, a passphrase) is for `occ host add` and the
    agent. Every call shares one connection, so that many resources do not meet the server's
    MaxStartups.
    """
    chosen = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "accept-new" if address.learns else "yes",
        "HostKeyAlias": address.alias,
        "UserKnownHostsFile": str(files.known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        # Else a server could add keys to those that are pinned.
        "UpdateHostKeys": "no",
        "CheckHostIP": "no",
        "ControlMaster": "auto",
        "ControlPath": str(files.control),
        "ControlPersist": str(PERSIST_SECONDS),
        "ConnectTimeout": str(CONNECT_SECONDS),
        "ServerAliveInterval": str(_ALIVE_EVERY_SECONDS),
        "ServerAliveCountMax": str(_ALIVE_TRIES),
        # A socket that a killed command left must not be in the way.
        "StreamLocalBindUnlink": "yes",
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "PermitLocalCommand": "no",
    }
    words = [word for name, value in chosen.items() for word in ("-o", f"{name}={value}")]
    return (*words, *_ways(address))


def command(address: SshAddress, files: SshFiles, *words: str) -> tuple[str, ...]:
    """Give the whole command line that runs `words` on the host; none of them: its login shell."""
    # ssh would hand them to a shell with spaces between.
    said = (shlex.join(words),) if words else ()
    return ("ssh", *options(address, files), "--", address.destination, *said)


def meeting(address: SshAddress, known_hosts: Path) -> tuple[str, ...]:
    """Give the command line that has ssh write a host's key to `known_hosts`, and no more.

    Nothing of the user's is offered to a host that nobody has said is the right one.
    """
    chosen = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "accept-new",
        "HostKeyAlias": address.alias,
        "UserKnownHostsFile": str(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "HashKnownHosts": "no",
        "UpdateHostKeys": "no",
        "CheckHostIP": "no",
        "PreferredAuthentications": "none",
        # An open connection would not ask for the key.
        "ControlPath": "none",
        "ConnectTimeout": str(CONNECT_SECONDS),
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "PermitLocalCommand": "no",
    }
    words = [word for name, value in chosen.items() for word in ("-o", f"{name}={value}")]
    return ("ssh", *words, *_ways(address), "--", address.destination, "true")


def tunnel(address: SshAddress, files: SshFiles, forward: Forward, *words: str) -> tuple[str, ...]:
    """Give the command line of a tunnel, which lasts as long as `words` run on the host.

    It has a connection of its own: the tunnel ends with the command that holds it, and a connection
    that others share does not.
    """
    # Of an option that is given twice, ssh takes the first.
    own = ("-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "ExitOnForwardFailure=yes")
    line = command(address, files, *words)
    return (line[0], *own, *forward.words, *line[1:])


def tunnel_command(address: SshAddress, forward: Forward) -> str:
    """Give the command that a person types for the same tunnel."""
    return " ".join(["ssh", "-N", *forward.words, *_ways(address), address.destination])


def _ways(address: SshAddress) -> list[str]:
    words: list[str] = []
    if address.port:
        words += ["-p", str(address.port)]
    if address.identity_file:
        # The key that was named, and not whatever the agent offers first.
        words += ["-i", address.identity_file, "-o", "IdentitiesOnly=yes"]
    if address.jump:
        words += ["-J", address.jump]
    return words
