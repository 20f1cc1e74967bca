"""`occ update`."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.live_line import LiveLine
from opencode_cloud.cli.options import Options, options_of
from opencode_cloud.cli.progress import Reporting
from opencode_cloud.ops import project
from opencode_cloud.ops.deployment import engine_of
from opencode_cloud.ops.errors import NoDeploymentError, OperationError

if TYPE_CHECKING:
    from opencode_cloud.ops.docker_engine import Engine
    from opencode_cloud.ops.points import Point
    from opencode_cloud.ops.program import Program
    from opencode_cloud.ops.update import Aim, Check, Updated, Updater

AVAILABLE = 5
"""Exit code of `occ update --check` when there is something to do."""


def update(
    context: typer.Context,
    *,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="VERSION",
            help="Version of opencode, `latest`, or a prebuilt image as REPOSITORY@sha256:DIGEST.",
            show_default=False,
        ),
    ] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Say what there is to update, and change nothing.")
    ] = False,
    points: Annotated[
        bool, typer.Option("--points", help="List what can be gone back to.")
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to what there was before an update.")
    ] = False,
    point: Annotated[
        str,
        typer.Option(
            "--point",
            metavar="NAME",
            help="With --rollback: to which of --points; the newest otherwise.",
            show_default=False,
        ),
    ] = "",
    keep_data: Annotated[
        bool,
        typer.Option(
            "--keep-data", help="With --rollback: the image alone; sessions stay as they are today."
        ),
    ] = False,
) -> None:
    """Have the deployment run another image, with a way back; what fails is put back by itself.

    Without --to, that is what the settings and this checkout make. The new image is built or
    pulled while the old one serves; then the deployment is stopped, backed up and replaced.

    Exit code of --check: 0 nothing to do, 5 there is an update.
    """
    options = options_of(context)
    _only_one({"--to": bool(to), "--check": check, "--points": points, "--rollback": rollback})
    if (point or keep_data) and not rollback:
        raise typer.BadParameter("--point and --keep-data belong to --rollback.")
    if check:
        raise typer.Exit(_check(options))
    if points:
        _list(options)
    elif rollback:
        _roll_back(options, point, keep_data=keep_data)
    else:
        _update(options, to)


def _only_one(given: dict[str, bool]) -> None:
    said = [name for name, there in given.items() if there]
    if len(said) > 1:
        raise typer.BadParameter(f"{' and '.join(said)} exclude one another.")


def _updater(options: Options, line: LiveLine) -> "Updater":
    from opencode_cloud.ops.update import Updater

    program = _program(options)
    return Updater(program, _engine(options), Reporting(line, options))


def _engine(options: Options) -> "Engine":
    # Of a deployment that may be gone: an update that was cut off can leave none.
    return engine_of(options.host, project.folder(), options.trace)


def _program(options: Options) -> "Program":
    from opencode_cloud.ops.program import program_of

    return program_of(options.host, options.trace)


# --- what there is ----------------------------------------------------------


def _check(options: Options) -> int:
    with LiveLine(f"Asking what there is for {options.host}", options) as line:
        found = _updater(options, line).check()
    if options.json:
        print(json.dumps(asdict(found)))
    elif not options.quiet:
        print(_what_there_is(found))
    return AVAILABLE if found.update else 0


def _what_there_is(found: "Check") -> str:
    lines = [f"opencode {found.opencode or 'of an unknown version'} runs."]
    if found.image_source == "prebuilt":
        lines.append(
            "Its image is prebuilt, and there is no feed of releases yet that could say whether "
            "there is a newer one. With its digest: occ update --to REPOSITORY@sha256:DIGEST"
        )
    elif found.newest:
        lines.append(f"The newest of its major version is {found.newest}.")
    if found.image_changed:
        comes = f", which comes with opencode {found.checkout}" if found.checkout else ""
        lines.append(f"Settings and checkout make another image than the one that runs{comes}.")
    lines += [f"To update: {command}" for command in found.commands]
    return "\n".join(lines if found.update else [*lines, "There is nothing to update."])


def _list(options: Options) -> None:
    from opencode_cloud.ops.points import Points

    program = _program(options)
    known = Points(program.paths, program.stack, _engine(options)).all()
    if options.json:
        print(json.dumps([asdict(point.summary) for point in known]))
        return
    for each in known:
        unfinished = "" if each.is_done else ", which was cut off"
        print(
            f"{each.name}  opencode {each.opencode}, before the {each.reason} to "
            f"{each.opencode_after or 'another image'}{unfinished}"
        )
    if not known:
        options.say("There is nothing to go back to: nothing was updated yet.")


# --- there ------------------------------------------------------------------


def _update(options: Options, to: str) -> None:
    from opencode_cloud.ops import lock

    command = options.occ("update", *(("--to", to) if to else ()))
    program = _program(options)
    with (
        lock.changing(program.paths, program.stack, command),
        LiveLine(f"Updating {options.host}{options.there}", options) as line,
    ):
        updater = _updater(options, line)
        aim = updater.aim(to, program.settings())
        line.clear()
        _ask_for_older(options, aim, command)
        done = updater.update(aim)
        newer = _newer(updater, done, line)
    _tell(options, done, newer)


def _ask_for_older(options: Options, aim: "Aim", command: str) -> None:
    from opencode_cloud.ops.replacement import version
    from opencode_cloud.ops.versions import later

    try:
        runs = version(options.deployment())
    except NoDeploymentError:
        return
    if not aim.release or not later(runs, aim.release.version):
        return
    meaning = (
        f"opencode {aim.release.version} is older than {runs}, which runs, and may not be able to "
        "read its sessions. To go back with the sessions of then: "
        f"{options.occ('update', '--rollback')}"
    )
    _ask(options, meaning, "Go to the older version all the same? [y/N]", f"{command} --yes")


def _newer(updater: "Updater", done: "Updated", line: LiveLine) -> str:
    """Ask whether there is a newer opencode, where that is wanted; knows nothing when it fails."""
    if not updater.program.settings().update_check:
        return ""
    line("asking whether there is a newer opencode")
    return updater.newer_than(done.opencode)


def _tell(options: Options, done: "Updated", newer: str) -> None:
    if options.json:
        print(json.dumps(asdict(done)))
        return
    options.say(_what_was_done(options, done))
    if newer:
        options.say(f"opencode {newer} is there as well: {options.occ('update', '--to', newer)}")


def _what_was_done(options: Options, done: "Updated") -> str:
    if not done.changed:
        return f"opencode {done.opencode} runs, from the image that there is: nothing to update."
    was = f" instead of {done.opencode_before}" if done.opencode_before else ""
    lines = [f"opencode {done.opencode} answers at {done.url}{was}."]
    if done.away_seconds:
        lines[0] += f" It was away for {done.away_seconds:.0f} s."
    if done.point:
        lines += [
            f"The data of before is in {done.backup}.",
            f"To go back: {options.occ('update', '--rollback')}",
        ]
    return "\n".join(lines)


# --- and back ---------------------------------------------------------------


def _roll_back(options: Options, name: str, *, keep_data: bool) -> None:
    from opencode_cloud.ops import lock

    words = (
        *("update", "--rollback"),
        *(("--point", name) if name else ()),
        *(("--keep-data",) if keep_data else ()),
    )
    command = options.occ(*words)
    program = _program(options)
    with (
        lock.changing(program.paths, program.stack, command),
        LiveLine(f"Going back with {options.host}{options.there}", options) as line,
    ):
        updater = _updater(options, line)
        target = updater.unfinished() or updater.points.find(name)
        if target.is_done:
            meaning = _what_is_lost(target, keep_data=keep_data)
            line.clear()
            _ask(options, meaning, "Go back? [y/N]", f"{command} --yes")
        done = updater.roll_back(target, keep_data=keep_data)
    _tell(options, done, "")


def _what_is_lost(target: "Point", *, keep_data: bool) -> str:
    when = f"{target.name[:4]}-{target.name[4:6]}-{target.name[6:11]}:{target.name[11:13]} UTC"
    head = f"This goes back to opencode {target.opencode}, as it was at {when}."
    if keep_data:
        return (
            f"{head} Sessions stay as they are today, and that version may not be able to read "
            "them. Users, projects and all other settings stay too."
        )
    return (
        f"{head} Sessions, messages, keys and opencode's own settings that were made since are "
        "lost to it: they are in the backup that is taken first, and come back with another "
        "`occ update --rollback`. Users, projects and all other settings stay."
    )


def _ask(options: Options, meaning: str, question: str, command: str) -> None:
    from opencode_cloud.cli.asking import agrees

    if options.yes:
        return
    if not options.can_ask:
        raise OperationError(
            f"{meaning}\nThere is nobody to ask whether that is meant. Say so: {command}"
        )
    options.say(meaning)
    if not agrees(question):
        raise OperationError("Nothing was changed.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "occ update --check",
            "occ update",
            "occ update --to latest",
            "occ update --to 1.18.34",
            "occ update --points",
            "occ update --rollback",
        )
    )(update)
