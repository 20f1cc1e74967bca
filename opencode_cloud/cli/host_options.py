"""The options of `occ host add` and `occ host edit`: how a host is reached."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

WAIT_SECONDS = 120

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The host's name here: its stack.", show_default=False)
]
Port = Annotated[int | None, typer.Option("--port", "-p", help="Port of its SSH server.")]
Identity = Annotated[
    str | None,
    typer.Option("--identity", "-i", metavar="FILE", help="Private key to sign in with."),
]
Jump = Annotated[
    str | None,
    typer.Option(
        "--jump",
        "-J",
        metavar="[USER@]HOST[:PORT]",
        help="A host to go through; commas between several.",
    ),
]
Groups = Annotated[
    list[str] | None,
    typer.Option("--group", metavar="GROUP", help="A group that it belongs to; may be repeated."),
]
HostKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--host-key",
        metavar="'TYPE BASE64'",
        help="Its own public key, known from elsewhere; may be repeated.",
    ),
]
AcceptHostKey = Annotated[
    bool,
    typer.Option("--accept-host-key", help="Take the key that it shows now (--yes does not)."),
]
DockerHost = Annotated[
    str | None,
    typer.Option(
        metavar="unix://PATH",
        help="Socket of the Docker engine there; otherwise the one that answers.",
    ),
]
InstallDocker = Annotated[
    bool,
    typer.Option(
        "--install-docker", help="Install Docker from the distribution's packages, if missing."
    ),
]
Wait = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", min=0, help="How long to wait for a host that is still booting."
    ),
]


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a host is to be reached, as options said; None: they do not say."""

    ssh_host: str | None = None
    port: int | None = None
    identity: str | None = None
    jump: str | None = None
    groups: list[str] | None = None
    docker_host: str | None = None
    host_keys: list[str] = field(default_factory=list)
    accept: bool = False

    def __post_init__(self) -> None:
        if self.host_keys and self.accept:
            raise typer.BadParameter(
                "--host-key gives the key and --accept-host-key takes whatever is shown: use one "
                "of the two."
            )
        identity = Path(self.identity or "").expanduser()
        if self.identity and not identity.is_file():
            raise typer.BadParameter(f"There is no file {identity}.", param_hint="--identity")

    @property
    def settings(self) -> dict[str, str]:
        """The settings that it comes to; empty values are those of nobody."""
        identity = self.identity and str(Path(self.identity).expanduser().absolute())
        said = {
            "ssh_host": self.ssh_host,
            "ssh_port": None if self.port is None else str(self.port or ""),
            "ssh_identity_file": identity,
            "ssh_jump": self.jump,
            "groups": None if self.groups is None else ",".join(self.groups),
            "docker_host": self.docker_host,
            "ssh_host_key": ",".join(self.host_keys) or None,
        }
        return {name: value for name, value in said.items() if value is not None}

    @property
    def words(self) -> str:
        """The options again, as they are typed; but for keys."""
        words = [word for group in self.groups or () for word in ("--group", group)]
        for flag, value in (
            ("--port", self.port),
            ("--identity", self.identity),
            ("--jump", self.jump),
            ("--docker-host", self.docker_host),
        ):
            words += [flag, str(value)] if value is not None else []
        return f" {shlex.join(words)}" if words else ""
