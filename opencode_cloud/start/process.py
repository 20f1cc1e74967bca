"""Runs commands: shown live, logged, limited in time, and ended with ``./start``."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from opencode_cloud.start.errors import StartError
from opencode_cloud.start.machine import Machine, has_terminal

TICK_SECONDS = 0.2
TAIL_LINES = 15
TIMED_OUT = 124
NOT_FOUND = 127
"""What a shell answers for a command that is not there."""


class CommandError(StartError):
    """A command failed; ``lines`` are the last that it printed."""

    def __init__(self, message: str, lines: Sequence[str] = ()) -> None:
        self.lines = list(lines)
        super().__init__("\n".join([message, *(f"    {line}" for line in self.lines)]))


@dataclass(frozen=True)
class Answer:
    """What a quick question to a command gave."""

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        """Whether the command succeeded."""
        return self.code == 0


def _nothing(_: str) -> None:
    pass


@dataclass
class Runner:
    """Runs commands for ``./start``.

    Each gets a process group of its own, so that it can be ended with all that it
    started; a terminal's Ctrl-C reaches ``./start`` alone, which then ends them in
    the way that each needs.
    """

    environment: Mapping[str, str]
    machine: Machine
    log: TextIO | None = None
    """Gets every command and all that it prints. What is written to a command's
    standard input is never logged."""
    show: Callable[[str], None] = _nothing
    """Gets each line that a command prints."""
    tell: Callable[[str], None] = _nothing
    """Gets what the person in front must know."""
    tick: Callable[[], None] = field(default=lambda: None)
    """Called a few times a second while a command runs."""

    def ask(
        self, *command: str, limit: float = 20, environment: Mapping[str, str] | None = None
    ) -> Answer:
        """Run a quick command that only reads; a missing one answers 127."""
        try:
            done = subprocess.run(
                command,
                check=False,
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=limit,
                env=environment or self.environment,
            )
        except FileNotFoundError:
            return Answer(NOT_FOUND, "", f"{command[0]}: not found")
        except subprocess.TimeoutExpired:
            return Answer(TIMED_OUT, "", f"no answer within {limit:.0f} s")
        return Answer(done.returncode, done.stdout.strip(), done.stderr.strip())

    def run(
        self,
        *command: str,
        limit: float,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str | None = None,
        on_line: Callable[[str], None] = _nothing,
        first_line_within: float | None = None,
        grace: float = 5,
        finish: bool = False,
        name: str = "",
    ) -> list[str]:
        """Run a command to its end, and give the last lines that it printed.

        Args:
            limit: seconds after which it is ended.
            stdin: text for its standard input, which is empty otherwise.
            on_line: gets each line that it prints.
            first_line_within: seconds after which it is ended if it printed nothing.
            grace: seconds that it may take to end after an interruption.
            finish: an interruption waits until it ends by itself.
            name: of the command, for people; empty: its first word.

        Raises:
            CommandError: it failed, was not there, or took too long.
        """
        self._write(f"$ {' '.join(command)}")
        name = name or command[0]
        started = time.monotonic()
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        too_long = f"{name} did not end within {limit:.0f} s:"
        with self._started(command, environment, cwd, stdin, grace, finish=finish) as process:
            for line in self._lines(process):
                now = time.monotonic() - started
                if now > limit:
                    raise CommandError(too_long, tail)
                if first_line_within and not tail and now > first_line_within:
                    raise CommandError(f"{name} got no answer in {first_line_within:.0f} s.")
                if line:
                    tail.append(line)
                    self._write(line)
                    self.show(line)
                    on_line(line)
            try:
                process.wait(timeout=max(1.0, started + limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise CommandError(too_long, tail) from None
        self._write(f"= {process.returncode} after {time.monotonic() - started:.1f} s")
        if process.returncode != 0:
            raise CommandError(f"{name} failed (status {process.returncode}):", tail)
        return list(tail)

    def run_as_root(
        self,
        *command: str,
        limit: float,
        on_line: Callable[[str], None] = _nothing,
        grace: float = 5,
        finish: bool = False,
    ) -> list[str]:
        """Run a command as root: by sudo, unless this is root.

        Raises:
            CommandError: it failed, or sudo refused.
        """
        sudo = () if self.machine.root else ("sudo", "-n")
        if sudo:
            self._unlock_sudo()
        return self.run(*sudo, *command, limit=limit, on_line=on_line, grace=grace, finish=finish)

    def _unlock_sudo(self) -> None:
        # Asked for in the foreground: a process group of its own may not read
        # from the terminal.
        if self.ask("sudo", "-n", "true").ok:
            return
        if not has_terminal():
            raise CommandError(
                "sudo wants a password and there is no terminal to ask on. Run `sudo -v` first, "
                "or run ./start as root."
            )
        # On a line of its own, below the step's.
        ask = ("sudo", "-v", "-p", "\nPassword of %p for sudo: ")
        if subprocess.run(ask, check=False, env=self.environment).returncode != 0:
            raise CommandError("sudo refused. Run ./start as root, or as a user who may use sudo.")

    @contextmanager
    def _started(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None,
        cwd: Path | None,
        stdin: str | None,
        grace: float,
        *,
        finish: bool,
    ) -> Iterator[subprocess.Popen[bytes]]:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment or self.environment,
                cwd=cwd,
                process_group=0,
            )
        except FileNotFoundError as error:
            raise CommandError(f"{error.filename}: not found.") from None
        try:
            if process.stdin and stdin is not None:
                # Whoever ends without reading says why in its own output.
                with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
                    pipe.write(stdin.encode())
            yield process
        except KeyboardInterrupt:
            if finish:
                self.tell("Stopping when this is finished, so that nothing is left half-installed.")
                process.communicate()
            raise
        finally:
            self._end(process, grace)
            if process.stdout:
                process.stdout.close()

    def _end(self, process: subprocess.Popen[bytes], grace: float) -> None:
        if process.poll() is not None:
            return
        self._signal(process, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(timeout=grace)
        # What it left running as well: a shell's background jobs ignore SIGINT, and Pulumi's
        # plugins have process groups of their own.
        below = _descendants(process.pid)
        self._signal(process, signal.SIGKILL)
        for pid in below:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        process.wait()

    def _signal(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        except PermissionError:
            # What sudo runs is root's.
            self.ask("sudo", "-n", "kill", "-s", number.name[3:], "--", f"-{process.pid}")

    def _lines(self, process: subprocess.Popen[bytes]) -> Iterator[str]:
        """Give each line as it comes, and an empty one when none came for a while."""
        stdout = process.stdout
        if stdout is None:
            return
        pending = b""
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while True:
                ready = selector.select(TICK_SECONDS)
                self.tick()
                data = os.read(stdout.fileno(), 65536) if ready else b""
                # A daemon that it started may hold the pipe open for ever.
                ended = process.poll() is not None if not ready else not data
                *complete, pending = (pending + data).replace(b"\r", b"\n").split(b"\n")
                yield from (text.decode(errors="replace").rstrip() for text in complete)
                if ended:
                    break
                yield ""
        yield pending.decode(errors="replace").rstrip()

    def _write(self, line: str) -> None:
        if self.log:
            self.log.write(line + "\n")
            self.log.flush()


def _descendants(ancestor: int) -> set[int]:
    """Give the processes that one has started, and these; none where the system does not say."""
    children: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        # It may have ended just now.
        with contextlib.suppress(OSError):
            # proc_pid_stat(5): behind the name, which may hold anything, come state and parent.
            parent = int(file.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(file.parent.name))
    found, waiting = set(), [ancestor]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting.extend(below)
    return found
