"""Sends an image from one Docker engine to another, without a registry between.

What ``docker save | gzip | ssh … docker load`` does, by the engines' own API: the other engine's
socket is one that leads to it. It takes all of an image or nothing: cut off, no layer of it has a
name there, and its half of an archive goes with the connection.
"""

import contextlib
import http.client
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from opencode_cloud.start.docker_socket import SocketConnection
from opencode_cloud.start.errors import StartError
from opencode_cloud.start.image_build import API

_PIECE = 1 << 20
_MB = 1_000_000
_ANSWER_SECONDS = 600
"""How long the other engine may take to unpack what it was sent."""
_LEVEL = 1
"""Of gzip: more makes it a tenth smaller, and takes twice as long."""
_GZIP = 16 + zlib.MAX_WBITS
_NOT_FOUND = 404


@dataclass(frozen=True)
class End:
    """One of the two engines."""

    name: str
    """Of its machine, for people."""
    socket: str

    def get(self, path: str) -> Any:
        """Ask for a JSON document; ``None``: there is none."""
        with contextlib.closing(self.connection()) as connection:
            connection.request("GET", f"/{API}{path}")
            response = connection.getresponse()
            body = response.read()
        if response.status == _NOT_FOUND:
            return None
        if response.status != http.client.OK:
            raise StartError(f"The Docker engine of {self.name} says: {_message(body)}")
        return json.loads(body)

    def image(self, reference: str) -> Any:
        """Inspect an image; ``None``: it is not there."""
        return self.get(f"/images/{quote(reference)}/json")

    def untag(self, reference: str) -> None:
        """Take an image's name away; its layers stay in the build's cache."""
        with contextlib.closing(self.connection()) as connection:
            connection.request("DELETE", f"/{API}/images/{quote(reference)}")
            connection.getresponse().read()

    def connection(self) -> SocketConnection:
        """Open a connection."""
        return SocketConnection(self.socket, timeout=_ANSWER_SECONDS)


def require_same_machine(here: End, there: End) -> None:
    """See that what is built here can run there.

    Raises:
        StartError: the two are machines of different kinds.
    """
    kinds = [_kind(end.get("/version") or {}) for end in (here, there)]
    if kinds[0] != kinds[1]:
        raise StartError(
            f"An image that is built on {here.name} is for {kinds[0]}, and {there.name} is "
            f"{kinds[1]}. Have it built there: pulumi config set opencode:image_built_on host"
        )


def send(reference: str, here: End, there: End, say: Callable[[str], None]) -> None:
    """Send an image that is here, unless it is there already.

    Args:
        reference: its name, on both.
        here: the engine that has it.
        there: the engine that is to have it.
        say: gets how far it is.

    Raises:
        StartError: it was not sent; nothing of it is there then.
    """
    ours = here.image(reference)
    if not ours:
        raise StartError(f"The image {reference} is not on {here.name}, and cannot be sent.")
    if _is_same(ours, there.image(reference)):
        return
    try:
        said = _loaded(reference, ours["Size"], here, there, say)
    except (OSError, http.client.HTTPException) as error:
        raise StartError(
            f"The image was not sent: the connection to {there.name} broke "
            f"({error or type(error).__name__}). Nothing of it is there. Try again: what is built "
            "is not built again."
        ) from None
    if said or not _is_same(ours, there.image(reference)):
        raise StartError(
            f"The image was not sent: the Docker engine of {there.name} says: "
            f"{said or 'nothing, and has another one'}"
        )


def _loaded(reference: str, size: int, here: End, there: End, say: Callable[[str], None]) -> str:
    """Copy it; gives what the other engine complains of."""
    with (
        contextlib.closing(here.connection()) as reading,
        contextlib.closing(there.connection()) as writing,
    ):
        reading.request("GET", f"/{API}/images/{quote(reference)}/get")
        archive = reading.getresponse()
        if archive.status != http.client.OK:
            raise StartError(f"The Docker engine of {here.name} says: {_message(archive.read())}")
        try:
            writing.request(
                "POST",
                f"/{API}/images/load?quiet=1",
                body=_compressed(archive, size, say),
                headers={"Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"},
                encode_chunked=True,
            )
        except (BrokenPipeError, ConnectionResetError):
            # It has answered before it had all: why, is in the answer.
            answer = writing.getresponse()
        else:
            say(f"{there.name} unpacks it")
            answer = writing.getresponse()
        return _complaint(answer.status, answer.read())


def _compressed(
    archive: http.client.HTTPResponse, size: int, say: Callable[[str], None]
) -> Iterator[bytes]:
    gzip = zlib.compressobj(_LEVEL, wbits=_GZIP)
    read = sent = 0
    while piece := archive.read(_PIECE):
        read += len(piece)
        if packed := gzip.compress(piece):
            sent += len(packed)
            yield packed
        # An archive is a little larger than what it holds.
        whole = max(size, read)
        say(f"sending {read // _MB} of {whole // _MB} MB ({sent // _MB} MB compressed)")
    yield gzip.flush()


def _complaint(status: int, body: bytes) -> str:
    if status != http.client.OK:
        return _message(body)
    # An error that it meets while it unpacks comes in a line of an answer that began well.
    lines = [json.loads(line) for line in body.splitlines() if line.strip()]
    return next((line["error"] for line in lines if "error" in line), "")


def _is_same(one: Any, other: Any) -> bool:
    """Whether two engines have the same image: one may know it by another id."""
    if not one or not other:
        return False
    return one["Id"] == other["Id"] or all(
        one[part] == other[part] for part in ("RootFS", "Created", "Config")
    )


def _kind(version: dict[str, str]) -> str:
    return f"{version.get('Os')}/{version.get('Arch')}"


def _message(body: bytes) -> str:
    try:
        return json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip()
