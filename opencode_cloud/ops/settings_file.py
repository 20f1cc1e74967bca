"""The only place where a stack's settings are kept: ``stacks/Pulumi.<stack>.yaml``."""

import difflib
import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opencode_cloud.ops.project import setup_command
from opencode_cloud.ops.stack_document import Document, StackConfigError
from opencode_cloud.start import stack_file

if TYPE_CHECKING:
    # Who only reads it does without the settings model.
    from opencode_cloud.ops.stack_change import Change

# github.com/pulumi/pulumi: tokens.ParseStackName.
_STACK = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_NEW_MODE = 0o644


@dataclass(frozen=True)
class StackFile:
    """Where the settings of one stack are kept in a checkout."""

    root: Path
    """The checkout."""
    stack: str

    @property
    def path(self) -> Path:
        """The file."""
        return self.root / "stacks" / f"Pulumi.{self.stack}.yaml"

    @property
    def name(self) -> str:
        """The file, for people."""
        return str(self.path.relative_to(self.root))

    def read(self) -> Document:
        """Read the file.

        Raises:
            StackConfigError: there is no such stack, or its file is no text.
        """
        if not _STACK.fullmatch(self.stack):
            raise StackConfigError(
                f"{self.stack!r} cannot be the name of a stack: letters, digits, -, _ and . can."
            )
        try:
            return Document(self.name, self.path.read_bytes().decode())
        except FileNotFoundError:
            raise StackConfigError(self._missing()) from None
        except UnicodeDecodeError as error:
            raise StackConfigError(
                f"{self.name} is not UTF-8 text, at byte {error.start}: save it as such."
            ) from None
        except OSError as error:
            raise StackConfigError(f"{self.path} cannot be read: {error.strerror}.") from None

    def create(self, document: Document) -> None:
        """Make the file of a new stack, whole or not at all.

        Raises:
            StackConfigError: it cannot be written, or is there already.
        """
        try:
            _make(self.path, document.text.encode())
        except FileExistsError:
            raise StackConfigError(
                f"{self.name} was made by somebody else meanwhile, and is left as it is."
            ) from None
        except OSError as error:
            raise StackConfigError(f"{self.path} cannot be written: {error.strerror}.") from None

    def write(self, change: "Change") -> None:
        """Put the new text in the place of the old one, whole or not at all.

        Raises:
            StackConfigError: it cannot be written, or is not the one any more that the change
                was judged by.
        """
        # Where a link leads, so that it stays a link.
        path = self.path.resolve()
        try:
            with _locked(path.parent):
                self._check_unchanged(path, change)
                _replace(path, change.after.encode())
        except OSError as error:
            raise StackConfigError(
                f"{path} cannot be written: {error.strerror}. It is as it was."
            ) from None

    def _check_unchanged(self, path: Path, change: "Change") -> None:
        if path.read_bytes() != change.before.encode():
            raise StackConfigError(
                f"{self.name} was changed by somebody else meanwhile, and is left as it is now. "
                "Look at it (`occ config show`), and try again."
            )

    def _missing(self) -> str:
        stacks = list(stack_file.all_of(self.root))
        close = difflib.get_close_matches(self.stack, stacks, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"There is {', '.join(stacks) or 'none'}."
        return (
            f"There is no {self.name}, where the settings of the stack {self.stack} would be. "
            f"{hint}\n`{setup_command(self.stack)}` makes it, and a deployment of it."
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes of ours from writing into ``folder``."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(descriptor, _NEW_MODE)
            file.flush()
            os.fsync(descriptor)
        # Unlike a renamed one, a link never takes the place of what is there.
        path.hardlink_to(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _replace(path: Path, content: bytes) -> None:
    was = path.stat()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(descriptor, stat.S_IMODE(was.st_mode))
            # Root's alone to do; others own what they write.
            with suppress(PermissionError):
                os.fchown(descriptor, was.st_uid, was.st_gid)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
