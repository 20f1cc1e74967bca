"""`occ open`."""

import os
import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.options import options_of, refuse_json
from opencode_cloud.ops.errors import OperationError


def open_page(
    context: typer.Context,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the address, and open nothing.")
    ] = False,
) -> None:
    """Open opencode in the browser; where there is none, print its address."""
    options = options_of(context)
    refuse_json(options, "open")
    deployment = options.needed()
    deployment.require_running()
    if not deployment.url:
        raise OperationError(
            f"The deployment {deployment.stack!r} publishes no port on this machine, so that no "
            f"browser can reach it. See: {options.occ('status')}"
        )
    if print_only or not has_screen(sys.platform, os.environ) or not _shown(deployment.url):
        print(deployment.url)
    else:
        options.say(f"Opened {deployment.url}")


def has_screen(platform: str, environment: Mapping[str, str]) -> bool:
    """Whether a browser could show itself: one in the terminal would take it over."""
    if platform in ("darwin", "win32"):
        return True
    return any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def _shown(url: str) -> bool:
    import webbrowser

    return webbrowser.open(url)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("open", epilog=examples("occ open", "occ open --print"))(open_page)
