"""Measuring things in turn, so that a machine's mood falls on all of them."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

RUNS = 5

T = TypeVar("T")


def seconds(action: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def alternate(*measures: Callable[[], T], runs: int = RUNS) -> list[list[T]]:
    """Take each measure once a round, A B, B A ..., after one round that does not count."""
    columns: list[list[T]] = [[] for _ in measures]
    for number in range(runs + 1):
        order = range(len(measures))
        for index in order if number % 2 else reversed(order):
            columns[index].append(measures[index]())
    return [column[1:] for column in columns]


def in_turn(*actions: Callable[[], object], runs: int = RUNS) -> list[list[float]]:
    """Time each of ``actions``."""
    return alternate(*(partial(seconds, action) for action in actions), runs=runs)


def show(title: str, samples: list[float], rival: list[float] | None = None) -> None:
    """Print a row: median, least and most; and the median of the ratios to the rival."""
    row = f"  {title:<44} {statistics.median(samples):7.2f} s"
    row += f"   ({min(samples):.2f} to {max(samples):.2f})"
    if rival:
        ratio = statistics.median(a / b for a, b in zip(samples, rival, strict=True))
        difference = statistics.median(a - b for a, b in zip(samples, rival, strict=True))
        row += f"   x{ratio:.2f}   {difference:+.2f} s"
    print(row, flush=True)
