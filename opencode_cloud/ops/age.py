"""Encryption in the format of age, piece by piece, so that plain text is never on any disk.

pyrage is the age specification's implementation in Rust. Its functions take what they need and
return when they are done; each runs in a thread of its own, at the other end of a pipe.
"""

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

from opencode_cloud.ops.archive import ArchiveError, Sink, Source
from opencode_cloud.ops.errors import OperationError

SUFFIX = ".age"
_BUFFER = 1 << 18
_ENDS_WITHIN_SECONDS = 30
_SHOWN = 30
_OURS = "AGE-SECRET-KEY-"


def check_recipients(recipients: Sequence[str]) -> list[Any]:
    """Understand age or SSH public keys, or files that hold one a line.

    Raises:
        OperationError: one is neither.
    """
    return [_recipient(line) for given in recipients for line in _lines(given)]


def _lines(given: str) -> list[str]:
    if given.startswith(("age1", "ssh-")):
        return [given]
    if given.upper().startswith(_OURS):
        raise OperationError(
            "--encrypt-to takes a public key (age1…), and this is the secret one: it now stands in "
            "your shell's history. Make another: age-keygen"
        )
    try:
        lines = Path(given).expanduser().read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        raise OperationError(
            f"{given!r} is no public key that can be encrypted to: give age1…, an ssh-ed25519 or "
            "ssh-rsa public key, or a file of them."
        ) from None
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _pyrage() -> Any:
    """Import it late, because most commands do without; it says nothing of its types."""
    return import_module("pyrage")


def _recipient(line: str) -> Any:
    pyrage = _pyrage()
    kind = pyrage.ssh if line.startswith("ssh-") else pyrage.x25519
    try:
        return kind.Recipient.from_str(line.strip())
    except pyrage.RecipientError as error:
        shown = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
        raise OperationError(f"{shown!r} is no public key to encrypt to: {error}.") from None


def read_identity(path: Path) -> list[Any]:
    """Read secret keys: age's, or an SSH key without a passphrase.

    Raises:
        OperationError: the file cannot be read, or holds none.
    """
    pyrage = _pyrage()
    try:
        content = path.expanduser().read_bytes()
    except OSError as error:
        raise OperationError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        if b"PRIVATE KEY-----" in content:
            return [pyrage.ssh.Identity.from_buffer(content)]
        lines = content.decode().splitlines()
        keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        found = [pyrage.x25519.Identity.from_str(key) for key in keys]
    except (pyrage.IdentityError, UnicodeDecodeError) as error:
        # Never the line: it may be all but a secret key.
        raise OperationError(
            f"{path} holds no secret key that can be used ({error}). It takes a file as age-keygen "
            "makes it (AGE-SECRET-KEY-1…), or an SSH private key without a passphrase."
        ) from None
    if not found:
        raise OperationError(f"{path} holds no secret key.")
    return found


class _Threaded:
    """Runs a function that reads and writes, to be fed or emptied by whoever made it."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = error

    def end(self) -> BaseException | None:
        """Wait until it has ended; gives what it failed with."""
        self._thread.join(_ENDS_WITHIN_SECONDS)
        return self._error


class Encrypting:
    """A sink that encrypts into another file. Left in order, all is written."""

    def __init__(self, target: Sink, recipients: Sequence[str]) -> None:
        pyrage = _pyrage()
        keys = check_recipients(recipients)
        read, write = os.pipe()
        self._input = os.fdopen(write, "wb", _BUFFER)
        source = os.fdopen(read, "rb", _BUFFER)

        def work() -> None:
            with source:
                pyrage.encrypt_io(source, target, keys)

        self._worker = _Threaded(work)

    def write(self, piece: bytes) -> None:
        """Encrypt some more."""
        try:
            self._input.write(piece)
        except BrokenPipeError:
            raise self._failed() from None

    def _failed(self) -> Exception:
        return OperationError(f"The backup cannot be encrypted: {self._worker.end()}")

    def __enter__(self) -> "Encrypting":
        self._worker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(BrokenPipeError):
            self._input.close()
        if self._worker.end() and kind is None:
            raise self._failed()


class Decrypting:
    """A source that decrypts another one."""

    def __init__(self, source: Source, identity: Path) -> None:
        pyrage = _pyrage()
        keys = read_identity(identity)
        read, write = os.pipe()
        self._output = os.fdopen(read, "rb", _BUFFER)
        target = os.fdopen(write, "wb", _BUFFER)
        self._identity = identity

        def work() -> None:
            with target:
                pyrage.decrypt_io(source, target, keys)

        self._worker = _Threaded(work)

    def read(self, size: int) -> bytes:
        """Read what is decrypted; nothing at the end."""
        piece = self._output.read(size)
        if not piece and (error := self._worker.end()):
            raise self._failed(error)
        return piece

    def _failed(self, error: BaseException) -> Exception:
        if isinstance(error, OperationError):
            return error
        if "No matching keys" in str(error):
            return OperationError(
                f"The key in {self._identity} does not open this backup: it was encrypted to "
                "another one."
            )
        return ArchiveError(f"it is damaged or was cut off, and cannot be decrypted ({error})")

    def __enter__(self) -> "Decrypting":
        self._worker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Whoever still writes into the pipe is told that nobody reads.
        self._output.close()
        self._worker.end()
