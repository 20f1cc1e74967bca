"""A stand-in for a Mac: a home, and commands that answer as its own do."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LAUNCHCTL = """#!/bin/sh
echo "$*" >> "$HOME/asked"
case $1 in
    print) case $2 in */*/*) [ -e "$HOME/loaded" ] ;; *) [ ! -e "$HOME/signed-out" ] ;; esac ;;
    bootstrap) touch "$HOME/loaded" ;;
    bootout) rm -f "$HOME/loaded" ;;
esac
"""


@contextmanager
def a_mac(home: Path) -> Iterator[None]:
    """Have this process and its children be on one; a file `signed-out` in `home`: nobody is."""
    for name, text in (("uname", "#!/bin/sh\necho Darwin\n"), ("launchctl", LAUNCHCTL)):
        (home / name).write_text(text)
        (home / name).chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{home}:{os.environ['PATH']}")
        patch.setenv("HOME", str(home))
        yield
