"""Step: the image, built or pulled where its progress can be seen."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from opencode_cloud.start import stack_file
from opencode_cloud.start.errors import StartError
from opencode_cloud.start.image_sending import End, require_same_machine, send
from opencode_cloud.start.plan import Context, Outcome, Report
from opencode_cloud.start.process import CommandError
from opencode_cloud.start.steps.base_image import LOCAL_BASE
from opencode_cloud.start.steps.docker_engine import DEFAULT_HOST

BUILD_SECONDS = 3600

THIS_MACHINE = "this machine"

_SCHEME = "unix://"
_NO_BASE = re.compile(r"failed to (?:resolve|do request|fetch|copy)|pull access denied|not found")
"""What the engine says of an image to build on that it cannot get."""
_STEP = re.compile(r"\[(?!internal\])(.+?)\] (.*)")


def own_socket(environment: Mapping[str, str]) -> str:
    """Give the socket of this machine's own engine, which no stack's settings name."""
    said = environment.get("DOCKER_HOST", "")
    return (said if said.startswith(_SCHEME) else DEFAULT_HOST).removeprefix(_SCHEME)


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
        if not self.context.paths.python.exists():
            return [build]
        if "context" in self._wanted():
            sent = ["send it to the Docker engine of the host"]
            return [build, *(sent if self._wanted().get("sent") else [])]
        return [f"docker {' '.join(self._pull())}"]

    def run(self, report: Report) -> Outcome:
        """Build or pull it."""
        recipe = self._wanted()
        if "context" in recipe:
            self._make(recipe, report)
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
        self._make({**recipe, **how}, report)
        return recipe["reference"]

    def _make(self, recipe: dict[str, Any], report: Report) -> None:
        """Build it where it is to run; or here, and send it."""
        there = End(self._host, self.context.docker_host.removeprefix(_SCHEME))
        if not recipe.get("sent"):
            self._build_there(recipe, there, report)
            return
        here = End(THIS_MACHINE, own_socket(os.environ))
        require_same_machine(here, there)
        self._build(recipe, here, report)
        send(recipe["reference"], here, there, report.progress)
        # For the host alone: it would be in the way here when the next one comes.
        here.untag(recipe["reference"])

    def _build_there(self, recipe: dict[str, Any], there: End, report: Report) -> None:
        try:
            self._build(recipe, there, report)
        except CommandError as error:
            base = recipe["build_args"].get("BASE_IMAGE", "")
            if self._host == THIS_MACHINE or not _NO_BASE.search("\n".join(error.lines)):
                raise
            stack = self.context.options.stack
            raise StartError(
                f"{error}\n{there.name} cannot get {base or 'the base image'}. Have the image "
                f"built on this machine, and sent: occ --host {stack} config set image_built_on "
                f"here. Or name one that it can get: occ --host {stack} config set base_image NAME"
            ) from None

    @property
    def _host(self) -> str:
        stack = self.context.options.stack
        values = stack_file.read(self.context.paths.stack_file(stack))
        return values.get("ssh_host") or THIS_MACHINE

    def _build(self, recipe: dict[str, Any], on: End, report: Report) -> None:
        def on_line(line: str) -> None:
            if match := _STEP.match(line):
                report.progress(f"step {match[1]}: {match[2]}")

        report.progress("sending the files to the engine")
        self.context.runner.run(
            *(sys.executable, "-m", "opencode_cloud.start.image_build"),
            limit=BUILD_SECONDS,
            cwd=self.context.paths.root,
            stdin=json.dumps({**recipe, "socket": on.socket}),
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
        if Path(sys.prefix).resolve() == context.paths.venv.resolve():
            # `occ` runs in it; another Python would be started and loaded for nothing.
            from opencode_cloud.start.image_recipe import recipe

            return recipe(**asked)
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
