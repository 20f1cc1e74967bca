"""A tunnel over SSH: a port of this machine's loopback that leads to one of the host's."""

import contextlib
import re
import select
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.ssh import Ssh, SshError, explained
from opencode_cloud.spec.ssh import CONNECT_SECONDS, Forward, tunnel

LOST_SECONDS = 600
"""How long a host that went away is waited for; it may be booting."""

_UP = "opencode-cloud-tunnel-is-up"
# Said when ssh listens: it opens the forward before the command. Its standard input is ours, so
# that a tunnel whose command was killed ends as well.
_HOLD = f"echo {_UP}; exec cat > /dev/null"
_LONGEST_PAUSE_SECONDS = 10
_PROBE_SECONDS = 15
_REASON_SECONDS = 3
_END_SECONDS = 5
_NEVER = re.compile("Host key verification failed|IDENTIFICATION HAS CHANGED|Permission denied")
"""What waiting does not mend."""
_BOOTING = "System is booting up"


class _LostError(SshError):
    """There is no connection now; there may be one in a moment."""


def _silent(_: str) -> None:
    pass


@dataclass
class Tunnel:
    """Open while the context lasts."""

    ssh: Ssh
    forward: Forward
    say: Callable[[str], None] = _silent
    """Gets what a person should know: that the host went away, and that it is back."""
    lost_seconds: float = LOST_SECONDS
    _process: "subprocess.Popen[str] | None" = None
    _said: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Tunnel":
        """Open it.

        Raises:
            SshError: the host cannot be reached, or allows no tunnels.
            OperationError: nothing answers at its end.
        """
        try:
            self._open()
            self._probe()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._close()

    def hold(self) -> None:
        """Keep it open until the context ends; a host that goes away is waited for.

        Raises:
            SshError: it did not come back.
        """
        while not self._ended.is_set():
            if self._process and self._process.poll() is None:
                self._ended.wait(0.2)
                continue
            self._reopen()

    def _reopen(self) -> None:
        name, why = self.ssh.name, self._last_words()
        minutes = self.lost_seconds / 60
        self.say(
            f"The connection to {name} is lost ({why}). Connecting again, for {minutes:.0f} min."
        )
        began = time.monotonic()
        pause = 1.0
        while not self._ended.wait(pause):
            try:
                self._open()
            except _LostError as error:
                if time.monotonic() - began > self.lost_seconds:
                    raise SshError(
                        f"{name} did not come back within {minutes:.0f} min, and the tunnel is "
                        f"closed. {error}"
                    ) from None
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            self.say(f"{name} is there again, after {time.monotonic() - began:.0f} s.")
            return

    def _open(self) -> None:
        """Start ssh, and wait until it listens."""
        self._close()
        self._said.clear()
        words = tunnel(self.ssh.address, self.ssh.files, self.forward, "sh", "-c", _HOLD)
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                # A terminal's Ctrl-C is for whoever holds the tunnel.
                start_new_session=True,
            )
        except FileNotFoundError:
            raise SshError("There is no ssh on this machine. Install it: openssh-client") from None
        self._process = process
        listening = threading.Thread(target=self._listen, args=(process,), daemon=True)
        listening.start()
        if self._is_up(process):
            return
        self._close()
        listening.join(_END_SECONDS)
        said = "\n".join(self._said)
        if "cannot listen to port" in said or "Address already in use" in said:
            raise SshError(
                f"Port {self.forward.local_port} of this machine is in use. Choose another one: "
                "--local-port NUMBER"
            )
        kind = SshError if _NEVER.search(said) and _BOOTING not in said else _LostError
        raise kind(explained(self.ssh.address, said))

    def _is_up(self, process: "subprocess.Popen[str]") -> bool:
        deadline = time.monotonic() + 2 * CONNECT_SECONDS
        out = process.stdout
        while out and (left := deadline - time.monotonic()) > 0:
            if not select.select([out], [], [], min(left, 0.2))[0]:
                if self._ended.is_set():
                    return False
                continue
            line = out.readline()
            if not line:
                return False
            # A shell's own start-up files may say something before.
            if _UP in line:
                return True
        self._said.append(f"no answer within {2 * CONNECT_SECONDS} s")
        return False

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        # Closed while it is read: it has nothing more to say.
        with contextlib.suppress(ValueError):
            for line in process.stderr or ():
                self._said.append(line.strip())

    def _probe(self) -> None:
        """See that something answers at its end, whatever it says."""
        asked = b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n"
        answer = b""
        place = ("127.0.0.1", self.forward.local_port)
        with (
            contextlib.suppress(OSError),
            socket.create_connection(place, timeout=_PROBE_SECONDS) as probe,
        ):
            probe.sendall(asked)
            answer = probe.recv(1)
        if answer:
            return
        self._wait_for_a_reason()
        if any("administratively prohibited" in line for line in self._said):
            raise SshError(
                f"The SSH server of {self.ssh.name} allows no tunnels. It must have "
                "AllowTcpForwarding yes (or local) in its sshd_config."
            )
        raise OperationError(
            f"Nothing answers at port {self.forward.port} of {self.ssh.name} ({self._last_words()})"
            ". A deployment with proxy_protocol answers its proxy alone."
        )

    def _wait_for_a_reason(self) -> None:
        """Wait until ssh has said why: it ends the connection at the same moment as it says so."""
        deadline = time.monotonic() + _REASON_SECONDS
        while time.monotonic() < deadline and not any("open failed" in line for line in self._said):
            time.sleep(0.05)

    def _last_words(self) -> str:
        return self._said[-1] if self._said else "no reason given"

    def _close(self) -> None:
        process, self._process = self._process, None
        if not process:
            return
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        if process.stdout:
            process.stdout.close()
