"""Becomes a program that has the variables of the deployment, in the same process.

Called as `with_environment.py PROGRAM ARGUMENT...`, by an ordinary user: variables such as
PATH or LD_PRELOAD must reach nothing that root runs. Descriptor 3 gives the secrets, which that
user could not read by itself: NAME=VALUE, each ended by a NUL.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping

SECRETS = 3
"""A file descriptor."""
OWN = b"OPENCODE_CLOUD_"
"""What the supervision has beside the variables."""
VARIABLE = OWN + b"ENV_"
"""Before the name of each variable: without it, it would be one of the supervision itself."""


def environment(ours: Mapping[bytes, bytes], secrets: bytes) -> dict[bytes, bytes]:
    """Give the program's variables: ours that are no settings, then those of the deployment."""
    found = {name: value for name, value in ours.items() if not name.startswith(OWN)}
    for name, value in ours.items():
        if name.startswith(VARIABLE):
            found[name.removeprefix(VARIABLE)] = value
    found.update(_pairs(secrets.split(b"\0")[:-1]))
    return found


def _pairs(entries: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for entry in entries:
        name, _, value = entry.partition(b"=")
        yield name, value


def main() -> None:
    """Find the program where it is without any of them, and become it."""
    program = shutil.which(sys.argv[1])
    if not program:
        sys.exit(f"{sys.argv[1]}: not found")
    with os.fdopen(SECRETS, "rb") as file:
        secrets = file.read()
    variables = environment(os.environb, secrets)
    os.execve(program, sys.argv[1:], variables)  # noqa: S606 - it is to become that very process


if __name__ == "__main__":
    main()
