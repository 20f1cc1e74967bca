"""How the engine sends two streams over one connection (its attach format)."""

from collections.abc import Iterator
from typing import BinaryIO

STDOUT, STDERR = 1, 2
_HEAD = 8
"""Bytes: the stream's number, three of nothing, the length of what follows."""


def frames(reader: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Give each piece with the number of its stream, until the end."""
    while len(head := reader.read(_HEAD)) == _HEAD:
        piece = reader.read(int.from_bytes(head[4:], "big"))
        yield head[0], piece
