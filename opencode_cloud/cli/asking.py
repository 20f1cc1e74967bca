"""Questions that are answered with yes or no."""

import sys


def agrees(question: str, *, default: bool = False) -> bool:
    """Ask on the terminal; an empty answer is `default`, and the end of the input is no."""
    print(question, end=" ", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer.strip():
        return default and bool(answer)
    return answer.strip().lower() in ("y", "yes")
