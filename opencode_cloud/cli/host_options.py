"""The options of `occ host add` and `occ host edit`: how a host is reached."""

import functools
import inspect
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints

import typer

WAIT_SECONDS = 120

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The host's name here: its stack.", show_default=False)
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
    """How a host is to be reached, as options said; None: they do not say.

    What is annotated is an option of each command that is made `by_options`.
    """

    ssh_host: str | None = None
    port: Annotated[int | None, typer.Option("--port", "-p", help="Port of its SSH server.")] = None
    identity: Annotated[
        str | None,
        typer.Option("--identity", "-i", metavar="FILE", help="Private key to sign in with."),
    ] = None
    jump: Annotated[
        str | None,
        typer.Option(
            "--jump",
            "-J",
            metavar="[USER@]HOST[:PORT]",
            help="A host to go through; commas between several.",
        ),
    ] = None
    group: Annotated[
        list[str] | None,
        typer.Option(metavar="GROUP", help="A group that it belongs to; may be repeated."),
    ] = None
    host_key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'TYPE BASE64'",
            help="Its own public key, known from elsewhere; may be repeated.",
        ),
    ] = None
    accept_host_key: Annotated[
        bool,
        typer.Option("--accept-host-key", help="Take the key that it shows now (--yes does not)."),
    ] = False
    docker_host: Annotated[
        str | None,
        typer.Option(
            metavar="unix://PATH",
            help="Socket of the Docker engine there; otherwise the one that answers.",
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.host_key and self.accept_host_key:
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
            "groups": None if self.group is None else ",".join(filter(None, self.group)),
            "docker_host": self.docker_host,
            "ssh_host_key": ",".join(self.host_key or ()) or None,
        }
        return {name: value for name, value in said.items() if value is not None}

    @property
    def words(self) -> str:
        """The options again, as they are typed; but for keys."""
        words = [word for group in self.group or () for word in ("--group", group)]
        for flag, value in (
            ("--port", self.port),
            ("--identity", self.identity),
            ("--jump", self.jump),
            ("--docker-host", self.docker_host),
        ):
            words += [flag, str(value)] if value is not None else []
        return f" {shlex.join(words)}" if words else ""


def by_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a `Way` in the place of its parameter `way`."""
    hints = get_type_hints(Way, include_extras=True)
    options = {name: hint for name, hint in hints.items() if get_origin(hint) is Annotated}

    @functools.wraps(command)
    def with_options(*args: Any, **given: Any) -> None:
        way = Way(**{name: given.pop(name) for name in options})
        command(*args, way=way, **given)

    # What Typer reads a command's options from.
    signature = inspect.signature(command, eval_str=True)
    own = list(signature.parameters.values())
    place = list(signature.parameters).index("way")
    own[place : place + 1] = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=getattr(Way, name), annotation=hint
        )
        for name, hint in options.items()
    ]
    with_options.__dict__["__signature__"] = signature.replace(parameters=own)
    with_options.__annotations__ = {each.name: each.annotation for each in own}
    return with_options
