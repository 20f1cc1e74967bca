"""How often somebody may try a password: a decision about times, which are passed in as seconds."""

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Iterable

SIZE = 10_000
"""Buckets that are kept; those not tried for longest make room."""
LONGEST_NAME = 64
"""Characters of a name that are told apart; no account's name is as long."""


def network(address: str) -> str:
    """Whom an address belongs to: itself, or its /64, which a single IPv6 client has whole."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64))


def of_address(address: str) -> str:
    """The bucket of a client's address."""
    return f"address {network(address)}"


def of_name(name: str) -> str:
    """The bucket of an account's name, whether or not there is such an account."""
    return f"name {name[:LONGEST_NAME]}"


class Limits:
    """Attempts of the last `window` seconds, in buckets that hold `attempts` each.

    An attempt counts from its beginning, so that guesses made at once cannot exceed the limit.
    """

    def __init__(self, attempts: int, window: float) -> None:
        self._attempts = attempts
        self._window = window
        self._buckets: OrderedDict[str, list[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def begin(self, names: Iterable[str], now: float) -> int:
        """Count an attempt in all of the buckets; else seconds to wait, and it counts in none."""
        buckets = {name: self._recent(name, now) for name in names}
        full = [times for times in buckets.values() if len(times) >= self._attempts]
        if full:
            frees = max(times[-self._attempts] for times in full) + self._window
            return max(1, math.ceil(frees - now))
        for name, times in buckets.items():
            self._buckets[name] = [*times, now]
            self._buckets.move_to_end(name)
        # Only what counts makes a bucket, so that who is limited cannot push others' out.
        while len(self._buckets) > SIZE:
            self._buckets.popitem(last=False)
        return 0

    def give_back(self, names: Iterable[str], began: float) -> None:
        """Uncount the attempt that began then: it was no failure."""
        for name in names:
            bucket = self._buckets.get(name, [])
            if began in bucket:
                bucket.remove(began)

    def _recent(self, name: str, now: float) -> list[float]:
        """When the attempts in the bucket began that still count, oldest first."""
        return [began for began in self._buckets.get(name, []) if now - began < self._window]
