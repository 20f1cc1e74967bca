"""Step: the image, built or pulled where its progress can be seen."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from opencode_cloud.start import stack_file
from opencode_cloud.start.errors import StartError
from opencode_cloud.start.plan import Context, Outcome, Report

BUILD_SECONDS = 3600

_STEP = re.compile(r"\[(?!internal\])(.+?)\] (.*)")


@dataclass
class Image:
    """Does what the program will do, before it: Pulumi shows nothing of a build.

    The program builds from the same files in the same way, and finds every layer in
    the engine's cache.
    """

    context: Context
    title = "Image"
    _recipe: dict[str, Any] | None = None

    def is_done(self) -> str:
        """See whether the engine has the image of these files and settings."""
        if not self.context.paths.python.exists():
            return ""
        reference = self._wanted()["reference"]
        found = self.context.runner.ask("docker", "image", "inspect", reference)
        return reference if found.ok else ""

    def obstacle(self) -> str:
        """There is none."""
        return ""

    def plan(self) -> list[str]:
        """Give what is done."""
        build = "build docker/Dockerfile by the Docker engine's API (2 to 5 minutes)"
        if not self.context.paths.python.exists() or "context" in self._wanted():
            return [build]
        return [" ".join(self._pull())]

    def run(self, report: Report) -> Outcome:
        """Build or pull it."""
        recipe = self._wanted()
        if "context" in recipe:
            self._build(recipe, report)
        else:
            command = self._pull()
            self.context.runner.run(*command, limit=BUILD_SECONDS, on_line=report.progress)
        self.context.note_change(f"made the image {recipe['reference']}")
        return Outcome(recipe["reference"])

    def _build(self, recipe: dict[str, Any], report: Report) -> None:
        def on_line(line: str) -> None:
            if match := _STEP.match(line):
                report.progress(f"step {match[1]}: {match[2]}")

        report.progress("sending the files to the engine")
        socket = self.context.docker_host.removeprefix("unix://")
        self.context.runner.run(
            *(sys.executable, "-m", "opencode_cloud.start.image_build"),
            limit=BUILD_SECONDS,
            cwd=self.context.paths.root,
            stdin=json.dumps({**recipe, "socket": socket}),
            on_line=on_line,
        )

    def _pull(self) -> tuple[str, ...]:
        return "docker", "pull", self._wanted()["reference"]

    def _wanted(self) -> dict[str, Any]:
        if self._recipe is None:
            self._recipe = self._ask_program()
        return self._recipe

    def _ask_program(self) -> dict[str, Any]:
        context = self.context
        stack = context.options.stack
        settings = stack_file.read(context.paths.stack_file(stack))
        asked = {"settings": settings, "stack": stack, "project": str(context.paths.root)}
        answer = subprocess.run(
            [str(context.paths.python), "-m", "opencode_cloud.start.image_recipe"],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=False,
            cwd=context.paths.root,
        )
        if answer.returncode != 0:
            raise StartError(answer.stderr.strip())
        return json.loads(answer.stdout)
