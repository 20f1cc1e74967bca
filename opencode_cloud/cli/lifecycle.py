"""`occ start`, `occ stop`, `occ restart`."""

import time

import typer

from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.live_line import LiveLine
from opencode_cloud.cli.options import options_of, refuse_json


def start(context: typer.Context) -> None:
    """Start the deployment and wait until opencode answers. Running already: nothing changes."""
    from opencode_cloud.ops import lifecycle

    options = options_of(context)
    refuse_json(options, "start")
    deployment = options.deployment()
    began = time.monotonic()
    with LiveLine(f"Starting {deployment.stack}", options) as line:
        changed = lifecycle.start(deployment, line)
    took = time.monotonic() - began
    url = deployment.url
    options.say(f"opencode answers at {url} ({took:.0f} s)" if changed else f"It runs: {url}")


def stop(context: typer.Context) -> None:
    """Stop the deployment; users, sessions and projects stay. Stopped already: nothing changes."""
    from opencode_cloud.ops import lifecycle

    options = options_of(context)
    refuse_json(options, "stop")
    deployment = options.deployment()
    with LiveLine(f"Stopping {deployment.stack}", options) as line:
        changed = lifecycle.stop(deployment, line)
    said = "Stopped" if changed else "It was stopped already"
    options.say(f"{said}, and stays so until: {options.occ('start')}")


def restart(context: typer.Context) -> None:
    """Stop the deployment if it runs, start it, and wait until opencode answers."""
    from opencode_cloud.ops import lifecycle

    options = options_of(context)
    refuse_json(options, "restart")
    deployment = options.deployment()
    began = time.monotonic()
    with LiveLine(f"Restarting {deployment.stack}", options) as line:
        lifecycle.restart(deployment, line)
    took = time.monotonic() - began
    options.say(f"opencode answers at {deployment.url} again ({took:.0f} s)")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (start, stop, restart):
        name = command.__name__
        app.command(epilog=examples(f"occ {name}", f"occ --host second {name}"))(command)
