"""The gateways of the container's own networks, as the kernel's routing tables say."""

import ipaddress
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.settings import Network

_ROUTES = Path("/proc/net")


def gateways(folder: Path = _ROUTES) -> list[Network]:
    """Next hops of the default routes; none when there is no network."""
    found = [*_ipv4(_lines(folder / "route")), *_ipv6(_lines(folder / "ipv6_route"))]
    return [ipaddress.ip_network(address) for address in found]


def _lines(file: Path) -> list[list[str]]:
    if not file.exists():
        return []
    return [line.split() for line in file.read_text(encoding="ascii").splitlines()]


def _ipv4(lines: Iterable[list[str]]) -> Iterator[ipaddress.IPv4Address]:
    """From /proc/net/route: hexadecimal in the processor's byte order (proc(5)), little-endian."""
    for fields in lines:
        if fields[1] == "00000000" and int(fields[3], 16) & 2:
            yield ipaddress.IPv4Address(bytes.fromhex(fields[2])[::-1])


def _ipv6(lines: Iterable[list[str]]) -> Iterator[ipaddress.IPv6Address]:
    """From /proc/net/ipv6_route: destination, its length, two of the source, next hop."""
    for fields in lines:
        hop = ipaddress.IPv6Address(bytes.fromhex(fields[4]))
        if fields[1] == "00" and int(hop):
            yield hop
