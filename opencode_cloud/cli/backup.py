"""`occ backup`: the data of a deployment, in files that can be kept elsewhere."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opencode_cloud.cli import backup_schedule
from opencode_cloud.cli.asking import agrees
from opencode_cloud.cli.backup_options import EncryptTo, Keep, To
from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.live_line import LiveLine
from opencode_cloud.cli.options import Options, options_of, refuse_json
from opencode_cloud.cli.progress import Reporting
from opencode_cloud.ops import project
from opencode_cloud.ops.deployment import engine_of
from opencode_cloud.ops.errors import NoDeploymentError, OperationError

if TYPE_CHECKING:
    from opencode_cloud.ops.archive import Manifest
    from opencode_cloud.ops.backup import Backup, Target
    from opencode_cloud.ops.places import Place

File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="A path, ssh://user@host/folder/file, or a name that `occ backup list` shows.",
        show_default=False,
    ),
]
Identity = Annotated[
    Path | None,
    typer.Option(
        "--identity",
        metavar="KEYFILE",
        help="Secret key that opens an encrypted one: age's, or an SSH key.",
        show_default=False,
    ),
]


def create(
    context: typer.Context,
    *,
    to: To = "",
    encrypt_to: EncryptTo = None,
    keep: Keep = None,
    with_cache: Annotated[
        bool, typer.Option("--with-cache", help="Also what can be downloaded again.")
    ] = False,
) -> None:
    """Back up sessions, projects, settings, users and certificates, running or not.

    Whoever has the file has all that: keep it safe, or encrypt it.
    """
    from opencode_cloud.ops import backup

    options = options_of(context)
    place = _place(options, to)
    with _interruptible("The backup was stopped; nothing is left of it."):
        with LiveLine(f"Backing up {options.host}{options.there}", options) as line:
            made = backup.create(
                _target(options),
                place,
                recipients=encrypt_to or (),
                progress=Reporting(line, options),
                with_cache=with_cache,
            )
        removed = backup.prune(place, options.host, keep) if keep else []
    if options.json:
        print(json.dumps(_facts(made) | {"removed": [old.where for old in removed]}))
        return
    if options.quiet:
        print(made.where)
        return
    print(f"Backed up to {made.where} ({_size(made.size)}).")
    for old in removed:
        print(f"Removed the older {old.name}.")
    if not made.encrypted:
        print("It is not encrypted, and has keys and password hashes in it: keep it safe.")


def list_backups(
    context: typer.Context,
    *,
    place: Annotated[
        str,
        typer.Option(
            "--in",
            metavar="PLACE",
            help="Folder, or ssh://user@host/folder.",
            show_default="occ's own folder",
        ),
    ] = "",
) -> None:
    """List the backups in a place, the oldest first."""
    from opencode_cloud.ops import backup

    options = options_of(context)
    where = _place(options, place)
    found = backup.list_(where)
    if options.json:
        print(json.dumps([_facts(each) for each in found]))
        return
    for each in found:
        created = each.created.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        kind = "encrypted" if each.encrypted else "plain    "
        print(f"{created}  {_size(each.size):>9}  {kind}  {each.stack}  {each.name}")
    if not found:
        options.say(f"None in {where.where()}. To make one: {options.occ('backup', 'create')}")


def verify(context: typer.Context, file: File, *, identity: Identity = None) -> None:
    """Read a whole backup, and compare every file in it with what was written."""
    from opencode_cloud.ops import backup

    options = options_of(context)
    path = _file(options, file)
    with LiveLine("Verifying", options) as line:
        manifest = backup.verify(path, identity, Reporting(line, options))
    if options.json:
        print(json.dumps({"where": path, **asdict(manifest)}))
        return
    for note in manifest.notes:
        options.say(f"When it was made: {note}")
    options.say(
        f"It is sound: {manifest.files} files and folders of {', '.join(manifest.volumes)}, "
        f"{_size(manifest.size)}, of {manifest.stack} at {manifest.created} "
        f"(opencode {manifest.opencode})."
    )


def restore(context: typer.Context, file: File, *, identity: Identity = None) -> None:
    """Put a backup in the place of all data that the deployment has now.

    A deployment that runs is stopped for it, and started again. When anything fails, the data are
    those of before. It may be the backup of another stack: this one gets its users too.
    """
    from opencode_cloud.ops import backup, lock

    options = options_of(context)
    refuse_json(options, "backup restore")
    path = _file(options, file)
    target = _target(options)

    def confirm(manifest: "Manifest") -> None:
        line.clear()
        _confirm(options, file, manifest, identity)

    with (
        lock.changing(project.paths(), options.host, options.occ("backup", "restore", file)),
        LiveLine(f"Restoring {options.host}{options.there}", options) as line,
    ):
        runs = backup.restore(
            target,
            path,
            identity=identity,
            progress=Reporting(line, options),
            confirm=confirm,
        )
    _say_restored(options, runs=runs)


def _say_restored(options: Options, *, runs: bool) -> None:
    if runs:
        deployment = options.deployment()
        options.say(f"Restored. opencode answers at {deployment.url}{options.there}")
        return
    try:
        options.deployment()
        next_step = options.occ("start")
    except NoDeploymentError:
        next_step = project.setup_command(options.host)
    options.say(f"Restored. The deployment does not run; to start it: {next_step}")


def _confirm(options: Options, file: str, manifest: "Manifest", identity: Path | None) -> None:
    what = (
        f"All data of {options.host} (sessions, projects, settings, users, certificates) are "
        f"replaced by those of {manifest.stack} at {manifest.created}. What came after is lost, "
        f"unless you back it up first: {options.occ('backup', 'create')}"
    )
    if options.yes:
        return
    if not options.can_ask:
        key = ("--identity", str(identity)) if identity else ()
        command = options.occ("backup", "restore", file, *key, "--yes")
        raise OperationError(
            f"{what}. There is nobody to ask whether that is meant. Say so: {command}"
        )
    print(what, file=sys.stderr)
    if not agrees("Restore it? [y/N]"):
        raise OperationError("Nothing was restored.")


def _target(options: Options) -> "Target":
    from opencode_cloud.ops.backup import target_of

    return target_of(options.host, engine_of(options.host, project.folder(), options.trace))


def _place(options: Options, text: str) -> "Place":
    from opencode_cloud.ops.places import Folder, place_of

    return place_of(text) if text else Folder(project.paths().backups(options.host))


def _file(options: Options, file: str) -> str:
    """Find a backup that is named without its folder: here, or where ours are."""
    if "/" in file or Path(file).exists():
        return file
    ours = project.paths().backups(options.host) / file
    if ours.exists():
        return str(ours)
    raise OperationError(
        f"There is no backup {file}, neither here nor in {ours.parent}. To see them: "
        f"{options.occ('backup', 'list')}"
    )


def _facts(made: "Backup") -> dict[str, Any]:
    return asdict(made) | {"created": made.created.isoformat()}


def _size(count: int) -> str:
    size, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB"):  # noqa: B007 - the last one is what is wanted
        if size < 1000:  # noqa: PLR2004 - what a kilo is
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


@contextmanager
def _interruptible(words: str) -> Iterator[None]:
    from opencode_cloud.ops.lock import orderly_end

    try:
        with orderly_end():
            yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(words) from None


def register(app: typer.Typer) -> None:
    """Add the commands."""
    backups = typer.Typer(
        name="backup",
        help="The data, in files that can be kept elsewhere, and back from them.",
        no_args_is_help=True,
        epilog=examples("occ backup create", "occ backup list"),
    )
    backups.command(
        epilog=examples(
            "occ backup create",
            "occ backup create --to /mnt/disk --keep 7",
            "occ backup create --to ssh://me@nas/~/backups --encrypt-to age1…",
            "occ backup create --encrypt-to ~/.ssh/id_ed25519.pub",
        )
    )(create)
    backups.command(
        "list",
        epilog=examples("occ backup list", "occ backup list --in ssh://me@nas/~/backups --json"),
    )(list_backups)
    backups.command(
        epilog=examples(
            "occ backup verify local-20260131T030000Z.tar",
            "occ backup verify /mnt/disk/local-20260131T030000Z.tar.age --identity key.txt",
        )
    )(verify)
    backups.command(
        epilog=examples(
            "occ backup restore local-20260131T030000Z.tar",
            "occ --host new backup restore ssh://me@nas/~/backups/old-20260131T030000Z.tar",
        )
    )(restore)
    backup_schedule.register(backups)
    app.add_typer(backups)
