"""Step: the program's Python packages."""

import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from opencode_cloud.start.authorities import BUNDLE
from opencode_cloud.start.plan import Context, Outcome, Report

INSTALL_SECONDS = 1800


@dataclass
class PythonEnvironment:
    """``.venv``, from the packages that requirements.txt locks by hash.

    Made with venv and pip, not with anything faster: Pulumi's language host asks
    the environment's own pip what is installed.
    """

    context: Context
    title = "Python environment"
    compiles = True
    """Whether every module is compiled now, and not when something first imports it."""

    @property
    def _mark(self) -> Path:
        return self.context.paths.venv / ".made-from"

    def is_done(self) -> str:
        """See whether the last installation ended, and was of these packages."""
        made_from = self._mark.read_text() if self._mark.exists() else ""
        return str(self.context.paths.venv) if made_from == self._wanted() else ""

    def obstacle(self) -> str:
        """There is none: what it takes is what runs this."""
        return ""

    def plan(self) -> list[str]:
        """Give the commands."""
        return [" ".join(command) for command in (self._create(), self._install())]

    def run(self, report: Report) -> Outcome:
        """Make it from nothing: half an installation cannot be told from a whole one."""
        context = self.context
        wanted = self._wanted()
        self._mark.unlink(missing_ok=True)
        report.progress("creating")
        context.runner.run(*self._create(), limit=120)
        requirements = context.paths.requirements.read_text()
        total = len(re.findall(r"^[a-z0-9]\S*==", requirements, re.MULTILINE))
        collected = 0

        def on_line(line: str) -> None:
            nonlocal collected
            if line.startswith("Collecting "):
                collected += 1
                package = line.split()[1].partition("==")[0]
                report.progress(f"fetching package {collected} of {total}: {package}")
            elif line.startswith("Installing "):
                report.progress(f"installing {total} packages")

        context.runner.run(
            *self._install(),
            limit=INSTALL_SECONDS,
            on_line=on_line,
            environment=self._environment(),
        )
        self._mark.write_text(wanted)
        context.note_change(f"made {context.paths.venv}")
        return Outcome(f"{total} packages")

    def _wanted(self) -> str:
        digest = hashlib.sha256(self.context.paths.requirements.read_bytes()).hexdigest()
        # A new Python of the distribution's would not find the old one's packages.
        return f"{sys.version_info.major}.{sys.version_info.minor} {digest}\n"

    def _create(self) -> tuple[str, ...]:
        # This may itself be .venv's Python, which is about to be removed.
        python = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
        interpreter = str(python) if os.access(python, os.X_OK) else sys.executable
        return interpreter, "-m", "venv", "--clear", str(self.context.paths.venv)

    def _install(self) -> tuple[str, ...]:
        return (
            *(str(self.context.paths.python), "-m", "pip", "install", "--no-input"),
            *("--disable-pip-version-check", "--progress-bar", "off"),
            *(() if self.compiles else ("--no-compile",)),
            *("--require-hashes", "-r", str(self.context.paths.requirements)),
        )

    def _environment(self) -> dict[str, str]:
        # pip brings its own list of authorities; the machine's has more.
        bundle = {"PIP_CERT": str(BUNDLE)} if BUNDLE.exists() else {}
        return {**bundle, **self.context.environment}
