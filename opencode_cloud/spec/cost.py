"""What a rented machine costs a month, by the one list of prices."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from opencode_cloud.cloud_settings import Target

PRICES = Path(__file__).parents[1] / "prices.toml"
HOURS = 730
"""Of a month, as the providers count."""
SYSTEM_DISK_GB: Mapping[Target, int] = {
    Target.AWS: 20,
    Target.GCP: 20,
    # No less than the image's own.
    Target.AZURE: 30,
    # In the price of the Droplet.
    Target.DIGITALOCEAN: 0,
}
"""Debian, Docker and two images of opencode; nothing on it is worth keeping."""
_LOAD_BALANCER = "application load balancer"
_LOAD_BALANCER_USE = "load balancer capacity units"


@dataclass(frozen=True)
class Line:
    """One thing that is paid for."""

    what: str
    monthly: float | None
    """US dollars; ``None``: there is no price for it in the list."""
    dated: str = ""
    """When the price was read."""
    source: str = ""


@dataclass(frozen=True)
class Estimate:
    """What a machine costs, line by line, and together."""

    provider: Target
    region: str
    """Whose prices they are."""
    lines: tuple[Line, ...]
    not_counted: tuple[str, ...]
    """What is billed by use."""
    monthly: float | None
    """US dollars of all lines; ``None`` where a price is missing."""

    @property
    def text(self) -> str:
        """One line for people."""
        if self.monthly is None:
            missing = next(line.what for line in self.lines if line.monthly is None)
            return f"unknown: prices.toml has no price for the {missing}"
        return f"{self.monthly:.2f} USD a month in {self.region}, and what is billed by use"


def estimate(
    provider: Target, size: str, data_disk_gb: int, is_load_balanced: bool = False
) -> Estimate:
    """Estimate what a machine of a size costs, with its disks, its address and what is in front."""
    prices = _prices()[provider]
    parts = prices["parts"]
    system_gb = SYSTEM_DISK_GB[provider]
    lines = [_line(f"machine {size}", prices["sizes"].get(size))]
    if system_gb:
        lines.append(
            _line(f"system disk {system_gb} GB, {prices['disk']}", parts["disk"], system_gb)
        )
    lines.append(
        _line(f"data disk {data_disk_gb} GB, {prices['disk']}", parts["disk"], data_disk_gb)
    )
    lines.append(_line("public IPv4 address", parts["address"]))
    by_use = _billed_by_use(parts)
    if is_load_balanced:
        lines.append(_line(_LOAD_BALANCER, parts["load_balancer"]))
        # It has one in each of its two zones.
        lines.append(_line("its public IPv4 addresses: 2", parts["address"], 2))
        by_use = (*by_use, _LOAD_BALANCER_USE)
    return _together(provider, lines, by_use)


def load_balanced(size: str, disk_gb: int) -> Estimate:
    """Estimate the usual other shape on AWS: a private machine behind a load balancer and NAT."""
    prices = _prices()[Target.AWS]
    parts = prices["parts"]
    lines = (
        _line(f"machine {size}", prices["sizes"].get(size)),
        _line(f"disk {disk_gb} GB, {prices['disk']}", parts["disk"], disk_gb),
        _line("NAT gateway", parts["nat_gateway"]),
        _line(_LOAD_BALANCER, parts["load_balancer"]),
        _line("public IPv4 addresses: 3", parts["address"], 3),
    )
    return _together(Target.AWS, lines, ("traffic", _LOAD_BALANCER_USE))


def _together(provider: Target, lines: Sequence[Line], not_counted: tuple[str, ...]) -> Estimate:
    amounts = [line.monthly for line in lines]
    monthly = None if None in amounts else round(sum(filter(None, amounts)), 2)
    return Estimate(provider, _prices()[provider]["region"], tuple(lines), not_counted, monthly)


def _billed_by_use(parts: Mapping[str, Any]) -> tuple[str, ...]:
    if "snapshots" not in parts:
        return ("traffic",)
    row = parts["snapshots"]
    return ("traffic", f"snapshots, {row['price']:.2f} USD a month for each GB that changed")


def _line(what: str, row: Mapping[str, Any] | None, count: int = 1) -> Line:
    if row is None:
        return Line(what, None)
    hours = HOURS if row["per"] == "hour" else 1
    return Line(what, round(row["price"] * hours * count, 2), row["dated"], row["source"])


@cache
def _prices() -> Mapping[str, Any]:
    return tomllib.loads(PRICES.read_text(encoding="utf-8"))
