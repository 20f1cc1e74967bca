"""What a folder gives away besides files to work on, on the machine that it is on."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opencode_cloud.ops import folders
from opencode_cloud.ops.folders import Seen
from opencode_cloud.ops.project import DEFAULT_STACK
from opencode_cloud.spec.mounts import BindMount
from opencode_cloud.start.paths import Paths

if TYPE_CHECKING:
    from opencode_cloud.ops.docker_host import DockerHost

HERE = "this machine"
"""How the reasons below call the machine that the folder is on."""

_WHOLE = {
    "/": "is the whole machine",
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
    """What there is on the machine that no folder should give away."""

    home: Path
    data: Path | None
    """The product's own: state, passphrase, backups. None: they are on another machine."""
    program: Path | None
    """What is run whenever the settings are applied; likewise."""
    sockets: tuple[Path, ...]
    """Of container engines: whoever can use one is root on the machine."""
    stack: str = DEFAULT_STACK
    """Whose folders they are, for the commands that are said."""
    mounted: tuple[Path, ...] = ()
    """Where other file systems begin, as far as that is known."""
    where: str = HERE
    """Which machine it is, for people."""
    see: Callable[[str], Seen] = folders.see
    """Looks at a path of it."""

    @classmethod
    def of(
        cls,
        root: Path,
        docker_host: str,
        stack: str = DEFAULT_STACK,
        environment: Mapping[str, str] | None = None,
    ) -> "Surroundings":
        """Find this machine's; `root` is the program's folder."""
        environment = os.environ if environment is None else environment
        runtime = environment.get("XDG_RUNTIME_DIR")
        rootless = [f"{runtime}/docker.sock", f"{runtime}/podman/podman.sock"] if runtime else []
        named = docker_host.removeprefix("unix://")
        table = Path("/proc/self/mountinfo")
        text = table.read_text(errors="surrogateescape") if table.exists() else ""
        return cls(
            home=Path.home().resolve(),
            data=Paths.of(root, environment).data.resolve(),
            program=root.resolve(),
            sockets=tuple(Path(path).resolve() for path in (named, *_SOCKETS, *rootless)),
            stack=stack,
            mounted=folders.mount_points(text),
        )

    @classmethod
    def around(cls, host: "DockerHost", root: Path, paths: Iterable[str]) -> "Surroundings":
        """Find those of the machine that a deployment runs on.

        Args:
            host: that machine.
            root: the program's folder, on this one.
            paths: all that will be looked at; another machine is asked once for all of them.

        Raises:
            OperationError: it cannot be reached.
        """
        if not host.is_remote:
            return cls.of(root, f"unix://{host.socket}", host.stack)
        known = (host.socket, *_SOCKETS)
        secrets = [f"~/{name}" for name in _SECRETS]
        asked = list(paths)
        sight = folders.see_there(host.shell, [*asked, *known, *secrets])
        others = sight.seen.keys() - {*asked, *secrets}
        home = Path(sight.home)
        seen = {path.replace("~", sight.home, 1): found for path, found in sight.seen.items()}
        return cls(
            home=home,
            data=None,
            program=None,
            sockets=tuple(Path(sight.seen[path].real) for path in sorted(others)),
            stack=host.stack,
            mounted=folders.mount_points(sight.mounted),
            where=host.name,
            see=seen.__getitem__,
        )


def danger(mount: BindMount, surroundings: Surroundings) -> str:
    """Say what a folder gives away besides files to work on; empty when nothing is known."""
    source = Path(mount.source)
    if source.is_relative_to(_MACS_OWN):
        # There, /etc and /var are links to what is in it.
        source = Path("/") / source.relative_to(_MACS_OWN)
    reasons = _reasons(source, surroundings, writable=mount.writable)
    return next(reasons, "").replace(HERE, surroundings.where)


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
    if around.data and _overlap(source, around.data):
        yield f"holds opencode-cloud's own state and passphrase ({around.data})"
    for name in _SECRETS:
        place = around.home / name
        if source.is_relative_to(place) or (
            place.is_relative_to(source) and around.see(str(place)).kind != folders.MISSING
        ):
            yield f"holds keys and passwords ({place})"
    if writable and around.program and _overlap(source, around.program):
        yield "holds opencode-cloud's own program, which runs on this machine"

    inner = next((place for place in around.mounted if source in place.parents), None)
    if inner and not writable:
        yield f"holds another file system ({inner}) that Docker before 25 leaves writable"


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
