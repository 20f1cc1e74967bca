"""The machine that a stack rents, as this machine of ours knows it: where it is, and by which keys.

Written after each `up` from here, below the user's data. It holds nothing secret.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from opencode_cloud.spec.ssh import SshAddress


@dataclass(frozen=True, kw_only=True)
class Rented:
    """One machine."""

    machine: str
    """The provider's identifier: another one is another machine, with other keys."""
    address: str
    user: str
    host_keys: tuple[str, ...] = ()
    """Its public keys, each `TYPE BASE64`, as it showed them at the first connection."""
    attempt: int = 0
    """Counts what was begun on it and did not end well. Pulumi knows the number that it ended with,
    and does it again at another: it takes a change that failed for one that was never made, and
    would not put back what the machine has of it."""

    def ssh(self, stack: str, settings: Mapping[str, str]) -> SshAddress:
        """Give the way there, with what the stack's settings say of it."""
        written = {**settings, "ssh_host": f"{self.user}@{self.address}"}
        return replace(SshAddress.of(written, stack), host_keys=self.host_keys)


def from_outputs(outputs: Mapping[str, Any]) -> Rented | None:
    """Take it from a stack's outputs; ``None``: nothing was applied to a machine yet."""
    if not outputs.get("hostKeys"):
        return None
    return Rented(
        machine=outputs["machine"],
        address=outputs["address"],
        user=outputs["user"],
        host_keys=tuple(outputs["hostKeys"]),
    )


def record(data: Path, stack: str) -> Path:
    """Say where a stack's machine is written down."""
    return data / "ssh" / f"{stack}.machine.json"


def read(data: Path, stack: str) -> Rented | None:
    """Read it; ``None``: nothing is known here."""
    path = record(data, stack)
    if not path.is_file():
        return None
    found = json.loads(path.read_text())
    return Rented(**{**found, "host_keys": tuple(found["host_keys"])})


def attempt(data: Path, stack: str) -> int:
    """Give the number of the attempt that a stack's next `up` is."""
    known = read(data, stack)
    return known.attempt if known else 0


def have_applied_again(data: Path, stack: str) -> None:
    """Have the next `up` apply what the stack says, whether that has changed or not."""
    if known := read(data, stack):
        write(data, stack, replace(known, attempt=known.attempt + 1))


def write(data: Path, stack: str, rented: Rented) -> None:
    """Write it down."""
    path = record(data, stack)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(json.dumps(asdict(rented), indent=2) + "\n")
    unfinished.replace(path)


def keys_in(known_hosts: str) -> tuple[str, ...]:
    """Give the keys of a file of ssh's, `TYPE BASE64` each, whatever hosts it names."""
    fields = [
        line.split()
        for line in known_hosts.splitlines()
        if line.strip() and not line.startswith("#")
    ]
    return tuple(sorted({f"{kind} {key}" for _, kind, key, *_ in filter(_is_whole, fields)}))


def _is_whole(fields: list[str]) -> bool:
    # Marked lines, such as @revoked, have one field more in front; ssh writes none by itself.
    return len(fields) > 2 and bool(re.fullmatch(r"[a-z0-9@.-]+", fields[1]))  # noqa: PLR2004
