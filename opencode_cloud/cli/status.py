"""`occ status`."""

import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.main import INTERRUPTED
from opencode_cloud.cli.options import Options, options_of
from opencode_cloud.ops.errors import NoDeploymentError

if TYPE_CHECKING:
    from opencode_cloud.ops.status import Status

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
    code = _watch(options) if watch else _show(options)
    raise typer.Exit(code)


def _look(options: Options) -> "Status":
    from opencode_cloud.ops.status import gather, missing

    try:
        return gather(options.deployment(), datetime.now(UTC))
    except NoDeploymentError as error:
        return missing(options.host, str(error))


def _show(options: Options) -> int:
    found = _look(options)
    if options.quiet:
        print(f"{found.state} {found.health}")
    elif options.json:
        print(json.dumps(found.as_json(), indent=None if not sys.stdout.isatty() else 2))
    elif sys.stdout.isatty():
        from opencode_cloud.cli import status_panel

        status_panel.console(options).print(status_panel.panel(found))
    else:
        from opencode_cloud.cli import status_rows

        print(status_rows.plain(found))
    return found.exit_code


def _watch(options: Options) -> int:
    code = INTERRUPTED
    try:
        if options.json or options.quiet or not sys.stdout.isatty():
            while True:
                code = _show(options)
                sys.stdout.flush()
                time.sleep(_WATCH_SECONDS)
        from rich.live import Live

        from opencode_cloud.cli import status_panel

        with Live(console=status_panel.console(options), screen=True, auto_refresh=False) as live:
            while True:
                found = _look(options)
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
