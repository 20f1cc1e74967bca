"""The session service's part of the metrics, in Prometheus' text format."""

from collections.abc import Mapping

from metrics.exposition import COUNTER, GAUGE, family

from session import audit
from session.upstream import Health

_RESULTS = {
    "accepted": audit.SIGN_IN,
    "refused": audit.REFUSED,
    "limited": audit.LIMITED,
}


def exposition(sessions: int, counts: Mapping[tuple[str, str | None], int], health: Health) -> str:
    """All of it; `counts` are of the audit's events, by event and method."""
    families = [
        family("sessions", GAUGE, "Sessions that have not ended.", {"": sessions}),
        family(
            "sign_ins_total",
            COUNTER,
            "Attempts to sign in.",
            {
                f'{{method="{method}",result="{result}"}}': counts.get((event, method), 0)
                for method in (audit.FORM, audit.BASIC)
                for result, event in _RESULTS.items()
            },
        ),
        family(
            "revocations_total",
            COUNTER,
            "Sign-ins made void: a session revoked, everything signed out, or the account changed.",
            {"": _revocations(counts)},
        ),
        family(
            "opencode_healthy",
            GAUGE,
            "Whether opencode itself says that it is healthy.",
            {"": int(health.healthy)},
        ),
        family(
            "opencode_info",
            GAUGE,
            "The opencode that answers.",
            {f'{{version="{_escape(health.version)}"}}': 1} if health.version else {},
        ),
    ]
    return "".join(families)


def _revocations(counts: Mapping[tuple[str, str | None], int]) -> int:
    events = (audit.REVOKED, audit.EVERYWHERE, audit.CHANGED)
    return sum(count for (event, _), count in counts.items() if event in events)


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
