"""Builds an image and prints how far it is: JSON recipe in, lines out.

Builds in the way in which the Docker plugin of Pulumi does: by the engine's own
BuildKit, through its API. So the plugin finds every layer in the cache, and there
is progress to see, which the plugin does not show. The docker command could do it
too, but not everywhere: some of its packages come without the part for BuildKit.
"""

import base64
import http.client
import io
import json
import sys
import tarfile
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from opencode_cloud.start.docker_socket import SocketConnection

API = "v1.41"
"""Of Docker 20.10, the oldest engine that is supported."""
SENT = "org.opencode-cloud.sent"
"""Label of an image that is built on one machine, and sent to another."""


def context_archive(folder: Path) -> bytes:
    """Pack the build's files as the Docker plugin does: everything owned by root."""

    def as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if Path(entry.name).name == "__pycache__":
            return None
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    buffer = io.BytesIO()
    # The engine knows an archive by its first bytes, and does not know pax headers.
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(folder, arcname=".", filter=as_root)
    return buffer.getvalue()


def build(recipe: dict[str, Any], say: Callable[[str], None]) -> str:
    """Build the image of a recipe; give what went wrong, or nothing."""
    query = {
        "version": "2",
        "t": recipe["reference"],
        "buildargs": json.dumps(recipe["build_args"]),
        "rm": "1",
        "forcerm": "1",
        # Absent where a build is to take what it finds.
        **({"nocache": "1"} if recipe.get("without_cache") else {}),
        **({"pull": "1"} if recipe.get("base_again") else {}),
        # The image itself says so: its host cannot tell.
        **({"labels": json.dumps({SENT: "true"})} if recipe.get("sent") else {}),
    }
    connection = SocketConnection(recipe["socket"])
    connection.request(
        "POST",
        f"/{API}/build?{urllib.parse.urlencode(query)}",
        body=context_archive(Path(recipe["context"])),
        headers={"Content-Type": "application/x-tar"},
    )
    response = connection.getresponse()
    if response.status != http.client.OK:
        return f"The Docker engine refused to build: {response.read().decode().strip()}"
    trace = Trace(say)
    for line in response:
        message = json.loads(line)
        if "error" in message:
            return message["error"]
        match message.get("id"):
            case "moby.buildkit.trace":
                trace.read(base64.b64decode(message["aux"]))
            case "moby.image.id":
                say(f"made {message['aux']['ID']}")
    return ""


class Trace:
    """Reads what BuildKit tells of a build: each step as it starts, and what it prints.

    The messages are BuildKit's ``StatusResponse`` (api/services/control/control.proto).
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._announced: set[bytes] = set()

    def read(self, message: bytes) -> None:
        """Say what is new in one message."""
        for number, value in fields(message):
            match number, value:
                case 1, bytes():
                    self._vertex(dict(fields(value)))
                case 3, bytes():
                    self._log(dict(fields(value)))

    def _vertex(self, vertex: dict[int, Any]) -> None:
        cached, started = vertex.get(4), vertex.get(5)
        if started and not cached and vertex[1] not in self._announced:
            self._announced.add(vertex[1])
            self._say(vertex[3].decode(errors="replace"))

    def _log(self, log: dict[int, Any]) -> None:
        for line in log.get(4, b"").decode(errors="replace").splitlines():
            self._say(f"  {line}")


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Give number and value of each field of a protocol buffers message."""
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    fixed = {1: 8, 5: 4}
    while position < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            yield number, varint()
            continue
        size = fixed.get(kind) or varint()
        yield number, message[position : position + size]
        position += size


def main() -> str | None:
    """Build the recipe on standard input; give what went wrong."""

    def say(line: str) -> None:
        print(line, flush=True)

    return build(json.load(sys.stdin), say) or None


if __name__ == "__main__":
    sys.exit(main())
