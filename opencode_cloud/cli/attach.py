"""`occ attach`."""

import getpass
import os
import threading
from contextlib import suppress
from typing import Annotated

import typer

from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.options import Options, options_of, refuse_json
from opencode_cloud.cli.reaching import LocalPort, PrintSsh, print_ssh
from opencode_cloud.ops import attaching, lock, reach
from opencode_cloud.ops.deployment import Deployment
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.tunnel import Tunnel

_BY_SIGNAL = 128


def attach(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- OPTION]...",
            help="Options of `opencode attach` itself, such as --continue.",
            show_default=False,
        ),
    ] = None,
    user: Annotated[
        str,
        typer.Option(
            "--user",
            "-u",
            metavar="NAME",
            help="Who signs in.",
            show_default="OPENCODE_SERVER_USERNAME, or the only user",
        ),
    ] = "",
    local_port: LocalPort = None,
    ssh: PrintSsh = False,
) -> None:
    """Run this machine's `opencode attach` at the deployment, signed in as one of its users.

    The password is asked for, or taken from OPENCODE_SERVER_PASSWORD. To a host over SSH a tunnel
    leads, as with `occ open`, until opencode ends.
    """
    options = options_of(context)
    refuse_json(options, "attach")
    deployment = options.needed()
    host = options.docker_host()
    found = reach.way(deployment, host, local_port or 0)
    if ssh:
        print_ssh(found, host)
        return
    deployment.require_running()
    program = attaching.find_program(deployment, found.url)
    who = _credentials(options, deployment, user)
    # A full screen is opencode's: what the tunnel says would be written across it.
    with (
        lock.orderly_end(),
        attaching.authorities(deployment, os.environ) as trusted,
        reach.opened(found, host, lambda _: None) as tunnel,
    ):
        attaching.check(found.url, who, trusted)
        if tunnel:
            threading.Thread(target=_quietly, args=(tunnel,), daemon=True).start()
        line = attaching.command(program, found.url, words or [])
        code = attaching.attach(line, who, trusted)
    raise typer.Exit(code if code >= 0 else _BY_SIGNAL - code)


def _credentials(options: Options, deployment: Deployment, user: str) -> attaching.Credentials:
    name = user or os.environ.get(attaching.USERNAME, "") or _only_user(options, deployment)
    if password := os.environ.get(attaching.PASSWORD, ""):
        return attaching.Credentials(name, password)
    if not options.can_ask:
        raise OperationError(
            f"There is nobody to ask for the password of {name}. Give it in the environment, as "
            f"{attaching.PASSWORD}: never on a command line, which everybody sees."
        )
    return attaching.Credentials(name, getpass.getpass(f"Password for {name}: "))


def _only_user(options: Options, deployment: Deployment) -> str:
    from opencode_cloud.ops.users import users

    names = [user.name for user in users(deployment) if user.enabled]
    if len(names) == 1:
        return names[0]
    if not names:
        raise OperationError(
            f"Nobody can sign in yet. Add somebody: {options.occ('user', 'add', 'NAME')}"
        )
    raise OperationError(f"Say who signs in, by --user NAME: {', '.join(names)}.")


def _quietly(tunnel: Tunnel) -> None:
    # What comes of it, opencode shows: it has its own words for a server that is gone.
    with suppress(OperationError):
        tunnel.hold()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "attach",
        epilog=examples(
            "occ attach",
            "occ attach --user ada -- --continue",
            "occ --host box attach",
            "occ --host box attach --print-ssh",
        ),
    )(attach)
