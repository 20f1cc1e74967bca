"""A container of a deployment's own image that has its volumes, and nothing else, for one task.

It works whether the deployment runs, is stopped or is gone; it has no network, and no more rights
than its task takes.
"""

import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO

from opencode_cloud.ops.deployment import LABEL
from opencode_cloud.ops.docker_engine import Engine
from opencode_cloud.ops.errors import EngineError, OperationError
from opencode_cloud.ops.frames import STDOUT, frames
from opencode_cloud.spec.volumes import Volume

TASK_LABEL = "org.opencode-cloud.task"
READING = ("DAC_OVERRIDE", "SETGID", "SETUID")
"""Read everybody's files, and be a database's owner while SQLite reads it."""
WRITING = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID")
"""Put files back with owners and modes."""
TOO_OLD = (
    "the deployment's image is older than backups are. Bring it up to date first, with this "
    "version of opencode-cloud"
)
"""What is said of an image without the `backup` package."""
_TOP = "/volumes"
_NOT_FOUND = 404
_CONFLICT = 409
_REMOVED_WITHIN_SECONDS = 10
_LONGEST_SECONDS = 7 * 24 * 3600
_LAST_WORDS_SECONDS = 3


@dataclass(frozen=True)
class Target:
    """The volumes of a stack, and an image whose `backup` package knows what to do with them."""

    stack: str
    engine: Engine
    image: str

    def volume(self, volume: Volume) -> str:
        """Give Docker's name of a volume."""
        return f"opencode-{self.stack}-{volume}"


def target_of(stack: str, engine: Engine) -> Target:
    """Find the image to work with: the deployment's own, or else the newest of ours.

    Raises:
        OperationError: there is none.
    """
    try:
        return Target(stack, engine, engine.get(f"/containers/opencode-{stack}/json")["Image"])
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise
    found = engine.get("/images/json", filters='{"label":["org.opencode-cloud.version"]}')
    if not found:
        raise OperationError(
            f"There is neither a deployment {stack!r} nor an image of opencode-cloud on this "
            "Docker host. Make the deployment first; its volumes are found again."
        )
    return Target(stack, engine, max(found, key=lambda image: image["Created"])["Id"])


def existing_volumes(target: Target) -> list[Volume]:
    """Give which of the stack's volumes there are."""
    found = target.engine.get("/volumes", filters=f'{{"name":["opencode-{target.stack}-"]}}')
    names = {volume["Name"] for volume in found["Volumes"] or []}
    return [volume for volume in Volume if target.volume(volume) in names]


def make_volumes(target: Target) -> None:
    """Make the volumes that are not there, as the deployment would; the others are left alone."""
    for volume in Volume:
        body = {"Name": target.volume(volume), "Labels": {LABEL: target.stack}}
        target.engine.post("/volumes/create", body)


def users_of(target: Target) -> list[str]:
    """Give the names of the containers that run with one of the stack's volumes."""
    names = json.dumps({"volume": [target.volume(volume) for volume in Volume]})
    found = target.engine.get("/containers/json", filters=names)
    return sorted(
        container["Names"][0].lstrip("/")
        for container in found
        # In the list, one that has just stopped may still seem to run.
        if target.engine.get(f"/containers/{container['Id']}/json")["State"]["Running"]
    )


@dataclass
class Helper:
    """A helper at work: its standard streams, and what it says."""

    connection: socket.socket
    reader: BinaryIO
    note: Callable[[str], None]
    progress: Callable[[str], None] = lambda _: None
    _said: bytearray = field(default_factory=bytearray)
    _error: str = ""
    _done: bool = False

    def output(self) -> Iterator[bytes]:
        """Give its standard output; what it says besides is taken in meanwhile."""
        for number, piece in frames(self.reader):
            if number == STDOUT:
                yield piece
            else:
                self._hear(piece)

    def _hear(self, piece: bytes) -> None:
        self._said += piece
        *lines, rest = self._said.split(b"\n")
        self._said = rest
        for line in lines:
            self._understand(line.decode(errors="replace"))

    def _understand(self, line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            # Python's, or the engine's: the last line of a traceback is the one that matters.
            self._error = line or self._error
            return
        if "note" in said:
            self.note(said["note"])
        self._error = said.get("error", self._error)
        self._done = said.get("done", self._done)
        if "progress" in said:
            self.progress(said["progress"])

    def send(self, piece: bytes) -> None:
        """Write to its standard input."""
        self.connection.sendall(piece)

    def end_of_input(self) -> None:
        """Say that no more comes."""
        # It may have ended already.
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)

    def listening(self) -> threading.Thread:
        """Take in what it says, in a thread that ends when the helper does."""

        def listen() -> None:
            for _ in self.output():
                pass

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        return thread

    def require_done(self) -> None:
        """Make sure that it has done all; to be asked when its streams have ended.

        Raises:
            OperationError: it has not; with what it said.
        """
        if not self._done:
            raise OperationError(self._failure())

    def _failure(self) -> str:
        if "No module named" in self._error and "backup" in self._error:
            return TOO_OLD
        return self._error or "it was ended from outside"


@contextmanager
def helper(
    target: Target,
    task: str,
    arguments: list[str],
    volumes: list[Volume],
    *,
    note: Callable[[str], None],
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Helper]:
    """Run `python3 -m backup TASK ARGUMENTS…` on some of the volumes; it is gone afterwards.

    Only the task `create` finds them read-only.
    """
    reads = task == "create"
    body = {
        "Image": target.image,
        "Entrypoint": ["/usr/bin/python3", "-P", "-m", "backup"],
        "Cmd": [task, *arguments],
        "Env": ["PYTHONPATH=/usr/lib/opencode-cloud", "LANG=C.UTF-8"],
        "User": "0:0",
        "WorkingDir": "/",
        "Labels": {TASK_LABEL: f"backup {task}"},
        "Healthcheck": {"Test": ["NONE"]},
        "AttachStdin": not reads,
        "AttachStdout": True,
        "AttachStderr": True,
        "OpenStdin": not reads,
        "StdinOnce": not reads,
        # For copies of databases: the container's own layer is not to be written to.
        "Volumes": {"/tmp": {}},  # noqa: S108 - of a container that is ours alone
        "HostConfig": {
            "AutoRemove": True,
            "NetworkMode": "none",
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "CapAdd": list(READING if reads else WRITING),
            "SecurityOpt": ["no-new-privileges"],
            "PidsLimit": 64,
            # The archive is what it prints: Docker's log would keep it.
            "LogConfig": {"Type": "none", "Config": {}},
            "Mounts": [
                {
                    "Type": "volume",
                    "Source": target.volume(volume),
                    "Target": f"{_TOP}/{volume}",
                    "ReadOnly": reads,
                    # The image's own files are no content of an empty volume here.
                    "VolumeOptions": {"NoCopy": True, "Labels": {LABEL: target.stack}},
                }
                for volume in volumes
            ],
        },
    }
    engine = target.engine
    name = f"opencode-{target.stack}-backup-{secrets.token_hex(4)}"
    identifier = engine.post("/containers/create", body, query={"name": name})["Id"]
    streams = {"stream": 1, "stdout": 1, "stderr": 1, "stdin": int(not reads)}
    try:
        with engine.hijack(f"/containers/{identifier}/attach", None, query=streams) as (
            connection,
            reader,
        ):
            engine.post(f"/containers/{identifier}/start")
            if not reads:
                ended = threading.Thread(
                    target=_let_go, args=(engine, identifier, connection), daemon=True
                )
                ended.start()
            yield Helper(connection, reader, note, progress)
    finally:
        _remove(engine, identifier)


def _remove(engine: Engine, identifier: str) -> None:
    """Remove a helper, which as a rule has removed itself, or is at it: then that is waited for."""
    try:
        engine.delete(f"/containers/{identifier}", force=1, v=1)
    except EngineError as error:
        if error.status != _CONFLICT:
            return
        with suppress(EngineError):
            engine.post(
                f"/containers/{identifier}/wait",
                query={"condition": "removed"},
                seconds=_REMOVED_WITHIN_SECONDS,
            )


def _let_go(engine: Engine, identifier: str, connection: socket.socket) -> None:
    """End what still writes to a container that has ended: Docker itself may not."""
    try:
        engine.post(f"/containers/{identifier}/wait", seconds=_LONGEST_SECONDS)
    except EngineError as error:
        if error.status != _NOT_FOUND:
            return
    # For its last words.
    time.sleep(_LAST_WORDS_SECONDS)
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
