"""Times and durations for people."""

from datetime import UTC, datetime

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def moment(seconds: float) -> str:
    """A point in time, like `2026-11-22 23:05 UTC`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def duration(seconds: float) -> str:
    """A length of time in its largest unit, rounded down, like `6 hours`."""
    for length, unit in _UNITS:
        if (count := int(seconds // length)) >= 1:
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "0 seconds"


def distance(then: float, now: float) -> str:
    """How far away a point in time is, like `in 3 days` or `2 hours ago`."""
    return f"in {duration(then - now)}" if then >= now else f"{duration(now - then)} ago"
