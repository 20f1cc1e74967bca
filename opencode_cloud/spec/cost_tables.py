"""The tables of costs in the documentation."""

from opencode_cloud.cloud_settings import Target
from opencode_cloud.configuration import default
from opencode_cloud.spec.cost import Estimate, estimate, load_balanced
from opencode_cloud.spec.machine_sizes import DEFAULT_SIZES

PEERS_DISK_GB = 30


def table(provider: Target) -> str:
    """Write what a provider's usual machine costs, as Markdown."""
    found = _usual(provider)
    rows = ["| | USD a month | price of | source |", "| - | -: | - | - |"]
    rows += [
        f"| {line.what} | {_amount(line.monthly)} | {line.dated} | {line.source} |"
        for line in found.lines
    ]
    rows.append(f"| **together** | **{_amount(found.monthly)}** | | |")
    return (
        "\n".join(rows)
        + f"\n\nBy list, on demand, of {found.region}, without tax. Billed by use besides: "
        + f"{', '.join(found.not_counted)}.\n"
    )


def comparison() -> str:
    """Write what the usual other shape costs beside this one, as Markdown."""
    size = DEFAULT_SIZES[Target.AWS]
    ours, theirs = _usual(Target.AWS), load_balanced(size, PEERS_DISK_GB)
    rows = [
        "| on AWS | machine, disks and address | load balancer and NAT | together |",
        "| - | -: | -: | -: |",
        _row("this one: HTTPS on the machine itself", ours),
        _row("private machine behind a load balancer and a NAT gateway", theirs),
    ]
    return "\n".join(rows) + "\n"


def _row(what: str, found: Estimate) -> str:
    kinds = ("NAT gateway", "application load balancer")
    extra = sum(line.monthly or 0 for line in found.lines if line.what in kinds)
    total = found.monthly or 0
    shown = f"{extra:.2f}" if extra else "none"
    return f"| {what} | {total - extra:.2f} | {shown} | {total:.2f} |"


def _usual(provider: Target) -> Estimate:
    disk_gb = int(default("data_disk_gb", provider))
    return estimate(provider, DEFAULT_SIZES[provider], disk_gb)


def _amount(monthly: float | None) -> str:
    return "unknown" if monthly is None else f"{monthly:.2f}"
