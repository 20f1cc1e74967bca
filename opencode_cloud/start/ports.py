"""Whether a port of this machine is free, and who has it otherwise."""

import errno
import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

_LISTEN = "0A"
_LAST_PORT = 65535
DOCKER_PROXY = "docker-proxy"
"""The program with which Docker listens for a container."""


def is_free(address: str, port: int) -> bool:
    """Whether somebody could listen there now."""
    version = ipaddress.ip_address(address).version
    family = socket.AF_INET6 if version == 6 else socket.AF_INET  # noqa: PLR2004 - IPv6
    with socket.socket(family) as listener:
        # Connections that have ended hold nothing.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
        except OSError as error:
            # Not being allowed to, as below 1024, does not mean that it is taken.
            return error.errno != errno.EADDRINUSE
    return True


def next_free(address: str, port: int) -> int | None:
    """Give the first free port after ``port``."""
    return next((p for p in range(port + 1, _LAST_PORT + 1) if is_free(address, p)), None)


def owner(port: int, proc: Path = Path("/proc")) -> str:
    """Name the program that listens on ``port``: ``python3 (process 123)``; empty if unknown.

    An ordinary user sees only programs of their own, and Docker's proxies, whose arguments say it.
    """
    inodes = {f"socket:[{inode}]" for inode in _listening(port, proc)}
    for entry in proc.glob("[0-9]*"):
        if inodes.intersection(_open_files(entry)):
            return f"{(entry / 'comm').read_text().strip()} (process {entry.name})"
    proxies = (entry for entry in proc.glob("[0-9]*") if _is_dockers(entry, port))
    return next((f"{DOCKER_PROXY} (process {entry.name})" for entry in proxies), "")


def _is_dockers(process: Path, port: int) -> bool:
    """Whether it is Docker's proxy for a port of this machine."""
    try:
        words = (process / "cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return False  # ended meanwhile
    return Path(words[0]).name == DOCKER_PROXY and f"-host-port {port} " in " ".join(words)


def _listening(port: int, proc: Path) -> Iterator[str]:
    """Give the inodes of the sockets that listen on ``port``."""
    for table in (proc / "net" / "tcp", proc / "net" / "tcp6"):
        if not table.exists():
            continue
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            local, state, inode = fields[1], fields[3], fields[9]
            if state == _LISTEN and int(local.rpartition(":")[2], 16) == port:
                yield inode


def _open_files(process: Path) -> Iterator[str]:
    try:
        for descriptor in (process / "fd").iterdir():
            yield os.readlink(descriptor)  # noqa: PTH115 - sockets are no paths
    except OSError:
        # Ended meanwhile, or another user's.
        return
