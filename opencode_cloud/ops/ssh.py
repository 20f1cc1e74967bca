"""A host that the system's own `ssh` leads to: commands on it, and a way to its Docker engine."""

import os
import re
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.shells import Done, call
from opencode_cloud.spec.ssh import CONNECT_SECONDS, SshAddress, SshFiles, command, options

COMMAND_SECONDS = 60
_FAILED = 255
"""ssh's own exit code, when it could not connect; a command of the host's has others."""
_OWN_MODE = 0o700

_ANOTHER_KEY = re.compile("REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed")
_BY_A_JUMP = re.compile("UNKNOWN port 65535")
"""What ssh says where the way through a jump host ends, whatever ended it."""
_LASTING = re.compile(f"{_ANOTHER_KEY.pattern}|Permission denied|Could not resolve")
_PASSING = re.compile(
    "Connection refused|timed out|No route to host|Network is unreachable|Connection reset"
    "|Connection closed by|kex_exchange_identification|System is booting up|gave no answer"
)


class SshError(OperationError):
    """The host could not be reached, or is not the one that was pinned."""

    def __init__(self, message: str, said: str = "") -> None:
        self.said = said
        """By ssh itself."""
        super().__init__(message)

    @property
    def may_pass(self) -> bool:
        """Whether it may go well in a moment: so it is with a machine that is just booting."""
        return bool(_PASSING.search(self.said)) and not _LASTING.search(self.said)

    @property
    def is_another_key(self) -> bool:
        """Whether the host has another key than the one that was pinned."""
        return bool(_ANOTHER_KEY.search(self.said)) and not _BY_A_JUMP.search(self.said)


@dataclass(frozen=True)
class Ssh:
    """One host. Every method raises SshError when it cannot be reached."""

    address: SshAddress
    files: SshFiles

    @classmethod
    def of(cls, address: SshAddress, data: Path) -> "Ssh":
        """Prepare what ssh is to find: the pinned keys, and a folder for its sockets.

        Args:
            address: of the host.
            data: the product's folder of this user.
        """
        known_hosts = data / "ssh" / f"{address.stack}.known_hosts"
        _write(known_hosts, address.known_hosts)
        sockets = _sockets_folder(os.environ)
        mark = address.fingerprint()
        files = SshFiles(
            known_hosts=known_hosts,
            control=sockets / f"{mark}.ssh",
            docker=sockets / f"{mark}.docker",
        )
        return cls(address, files)

    @property
    def name(self) -> str:
        """For people."""
        return self.address.destination

    def words(self, *words: str) -> tuple[str, ...]:
        """Give the command line that runs `words` in the host's shell."""
        return command(self.address, self.files, *words)

    def run(self, script: str, *, stdin: str = "", seconds: float = COMMAND_SECONDS) -> Done:
        """Have the host's `sh` run a script; what it is given on `stdin` is on no command line."""
        return self._ssh(self.words("sh", "-c", script), stdin, seconds)

    def hostname(self) -> str:
        """Give the name or address that ssh itself goes to; empty where it goes there by a jump."""
        done = self._call(("ssh", "-G", *self.words("true")[1:]), "", CONNECT_SECONDS)
        said = dict(line.split(" ", 1) for line in done.out.splitlines() if " " in line)
        jumps = {said.get("proxyjump", "none"), said.get("proxycommand", "none")} - {"none"}
        return "" if jumps else said.get("hostname", "")

    def docker_socket(self, remote: str) -> Path:
        """Give a socket of this machine's that leads to the host's socket `remote`.

        It is one file that this user alone can open, and gone with the connection. A port is never
        opened: a Docker socket has no login.
        """
        self.connect()
        forward = ("-L", f"{self.files.docker}:{remote}")
        asked = self._control("forward", *forward)
        if asked.ok and not self.files.docker.exists():
            # The connection has it open still, but something cleared the file away.
            self._control("cancel", *forward)
            asked = self._control("forward", *forward)
        if not asked.ok:
            raise SshError(
                f"{self.name} does not let its Docker socket be reached over SSH: "
                f"{asked.err.strip()}. Its SSH server must allow AllowStreamLocalForwarding."
            )
        return self.files.docker

    def connect(self) -> None:
        """Open the shared connection, unless there is one."""
        if self._control("check").ok:
            return
        done = self._ssh(self.words("true"), "", CONNECT_SECONDS * 2)
        if not done.ok:
            raise SshError(f"{self.name} lets nobody run commands: {done.err.strip() or done.code}")

    def disconnect(self) -> None:
        """End the shared connection, if there is one."""
        self._control("exit")

    def _control(self, verb: str, *more: str) -> Done:
        words = ("ssh", "-O", verb, *options(self.address, self.files), *more)
        return self._call((*words, "--", self.address.destination), "", CONNECT_SECONDS)

    def _ssh(self, words: tuple[str, ...], stdin: str, seconds: float) -> Done:
        done = self._call(words, stdin, seconds)
        if done.code == _FAILED:
            said = self._said_by_jump_hosts() if _BY_A_JUMP.search(done.err) else ""
            raise SshError(explained(self.address, said or done.err), said or done.err)
        return done

    def _said_by_jump_hosts(self) -> str:
        """Ask once more, by a connection of its own: a shared one hides what its jump hosts say."""
        alone = ("-o", "ControlPath=none", "-o", "ControlPersist=no")
        # The first word on a matter is the one that holds.
        words = ("ssh", *alone, *options(self.address, self.files), "--", self.address.destination)
        return self._call((*words, "true"), "", CONNECT_SECONDS * 2).err

    def _call(self, words: tuple[str, ...], stdin: str, seconds: float) -> Done:
        try:
            return call_ssh(words, stdin, seconds)
        except subprocess.TimeoutExpired:
            raise SshError(
                f"{self.name} gave no answer within {seconds:.0f} s. See whether this does: "
                f"{self.address.command} true",
                "timed out",
            ) from None


def call_ssh(words: tuple[str, ...], stdin: str, seconds: float) -> Done:
    """Run one `ssh` of this machine's to its end.

    Raises:
        SshError: there is none.
        TimeoutExpired: it does not end in time; it is killed.
    """
    try:
        return call(words, stdin, seconds)
    except FileNotFoundError:
        raise SshError(
            "There is no ssh on this machine. Install it: sudo apt-get install openssh-client"
        ) from None


def explained(address: SshAddress, said: str) -> str:
    """Say what ssh's complaint means, and what to do about it."""
    said = "\n".join(line for line in said.splitlines() if not line.startswith("Warning:")).strip()
    edit = f"occ host edit {address.stack}"
    if _BY_A_JUMP.search(said) and _ANOTHER_KEY.search(said):
        return (
            f"The way to {address.destination} goes through another host, and ssh does not trust "
            "that one's key: it is checked as always, by your own known_hosts. Connect to it by "
            f"hand once, compare its key, and try again. ssh says: {said}"
        )
    if _ANOTHER_KEY.search(said):
        return (
            f"{address.destination} is not the machine that was pinned as {address.stack!r}: its "
            "host key is another one. Nothing was sent to it. If it was set up anew, ask whoever "
            f"did that for the key's fingerprint, and then: {edit} --accept-host-key. If not, "
            "somebody may be in between."
        )
    if "Permission denied" in said:
        return (
            f"{address.destination} lets none of your keys in. Have your public key added to its "
            f"~/.ssh/authorized_keys, or name another key: {edit} --identity FILE. ssh says: {said}"
        )
    fix = f"See whether this works: {address.command} true. If it has moved: {edit} --hostname NAME"
    return f"{address.destination} cannot be reached over SSH: {said or 'no reason given'}. {fix}"


def _write(path: Path, text: str) -> None:
    if path.is_file() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.touch(mode=0o600)
    unfinished.write_text(text)
    unfinished.replace(path)


def _sockets_folder(environment: Mapping[str, str]) -> Path:
    """Give a folder that this user alone can enter, with a path that is short enough for sockets.

    Raises:
        SshError: somebody else has it.
    """
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    base = Path(runtime) if runtime and Path(runtime).is_dir() else Path(tempfile.gettempdir())
    folder = base / (f"opencode-cloud-{os.getuid()}")
    folder.mkdir(mode=_OWN_MODE, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise SshError(
            f"{folder} is not a folder that is yours alone, and a way to a Docker engine must not "
            f"lie in it. Remove it: sudo rm -r {folder}"
        )
    return folder
