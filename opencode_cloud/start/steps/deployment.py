"""Step: ``pulumi up``."""

import contextlib
import hashlib
import itertools
import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from opencode_cloud import __version__
from opencode_cloud.start import stack_file
from opencode_cloud.start.errors import StartError
from opencode_cloud.start.exports import backend_url
from opencode_cloud.start.plan import Context, Outcome, Report
from opencode_cloud.start.process import Answer, CommandError

UP_SECONDS = 1800
OUTPUT_SECONDS = 60
ENDING_SECONDS = 120
"""How long an interrupted Pulumi may take to finish what it is doing."""
SSH_PARALLEL = 6
"""Resources at once on a host over SSH. One connection takes ten sessions (sshd's MaxSessions), and
a resource may hold one for a moment after it is done with it."""

_RESOURCE = re.compile(r"^ \S+ +\S+?:(\w+) (\S+) (created|updated|replaced|deleted)\b", re.ASCII)
_LOCKED = re.compile(r"created by (\S+@\S+) \(pid (\d+)\) at (\S+)")
_FILES = "file://"
_TAKEN = re.compile(r"is already in use by container|network with name \S+ already exists")


@dataclass
class Deployment:
    """Makes the stack's resources what the program says."""

    context: Context
    config_file: Path | None = None
    """The stack's settings for this run; ``None``: its own file."""
    refresh: bool = False
    """Whether to look first what is there: an image may be another under its name of before."""
    wants_outputs: bool = True
    """Whether those who come next need the stack's outputs: Pulumi takes half a second to tell."""
    title = "Deployment"

    def is_done(self) -> str:
        """Only Pulumi can tell, by doing it."""
        return ""

    def obstacle(self) -> str:
        """There is none."""
        return ""

    def plan(self) -> list[str]:
        """Give the command."""
        return [f"{' '.join(self._command())}  (changes only what differs)"]

    def run(self, report: Report) -> Outcome:
        """Bring it up; once more after removing what an interrupted run left in the way."""
        self._get_past_locks(report)
        try:
            changed = self._up(report)
        except CommandError as error:
            if not _TAKEN.search("\n".join(error.lines)) or not self._remove_left_over():
                raise
            report.note(
                "removed a container or network of this deployment's that this state does not know "
                "(an interrupted run left it, or it is another state's), and trying again"
            )
            changed = self._up(report)
        except KeyboardInterrupt:
            # One that was interrupted before it could listen has left its lock.
            self._get_past_locks(report)
            raise
        self._note_applied()
        if self.wants_outputs:
            shown = self._pulumi_text("stack", "output", "--json", "--stack", self._stack)
            self.context.outputs = json.loads(shown)
        return Outcome(f"{changed} resources" if changed else "no change", changed=changed > 0)

    @property
    def _stack(self) -> str:
        return self.context.options.stack

    def _note_applied(self) -> None:
        note = self.context.paths.applied(self._stack)
        if self.config_file:
            # What stands in the stack's own file is not what runs now.
            note.unlink(missing_ok=True)
            return
        note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        note.write_text(fingerprint(self.context.paths.stack_file(self._stack)))

    def _command(self) -> tuple[str, ...]:
        options = ("--yes", "--skip-preview", "--non-interactive", "--color", "never")
        # What was stopped or removed behind Pulumi's back is only seen by looking.
        refresh = () if self._runs() and not self.refresh else ("--refresh",)
        settings = ("--config-file", str(self.config_file)) if self.config_file else ()
        values = stack_file.read(self.context.paths.stack_file(self._stack))
        # More at once than one connection takes would each open one of their own.
        few = ("--parallel", str(SSH_PARALLEL)) if values.get("target") == "ssh" else ()
        return ("pulumi", "up", "--stack", self._stack, *options, *few, *settings, *refresh)

    def _runs(self) -> bool:
        name = self.context.container
        running = self.context.runner.ask(
            *self.context.docker("container", "inspect", "--format", "{{.State.Running}}", name)
        )
        return running.out == "true"

    def _up(self, report: Report) -> int:
        """Run ``pulumi up``, and give how many resources changed."""
        lines: list[str] = []

        def on_line(line: str) -> None:
            lines.append(line)
            if match := _RESOURCE.match(line):
                report.progress(f"{match[3]} {match[1]} {match[2]}")

        report.progress("pulumi up")
        try:
            self.context.runner.run(
                *self._command(),
                limit=UP_SECONDS,
                on_line=on_line,
                cwd=self.context.paths.root,
                environment=self.context.pulumi_environment,
                # Ended sooner, it would leave its lock and a resource that it
                # does not know.
                grace=ENDING_SECONDS,
            )
        except CommandError as error:
            if holder := lock_holder(lines):
                raise StartError(
                    f"The stack {self._stack!r} is being changed by {holder}. Wait until that "
                    "ends, and try again. If it was killed, or its machine is gone: pulumi cancel "
                    f"--stack {self._stack}, and then try again."
                ) from None
            raise CommandError("pulumi up failed:", diagnostics(lines) or error.lines) from None
        return sum(_RESOURCE.match(line) is not None for line in lines)

    def _pulumi_text(self, *arguments: str) -> str:
        answer = self.context.runner.ask(
            "pulumi",
            *("-C", str(self.context.paths.root), *arguments),
            limit=OUTPUT_SECONDS,
            environment=self.context.pulumi_environment,
        )
        if not answer.ok:
            raise CommandError(f"pulumi {arguments[0]} failed:", answer.err.splitlines())
        return answer.out

    def _get_past_locks(self, report: Report) -> None:
        """Wait for another Pulumi that works on the stack; free it of one that was killed."""
        for lock in self._locks():
            owner = lock_owner(lock)
            while owner and lock.exists() and is_alive(owner):
                report.progress(f"waiting for another pulumi (process {owner}) to end")
                time.sleep(0.5)
        if self._locks():
            self._pulumi_text("cancel", "--yes", "--stack", self._stack)
            report.note("freed the stack of a pulumi that was killed")

    def _locks(self) -> list[Path]:
        """Give the locks on the stack whose owners were or are on this machine."""
        url = backend_url(self.context.paths, self.context.environment)
        if not url.startswith(_FILES):
            return []
        folder = Path(url.removeprefix(_FILES)) / ".pulumi" / "locks"
        return [lock for lock in folder.rglob(f"opencode/{self._stack}/*.json") if lock_owner(lock)]

    def _remove_left_over(self) -> bool:
        """Remove this stack's own container and network; its data is in volumes."""
        name = self.context.container
        label = f"org.opencode-cloud.stack={self._stack}"

        def ask(*words: str) -> Answer:
            return self.context.runner.ask(*self.context.docker(*words))

        mine = ("--quiet", "--filter", f"name=^{name}$", "--filter", f"label={label}")
        containers = ask("container", "ls", "--all", *mine).out.split()
        networks = ask("network", "ls", *mine).out.split()
        removed = [ask("container", "rm", "--force", found).ok for found in containers]
        removed += [ask("network", "rm", found).ok for found in networks]
        return any(removed)


def fingerprint(settings: Path) -> str:
    """Give what tells one content of a stack's file, applied by one version of us, from others."""
    content = settings.read_bytes() if settings.exists() else b""
    return hashlib.sha256(f"{__version__}\n".encode() + content).hexdigest()


def diagnostics(lines: list[str]) -> list[str]:
    """Give what Pulumi printed about why it failed, before its lists of outputs and counts."""
    if "Diagnostics:" not in lines:
        return []
    explained = itertools.takewhile(
        lambda line: line not in {"Outputs:", "Resources:"},
        lines[lines.index("Diagnostics:") + 1 :],
    )
    return list(explained)


def lock_holder(lines: list[str]) -> str:
    """Find in what Pulumi printed who holds the stack, and since when; empty: nobody does."""
    match = next((match for line in lines if (match := _LOCKED.search(line))), None)
    return f"{match[1]} (process {match[2]}), since {match[3]}" if match else ""


def lock_owner(lock: Path) -> int | None:
    """Give the process that made the lock, if it was one of this machine's."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        owner = json.loads(lock.read_text())
        return owner["pid"] if owner["hostname"] == os.uname().nodename else None
    return None


def is_alive(process: int) -> bool:
    """Whether a process of that number is a running Pulumi."""
    try:
        os.kill(process, 0)
        # Its number may be another program's by now.
        return Path("/proc", str(process), "comm").read_text().strip() == "pulumi"
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except FileNotFoundError:
        # A system without /proc, or it has ended just now.
        return not Path("/proc/self").exists()
