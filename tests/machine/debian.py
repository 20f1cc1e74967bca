"""A Debian machine on which nothing is installed yet, in a container."""

import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.models.containers import Container

from opencode_cloud.start import authorities
from opencode_cloud.start.paths import Paths
from tests.engine.execution import execute
from tests.engine.newcomer import Run
from tests.engine.turns import in_turn

SCRIPT = Path(__file__).with_name("image.sh")
REPOSITORY = "opencode-cloud-test-machine"

# All but what the machine under these tests lacks itself.
DROPPED = ("SYS_RESOURCE", "SYS_MODULE", "SYS_TIME", "SYS_RAWIO")
UNCONFINED = ("seccomp", "apparmor", "systempaths")


@dataclass(frozen=True)
class Machine:
    """One machine, and a person who works on it."""

    container: Container
    user: str

    @property
    def home(self) -> str:
        """Home of that person."""
        return "/root" if self.user == "root" else f"/home/{self.user}"

    @property
    def checkout(self) -> str:
        """Where they cloned the repository."""
        return f"{self.home}/opencode-cloud"

    def run(self, script: str, user: str | None = None) -> Run:
        """Run a script as that person, with the output of both kinds in one."""
        began = time.monotonic()
        done = execute(
            self.container.id,
            *("sh", "-c", script),
            user=user or self.user,
            environment={"HOME": self.home},
            workdir=self.checkout,
        )
        return Run(done.returncode, done.stdout, "", time.monotonic() - began)

    def as_root(self, script: str) -> str:
        """Run a script as root; it must succeed."""
        done = self.run(script, user="root")
        assert done.code == 0, f"{script}\n{done.out}"
        return done.out

    def state(self) -> str:
        """What is installed, and every file of that person's."""
        return self.as_root(f"dpkg -l; find {self.home} -printf '%p %T@\\n' | sort")

    def restart(self) -> None:
        """Switch it off and on."""
        self.container.restart(timeout=60)
        self.wait_booted()

    def wait_booted(self) -> None:
        """Wait until it is up, where systemd says so."""
        deadline = time.monotonic() + 180
        while execute(self.container.id, "systemctl", "is-system-running").returncode != 0:
            assert time.monotonic() < deadline, self.container.logs(tail=30).decode()
            time.sleep(0.5)


@contextmanager
def machine(
    client: docker.DockerClient, suite: str, user: str, clone: Path, *, systemd: bool
) -> Iterator[Machine]:
    """Boot a fresh Debian ``suite`` that has a clone of the repository; gone afterwards."""
    image = image_of(client, suite)
    # Compiling the engine takes ten minutes, and is another test's matter.
    engine = Paths.of(clone, os.environ).cache / "engine"
    made = create(
        client,
        f"{REPOSITORY}-{suite}-{os.getpid()}",
        image,
        *("--volume", f"{engine}:/opt/engine:ro"),
        systemd=systemd,
    )
    try:
        booted = Machine(made, user)
        made.put_archive("/", company_authorities())
        made.put_archive("/", _packed_folder(clone, booted.checkout.lstrip("/")))
        made.start()
        if systemd:
            booted.wait_booted()
        cache = f"{booted.home}/.cache/opencode-cloud"
        booted.as_root(f"mkdir -p {cache} && ln -s /opt/engine {cache}/engine")
        booted.as_root(f"chown -R {user}: {booted.home}")
        yield booted
    finally:
        made.remove(force=True, v=True)


def create(
    client: docker.DockerClient, name: str, image: str, *options: str, systemd: bool = True
) -> Container:
    """Make a container that is a machine: it may do all that ours may, and has a Docker's disk."""
    # By the command: the library has no word for unconfined system paths.
    created = _docker(
        *("create", "--tty", "--cgroupns", "private", "--name", name),
        *("--cap-add", "ALL", *(word for name in DROPPED for word in ("--cap-drop", name))),
        *(word for option in UNCONFINED for word in ("--security-opt", f"{option}=unconfined")),
        *("--tmpfs", "/run:exec", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec"),
        *("--volume", "/var/lib/docker", *options),
        *(("--stop-signal", "SIGRTMIN+3") if systemd else ("--init",)),
        *(image, "/machine-init", "systemd" if systemd else "without-systemd"),
    )
    return client.containers.get(created)


def image_of(client: docker.DockerClient, suite: str) -> str:
    """Make the image of a fresh Debian, from an archive that is made once; it is kept."""
    assert shutil.which("debootstrap"), "no debootstrap: apt-get install debootstrap"
    with in_turn(suite):
        return _image_of(client, suite)


def _image_of(client: docker.DockerClient, suite: str) -> str:
    key = hashlib.sha256(SCRIPT.read_bytes()).hexdigest()[:12]
    cache = Paths.of(SCRIPT.parent, os.environ).cache / "machines"
    cache.mkdir(parents=True, exist_ok=True)
    archive = cache / f"{suite}-{key}.tar"
    if not archive.exists():
        unfinished = archive.with_suffix(".new")
        subprocess.run(["sh", SCRIPT, suite, unfinished], check=True, stdout=subprocess.DEVNULL)
        unfinished.rename(archive)
    name = f"{REPOSITORY}:{suite}-{key}"
    if not client.images.list(filters={"reference": name}):
        # By the command: the library reads the whole archive into memory.
        _docker("import", str(archive), name)
    return name


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def company_authorities() -> bytes:
    """Pack this machine's own authorities as an administrator would add them."""
    pems = re.findall(r"-----BEGIN .+?-----END CERTIFICATE-----\n", authorities.extra(), re.DOTALL)
    folder = "usr/local/share/ca-certificates"
    return packed({f"{folder}/company-{n}.crt": pem.encode() for n, pem in enumerate(pems)})


def packed(files: Mapping[str, bytes], mode: int = 0o644) -> bytes:
    """Pack files by their paths, for their owner alone to write."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _packed_folder(folder: Path, name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(folder, arcname=name)
    return buffer.getvalue()
