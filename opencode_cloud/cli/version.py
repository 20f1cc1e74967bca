"""`occ version`."""

import json

import typer

from opencode_cloud import __version__
from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.options import options_of
from opencode_cloud.ops.errors import OperationError


def version(context: typer.Context) -> None:
    """Show the versions of occ, of the deployment's image and of its opencode."""
    options = options_of(context)
    found = {"cli": __version__, "image": "", "opencode": ""}
    why = ""
    try:
        deployment = options.deployment()
        found["image"] = deployment.labels.get("org.opencode-cloud.version", "")
        found["opencode"] = deployment.labels.get("org.opencode-cloud.opencode-version", "")
        if deployment.is_running:
            from opencode_cloud.ops import health

            found["opencode"] = health.ask(deployment).version or found["opencode"]
    except OperationError as error:
        # Its own version is known all the same.
        why = str(error)
    if options.json:
        print(json.dumps(found))
        return
    print(f"opencode-cloud {__version__}")
    if why:
        options.say(f"image          unknown. {why}")
        return
    print(f"image          {found['image'] or 'unknown'}")
    print(f"opencode       {found['opencode'] or 'unknown'}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=examples("occ version", "occ version --json", "occ --version"))(version)
