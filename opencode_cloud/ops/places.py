"""Where backups are kept: a folder of this machine, or one that ssh leads to."""

import os
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import unquote, urlsplit

from opencode_cloud.ops.archive import Sink, Source
from opencode_cloud.ops.errors import OperationError

PART = ".part"
"""How the name of what is not all there yet ends."""
SCHEME = "ssh://"
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:]+\]")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_ENDS_WITHIN_SECONDS = 60


class Place(Protocol):
    """A folder of backups."""

    def where(self, name: str = "") -> str:
        """Give the folder, or a file in it, as a person types it."""
        ...

    def writing(self, name: str) -> AbstractContextManager[Sink]:
        """Write a new file, which is there when all of it is, and not before."""
        ...

    def reading(self, name: str) -> AbstractContextManager[Source]:
        """Read a file."""
        ...

    def sizes(self) -> dict[str, int]:
        """Give the name and size of every file; none when there is no such folder."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file."""
        ...


@dataclass(frozen=True)
class Folder:
    """A folder of this machine."""

    path: Path

    def where(self, name: str = "") -> str:
        """Give its path, or a file's."""
        return str(self.path / name)

    @contextmanager
    def writing(self, name: str) -> Iterator[Sink]:
        """Write a new file that its owner alone can read."""
        self._make()
        unfinished = self.path / f".{name}.{secrets.token_hex(4)}{PART}"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with os.fdopen(os.open(unfinished, flags, 0o600), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self.path / name)
            _sync(self.path)
        except OSError as error:
            raise OperationError(
                f"The backup cannot be written to {self.path}: {error.strerror or error}."
            ) from None
        finally:
            unfinished.unlink(missing_ok=True)

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise OperationError(
                f"The folder {self.path} cannot be made: {error.strerror}."
            ) from None

    @contextmanager
    def reading(self, name: str) -> Iterator[Source]:
        """Read a file."""
        try:
            file = (self.path / name).open("rb")
        except OSError as error:
            raise OperationError(f"{self.where(name)} cannot be read: {error.strerror}.") from None
        with file:
            yield file

    def sizes(self) -> dict[str, int]:
        """Give every file."""
        if not self.path.is_dir():
            return {}
        return {path.name: path.stat().st_size for path in self.path.iterdir() if path.is_file()}

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.path / name).unlink()


@dataclass(frozen=True)
class SshFolder:
    """A folder that the system's own ssh leads to, with that user's keys, hosts and settings."""

    user: str
    host: str
    port: int | None
    path: str
    """Absolute, or from that user's home."""

    def where(self, name: str = "") -> str:
        """Give its URL, or a file's."""
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        path = self.path if self.path.startswith("/") else f"/~/{self.path}"
        return f"{SCHEME}{user}{self.host}{port}{path.rstrip('/')}" + (f"/{name}" if name else "")

    @contextmanager
    def writing(self, name: str) -> Iterator[Sink]:
        """Write a new file that its owner alone can read."""
        final = shlex.quote(f"{self._folder}/{name}")
        unfinished = shlex.quote(f"{self._folder}/.{name}.{secrets.token_hex(4)}{PART}")
        folder = shlex.quote(self._folder)
        # A connection that breaks looks like the end of what is sent: it gets its name only from
        # another command, after this one has ended well.
        script = f"umask 077 && mkdir -p {folder} && cat > {unfinished} && sync"
        process = self._begin(script, stdin=subprocess.PIPE)
        try:
            with _input_of(process) as file:
                yield file
            self._end(process)
            self._run(f"mv {unfinished} {final}")
        except BaseException:
            process.kill()
            process.wait()
            with suppress(OperationError):
                self._run(f"rm -f {unfinished}")
            raise

    @contextmanager
    def reading(self, name: str) -> Iterator[Source]:
        """Read a file."""
        process = self._begin(
            f"cat -- {shlex.quote(f'{self._folder}/{name}')}", stdin=subprocess.DEVNULL
        )
        try:
            yield _Output(self, process)
        finally:
            process.kill()
            process.wait()

    def sizes(self) -> dict[str, int]:
        """Give every file."""
        folder = shlex.quote(self._folder)
        said = self._run(
            f"[ -d {folder} ] || exit 0; cd {folder} && for file in *; do "
            '[ -f "$file" ] && printf "%s %s\\n" "$(wc -c < "$file")" "$file"; done; true'
        )
        rows = [line.split(maxsplit=1) for line in said.splitlines()]
        return {row[1]: int(row[0]) for row in rows if len(row) == 2 and row[0].isdigit()}  # noqa: PLR2004 - size and name

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._run(f"rm -f -- {shlex.quote(f'{self._folder}/{name}')}")

    @property
    def _folder(self) -> str:
        # No name of ours begins with a dash, but a folder's may.
        path = self.path.rstrip("/") or "/"
        return path if path.startswith("/") else f"./{path}"

    def _begin(self, script: str, stdin: int) -> "subprocess.Popen[bytes]":
        port = ("-p", str(self.port)) if self.port else ()
        target = f"{self.user}@{self.host}" if self.user else self.host
        command = ("ssh", "-o", "BatchMode=yes", *port, "--", target.strip("[]"), script)
        try:
            return subprocess.Popen(
                command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Ctrl-C is ours to answer: ssh would be gone before what is left is cleared away.
                start_new_session=True,
            )
        except FileNotFoundError:
            raise OperationError(
                "There is no ssh on this machine. Install it: sudo apt-get install openssh-client"
            ) from None

    def _end(self, process: "subprocess.Popen[bytes]") -> str:
        """Wait for a command that was sent all that it gets; gives what it printed."""
        out, said = process.communicate()
        if process.returncode:
            raise self.failed(process.returncode, said)
        return out.decode(errors="replace")

    def failed(self, code: int, said: bytes) -> OperationError:
        """Say in ssh's words, or the other side's, what went wrong."""
        words = said.decode(errors="replace").strip() or f"it ended with {code}"
        return OperationError(
            f"{self.where()} cannot be used: {words}. See whether this works, without a question: "
            f"ssh {f'-p {self.port} ' if self.port else ''}"
            f"{f'{self.user}@' if self.user else ''}{self.host} true"
        )

    def _run(self, script: str) -> str:
        return self._end(self._begin(script, stdin=subprocess.DEVNULL))


@contextmanager
def _input_of(process: "subprocess.Popen[bytes]") -> Iterator[IO[bytes]]:
    """Give what a command reads; that it ended early is seen by its exit code."""
    file = process.stdin
    process.stdin = None
    if file is None:
        raise ValueError("it was begun without an input")
    try:
        yield file
        file.close()
    except BrokenPipeError:
        process.wait(_ENDS_WITHIN_SECONDS)
    finally:
        with suppress(OSError):
            file.close()


class _Output:
    """What a remote command prints; its failure is an error, and no end."""

    def __init__(self, place: SshFolder, process: "subprocess.Popen[bytes]") -> None:
        self._place = place
        self._process = process

    def read(self, size: int) -> bytes:
        piece = self._process.stdout.read(size) if self._process.stdout else b""
        if not piece and self._process.wait(_ENDS_WITHIN_SECONDS):
            said = self._process.stderr.read() if self._process.stderr else b""
            raise self._place.failed(self._process.returncode, said)
        return piece


def place_of(text: str) -> Folder | SshFolder:
    """Understand a folder's path, or ssh://[user@]host[:port]/path (/~/path: from the home).

    Raises:
        OperationError: it is neither.
    """
    if not text.startswith(SCHEME):
        if re.match(r"[a-z][a-z0-9+.-]*://", text):
            raise OperationError(
                f"{text} is no place for backups: give a folder, or ssh://user@host/folder."
            )
        return Folder(Path(text).expanduser().absolute())
    try:
        parts = urlsplit(text)
        user, port = unquote(parts.username or ""), parts.port
    except ValueError as error:
        raise OperationError(f"{text} cannot be understood: {error}.") from None
    host = parts.netloc.rpartition("@")[2]
    host = host if host.endswith("]") else re.sub(r":\d*$", "", host)
    path = unquote(parts.path)
    if parts.password is not None:
        # Not repeated: it would be in one place more.
        raise OperationError("A password has no place in an address: use a key.")
    if not _HOST.fullmatch(host) or (user and not _USER.fullmatch(user)) or path in ("", "/~"):
        raise OperationError(
            f"{text} cannot be understood: it takes ssh://user@host/folder, or "
            "ssh://user@host:port/folder, with /~/folder for one in the user's home."
        )
    return SshFolder(user, host, port, path.removeprefix("/~/"))


def file_of(text: str) -> tuple[Folder | SshFolder, str]:
    """Understand the path or the URL of one backup: its folder and its name.

    Raises:
        OperationError: it is neither.
    """
    folder, _, name = text.rpartition("/")
    if not name:
        raise OperationError(f"{text} is a folder: say which backup in it.")
    if not text.startswith(SCHEME):
        return Folder(Path(text).expanduser().absolute().parent), name
    return place_of(folder), unquote(name)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
