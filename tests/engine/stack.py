"""A real stack of the real program, driven as a person drives it: by the pulumi command."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = ("Pulumi.yaml", "__main__.py", "components", "stacks", "opencode_cloud", "docker")
SECONDS = 600


class PulumiFailedError(AssertionError):
    """A pulumi command ended badly; its whole output is the message."""


def copy_program(root: Path, to: Path) -> Path:
    """Copy what a checkout needs to run the program, so that tests write nothing into it."""
    for name in PROGRAM:
        source = root / name
        if source.is_dir():
            shutil.copytree(
                source,
                to / name,
                ignore=shutil.ignore_patterns("__pycache__", "Pulumi.*.yaml"),
                dirs_exist_ok=True,
            )
        else:
            shutil.copy2(source, to / name)
    environment = root / ".venv"
    assert environment.is_dir(), "no .venv: run ./check engine"
    (to / ".venv").symlink_to(environment)
    return to


@dataclass(frozen=True)
class Stack:
    """One stack: a name in a copy of the program, with an environment to run in."""

    name: str
    project: Path
    env: Mapping[str, str]

    def create(self, settings: Mapping[str, str]) -> "Stack":
        """Make the stack and give it its settings."""
        self.pulumi("stack", "init", self.name)
        self.configure(settings)
        return self

    def configure(self, settings: Mapping[str, str]) -> None:
        """Set configuration, all keys at once."""
        pairs = [
            part
            for key, value in settings.items()
            for part in ("--plaintext", f"opencode:{key}={value}")
        ]
        self.pulumi("config", "set-all", "--stack", self.name, *pairs)

    def unset(self, *keys: str) -> None:
        """Take configuration away."""
        self.pulumi("config", "rm-all", "--stack", self.name, *[f"opencode:{key}" for key in keys])

    def up(self) -> str:
        """Apply the program; returns what pulumi printed."""
        return self.operate("up", "--yes", "--skip-preview")

    def preview(self, *options: str) -> str:
        """Show what would change."""
        return self.operate("preview", *options)

    def refresh(self) -> str:
        """Read the real world into the state."""
        return self.operate("refresh", "--yes", "--skip-preview")

    def destroy(self) -> str:
        """Remove the stack's resources."""
        return self.operate("destroy", "--yes", "--skip-preview")

    def remove(self) -> None:
        """Remove the resources, the data and the stack itself, whatever state it is in."""
        self.configure({"delete_data_on_destroy": self.name})
        self.up()
        self.destroy()
        self.pulumi("stack", "rm", "--yes", "--force", self.name)

    def outputs(self) -> dict[str, Any]:
        """Read the stack's outputs."""
        return json.loads(self.pulumi("stack", "output", "--json", "--stack", self.name))

    def operate(self, verb: str, *options: str) -> str:
        """Run one of the verbs that work on resources."""
        return self.pulumi(
            verb, "--stack", self.name, "--non-interactive", "--color", "never", *options
        )

    def pulumi(self, *arguments: str) -> str:
        """Run pulumi in the project; returns its output.

        Raises:
            PulumiFailedError: with all that it printed.
        """
        result = subprocess.run(
            ["pulumi", *arguments],
            cwd=self.project,
            env=dict(self.env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        output = result.stdout + result.stderr
        if result.returncode:
            raise PulumiFailedError(f"pulumi {' '.join(arguments)}\n{output}")
        return result.stdout if "--json" in arguments else output
