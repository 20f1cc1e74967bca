"""How long a person at a terminal waits for `occ`, and for docker's own answer to the same."""

import os
import shutil
import subprocess
from pathlib import Path

from bench.timing import in_turn, show
from tests.engine.stack import Stack
from tests.engine.terminal import Terminal

ROUNDS = 15


def measure(root: Path, stack: Stack) -> None:
    """Ask what there is, in turn with the docker command."""
    shutil.copy2(root / "occ", stack.project / "occ")
    occ = (str(stack.project / "occ"), "--host", stack.name)
    environment = {**os.environ, "TERM": "xterm-256color"}

    def run(*command: str) -> None:
        done = subprocess.run(
            command, env=environment, check=False, capture_output=True, stdin=subprocess.DEVNULL
        )
        # A problem is doctor's to find; all else has to succeed.
        assert done.returncode == 0 or "doctor" in command, done

    def on_terminal(*command: str) -> None:
        with Terminal(command, environment) as terminal:
            assert terminal.ends() == 0

    version, status, panel, doctor, inspect, ours = in_turn(
        lambda: run(occ[0], "--version"),
        lambda: run(*occ, "status"),
        lambda: on_terminal(*occ, "status"),
        lambda: run(*occ, "doctor"),
        lambda: run("docker", "inspect", f"opencode-{stack.name}"),
        lambda: run("docker", "version"),
        runs=ROUNDS,
    )
    print("occ")
    show("docker version", ours)
    show("occ --version", version, ours)
    show("docker inspect", inspect)
    show("occ status", status, inspect)
    show("occ status, on a terminal", panel, inspect)
    show("occ doctor", doctor, inspect)
