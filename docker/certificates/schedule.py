"""When an ACME server is asked.

Let's Encrypt stops listening to an account after five failed authorizations of a name within an
hour (https://letsencrypt.org/docs/rate-limits/, "Authorization Failures"), so five failures an
hour are all there ever are, whatever restarts and impatient people do.
"""

import math
from collections.abc import Iterable, Sequence

from certificates.certificate import Certificate

MINUTE, HOUR = 60, 3600
"""Seconds."""
WAITS = (1 * MINUTE, 5 * MINUTE, 30 * MINUTE, 6 * HOUR)
"""After the first failure in a row, the second, the third, and all that follow."""
SPREAD = 0.1
"""Part of a wait by which it may be longer, so that machines that fail together do not return
together."""
FAILURES_AN_HOUR = 5
LONGEST_SLEEP = HOUR
"""Clocks are set and laptops suspended, so what is due is looked at this often."""


def is_attempt_due(
    certificate: Certificate | None,
    failures: Sequence[int],
    next_attempt: int,
    now: float,
    at_once: bool,
) -> bool:
    """Whether to ask for a certificate now.

    `failures` are the times of those in a row, oldest first. `at_once` is a person's or a new
    container's wish not to wait for `next_attempt`.
    """
    if certificate and not certificate.is_due(now):
        return False
    if at_once or not failures:
        return earliest_attempt(failures, now) <= now
    # One that lies further ahead than any wait was planned by a clock that was wrong.
    longest = WAITS[-1] * (1 + SPREAD)
    return not now < next_attempt <= now + longest


def earliest_attempt(failures: Sequence[int], now: float) -> int:
    """When there may be another attempt: now, unless the hour has seen its failures."""
    recent = [moment for moment in failures if now - HOUR < moment <= now]
    if len(recent) < FAILURES_AN_HOUR:
        return int(now)
    return recent[-FAILURES_AN_HOUR] + HOUR


def attempt_after(failures: Sequence[int], now: float, chance: float) -> int:
    """When to try again after `failures`, the last of which was just now.

    `chance` is a random number from 0 to 1.
    """
    wait = WAITS[min(len(failures), len(WAITS)) - 1]
    later = math.ceil(now + wait * (1 + SPREAD * chance))
    return max(later, earliest_attempt(failures, now))


def seconds_to_sleep(moments: Iterable[int], now: float) -> int:
    """How long until the first of `moments`: a second at least, an hour at most."""
    first = min(moments, default=int(now) + LONGEST_SLEEP)
    return max(1, min(LONGEST_SLEEP, int(first - now) + 1))
