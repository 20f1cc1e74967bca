"""The head of a request as nginx sends it."""

LARGEST = 128 * 1024
"""Bytes; more than nginx takes from a client."""
END = b"\r\n\r\n"

_NAME = b"x-gateway-grant:"
_LONGEST = 256
_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~:-")


class UngrantedError(Exception):
    """The request does not say, once and well-formed, which grant it comes under."""


def split_grant(head: bytes) -> tuple[bytes, bytes]:
    """The grant of a request, and its head without it.

    Raises UngrantedError.
    """
    lines = head.split(b"\r\n")
    named = [line for line in lines[1:] if line.lower().startswith(_NAME)]
    if len(named) != 1:
        raise UngrantedError(f"it came with {len(named)} grants instead of one")
    grant = named[0][len(_NAME) :].strip(b" \t")
    if not 0 < len(grant) <= _LONGEST or not _LETTERS.issuperset(grant):
        raise UngrantedError("its grant is malformed")
    return grant, b"\r\n".join(line for line in lines if line is not named[0])
