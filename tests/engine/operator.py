"""Somebody who looks after a deployment by occ alone: a checkout and a data folder of their own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker

from tests.engine.deployment import PASSWORD, USER, Deployment, free_port
from tests.engine.images import images_of
from tests.engine.leftovers import end_programs_of
from tests.engine.newcomer import unprepared
from tests.engine.occ import Occ
from tests.engine.stack import Stack, copy_program

ALSO = ("occ", "start", "cloud-init", "tools", "schemas", "requirements.txt")
SECONDS = 900


@dataclass(frozen=True)
class OperatorOcc(Occ):
    """The occ of the operator's own checkout, in the operator's own shell."""

    shell: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        return {**self.shell, "OPENCODE_STACK": self.stack, "TERM": "xterm"}


@dataclass(frozen=True)
class Operator:
    """A copy of the program, a home and a stack; the engine's cache is the machine's."""

    folder: Path
    stack: str
    port: int
    client: docker.DockerClient

    @property
    def checkout(self) -> Path:
        """Folder of the copy."""
        return self.folder / "checkout"

    @property
    def data(self) -> Path:
        """Folder of state, passphrase and backups."""
        return self.folder / "share" / "opencode-cloud"

    @property
    def stack_file(self) -> Path:
        """The stack's settings."""
        return self.checkout / "stacks" / f"Pulumi.{self.stack}.yaml"

    @property
    def environment(self) -> dict[str, str]:
        """A shell that nobody has prepared for Pulumi."""
        return unprepared(self.folder)

    @property
    def occ(self) -> OperatorOcc:
        """The command, for the operator's stack."""
        return OperatorOcc(self.checkout, self.stack, self.environment)

    @property
    def deployment(self) -> Deployment:
        """What runs, as others see it."""
        env = self.environment | {
            "PATH": os.environ["PATH"],
            "PULUMI_BACKEND_URL": f"file://{self.data / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.data / "passphrase"),
            "VIRTUAL_ENV": str(self.checkout / ".venv"),
        }
        stack = Stack(self.stack, self.checkout, env)
        return Deployment(stack, f"http://127.0.0.1:{self.port}", self.client)

    def prepare(self, root: Path) -> None:
        """Make the checkout and the home."""
        self.checkout.mkdir()
        (self.folder / "home").mkdir()
        self.data.mkdir(parents=True)
        copy_program(root, self.checkout)
        for name in ALSO:
            source, to = root / name, self.checkout / name
            if source.is_dir():
                shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, to)
        # The plugins of this machine's engine, so that none is installed anew.
        if home := os.environ.get("PULUMI_HOME"):
            (self.data / "pulumi-home").symlink_to(home)

    def start(self, *arguments: str) -> str:
        """Run ./start for the stack; it must succeed."""
        words = ("--stack", self.stack, "--port", str(self.port), "--user", USER, *arguments)
        done = subprocess.run(
            [str(self.checkout / "start"), *words, "--password-stdin"],
            cwd=self.checkout,
            env=self.environment,
            input=f"{PASSWORD}\n",
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def remove(self) -> None:
        """Remove what Docker has of the stack, data included, whatever state it is in."""
        end_programs_of(self.folder)
        mine: dict[str, str | list[str] | bool] = {
            "label": f"org.opencode-cloud.stack={self.stack}"
        }
        for container in self.client.containers.list(all=True, filters=mine):
            container.remove(force=True)
        for network in self.client.networks.list(filters=mine):
            network.remove()
        for volume in self.client.volumes.list(filters=mine):
            volume.remove(force=True)
        for tag in images_of(self.client, self.stack):
            self.client.images.remove(tag, force=True)


@contextmanager
def operating(
    root: Path, folder: Path, stack: str, client: docker.DockerClient
) -> Iterator[Operator]:
    """An operator whose deployment is up, with one user; all of it is removed at the end."""
    operator = Operator(folder, stack, free_port(), client)
    operator.prepare(root)
    try:
        operator.start()
        yield operator
    finally:
        operator.remove()
