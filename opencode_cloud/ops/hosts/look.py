"""One look at a host: a single call of ssh, and what it found."""

import re
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from opencode_cloud.ops.ssh import Ssh, SshError
from opencode_cloud.spec.host_probe import facts as probe
from opencode_cloud.spec.host_probe.facts import Facts, ProbeError

T = TypeVar("T")

SECONDS = 60
_AGAIN_SECONDS = 2
_SKEW = re.compile(r"^skew (-?\d+)$", re.MULTILINE)

Say = Callable[[str], None]
"""Gets what is waited for."""


@dataclass(frozen=True)
class Look:
    """What one look found."""

    facts: Facts
    at: datetime
    skew: int
    """Seconds by which the host's clock is ahead of this machine's."""
    text: str
    """As the probe printed it."""

    @classmethod
    def kept(cls, file: Path) -> "Look | None":
        """Read one that was kept; None: there is none, or another version of us wrote it."""
        try:
            text = file.read_text()
            at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
            skew = _SKEW.search(text)
            return cls(probe.read(text), at, int(skew[1]) if skew else 0, text)
        except (FileNotFoundError, ProbeError):
            return None

    def keep(self, file: Path) -> None:
        """Write it down, for when the host cannot be asked."""
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = file.with_name(f".{file.name}.new")
        unfinished.write_text(f"{self.text.rstrip()}\nskew {self.skew}\n")
        unfinished.replace(file)


def look(ssh: Ssh, port: int, socket: str = "", *, seconds: float = SECONDS) -> Look:
    """Look once.

    Args:
        ssh: the way to the host.
        port: that the deployment is to answer at.
        socket: of the Docker engine there; empty: whichever answers.
        seconds: how long it may take.

    Raises:
        SshError: it cannot be reached, or has no POSIX shell.
    """
    words = shlex.join((ssh.address.stack, str(port), *((socket,) if socket else ())))
    began = time.time()
    done = ssh.run(f"exec sh -s -- {words}", stdin=probe.SCRIPT.read_text(), seconds=seconds)
    ended = time.time()
    try:
        facts = probe.read(done.out)
    except ProbeError as error:
        said = done.err.strip() or str(error) or f"exit code {done.code}"
        raise SshError(f"{ssh.name} lets us in, and runs no commands as asked: {said}") from None
    return Look(facts, datetime.now(UTC), _skew(facts.clock, began, ended), done.out)


def _skew(clock: int, began: float, ended: float) -> int:
    """Give the seconds that a clock, which was read in between, is ahead; 0: it may be right."""
    ahead = clock - int(ended)
    behind = clock - int(began)
    return ahead if ahead > 0 else min(behind, 0)


def look_patiently(ssh: Ssh, port: int, socket: str, *, wait: float, say: Say) -> Look:
    """Look until the host is there, and has done with booting.

    Args:
        ssh: the way to the host.
        port: that the deployment is to answer at.
        socket: of the Docker engine there; empty: whichever answers.
        wait: seconds to wait at most.
        say: gets what is waited for.

    Raises:
        SshError: it cannot be reached by then, or at all.
    """
    deadline = time.monotonic() + wait
    found = patiently(lambda: look(ssh, port, socket), ssh.name, wait=wait, say=say)
    while not found.facts.docker and found.facts.is_booting and time.monotonic() < deadline:
        say(f"{ssh.name} is still starting, and Docker is not up yet ({_left(deadline)})")
        time.sleep(_AGAIN_SECONDS)
        found = look(ssh, port, socket)
    if not found.facts.docker and found.facts.has_stale_groups:
        # A connection that was left open keeps the rights of when it was made.
        ssh.disconnect()
        found = look(ssh, port, socket)
    return found


def patiently(attempt: Callable[[], T], name: str, *, wait: float, say: Say) -> T:
    """Try until it goes well, while it fails as it does with a machine that is booting.

    Raises:
        SshError: as the last attempt did.
    """
    deadline = time.monotonic() + wait
    while True:
        try:
            return attempt()
        except SshError as error:
            if not error.may_pass:
                raise
            if time.monotonic() >= deadline:
                waited = f" It was tried for {wait:.0f} s; --wait SECONDS waits longer."
                raise SshError(f"{error}{waited if wait else ''}", error.said) from None
            reason = error.said.strip().splitlines()[-1].rstrip(".\r")
        say(f"{name} does not answer yet: {reason} ({_left(deadline)})")
        time.sleep(_AGAIN_SECONDS)


def _left(deadline: float) -> str:
    return f"waiting for {max(0, deadline - time.monotonic()):.0f} s more at most"
