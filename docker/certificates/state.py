"""What is known about the certificate that is served, in `state.json`.

It lies on the volume, for the next container, and beside the challenges, for those who may not
enter the volume: nothing in it is secret.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from certificates import files

FILE = "state.json"
INTERNAL, ACME = "internal", "acme"
KEPT_FAILURES = 10


@dataclass(frozen=True, kw_only=True)
class State:
    """Times are in seconds since 1970, fingerprints SHA-256 in hexadecimal with colons."""

    issuer: str = INTERNAL
    """Whose certificate is served: internal or acme."""
    name: str = ""
    """The public name that an ACME server is asked for; empty when none is."""
    server: str = ""
    """The directory of that ACME server."""
    not_after: int = 0
    fingerprint_sha256: str = ""
    authority_fingerprint_sha256: str = ""
    last_error: str = ""
    """What the ACME server said when it last refused; empty since it last gave one."""
    next_attempt: int = 0
    """When a certificate is asked for or made next."""
    failures: tuple[int, ...] = ()
    """When it went wrong, since it last went well; the latest of them, oldest first."""


def load(file: Path) -> State:
    """The state that was saved last; a new one where there is none that can be read."""
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
        return State(**{**saved, "failures": tuple(saved["failures"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return State()


def save(state: State, *places: Path) -> None:
    """Write the state to each of the files; anyone may read them who may enter their folders."""
    text = json.dumps(asdict(state), indent=2) + "\n"
    for file in places:
        files.replace(file, text.encode(), mode=0o644)
