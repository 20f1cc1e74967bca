"""One request, as nginx logs it by syslog."""

import re
from dataclasses import dataclass

STREAM = "stream"
OTHER = "other"
"""For whatever is not expected: nobody outside makes up a label, and each costs memory for good."""

_KINDS = frozenset({"page", "api", "asset", STREAM, "gateway"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CODES = frozenset({"1xx", "2xx", "3xx", "4xx", "5xx"})
_LINE = re.compile(
    rb"<\d{1,3}>[\w: ]{1,32} g: "
    rb"(?P<kind>\S{1,32}) (?P<method>\S{1,64}) (?P<status>\d{3}) "
    rb"(?P<seconds>\d{1,9})\.(?P<milliseconds>\d{3}) (?P<size>\d{1,18})\n?"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is counted of a request."""

    kind: str
    method: str
    code: str
    """The status' class, like 2xx."""
    milliseconds: int
    size: int
    """Bytes of the answer."""


def parse(line: bytes) -> Entry | None:
    """The request of a line like `<190>Feb  1 12:00:00 g: api GET 200 0.012 345`, if it is one."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    return Entry(
        kind=_known(found["kind"].decode(errors="replace"), _KINDS),
        method=_known(found["method"].decode(errors="replace"), _METHODS),
        code=_known(f"{found['status'][:1].decode()}xx", _CODES),
        milliseconds=1000 * int(found["seconds"]) + int(found["milliseconds"]),
        size=int(found["size"]),
    )


def _known(value: str, values: frozenset[str]) -> str:
    return value if value in values else OTHER
