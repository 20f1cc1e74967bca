"""A second look at the few tests that failed beside another lane: their files again, alone.

Tests of real machines share this one with another lane, and one of thousands may meet the other.
Its failure is told all the same, and its cause is to be mended. Tests that share nothing, and more
failures than chance makes, get no second look.
"""

import re
from collections.abc import Sequence

from tools.lanes import Result

LANE = "alone"
LAYERS = ("machine", "engine", "browser")
"""Where a test shares the machine with whatever runs beside it."""
MOST = 2
"""Files with failures that may be chance."""
TESTS_FAILED = 1
"""pytest's exit status when it ran everything, and some of it failed."""
FAILED = re.compile(r"(?:FAILED|ERROR) (tests/(\w+)/[^:]+\.py)::")
LEFT_OUT = "which counts as failed"
"""What is said of a skipped test and of an empty layer, which no second look makes good."""


def files(results: Sequence[Result]) -> list[str]:
    """Give the files that get a second look after these lanes; none where that is not due."""
    found = [FAILED.match(line) for result in results for line in result.closing]
    failed = [match for match in found if match]
    files = sorted({match[1] for match in failed})
    is_due = (
        all(result.passed or _is_explained(result) for result in results)
        and len(files) <= MOST
        and all(match[2] in LAYERS for match in failed)
    )
    return files if is_due else []


def _is_explained(failed: Result) -> bool:
    """Whether a lane failed for its tests alone, and neither ended early nor left some out."""
    told = any(FAILED.match(line) for line in failed.closing)
    left_out = any(LEFT_OUT in line for line in failed.closing)
    return failed.status == TESTS_FAILED and told and not left_out
