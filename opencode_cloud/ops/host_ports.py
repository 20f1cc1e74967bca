"""The ports of a host: which are in use, and by whom, as far as its user may know."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.shells import Shell

_LAST_PORT = 65535
_TABLE = "cat /proc/net/tcp || exit; cat /proc/net/tcp6 2>/dev/null || true"
_OWNER = r"""
LC_ALL=C ls -l /proc/[0-9]*/fd 2>/dev/null | while read -r line; do
    case $line in
        /proc/*) process=${line%/fd:} ;;
        *"socket:[$inode]") echo "${process#/proc/} $(cat "$process/comm")"; exit ;;
    esac
done
for process in /proc/[0-9]*; do
    read -r name 2>/dev/null < "$process/comm" && [ "$name" = docker-proxy ] || continue
    case $(tr '\0' ' ' < "$process/cmdline") in
        *"-host-port $port "*) echo "${process#/proc/} $name" ;;
    esac
done
id -nu "$user" 2>/dev/null || echo "$user"
"""
"""Prints the process that has a socket, where this user may see it or it is Docker's proxy, whose
arguments say it; and in the end the user's name."""
_LISTENS = "0A"


@dataclass(frozen=True)
class Listener:
    """Somebody who listens."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int
    user: int
    inode: int

    def is_in_the_way(self, address: str, port: int) -> bool:
        """Whether nobody else can listen there."""
        if port != self.port:
            return False
        wanted = ipaddress.ip_address(address)
        if self.address == wanted:
            return True
        if self.address.version == wanted.version:
            return self.address.is_unspecified or wanted.is_unspecified
        # All of IPv6 usually is all of IPv4 as well.
        return any(each.version != 4 and each.is_unspecified for each in (self.address, wanted))  # noqa: PLR2004 - IPv4


@dataclass(frozen=True)
class HostPorts:
    """Asks a host's kernel anew each time: it takes some milliseconds.

    Every method raises OperationError when the host cannot be reached.
    """

    shell: Shell

    def is_free(self, address: str, port: int) -> bool:
        """Whether somebody could listen there now."""
        return not any(each.is_in_the_way(address, port) for each in self._listeners())

    def next_free(self, address: str, port: int) -> int | None:
        """Give the first free port after ``port``."""
        there = self._listeners()
        return next(
            (
                candidate
                for candidate in range(port + 1, _LAST_PORT + 1)
                if not any(each.is_in_the_way(address, candidate) for each in there)
            ),
            None,
        )

    def owner(self, port: int) -> str:
        """Name the program that listens on ``port``, or at least whose it is; empty if nobody."""
        found = next((each for each in self._listeners() if each.port == port), None)
        if not found:
            return ""
        script = f"inode={found.inode} user={found.user} port={port}{_OWNER}"
        *processes, user = self.shell.run(script).out.strip().split("\n")
        number, _, name = processes[0].partition(" ") if processes else ("", "", "")
        return f"{name} (process {number})" if name else f"a program of the user {user}"

    def _listeners(self) -> list[Listener]:
        done = self.shell.run(_TABLE)
        if not done.ok:
            raise OperationError(
                f"{self.shell.name} does not say which ports are in use: {done.err.strip()}"
            )
        return list(read(done.out))


def read(table: str) -> Iterator[Listener]:
    """Read the kernel's tables, as proc_pid_net(5) describes them."""
    for line in table.splitlines():
        fields = line.split()
        # Their headings have no such state.
        if len(fields) <= 9 or fields[3] != _LISTENS:  # noqa: PLR2004 - the inode's place
            continue
        address, _, port = fields[1].partition(":")
        yield Listener(_address(address), int(port, 16), int(fields[7]), int(fields[9]))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    # Words of 32 bits, each in the order of the processor's bytes; all that we know have the low
    # ones first.
    words = re.findall(".{8}", text)
    return ipaddress.ip_address(b"".join(bytes.fromhex(word)[::-1] for word in words))
