"""`occ install`: have the host's service manager keep the deployment running."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from opencode_cloud.cli.changing import make, stack_file
from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.options import Options, options_of, refuse_json
from opencode_cloud.ops.errors import OperationError

if TYPE_CHECKING:
    from opencode_cloud.ops.docker_host import DockerHost
    from opencode_cloud.ops.settings_file import StackFile
    from opencode_cloud.ops.stack_document import Document
    from opencode_cloud.settings import BootMode
    from opencode_cloud.spec.service_unit.spec import ServiceUnitSpec


def _mode(given: str) -> "BootMode":
    from opencode_cloud.settings import BootMode

    if given not in set(BootMode):
        raise typer.BadParameter(f"{given!r} is neither user nor system.")
    return BootMode(given)


def install(
    context: typer.Context,
    *,
    boot_mode: Annotated[
        str,
        typer.Option(
            "--boot-mode",
            metavar="user|system",
            help="Whose service it is: yours, without root, or the machine's.",
            show_default="as the settings say",
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the unit, and change nothing.")
    ] = False,
) -> None:
    """Have the host's service manager keep the deployment running, and not Docker.

    systemd, launchd or Windows' scheduler starts it with the machine, and again when it ends. It
    is the setting service_unit, applied at once.
    """
    from opencode_cloud.ops import project
    from opencode_cloud.ops.docker_host import docker_host_of
    from opencode_cloud.ops.service_unit import HostUnit

    options = options_of(context)
    refuse_json(options, "install")
    file = stack_file(options)
    wanted = {"service_unit": "true"}
    if boot_mode:
        wanted["boot_mode"] = _mode(boot_mode).value
    document = file.read()
    after = with_values(document, wanted)
    host = docker_host_of(options.host, project.folder())
    spec = _spec(options, after)
    if dry_run:
        print(_text(host, spec), end="")
        return
    # What cannot be is known before anything is changed for it.
    HostUnit(options.host, host.shell).prepare(spec)
    words = ("--boot-mode", boot_mode) if boot_mode else ()
    change_to(options, file, document, after, options.occ("install", *words, "--yes"))


def with_values(document: "Document", values: Mapping[str, str]) -> "Document":
    """Give the stack's file with other values."""
    for name, value in values.items():
        document = document.with_value(name, value)
    return document


def change_to(
    options: Options, file: "StackFile", before: "Document", after: "Document", command: str
) -> None:
    """Write the stack's file as it is to be, and apply it.

    Raises:
        OpencodeCloudError: it cannot be used so, or not be applied.
    """
    from opencode_cloud.ops.stack_change import edited

    make(options, file, edited(before, after.text, file.stack), command, apply=True)


def _spec(options: Options, document: "Document") -> "ServiceUnitSpec":
    """Describe the unit that a stack's file asks for.

    Raises:
        SettingsError: it cannot be used so.
    """
    from opencode_cloud.configuration import load
    from opencode_cloud.spec.service_unit.spec import service_unit_spec

    spec = service_unit_spec(load(document.values, options.host), options.host)
    if spec is None:
        raise OperationError("service_unit is false, and so there is no unit.")
    return spec


def _text(host: "DockerHost", spec: "ServiceUnitSpec") -> str:
    """Write the unit for the host's system."""
    from opencode_cloud.spec.service_unit.launchd import launchd_agent
    from opencode_cloud.spec.service_unit.systemd import systemd_unit

    system = host.shell.run("uname -s").out.strip()
    return launchd_agent(spec) if system == "Darwin" else systemd_unit(spec)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "occ install", "occ install --dry-run", "occ --host box install --boot-mode system"
        ),
    )(install)
