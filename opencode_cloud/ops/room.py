"""The room that is left on the disk where a host's Docker keeps everything."""

import shlex
from typing import TYPE_CHECKING

from opencode_cloud.ops.errors import OperationError

if TYPE_CHECKING:
    from opencode_cloud.ops.docker_host import DockerHost

FULL = 2**29
"""Bytes: with less, what is written is about to fail."""
_LEAST, _LEAST_FILES = 100 * 2**20, 1000
"""Without these, another container cannot be made, nor anything kept in it."""
_MIB, _KIB = 2**20, 2**10
_COLUMNS = 6
_SCRIPT = """
export DOCKER_HOST={socket}
docker container inspect opencode-{stack} > /dev/null 2>&1 || exit
root=$(docker info --format '{{{{.DockerRootDir}}}}') || exit
echo "$root"; df -Pk "$root"; echo --; df -Pi "$root"
"""


def free(told: str) -> int | None:
    """Read from one table of `df -P`, in its units, what an ordinary user may still take.

    None: it does not say, as of file systems that make inodes as they need them.
    """
    rows = [line.split() for line in told.splitlines() if not line.startswith("Filesystem")]
    columns = next((row for row in rows if len(row) >= _COLUMNS), None)
    if not columns or columns[1] == "0" or not columns[3].isdecimal():
        return None
    return int(columns[3])


def require_room(host: "DockerHost") -> None:
    """See that a container can be made, before the one that is there goes.

    Where there is none, nothing is lost by trying; so it is with one that is being put back.

    Raises:
        OperationError: the disk is full, with what makes room; or the host cannot be asked.
    """
    script = _SCRIPT.format(socket=shlex.quote(f"unix://{host.socket}"), stack=host.stack)
    # Whatever else is wrong there, the provider is about to say.
    root, _, tables = host.shell.run(script).out.partition("\n")
    sizes, _, counts = tables.partition("--\n")
    left, files = free(sizes), free(counts)
    if left is not None and left * _KIB < _LEAST:
        what = f"{left * _KIB // _MIB} MiB are left"
    elif files is not None and files < _LEAST_FILES:
        what = f"{files} more files fit"
    else:
        return
    raise OperationError(
        f"The disk of {host.name} is full: {what} at {root}, where Docker keeps everything. "
        "Nothing was changed. Make room there, and try again: docker system df shows what takes "
        "it, and docker image prune removes images that have no name."
    )
