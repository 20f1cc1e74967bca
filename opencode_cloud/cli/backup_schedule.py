"""`occ backup schedule`: have backups made by the clock."""

import getpass
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opencode_cloud.cli.backup_options import EncryptTo, Keep, To
from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.options import Options, options_of
from opencode_cloud.ops import project
from opencode_cloud.ops.deployment import engine_of

if TYPE_CHECKING:
    from opencode_cloud.ops.timers import Timers

_KEPT = ("PATH", "XDG_DATA_HOME", "SSH_AUTH_SOCK")
"""Variables that a backup needs, and a service would not have."""


def schedule(
    context: typer.Context,
    *,
    daily: Annotated[bool, typer.Option("--daily", help="Every day.")] = False,
    weekly: Annotated[bool, typer.Option("--weekly", help="Every Sunday.")] = False,
    at: Annotated[
        str,
        typer.Option("--at", metavar="HH:MM", help="At this time of day.", show_default="03:00"),
    ] = "",
    to: To = "",
    encrypt_to: EncryptTo = None,
    keep: Keep = None,
    show: Annotated[bool, typer.Option("--show", help="Say what is scheduled.")] = False,
    off: Annotated[bool, typer.Option("--off", help="Make no more backups by the clock.")] = False,
) -> None:
    """Have backups made every day or week, by systemd: root's own, or else yours."""
    from opencode_cloud.ops.timers import Timers

    options = options_of(context)
    chosen = daily or weekly or bool(at)
    if sum((chosen, show, off)) != 1 or (daily and weekly):
        raise typer.BadParameter("Say one of --daily, --weekly, --at HH:MM, --show or --off.")
    timers = Timers.here(os.environ)
    if off:
        removed = timers.remove(_name(options))
        options.say("Removed." if removed else "There was none. Nothing was changed.")
    elif show:
        _show(options, timers)
    else:
        _set(options, timers, at=at, weekly=weekly, words=_words(to, encrypt_to or [], keep))


def _set(options: Options, timers: "Timers", *, at: str, weekly: bool, words: list[str]) -> None:
    from opencode_cloud.spec.units import NIGHT, backup_units, is_time

    if at and not is_time(at):
        raise typer.BadParameter(f"{at!r} is no time of day: --at takes HH:MM, like 03:30.")
    # What could not be backed up now will not be tonight.
    engine_of(options.host, project.folder(), options.trace).get("/version")
    environment = {name: os.environ[name] for name in _KEPT if os.environ.get(name)}
    command = [_command(), "--host", options.host, "--quiet", "backup", "create", *words]
    units = backup_units(options.host, command, environment, at=at or NIGHT, weekly=weekly)
    timers.install(units)
    # It is this machine that runs them, wherever the deployment is.
    by = f", by this machine, of what is{options.there}" if options.there else ""
    options.say(
        f"Every {'Sunday' if weekly else 'day'} at {at or NIGHT}{by}. What the runs print: "
        f"{timers.logs_command(units.name)}"
    )
    if timers.ends_with_sign_out():
        options.say(
            "It runs only while you are signed in to this machine. So that it runs always: "
            f"sudo loginctl enable-linger {getpass.getuser()}"
        )


def _show(options: Options, timers: "Timers") -> None:
    found = timers.show(_name(options))
    if options.json:
        print(json.dumps(found or None))
        return
    if not found:
        options.say(f"Nothing is scheduled. To: {options.occ('backup', 'schedule', '--daily')}")
    for key, value in found.items():
        print(f"{key:<8} {value}")


def _words(to: str, encrypt_to: list[str], keep: int | None) -> list[str]:
    """Write the options of each run, which has another current folder than we have."""
    from opencode_cloud.ops.age import check_recipients
    from opencode_cloud.ops.places import place_of

    check_recipients(encrypt_to)
    keys = [
        key if key.startswith(("age1", "ssh-")) else str(Path(key).expanduser().absolute())
        for key in encrypt_to
    ]
    words = ["--to", place_of(to).where()] if to else []
    words += [word for key in keys for word in ("--encrypt-to", key)]
    return [*words, *(("--keep", str(keep)) if keep else ())]


def _name(options: Options) -> str:
    return f"opencode-cloud-backup-{options.host}"


def _command() -> str:
    if project.is_installed():
        return str(Path(sys.prefix) / "bin" / "occ")
    return str(project.folder() / "occ")


def register(backups: typer.Typer) -> None:
    """Add the command."""
    backups.command(
        epilog=examples(
            "occ backup schedule --daily --keep 7",
            "occ backup schedule --weekly --at 04:30 --to ssh://me@nas/~/backups",
            "occ backup schedule --show",
            "occ backup schedule --off",
        )
    )(schedule)
