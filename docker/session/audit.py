"""Who signed in and out, from where: one line of JSON for each, and counts for the metrics."""

import json
import logging
from collections import Counter, OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime

from session.limits import network

LONGEST_AGENT = 256
"""Characters that are kept of what a client says of itself."""
FLOODS = 1000
"""Limited addresses that are followed; the oldest make room."""

SIGN_IN, REFUSED, LIMITED = "sign_in", "sign_in_refused", "sign_in_limited"
SIGN_OUT, REVOKED, EVERYWHERE = "sign_out", "session_revoked", "signed_out_everywhere"
CHANGED = "account_changed"

FORM, BASIC = "form", "basic"
"""The ways to sign in."""

_log = logging.getLogger("audit")


@dataclass(frozen=True)
class Client:
    """Where a request comes from."""

    address: str
    agent: str
    """What it says of itself, cut to LONGEST_AGENT."""


class Audit:
    """Never told a password, token, cookie or grant; times are seconds since 1970."""

    def __init__(self, window: float) -> None:
        """`window` is how often, in seconds, a limited address is worth a line."""
        self.counts: Counter[tuple[str, str | None]] = Counter()
        """How often each event was, by event and method."""
        self._window = window
        self._floods: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def note(
        self,
        event: str,
        client: Client,
        now: float,
        *,
        user: str | None,
        method: str | None = None,
        session: str | None = None,
    ) -> None:
        """Say that `event` was. `user` is the name of an account, never just what was typed."""
        self.counts[event, method] += 1
        _log.info("%s", line(event, client, now, user=user, method=method, session=session))

    def note_limited(self, client: Client, now: float, *, user: str | None, method: str) -> None:
        """The same for an attempt beyond the limit; a line's count is of all since the last."""
        self.counts[LIMITED, method] += 1
        said, silent = self._floods.pop(network(client.address), (float("-inf"), 0))
        if now - said >= self._window:
            _log.info("%s", line(LIMITED, client, now, user=user, method=method, count=silent + 1))
            said, silent = now, -1
        self._floods[network(client.address)] = (said, silent + 1)
        if len(self._floods) > FLOODS:
            self._floods.popitem(last=False)


def line(
    event: str,
    client: Client,
    now: float,
    *,
    user: str | None,
    method: str | None = None,
    session: str | None = None,
    count: int | None = None,
) -> str:
    """One line, in ASCII: whatever a client sent cannot begin another one."""
    time = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    fields = {
        "time": time.replace("+00:00", "Z"),
        "event": event,
        "user": user,
        "address": client.address,
        "method": method,
        "session": session,
        "agent": client.agent[:LONGEST_AGENT],
    }
    return json.dumps(fields if count is None else fields | {"count": count})
