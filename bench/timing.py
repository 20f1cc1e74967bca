"""Measuring two things in turn, so that a machine's mood falls on both."""

import statistics
import time
from collections.abc import Callable

RUNS = 5


def seconds(action: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def in_turn(*actions: Callable[[], object], runs: int = RUNS) -> list[list[float]]:
    """Time each of ``actions``, A B A B ..., after one round that does not count."""
    rounds = [[seconds(action) for action in actions] for _ in range(runs + 1)]
    return [list(column) for column in zip(*rounds[1:], strict=True)]


def show(title: str, samples: list[float], rival: list[float] | None = None) -> None:
    """Print a row: median, least and most; and the median of the ratios to the rival."""
    row = f"  {title:<44} {statistics.median(samples):7.2f} s"
    row += f"   ({min(samples):.2f} to {max(samples):.2f})"
    if rival:
        ratio = statistics.median(a / b for a, b in zip(samples, rival, strict=True))
        difference = statistics.median(a - b for a, b in zip(samples, rival, strict=True))
        row += f"   x{ratio:.2f}   {difference:+.2f} s"
    print(row, flush=True)
