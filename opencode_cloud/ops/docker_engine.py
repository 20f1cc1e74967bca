"""The Docker engine's API on its Unix socket, with the standard library alone.

Importing the Docker SDK takes longer than all that `occ status` asks for. In HTTP/1.0
an answer ends with its connection, so that there is little to parse, and a command's
streams are the bare socket.
"""

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Protocol
from urllib.parse import quote, urlencode

from opencode_cloud.ops.errors import EngineError

ANSWER_SECONDS = 30
_BAD_REQUEST = 400


class Trace(Protocol):
    """Gets each question that the engine is asked."""

    def __call__(self, line: str, /) -> None:
        """Take one line for people."""


def _untraced(_: str) -> None:
    pass


@dataclass(frozen=True)
class Engine:
    """One Docker engine. Every method raises EngineError when it refuses or cannot be reached."""

    socket_path: str
    """On this machine."""
    trace: Trace = _untraced
    where: str = ""
    """Whose socket it is, for people; empty: this machine's own."""
    way: Callable[[], object] | None = None
    """Opens the way to another machine's socket anew, where it has closed."""
    silence: Callable[[], str] | None = None
    """Says why nobody answers there, and what to do: what a socket here would tell by itself."""

    def traced(self, trace: Trace) -> "Engine":
        """Give the same engine, which says what it is asked."""
        return replace(self, trace=trace)

    def get(self, path: str, /, **query: str | int) -> Any:
        """Ask for a JSON document."""
        return self._ask("GET", path, query)

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str | int] | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> Any:
        """Have something done; gives its JSON answer, or None. Already done is no error."""
        return self._ask("POST", path, query or {}, body, seconds)

    def delete(self, path: str, **query: str | int) -> None:
        """Have something removed; gone already is an error of status 404."""
        self._ask("DELETE", path, query)

    @contextmanager
    def stream(self, path: str, /, **query: str | int) -> Iterator[BinaryIO]:
        """Read an answer that may go on for ever."""
        with self._connected(ANSWER_SECONDS) as connection:
            reader = self._request(connection, "GET", path, query)
            connection.settimeout(None)
            yield reader

    @contextmanager
    def hijack(
        self, path: str, body: Any, *, query: Mapping[str, str | int] | None = None
    ) -> Iterator[tuple[socket.socket, BinaryIO]]:
        """Turn a connection into a command's streams: write to the first, read from the second."""
        with self._connected(ANSWER_SECONDS) as connection:
            reader = self._request(connection, "POST", path, query or {}, body, upgrade=True)
            connection.settimeout(None)
            yield connection, reader

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int],
        body: Any = None,
        seconds: float = ANSWER_SECONDS,
    ) -> Any:
        with self._connected(seconds) as connection:
            text = self._request(connection, method, path, query, body).read()
        return json.loads(text) if text.strip() else None

    @contextmanager
    def _connected(self, seconds: float) -> Iterator[socket.socket]:
        with self._connection(seconds) as connection:
            try:
                yield connection
            except TimeoutError:
                raise EngineError(
                    f"The Docker engine at {self._place} gave no answer within {seconds:.0f} "
                    "s. See whether `docker info` answers; if not, restart the engine."
                ) from None
            except ConnectionResetError:
                if self.way:
                    # Where it is the way that broke, this says how.
                    self.way()
                raise EngineError(
                    f"The Docker engine at {self._place} broke the connection. It may be "
                    "restarting: try again."
                ) from None

    def _connection(self, seconds: float) -> socket.socket:
        try:
            return _connect(self.socket_path, seconds)
        except OSError as error:
            if not self.way:
                raise _unreachable(self.socket_path, error) from None
        # A shared connection that nobody used for a while has ended.
        self.way()
        try:
            return _connect(self.socket_path, seconds)
        except OSError as error:
            raise EngineError(
                f"The way to the Docker engine at {self._place} is closed ({error.strerror}). Try "
                "again."
            ) from None

    @property
    def _place(self) -> str:
        return self.where or self.socket_path

    def _request(
        self,
        connection: socket.socket,
        method: str,
        path: str,
        query: Mapping[str, str | int],
        body: Any = None,
        *,
        upgrade: bool = False,
    ) -> BinaryIO:
        target = quote(path) + (f"?{urlencode(query)}" if query else "")
        self.trace(f"docker: {method} {target}")
        payload = b"" if body is None else json.dumps(body).encode()
        head = [
            f"{method} {target} HTTP/{'1.1' if upgrade else '1.0'}",
            "Host: docker",
            "Content-Type: application/json",
            f"Content-Length: {len(payload)}",
            *(("Connection: Upgrade", "Upgrade: tcp") if upgrade else ()),
        ]
        reader = connection.makefile("rb")
        try:
            connection.sendall("\r\n".join([*head, "", ""]).encode() + payload)
            line = reader.readline()
        except (ConnectionResetError, BrokenPipeError):
            if not self.silence:
                # A broken pipe would be whoever reads what a command prints.
                raise ConnectionResetError from None
            line = b""
        if not line and self.silence:
            raise EngineError(self._unanswered(self.silence))
        status, length = self._read_head(line, reader)
        if status >= _BAD_REQUEST:
            raise EngineError(_message(reader.read(length)), status)
        return reader

    def _unanswered(self, silence: Callable[[], str]) -> str:
        """Say why another machine's engine said nothing at all.

        SSH takes the connection here, and only there it turns out that nobody listens, or that its
        user may not ask.
        """
        if self.way:
            # Where it is the way that broke, this says how.
            self.way()
        return f"No Docker engine answers at {self._place}. {silence()}"

    def _read_head(self, line: bytes, reader: BinaryIO) -> tuple[int, int]:
        """Give the status, and the length of the body: -1 is up to the end."""
        words = line.split()
        if len(words) <= 1 or not words[1].isdigit():
            raise EngineError("What answers on Docker's socket is no Docker engine.")
        length = -1
        while field := reader.readline().strip():
            name, _, value = field.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return int(words[1]), length


def _connect(path: str, seconds: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(seconds)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def _message(body: bytes) -> str:
    try:
        said = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        said = body.decode(errors="replace").strip()
    return f"The Docker engine says: {said}"


def _unreachable(path: str, error: OSError) -> EngineError:
    if isinstance(error, PermissionError):
        return EngineError(
            f"You may not use the Docker engine at {path}. Join its group "
            "(sudo usermod -aG docker $USER, then log in again), or run this as root."
        )
    return EngineError(
        f"No Docker engine answers at {path} ({error.strerror or error}). Start it "
        "(sudo systemctl start docker, or Docker Desktop), have `occ setup` install one, or say "
        "where it is: pulumi config set opencode:docker_host unix:///path/to/docker.sock"
    )
