"""`occ mount`: folders of the deployment's machine in the container."""

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from opencode_cloud.cli.asking import agrees
from opencode_cloud.cli.changing import Apply, make, print_json, stack_file, tell
from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.options import Options, options_of
from opencode_cloud.ops import project
from opencode_cloud.ops.errors import NoDeploymentError, OperationError

if TYPE_CHECKING:
    from opencode_cloud.ops.mounts import Looked, Standing
    from opencode_cloud.ops.settings_file import StackFile
    from opencode_cloud.ops.stack_change import Change
    from opencode_cloud.ops.stack_document import Document
    from opencode_cloud.spec.mounts import BindMount

Specs = Annotated[
    list[str],
    typer.Argument(
        metavar="HOST:CONTAINER[:ro]...",
        help="A folder of the machine that it runs on, and where it is to be in the container.",
        show_default=False,
    ),
]
Places = Annotated[
    list[str],
    typer.Argument(
        metavar="CONTAINER...", help="Where it is in the container.", show_default=False
    ),
]


def add(context: typer.Context, specs: Specs, apply: Apply = False) -> None:
    """Mount folders of the machine that it runs on; :ro behind one lets the agent read it alone.

    What is in a writable one belongs to puid and pgid: `occ config set puid $(id -u)` makes it
    yours.
    """
    options = options_of(context)
    file = stack_file(options)
    document = file.read()
    command = options.occ("mount", "add", *map(shlex.quote, specs), "--yes")
    wanted = _with_more(options, document, specs, command)
    make(options, file, _change(document, file, wanted), command, apply=apply)


def remove(context: typer.Context, places: Places, apply: Apply = False) -> None:
    """Do without mounted folders; on their machine they stay as they are."""
    from opencode_cloud.ops import mounts

    options = options_of(context)
    file = stack_file(options)
    document = file.read()
    left = mounts.removed(_named(document, file.stack), places)
    command = options.occ("mount", "remove", *map(shlex.quote, places), "--yes")
    make(options, file, _change(document, file, left), command, apply=apply)


def list_mounts(context: typer.Context) -> None:
    """List the mounted folders, and which of them wait for the settings to be applied."""
    from opencode_cloud.ops import mounts

    options = options_of(context)
    file = stack_file(options)
    document = file.read()
    named = _named(document, file.stack)
    host = options.docker_host()
    looked = mounts.look_on(host, project.root(), named)
    found = mounts.standing(named, looked, _facts(options))
    if options.json:
        print_json(found)
        return
    for row in found:
        print(_line(row))
    if not found:
        example = options.occ("mount", "add", "/host/folder:/workspace/folder")
        options.say(f"No folder of {host.name} is mounted. To mount one: {example}")
    if any(row.state in (mounts.WAITING, mounts.LEAVING) for row in found):
        options.say(f"To apply it: {options.occ('start')}")


def agreed(options: Options, wanted: "Sequence[BindMount]", command: str) -> "Looked":
    """Look at folders on their machine, and ask about those that give away too much.

    Args:
        options: of the command.
        wanted: the folders.
        command: what does the same without asking.

    Raises:
        OpencodeCloudError: one cannot be mounted, or shall not.
    """
    from opencode_cloud.configuration import SettingsError
    from opencode_cloud.ops import mounts

    looked = mounts.look_on(options.docker_host(), project.root(), wanted)
    if looked.problems:
        raise SettingsError(options.host, list(looked.problems))
    for given, real in zip(wanted, looked.mounts, strict=True):
        if given.source != real.source:
            tell(options, f"{given.source} is a link: {real.source} is what is mounted.")
    if looked.dangers and not options.yes:
        _ask(options, "\n".join(map(str, looked.dangers)), command)
    return looked


def as_agreed(options: Options, value: str, command: str) -> str:
    """Look at all mounts of a whole value of the setting; gives it with their real paths.

    Raises:
        OpencodeCloudError: one cannot be mounted, or shall not.
    """
    from opencode_cloud.ops import mounts
    from opencode_cloud.spec.mounts import join_mounts

    return join_mounts(agreed(options, mounts.read(options.host, value), command).mounts)


def for_one_start(options: Options, specs: Sequence[str], command: str) -> str:
    """Look at more folders, and ask about them; gives a value of the setting that has them too.

    Args:
        options: of the command.
        specs: the folders, as they are typed.
        command: what does the same without asking.

    Raises:
        OpencodeCloudError: one cannot be mounted, or shall not.
    """
    from opencode_cloud.spec.mounts import join_mounts

    return join_mounts(_with_more(options, stack_file(options).read(), specs, command))


def _with_more(
    options: Options, document: "Document", specs: Sequence[str], command: str
) -> "list[BindMount]":
    from opencode_cloud.ops import mounts

    stack = options.host
    new = agreed(options, mounts.read(stack, *specs), command)
    wanted = mounts.added(stack, _named(document, stack), new.mounts)
    for note in _notes(document, stack, new):
        tell(options, note)
    return wanted


def _ask(options: Options, dangers: str, command: str) -> None:
    if not options.can_ask:
        raise OperationError(
            f"{dangers}.\nThere is nobody to ask whether that is meant. Say so: {command}"
        )
    print(f"{dangers}.", file=sys.stderr)
    if not agrees("Mount it all the same? [y/N]"):
        raise OperationError("Nothing was changed.")


def _named(document: "Document", stack: str) -> "tuple[BindMount, ...]":
    """Give the mounts in the stack's file."""
    from opencode_cloud.ops import mounts

    return mounts.read(stack, document.values.get(mounts.KEY, ""))


def _change(document: "Document", file: "StackFile", wanted: "Sequence[BindMount]") -> "Change":
    from opencode_cloud.ops import mounts, stack_change
    from opencode_cloud.spec.mounts import join_mounts

    if wanted:
        return stack_change.set_value(document, file.stack, mounts.KEY, join_mounts(wanted))
    return stack_change.unset(document, file.stack, mounts.KEY)


def _notes(document: "Document", stack: str, new: "Looked") -> list[str]:
    """Say what else the agent needs to work in the folders."""
    from opencode_cloud.configuration import SettingsError, load
    from opencode_cloud.ops import mounts

    try:
        settings = load(document.values, stack)
    except SettingsError:
        return []
    notes = (
        mounts.unusable_by_agent(mount, seen, settings, stack)
        for mount, seen in zip(new.mounts, new.seen, strict=True)
    )
    return [note for note in notes if note]


def _facts(options: Options) -> "dict[str, object] | None":
    try:
        return options.deployment().facts
    except NoDeploymentError:
        return {}
    except OperationError:
        return None


def _line(row: "Standing") -> str:
    mode = "" if row.writable else " (read-only)"
    said = f"{row.target} ← {row.source}{mode}: {row.state}"
    return f"{said}, but it {row.problem}" if row.problem else said


def register(app: typer.Typer) -> None:
    """Add the commands."""
    nouns = typer.Typer(
        name="mount",
        help="Folders of the machine in the container.",
        no_args_is_help=True,
        epilog=examples("occ mount list", "occ mount add ~/src:/workspace/src --apply"),
    )
    nouns.command(
        epilog=examples(
            "occ mount add ~/src:/workspace/src",
            "occ mount add ~/src:/workspace/src /srv/data:/workspace/data:ro --apply",
        )
    )(add)
    nouns.command(
        epilog=examples(
            "occ mount remove /workspace/src", "occ mount remove /workspace/src --apply"
        )
    )(remove)
    nouns.command("list", epilog=examples("occ mount list", "occ mount list --json"))(list_mounts)
    app.add_typer(nouns)
