"""`occ start`, `occ stop`, `occ restart`."""

import shlex
import time
from typing import TYPE_CHECKING, Annotated

import typer

from opencode_cloud.cli.applying import apply
from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.live_line import LiveLine
from opencode_cloud.cli.options import Options, options_of, refuse_json
from opencode_cloud.ops.errors import NoDeploymentError

if TYPE_CHECKING:
    from opencode_cloud.ops.program import Program
    from opencode_cloud.start.steps.image import Anew


Mounts = Annotated[
    list[str] | None,
    typer.Option(
        "--mount",
        metavar="FOLDER:PATH[:ro]",
        help="A folder of the machine to mount, this time alone. May be said again.",
        show_default=False,
    ),
]
Port = Annotated[
    int | None,
    typer.Option(
        "--port", min=1, max=65535, help="Another port, this time alone.", show_default=False
    ),
]
Pull = Annotated[
    bool, typer.Option("--pull-sandbox-image", help="Pull the prebuilt image once more before.")
]
Cached = Annotated[
    bool,
    typer.Option(
        "--cached-rebuild-sandbox-image", help="Build the image once more, from what the cache has."
    ),
]
Full = Annotated[
    bool, typer.Option("--full-rebuild-sandbox-image", help="Build the image from nothing.")
]


def start(
    context: typer.Context,
    *,
    mount: Mounts = None,
    port: Port = None,
    pull: Pull = False,
    cached: Cached = False,
    full: Full = False,
) -> None:
    """Start the deployment as its settings are now; wait until opencode answers.

    Running already, with the settings that it was made by: nothing changes. What is said for this
    time alone holds until the next start that has something to apply.
    """
    from opencode_cloud.ops.program import find_program

    options = options_of(context)
    refuse_json(options, "start")
    anew = _anew(pull=pull, cached=cached, full=full)
    asked = bool(mount or port or anew)
    program = find_program(options.host, options.trace)
    if not (program and program.is_known):
        # The first run: this offers to make what is not there.
        options.needed()
    if program and (asked or not (program.is_applied and _has_container(options))):
        _apply(options, program, mount or [], port, anew)
        return
    if asked:
        # It says where it can be done.
        from opencode_cloud.ops.program import program_of

        program_of(options.host)
    _start_container(options)


def _anew(*, pull: bool, cached: bool, full: bool) -> "Anew | None":
    from opencode_cloud.start.steps.image import Anew

    said = [
        how
        for how, is_said in ((Anew.PULL, pull), (Anew.CACHED, cached), (Anew.FULL, full))
        if is_said
    ]
    if len(said) > 1:
        raise typer.BadParameter("the image is either pulled or built, from the cache or without.")
    return said[0] if said else None


def _apply(
    options: Options, program: "Program", mounts: list[str], port: int | None, anew: "Anew | None"
) -> None:
    from opencode_cloud.cli.mount import for_one_start
    from opencode_cloud.ops.one_off import config_with

    words = [word for spec in mounts for word in ("--mount", shlex.quote(spec))]
    command = options.occ("start", *words, *(("--port", str(port)) if port else ()))
    settings = {}
    if mounts:
        settings["mounts"] = for_one_start(options, mounts, f"{command} --yes")
    if port:
        settings["port"] = str(port)
    if not settings:
        apply(options, program, command, anew=anew)
        return
    with config_with(program, settings) as file:
        apply(options, program, command, config_file=file, anew=anew)


def _has_container(options: Options) -> bool:
    try:
        options.deployment()
    except NoDeploymentError:
        return False
    return True


def _start_container(options: Options) -> None:
    from opencode_cloud.ops import lifecycle

    deployment = options.deployment()
    began = time.monotonic()
    with LiveLine(f"Starting {deployment.stack}{options.there}", options) as line:
        changed = lifecycle.start(deployment, line)
    took = time.monotonic() - began
    url = f"{deployment.url}{options.there}"
    options.say(f"opencode answers at {url} ({took:.0f} s)" if changed else f"It runs: {url}")


def stop(context: typer.Context) -> None:
    """Stop the deployment; users, sessions and projects stay. Stopped already: nothing changes."""
    from opencode_cloud.ops import lifecycle

    options = options_of(context)
    refuse_json(options, "stop")
    deployment = options.deployment()
    with LiveLine(f"Stopping {deployment.stack}{options.there}", options) as line:
        changed = lifecycle.stop(deployment, line)
    said = "Stopped" if changed else "It was stopped already"
    options.say(f"{said}{options.there}, and stays so until: {options.occ('start')}")


def restart(context: typer.Context) -> None:
    """Stop the deployment if it runs, start it, and wait until opencode answers."""
    from opencode_cloud.ops import lifecycle

    options = options_of(context)
    refuse_json(options, "restart")
    deployment = options.needed()
    began = time.monotonic()
    with LiveLine(f"Restarting {deployment.stack}{options.there}", options) as line:
        lifecycle.restart(deployment, line)
    took = time.monotonic() - began
    options.say(f"opencode answers at {deployment.url}{options.there} again ({took:.0f} s)")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    more = {
        "start": (
            "occ start --mount ~/projects/site:/workspace/site",
            "occ start --cached-rebuild-sandbox-image",
        )
    }
    for command in (start, stop, restart):
        name = command.__name__
        lines = (f"occ {name}", *more.get(name, ()), f"occ --host second {name}")
        app.command(epilog=examples(*lines))(command)
