"""`occ status`."""

import sys
import time
from typing import Annotated

import typer

from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.main import INTERRUPTED
from opencode_cloud.cli.options import Options, options_of
from opencode_cloud.cli.status_view import look, show

_WATCH_SECONDS = 2


def status(
    context: typer.Context,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it anew every two seconds, until Ctrl-C.")
    ] = False,
) -> None:
    """Show what the deployment is and how it does.

    Exit code: 0 running and healthy, 3 stopped or not there, 4 unhealthy.
    """
    options = options_of(context)
    code = _watch(options) if watch else show(options)
    raise typer.Exit(code)


def _watch(options: Options) -> int:
    code = INTERRUPTED
    try:
        if options.json or options.quiet or not sys.stdout.isatty():
            while True:
                code = show(options)
                sys.stdout.flush()
                time.sleep(_WATCH_SECONDS)
        from rich.live import Live

        from opencode_cloud.cli import status_panel

        with Live(console=status_panel.console(options), screen=True, auto_refresh=False) as live:
            while True:
                found = look(options)
                code = found.exit_code
                live.update(status_panel.panel(found), refresh=True)
                time.sleep(_WATCH_SECONDS)
    except KeyboardInterrupt:
        # The way to end it.
        return code


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "occ status",
            "occ status --watch",
            "occ status --json | jq .health",
            "occ status --quiet || occ start",
        ),
    )(status)
