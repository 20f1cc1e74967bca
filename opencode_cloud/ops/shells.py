"""The machine that a deployment runs on, as a shell: this one, or a host over SSH."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

COMMAND_SECONDS = 60


@dataclass(frozen=True)
class Done:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.code == 0


def call(words: Sequence[str], stdin: str, seconds: float) -> Done:
    """Run a command of this machine's to its end.

    Raises:
        FileNotFoundError: there is no such program.
        TimeoutExpired: it does not end in time; it is killed.
    """
    done = subprocess.run(
        words,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=seconds,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


class Shell(Protocol):
    """A POSIX shell on a machine."""

    @property
    def name(self) -> str:
        """Whose it is, for people: `this machine`, or `ada@box`."""
        ...

    def words(self, *words: str) -> tuple[str, ...]:
        """Give the command line that runs a command there."""
        ...

    def run(self, script: str, *, stdin: str = "", seconds: float = COMMAND_SECONDS) -> Done:
        """Run a script there; what it is given on `stdin` is on no command line.

        Raises:
            OperationError: the machine cannot be reached, or does not end it in time.
        """
        ...


@dataclass(frozen=True)
class LocalShell:
    """This machine's own."""

    name: str = "this machine"

    def words(self, *words: str) -> tuple[str, ...]:
        """Give the command as it is."""
        return words

    def run(self, script: str, *, stdin: str = "", seconds: float = COMMAND_SECONDS) -> Done:
        """Run a script here."""
        from opencode_cloud.ops.errors import OperationError

        try:
            return call(("sh", "-c", script), stdin, seconds)
        except subprocess.TimeoutExpired:
            raise OperationError(f"A command did not end within {seconds:.0f} s here.") from None
