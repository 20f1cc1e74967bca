"""Step: the image, built or pulled where its progress can be seen."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from opencode_cloud.start import stack_file
from opencode_cloud.start.errors import StartError
from opencode_cloud.start.plan import Context, Outcome, Report
from opencode_cloud.start.steps.base_image import LOCAL_BASE

BUILD_SECONDS = 3600

_STEP = re.compile(r"\[(?!internal\])(.+?)\] (.*)")


class Anew(StrEnum):
    """Ways to get an image that is there already, once more."""

    PULL = "pull"
    CACHED = "cached"
    """Built, from what the cache has."""
    FULL = "full"
    """Built from nothing, on the base as it is published now."""


@dataclass
class Image:
    """Does what the program will do, before it: Pulumi shows nothing of a build.

    The program builds from the same files in the same way, and finds every layer in
    the engine's cache.
    """

    context: Context
    settings: Mapping[str, str] | None = None
    """What to make it by; ``None``: what the stack's file says."""
    title = "Image"
    _recipe: dict[str, Any] | None = None

    def is_done(self) -> str:
        """See whether the engine has the image of these files and settings."""
        if not self.context.paths.python.exists():
            return ""
        reference = self._wanted()["reference"]
        found = self.context.runner.ask(*self.context.docker("image", "inspect", reference))
        return reference if found.ok else ""

    def obstacle(self) -> str:
        """There is none."""
        return ""

    def plan(self) -> list[str]:
        """Give what is done."""
        build = "build docker/Dockerfile by the Docker engine's API (2 to 5 minutes)"
        if not self.context.paths.python.exists() or "context" in self._wanted():
            return [build]
        return [f"docker {' '.join(self._pull())}"]

    def run(self, report: Report) -> Outcome:
        """Build or pull it."""
        recipe = self._wanted()
        if "context" in recipe:
            self._build(recipe, report)
        elif recipe["kept"]:
            raise StartError(
                f"The image {recipe['reference']}, which opencode:kept_image names, is not on the "
                "Docker host any more, and nowhere else. To have the image of the other settings: "
                f"pulumi config rm opencode:kept_image --stack {self.context.options.stack}"
            )
        else:
            self._run_pull(report)
        self.context.note_change(f"made the image {recipe['reference']}")
        return Outcome(recipe["reference"])

    def again(self, anew: Anew, report: Report) -> str:
        """Build or pull it whether it is there or not; gives its name.

        Raises:
            StartError: the stack's image is not got in that way.
        """
        recipe = self._wanted()
        if recipe["kept"]:
            raise StartError(
                f"The deployment runs {recipe['reference']}, which an update went back to, and "
                "which cannot be made again. `occ update` takes a new one."
            )
        built = "context" in recipe
        if built != (anew is not Anew.PULL):
            raise StartError(
                "The stack builds its image, and pulls none. To build it again: occ start "
                "--cached-rebuild-sandbox-image, or --full-rebuild-sandbox-image."
                if built
                else "The stack pulls its image, and builds none. To pull it again: occ start "
                "--pull-sandbox-image. To build one: occ config set image_source build."
            )
        if not built:
            self._run_pull(report)
            return recipe["reference"]
        full = anew is Anew.FULL
        own_base = recipe["build_args"].get("BASE_IMAGE") == LOCAL_BASE
        if full and own_base:
            report.note(f"{LOCAL_BASE} was made on this machine, and is built on as it is")
        how = {"without_cache": full, "base_again": full and not own_base}
        self._build({**recipe, **how}, report)
        return recipe["reference"]

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
        return "pull", self._wanted()["reference"]

    def _run_pull(self, report: Report) -> None:
        command = self.context.docker(*self._pull())
        self.context.runner.run(
            *command, limit=BUILD_SECONDS, on_line=report.progress, name="docker pull"
        )

    def _wanted(self) -> dict[str, Any]:
        if self._recipe is None:
            self._recipe = self._ask_program()
        return self._recipe

    def _ask_program(self) -> dict[str, Any]:
        context = self.context
        stack = context.options.stack
        settings = self.settings or stack_file.read(context.paths.stack_file(stack))
        asked = {"settings": dict(settings), "stack": stack, "project": str(context.paths.root)}
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
