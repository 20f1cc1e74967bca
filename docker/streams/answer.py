"""Answers of the session service, asked for by HTTP/1.0: they end with the connection."""


class UnansweredError(Exception):
    """What came is not a whole answer; the message says what instead."""


def body(received: bytes) -> bytes:
    """What is in an answer.

    Raises UnansweredError for all but a whole 200: half a list would keep from us what is in the
    other half.
    """
    head, _, content = received.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    fields = dict(line.lower().split(b":", 1) for line in lines if b":" in line)
    length = fields.get(b"content-length", b"").strip()
    status = first.partition(b" ")[2][:3].decode(errors="replace")
    if status not in ("", "200"):
        raise UnansweredError(f"it answered {status}")
    if not status or not length.isdigit() or int(length) != len(content):
        raise UnansweredError("it sent no whole answer")
    return content
