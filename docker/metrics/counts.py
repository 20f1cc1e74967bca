"""What has been counted since the service was started."""

import threading
from bisect import bisect_left
from collections import Counter, defaultdict

from metrics.entry import STREAM, Entry
from metrics.exposition import COUNTER, HISTOGRAM, family

LIMITS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
"""Of the histogram's buckets, in milliseconds."""


class Counts:
    """May be added to in one thread and read in another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._bytes: Counter[str] = Counter()
        self._milliseconds: Counter[str] = Counter()
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (1 + len(LIMITS)))
        """By kind, how many requests took as long as each limit and longer than the one before."""

    def add(self, entry: Entry) -> None:
        """Count one request."""
        with self._lock:
            self._requests[entry.kind, entry.method, entry.code] += 1
            self._bytes[entry.kind] += entry.size
            # How long a stream was open says how long somebody stayed, and nothing of speed.
            if entry.kind != STREAM:
                self._milliseconds[entry.kind] += entry.milliseconds
                self._buckets[entry.kind][bisect_left(LIMITS, entry.milliseconds)] += 1

    def exposition(self) -> str:
        """All of it."""
        with self._lock:
            requests = {
                f'{{kind="{kind}",method="{method}",code="{code}"}}': count
                for (kind, method, code), count in sorted(self._requests.items())
            }
            sizes = {f'{{kind="{kind}"}}': size for kind, size in sorted(self._bytes.items())}
            durations: dict[str, float] = {}
            for kind, buckets in sorted(self._buckets.items()):
                durations |= _histogram(kind, buckets, self._milliseconds[kind])
        return (
            family("requests_total", COUNTER, "Requests answered.", requests)
            + family("response_bytes_total", COUNTER, "Bytes of answers sent.", sizes)
            + family(
                "request_duration_seconds",
                HISTOGRAM,
                "Time from a request's first byte to its answer's last one, but for streams.",
                durations,
            )
        )


def _histogram(kind: str, buckets: list[int], milliseconds: int) -> dict[str, float]:
    samples: dict[str, float] = {}
    count = 0
    for limit, more in zip([*LIMITS, None], buckets, strict=True):
        count += more
        bound = f"{limit / 1000:g}" if limit else "+Inf"
        samples[f'_bucket{{kind="{kind}",le="{bound}"}}'] = count
    samples[f'_sum{{kind="{kind}"}}'] = milliseconds / 1000
    samples[f'_count{{kind="{kind}"}}'] = count
    return samples
