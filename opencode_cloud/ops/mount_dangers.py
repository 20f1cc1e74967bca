"""What a folder of this machine gives away besides files to work on."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from opencode_cloud.ops.project import DEFAULT_STACK
from opencode_cloud.spec.mounts import BindMount
from opencode_cloud.start.paths import Paths

_WHOLE = {
    "/": "is this whole machine",
    "/home": "holds everybody's home folders",
    "/Users": "holds everybody's home folders",
    "/root": "is root's home folder, with keys and passwords in it",
    "/var": "holds the data of this machine's services, Docker's among them",
    "/var/lib": "holds the data of this machine's services, Docker's among them",
}
"""Folders that are dangerous as a whole; what is in them need not be."""

_SYSTEM = {
    "/etc": "holds this machine's settings, password hashes among them",
    "/boot": "is what this machine starts from",
    "/proc": "shows, and changes, what the kernel does",
    "/sys": "shows, and changes, what the kernel does",
    "/dev": "holds this machine's disks and devices",
    "/run": "holds the sockets of this machine's services",
    "/bin": "holds programs that this machine runs",
    "/sbin": "holds programs that this machine runs",
    "/lib": "holds programs that this machine runs",
    "/lib64": "holds programs that this machine runs",
    "/usr": "holds programs that this machine runs",
    "/var/lib/docker": "holds all containers of this machine, and their data",
    "/var/lib/containerd": "holds all containers of this machine, and their data",
    "/var/spool": "holds what this machine does by the clock",
    "/var/log": "holds what this machine's services have logged",
}
"""Folders that are dangerous with all that is in them."""

_SECRETS = (
    *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".config/gcloud", ".config/gh"),
    *(".password-store", ".local/share/keyrings", ".mozilla", "Library/Keychains"),
)
"""Folders in a home that hold keys and passwords."""

_MACS_OWN = Path("/private")

_SOCKETS = (
    *("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock"),
    *("/run/podman/podman.sock", "/run/crio/crio.sock"),
)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What there is on this machine that no folder should give away."""

    home: Path
    data: Path
    """The product's own: state, passphrase, backups."""
    program: Path
    """What is run here whenever the settings are applied."""
    sockets: tuple[Path, ...]
    """Of container engines: whoever can use one is root on this machine."""
    stack: str = DEFAULT_STACK
    """Whose folders they are, for the commands that are said."""
    mounted: tuple[Path, ...] = ()
    """Where other file systems begin on this machine, as far as that is known."""

    @classmethod
    def of(
        cls,
        root: Path,
        docker_host: str,
        stack: str = DEFAULT_STACK,
        environment: Mapping[str, str] | None = None,
    ) -> "Surroundings":
        """Find them; `root` is the program's folder."""
        environment = os.environ if environment is None else environment
        runtime = environment.get("XDG_RUNTIME_DIR")
        rootless = [f"{runtime}/docker.sock", f"{runtime}/podman/podman.sock"] if runtime else []
        named = docker_host.removeprefix("unix://")
        return cls(
            home=Path.home().resolve(),
            data=Paths.of(root, environment).data.resolve(),
            program=root.resolve(),
            sockets=tuple(Path(path).resolve() for path in (named, *_SOCKETS, *rootless)),
            stack=stack,
            mounted=_mounted(Path("/proc/self/mountinfo")),
        )


def danger(mount: BindMount, surroundings: Surroundings) -> str:
    """Say what a folder gives away besides files to work on; empty when nothing is known."""
    source = Path(mount.source)
    if source.is_relative_to(_MACS_OWN):
        # There, /etc and /var are links to what is in it.
        source = Path("/") / source.relative_to(_MACS_OWN)
    reasons = _reasons(source, surroundings, writable=mount.writable)
    return next(reasons, "")


def _reasons(source: Path, around: Surroundings, *, writable: bool) -> Iterator[str]:
    if str(source) in _WHOLE:
        yield _WHOLE[str(source)]
    for folder, why in _SYSTEM.items():
        if source.is_relative_to(folder):
            yield why
    if source == around.home or str(source.parent) in ("/home", "/Users"):
        yield "is a whole home folder, with keys and passwords in it"
    if around.home.is_relative_to(source):
        yield "holds a whole home folder, with keys and passwords in it"
    if _overlap(source, around.data):
        yield f"holds opencode-cloud's own state and passphrase ({around.data})"
    for name in _SECRETS:
        place = around.home / name
        if source.is_relative_to(place) or (place.is_relative_to(source) and place.exists()):
            yield f"holds keys and passwords ({place})"
    if writable and _overlap(source, around.program):
        yield "holds opencode-cloud's own program, which runs on this machine"

    inner = next((place for place in around.mounted if source in place.parents), None)
    if inner and not writable:
        yield f"holds another file system ({inner}) that Docker before 25 leaves writable"


def _mounted(table: Path) -> tuple[Path, ...]:
    """Read where something is mounted, from the kernel's table."""
    lines = table.read_text(errors="surrogateescape").splitlines() if table.exists() else []
    # Spaces and the like are written as \040.
    paths = (
        re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), line.split()[4]) for line in lines
    )
    return tuple(map(Path, paths))


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
