"""Where `occ` begins and ends: every error is words for a person, never a traceback."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from opencode_cloud import __version__
from opencode_cloud.errors import OpencodeCloudError

NAMES = ("occ", "opencode-cloud")
DONE, FAILED, INTERRUPTED, PIPE_CLOSED = 0, 1, 130, 141


def main() -> NoReturn:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; gives its exit code."""
    if list(arguments) == ["--version"]:
        # Asked by scripts, often: all else would be loaded for nothing.
        print(f"opencode-cloud {__version__}")
        return DONE
    if _command(arguments) == "status":
        from opencode_cloud.cli import status_alone as program
    else:
        from opencode_cloud.cli import app as program

    try:
        code = program.call(arguments, _name())
        sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        if words := str(interrupt):
            complain(words)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has seen enough; Python shall not complain at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:
        expected = isinstance(error, (OpencodeCloudError, OSError))
        if not expected and "--verbose" in arguments:
            raise
        complain(_words(error))
        return FAILED
    return code


def _command(arguments: Sequence[str]) -> str:
    """Find the first word that is neither an option nor its value; empty when there is none."""
    words = iter(arguments)
    for word in words:
        if word == "--host":
            next(words, None)
        elif not word.startswith("-"):
            return word
    return ""


def _words(error: Exception) -> str:
    if isinstance(error, OpencodeCloudError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'this machine'}: {error.strerror or error}"
    return (
        f"this is a mistake of occ's own ({type(error).__name__}: {error}). The same command "
        "with --verbose shows where; please report that."
    )


def complain(text: str) -> None:
    """Print an error, with `occ:` before it to tell whose it is."""
    colored = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    head = "\x1b[1;31mocc:\x1b[0m" if colored else "occ:"
    # The name of a host is written as it is typed.
    names_a_host = "@" in text.partition(" ")[0]
    shown = text if names_a_host else f"{text[:1].upper()}{text[1:]}"
    print(f"{head} {shown}", file=sys.stderr)


def _name() -> str:
    """Give the name that we were called by: completions belong to it."""
    called = Path(sys.argv[0]).name
    return called if called in NAMES else NAMES[0]
