"""What is left of programs that a test killed."""

import os
import signal
from contextlib import suppress
from pathlib import Path


def end_programs_of(folder: Path) -> None:
    """End every process that runs a program in `folder`: a killed engine leaves its plugins."""
    for process in Path("/proc").glob("[0-9]*"):
        # It may have ended by now, or be nobody's to look at.
        with suppress(OSError):
            program = (process / "cmdline").read_bytes().partition(b"\0")[0]
            if program.startswith(f"{folder}/".encode()):
                os.kill(int(process.name), signal.SIGKILL)
