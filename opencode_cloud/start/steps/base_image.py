"""Step: the image that opencode's image is built on."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opencode_cloud.start import authorities, packages, stack_file
from opencode_cloud.start.engine import which
from opencode_cloud.start.plan import Context, Outcome, Report
from opencode_cloud.start.process import CommandError

if TYPE_CHECKING:
    from opencode_cloud.ops.docker_host import DockerHost

LOCAL_BASE = "opencode-cloud/base:trixie"
SUITE = "trixie"

REGISTRY_SECONDS = 20
"""How long a registry may say nothing; a base can be made without one."""
PULL_SECONDS = 1200
MAKE_SECONDS = 1800

_SCRIPT = Path(__file__).with_name("base_image.sh")
_PACKAGES = ("debootstrap", "debian-archive-keyring")


def pinned_base(dockerfile: str) -> str:
    """Give the image that a Dockerfile is built on by default.

    Raises:
        CommandError: it does not say.
    """
    match = re.search(r"^ARG BASE_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
    if not match:
        raise CommandError("docker/Dockerfile has no line ARG BASE_IMAGE=…")
    return match[1]


@dataclass
class BaseImage:
    """The pinned one from a registry, else the same Debian made by debootstrap."""

    context: Context
    title = "Base image"

    def is_done(self) -> str:
        """See whether the engine has an image to build on."""
        context = self.context
        if not self._builder:
            # What is built on another machine trusts whom the stack's settings say.
            context.extra_ca = authorities.extra()
        settings = stack_file.read(context.paths.stack_file(context.options.stack))
        if settings.get("image_source") == "prebuilt":
            return "not needed: the stack's image is prebuilt"
        if settings.get("kept_image"):
            return "not needed: the stack's image is one that was kept"
        chosen = settings.get("base_image", LOCAL_BASE)
        if chosen != LOCAL_BASE:
            context.base_image = chosen
            return f"{chosen}, as the stack says"
        if self._has(self._pinned):
            return self._pinned
        if self._has(LOCAL_BASE):
            context.base_image = LOCAL_BASE
            return LOCAL_BASE
        return ""

    def obstacle(self) -> str:
        """There is none that could be known without asking the registry."""
        return ""

    def plan(self) -> list[str]:
        """Give the commands."""
        install = packages.install_plan(self.context.machine, *_PACKAGES)
        return [
            f"docker pull {self._pinned}",
            "else, where no registry can be reached, make it:",
            *(f"    {line}" for line in install if not self._has_debootstrap()),
            f"    {self.context.machine.shown(self._make('base.tar'))}",
            f"    docker import base.tar {LOCAL_BASE}",
        ]

    def run(self, report: Report) -> Outcome:
        """Pull it, else make it."""
        try:
            self._pull(report)
        except CommandError as error:
            reason = (error.lines or str(error).splitlines())[-1]
            if builder := self._builder:
                raise CommandError(self._to_be_sent(builder, reason)) from None
            report.note(f"no base image from a registry: {reason}")
            return self._made(report)
        return Outcome(self._pinned)

    def _to_be_sent(self, host: "DockerHost", reason: str) -> str:
        reach = host.ssh.address.command if host.ssh else "ssh HOST"
        return (
            f"{host.name} has no image to build on, and gets none from a registry ({reason}). A "
            "machine that a deployment was set up on without a registry has made one; send it: "
            f"docker save {LOCAL_BASE} | {reach} docker load. Or name one that {host.name} can "
            "pull (config set base_image), or have it pull the whole image (--image-source "
            "prebuilt)."
        )

    @property
    def _builder(self) -> "DockerHost | None":
        """The other machine on which the image is built; ``None``: it is this one."""
        context = self.context
        settings = stack_file.read(context.paths.stack_file(context.options.stack))
        is_sent = settings.get("image_built_on") == "here"
        return None if is_sent or not context.is_remote else context.host

    def _docker(self, *words: str) -> tuple[str, ...]:
        return self._builder.docker(*words) if self._builder else ("docker", *words)

    @property
    def _pinned(self) -> str:
        return pinned_base((self.context.paths.root / "docker" / "Dockerfile").read_text())

    def _has(self, image: str) -> bool:
        return self.context.runner.ask(*self._docker("image", "inspect", image)).ok

    def _has_debootstrap(self) -> bool:
        # It is root's tool, and often not on a user's PATH.
        path = f"{self.context.environment.get('PATH', '')}:/usr/sbin"
        return which("debootstrap", {"PATH": path}) is not None

    def _pull(self, report: Report) -> None:
        report.progress(f"pulling {self._pinned.partition('@')[0]}")
        self.context.runner.run(
            *self._docker("pull", self._pinned),
            limit=PULL_SECONDS,
            first_line_within=REGISTRY_SECONDS,
            on_line=report.progress,
            name="docker pull",
        )
        where = f" on {self._builder.name}" if self._builder else ""
        self.context.note_change(f"pulled{where} the image {self._pinned}")

    def _make(self, archive: str) -> tuple[str, ...]:
        return "sh", str(_SCRIPT), SUITE, archive

    def _made(self, report: Report) -> Outcome:
        context = self.context
        if not self._has_debootstrap():
            if not context.machine.may_install:
                raise CommandError(
                    "The base image has to be made here, which takes debootstrap. "
                    + packages.install_by_hand(context.machine, *_PACKAGES)
                )
            packages.install(context.runner, report.progress, *_PACKAGES)
            context.note_change(f"installed packages {' '.join(_PACKAGES)}")

        def on_line(line: str) -> None:
            if line.startswith("I: "):
                report.progress(f"debootstrap: {line[3:].lower()}")

        context.paths.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=context.paths.cache, prefix="base-") as work:
            archive = str(Path(work) / "base.tar")
            context.runner.run_as_root(
                # Interrupted, it has some hundred megabytes to remove.
                *self._make(archive),
                limit=MAKE_SECONDS,
                grace=30,
                on_line=on_line,
            )
            report.progress("importing")
            context.runner.run(
                *("docker", "import", archive, LOCAL_BASE),
                limit=MAKE_SECONDS,
            )
        context.base_image = LOCAL_BASE
        context.note_change(f"made the image {LOCAL_BASE} with debootstrap")
        return Outcome(f"{LOCAL_BASE}, made by debootstrap")
