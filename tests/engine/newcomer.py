"""Somebody who has just cloned the repository, and knows ./start alone."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import requests

from tests.engine.images import images_of
from tests.engine.leftovers import end_programs_of

SECONDS = 900
"""Enough for a first run with the engine cached."""

_NOT_THEIRS = re.compile(r"PULUMI_|VIRTUAL_ENV|XDG_|DOCKER_HOST|NO_COLOR|PYTHON|OPENCODE_")


def unprepared(folder: Path) -> dict[str, str]:
    """Give the shell of somebody whose home is in `folder`; the cache is the machine's."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    kept = {name: v for name, v in os.environ.items() if not _NOT_THEIRS.match(name)}
    own = {"HOME": folder / "home", "XDG_DATA_HOME": folder / "share"}
    return kept | {name: str(path) for name, path in own.items()} | {"XDG_CACHE_HOME": cache}


@dataclass(frozen=True)
class Run:
    """What one ./start came to."""

    code: int
    out: str
    err: str
    seconds: float

    def field(self, name: str) -> str:
        """Read a line of the summary."""
        found = re.search(rf"^  {name} +(\S+)", self.out, re.MULTILINE)
        assert found, f"no {name} in:\n{self.out}\n{self.err}"
        return found[1]


@dataclass(frozen=True)
class Newcomer:
    """A checkout, a home and a stack of their own; the engine's cache is the machine's."""

    folder: Path
    stack: str
    port: int
    client: docker.DockerClient

    @property
    def checkout(self) -> Path:
        """Folder of the clone."""
        return self.folder / "a clone"

    @property
    def data(self) -> Path:
        """Folder that ./start keeps things in."""
        return self.folder / "share" / "opencode-cloud"

    @property
    def log(self) -> Path:
        """Log of the last run."""
        return self.data / "start.log"

    @property
    def container(self) -> str:
        """Name of the deployment's container."""
        return f"opencode-{self.stack}"

    @property
    def environment(self) -> dict[str, str]:
        """A shell that nobody has prepared."""
        return unprepared(self.folder)

    def clone(self, root: Path) -> None:
        """Take what git would, uncommitted work included, into a repository of its own."""
        (self.folder / "home").mkdir(parents=True)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root,
            check=True,
            capture_output=True,
            text=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            if not (root / name).exists():
                continue
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, self.checkout / name, follow_symlinks=False)
        self.git("init", "--quiet")
        self.git("add", "--all")
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        self.git(*who, "commit", "--quiet", "--message", "a clone")

    def git(self, *arguments: str) -> str:
        """Run git in the clone."""
        return self._output("git", *arguments)

    def shell(self, script: str) -> str:
        """Run a script in the clone, as typed into a plain shell."""
        return self._output("sh", "-ec", script)

    def start(self, *arguments: str, stdin: str = "") -> Run:
        """Run ./start to its end."""
        began = time.monotonic()
        done = subprocess.run(
            self._command(*arguments),
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr, time.monotonic() - began)

    def set_password(self, password: str) -> None:
        """Give the default user a password of their own."""
        done = self.start("--password-stdin", stdin=f"{password}\n")
        assert done.code == 0, done.err

    def start_until(self, command: str) -> Run:
        """Run ./start, and press Ctrl-C a moment after it has begun to run ``command``."""
        with self.starting() as process:
            self.wait_for_command(command, process)
            time.sleep(1)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=SECONDS)
        return Run(process.returncode, out, err, time.monotonic() - began)

    @contextmanager
    def starting(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run ./start in the background; ended by then."""
        process = subprocess.Popen(
            self._command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def wait_for_command(self, command: str, process: subprocess.Popen[str]) -> None:
        """Wait until the log says that a command was begun."""
        pattern = re.compile(rf"^\$ .*{command}", re.MULTILINE)
        deadline = time.monotonic() + SECONDS
        while not (self.log.exists() and pattern.search(self.log.read_text())):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def sees_the_app(self, url: str, user: str, password: str) -> bool:
        """Whether a browser and a program both get in with these."""
        browser = requests.Session()
        page = browser.get(f"{url}/_gateway/login", timeout=10)
        form = dict(re.findall(r'name="(csrf|next)" value="([^"]*)"', page.text))
        form |= {"username": user, "password": password}
        browser.post(f"{url}/_gateway/login", data=form, timeout=10, allow_redirects=False)
        health = f"{url}/global/health"
        by_form = browser.get(health, timeout=10).status_code
        by_basic = requests.get(health, auth=(user, password), timeout=10).status_code
        assert by_form == by_basic, "the form and Basic know the same users"
        return by_form == requests.codes.ok

    def objects(self) -> set[str]:
        """Everything of this stack's that the Docker engine has."""
        mine = self._mine
        found = [
            *self.client.containers.list(all=True, filters=mine),
            *self.client.networks.list(filters=mine),
        ]
        images = images_of(self.client, self.stack).values()
        volumes = self.client.volumes.list(filters=mine)
        return {str(thing.id) for thing in found} | {*images} | {v.name for v in volumes}

    def files(self) -> dict[str, int]:
        """Every file of theirs, and when it was last written."""
        return {
            str(path): path.lstat().st_mtime_ns
            for path in self.folder.rglob("*")
            if path.is_file() and ".git/" not in str(path)
        }

    def remove(self) -> None:
        """Leave the machine as it was."""
        end_programs_of(self.folder)
        mine = self._mine
        for container in self.client.containers.list(all=True, filters=mine):
            container.remove(force=True)
        for thing in [
            *self.client.networks.list(filters=mine),
            *self.client.volumes.list(filters=mine),
        ]:
            thing.remove()
        for tag in images_of(self.client, self.stack):
            self.client.images.remove(tag)

    @property
    def _mine(self) -> dict[str, str | list[str] | bool]:
        return {"label": f"org.opencode-cloud.stack={self.stack}"}

    def _command(self, *arguments: str) -> list[str]:
        return [str(self.checkout / "start"), "--stack", self.stack, *arguments]

    def _output(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout
