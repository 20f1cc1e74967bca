"""`occ` as a person runs it, on one deployment."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.engine.terminal import Terminal

SECONDS = 120


@dataclass(frozen=True)
class Occ:
    """The command of the checkout, for one stack."""

    root: Path
    stack: str

    def command(self, words: Sequence[str]) -> list[str]:
        return [str(self.root / "occ"), *words]

    @property
    def environment(self) -> dict[str, str]:
        # Never to be used: a deployment's Docker host is its stack's.
        wrong = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
        return {**os.environ, **wrong, "OPENCODE_STACK": self.stack, "TERM": "xterm"}

    def attempt(
        self, *words: str, stdin: bytes = b"", cwd: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it without a terminal."""
        return subprocess.run(
            self.command(words),
            input=stdin,
            capture_output=True,
            env=self.environment,
            check=False,
            timeout=SECONDS,
            cwd=cwd,
        )

    def __call__(self, *words: str, stdin: bytes = b"") -> str:
        """Run it without a terminal; it must succeed."""
        done = self.attempt(*words, stdin=stdin)
        assert done.returncode == 0, done
        return done.stdout.decode()

    def refused(self, *words: str, stdin: bytes = b"") -> str:
        """Run what cannot be done; gives what is said."""
        done = self.attempt(*words, stdin=stdin)
        said = done.stderr.decode()
        assert (done.returncode, done.stdout) == (1, b""), done
        assert said.startswith("occ: ")
        assert "Traceback" not in said
        return said

    def begin(self, *words: str) -> "subprocess.Popen[bytes]":
        """Run it and go on."""
        return subprocess.Popen(
            self.command(words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
        )

    def on_terminal(self, *words: str) -> Terminal:
        """Run it on a terminal."""
        return Terminal(self.command(words), self.environment)
