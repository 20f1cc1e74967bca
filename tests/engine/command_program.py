"""A small program that declares one resource of pulumi-command, driven by the real engine."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engine.stack import Stack

PROGRAM = """
import json
from pathlib import Path

import pulumi
from pulumi_command import local, remote

SPECIAL = {
    "$secret": pulumi.Output.secret,
    "$file": pulumi.FileAsset,
    "$text": pulumi.StringAsset,
    "$folder": pulumi.FileArchive,
    "$assets": lambda texts: pulumi.AssetArchive(
        {name: pulumi.StringAsset(text) for name, text in texts.items()}
    ),
}


def resolve(value):
    for name, make in SPECIAL.items():
        if isinstance(value, dict) and name in value:
            return make(value[name])
    return value


wanted = json.loads(Path("wanted.json").read_text())
inputs = {name: resolve(value) for name, value in wanted["inputs"].items()}
if wanted["kind"] == "local.run":
    pulumi.export("stdout", local.run(**inputs).stdout)
else:
    module, name = wanted["kind"].split(".")
    getattr({"local": local, "remote": remote}[module], name)("it", **inputs)
"""


@dataclass(frozen=True)
class Program:
    """A stack whose program declares one resource."""

    stack: Stack

    def up(self, kind: str, **inputs: Any) -> str:
        """Declare the resource and apply; returns what pulumi printed."""
        self.declare(kind, **inputs)
        return self.stack.operate("up", "--yes", "--skip-preview")

    def declare(self, kind: str, **inputs: Any) -> None:
        text = json.dumps({"kind": kind, "inputs": inputs})
        (self.stack.project / "wanted.json").write_text(text)

    def state(self) -> str:
        return self.stack.pulumi("stack", "export", "--stack", self.stack.name)

    def resource(self) -> dict[str, Any]:
        resources = json.loads(self.state())["deployment"]["resources"]
        return next(one for one in resources if one["type"].startswith("command:"))


@contextmanager
def command_program(folder: Path, environment: Mapping[str, str]) -> Iterator[Program]:
    """Give the program a stack of its own, and drop the stack without running anything."""
    runtime = {"name": "python", "options": {"virtualenv": environment["VIRTUAL_ENV"]}}
    project = {"name": "command-plugin", "runtime": runtime}
    (folder / "Pulumi.yaml").write_text(json.dumps(project))
    (folder / "__main__.py").write_text(PROGRAM)
    stack = Stack(f"command-{os.getpid()}-{time.monotonic_ns()}", folder, environment)
    stack.pulumi("stack", "init", stack.name)
    yield Program(stack)
    stack.pulumi("stack", "rm", "--yes", "--force", stack.name)
