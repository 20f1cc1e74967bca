"""python3 -m backup: what runs in the helper's container, with the volumes in /volumes.

What a person should know goes to standard error, a JSON object a line: `note`, `error`, and at
the very end `done`. Without `done`, nothing has come of it.
"""

import argparse
import fcntl
import json
import os
import secrets
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backup import JOURNAL_VOLUME, VOLUMES, BackupError, reading, swap, writing


def create(volumes: Path, about: str) -> None:
    """Write an archive of all volumes to standard output; ABOUT is JSON for its head."""
    said = json.loads(about)
    with alone(volumes, fcntl.LOCK_SH), tempfile.TemporaryDirectory() as scratch:
        if swap.is_left(volumes):
            raise BackupError(
                "a restore was cut off, and has left the data half exchanged; the deployment's "
                "next start puts that right"
            )
        writing.write(sys.stdout.buffer, volumes, said, Path(scratch), _note)
    sys.stdout.flush()


def restore(volumes: Path) -> None:
    """Read from standard input a line of JSON, the archive's head, and the archive in frames.

    It is put in the place of the volumes that its head names, or of those that `only` does.
    """
    with alone(volumes):
        _repair(volumes)
        here = {path.name for path in volumes.iterdir()}
        said = _head()
        named = said["volumes"]
        wanted = [name for name in named if name in said.get("only", named)]
        if unknown := sorted(set(named) - here):
            raise BackupError(f"it has volumes that are unknown here: {', '.join(unknown)}")
        identifier = f".opencode-cloud-restore-{secrets.token_hex(8)}"
        try:
            _exchange(volumes, identifier, wanted, frozenset(named) - set(wanted))
        finally:
            swap.repair(volumes)


def _head() -> dict[str, Any]:
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        raise BackupError("it was stopped before anything of the archive was there")
    return json.loads(line)


def _exchange(volumes: Path, identifier: str, names: list[str], left_out: frozenset[str]) -> None:
    swap.make(volumes, identifier, names)
    targets = {name: swap.new(volumes, identifier, name) for name in names}
    unpacking = reading.Unpacking(targets, left_out)
    try:
        unpacking.unpack(reading.Frames(sys.stdin.buffer))
    finally:
        unpacking.close()
    _say(progress="putting it in place")
    swap.swap(volumes, identifier, names)


def repair(volumes: Path) -> None:
    """Finish or undo a restore that was cut off, if there is one."""
    with alone(volumes):
        _repair(volumes)


def _repair(volumes: Path) -> None:
    for said in swap.repair(volumes):
        _say(note=said)


@contextmanager
def alone(volumes: Path, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Keep restores of these volumes apart from one another, and from backups.

    Raises:
        BackupError: there is another one.
    """
    folder = os.open(volumes / JOURNAL_VOLUME, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _try(folder, kind)
        yield
    finally:
        os.close(folder)


def _try(folder: int, kind: int) -> None:
    try:
        fcntl.flock(folder, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BackupError("another backup or restore of these volumes is under way") from None


def _note(text: str) -> None:
    _say(note=text)


def _say(**what: Any) -> None:
    print(json.dumps(what), file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Run one command; gives the exit code."""
    parser = argparse.ArgumentParser(prog="backup", description=__doc__)
    parser.add_argument("--volumes", type=Path, default=VOLUMES, help="the folder they are in")
    commands = parser.add_subparsers(required=True)
    for function in (create, restore, repair):
        command = commands.add_parser(function.__name__, help=function.__doc__)
        command.set_defaults(function=function)
        if function is create:
            command.add_argument("about", metavar="ABOUT")
    options = vars(parser.parse_args(arguments))
    function = options.pop("function")
    try:
        function(**options)
    except (BackupError, OSError, tarfile.TarError) as error:
        _say(error=str(error))
        return 1
    _say(done=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
