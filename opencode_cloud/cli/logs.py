"""`occ logs`."""

import re
from datetime import datetime
from typing import Annotated

import typer

from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.options import options_of, refuse_json

_LINES = 100
_ALL = "all"


def logs(
    context: typer.Context,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with the lines that come.")
    ] = False,
    since: Annotated[
        str, typer.Option(help="Lines of the last 10m, 1h30m, 2d …, or since 2026-01-31T18:00.")
    ] = "",
    lines: Annotated[
        str,
        typer.Option(
            "--lines",
            "-n",
            metavar="NUMBER|all",
            help=f"The last so many lines.  Default: {_LINES}, and with --since or --grep all.",
            show_default=False,
        ),
    ] = "",
    grep: Annotated[
        str, typer.Option(metavar="REGEX", help="Only lines in which this is found.")
    ] = "",
    process: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Only lines of one process: opencode, gateway, session …"
        ),
    ] = "",
) -> None:
    """Show what the deployment's processes say. Each line begins with the process' name."""
    from opencode_cloud.ops import logs as of

    options = options_of(context)
    refuse_json(options, "logs")
    if process:
        of.check_process(process)
    wanted = of.Wanted(
        process=process,
        pattern=_pattern(grep),
        since=_since(since),
        count=_count(lines, chosen=bool(since or grep)),
        follow=follow,
    )
    for line in of.read(options.deployment(), wanted):
        print(line.text, flush=follow)
    if follow:
        options.say("The deployment was stopped.")


def _count(text: str, *, chosen: bool) -> int | None:
    if not text:
        return None if chosen else _LINES
    if text == _ALL:
        return None
    if not text.isdecimal():
        raise typer.BadParameter(f"-n takes a number of lines or {_ALL}, not {text!r}")
    return int(text)


def _pattern(text: str) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if text else None
    except re.error as error:
        raise typer.BadParameter(
            f"--grep takes a regular expression, and {text!r} is none ({error})"
        ) from None


def _since(text: str) -> datetime | None:
    from opencode_cloud.ops.logs import since

    try:
        return since(text, datetime.now().astimezone()) if text else None
    except ValueError as error:
        raise typer.BadParameter(f"--since: {error}") from None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "occ logs -f",
            "occ logs --since 1h --grep 'error|refused'",
            "occ logs --process session -n 20",
        ),
    )(logs)
