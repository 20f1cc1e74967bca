"""`occ host add`."""

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from opencode_cloud.cli.asking import agrees
from opencode_cloud.cli.host_options import WAIT_SECONDS, InstallDocker, Name, Wait, Way, by_options
from opencode_cloud.cli.host_visit import NOTHING, Visit
from opencode_cloud.cli.options import Options, options_of, refuse_json
from opencode_cloud.ops import project
from opencode_cloud.ops.deployment import occ
from opencode_cloud.ops.errors import OperationError

if TYPE_CHECKING:
    from opencode_cloud.ops.doctor_checks.finding import Finding
    from opencode_cloud.ops.hosts.registry import Host
    from opencode_cloud.ops.stack_document import Document


@by_options
def add(
    context: typer.Context,
    name: Name,
    hostname: Annotated[
        str,
        typer.Argument(
            metavar="[USER@]HOSTNAME",
            help="A name, an address, or a Host of ~/.ssh/config.",
            show_default=False,
        ),
    ],
    *,
    way: Way,
    install_docker: InstallDocker = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look and say what would be written; write nothing.")
    ] = False,
    wait: Wait = WAIT_SECONDS,
) -> None:
    """Add a host over SSH: looks at it, says what it found, and makes its stack.

    The system's own ssh leads there, with ~/.ssh/config, agents, hardware keys and jump hosts. The
    host's key is shown and asked about the first time, and pinned. A machine that is still booting
    is waited for.
    """
    options = options_of(context)
    refuse_json(options, "host add")
    way = replace(way, ssh_host=hostname)
    again = f"occ host add {name} {shlex.quote(hostname)}{way.words}"
    visit = Visit(options, again, wait)
    with visit.left_alone():
        _add(visit, name, way, install=install_docker, dry_run=dry_run)


def _add(visit: Visit, name: str, way: Way, *, install: bool, dry_run: bool) -> None:
    from opencode_cloud.ops.hosts.registry import TARGET, new_host
    from opencode_cloud.ops.hosts.reports import judged
    from opencode_cloud.ops.settings_file import StackFile
    from opencode_cloud.ops.ssh import SshError

    root = project.root()
    host = new_host(root, name).with_settings({"target": TARGET, **way.settings})
    _check(host)
    try:
        host = visit.known(host, way)
        found = visit.look(host, install=install)
    except SshError as error:
        raise OperationError(_as_new(str(error), name, visit.again)) from None
    if found.facts.docker and found.facts.docker.socket != "/var/run/docker.sock":
        host = host.with_settings({"docker_host": f"unix://{found.facts.docker.socket}"})
    document = _document(host)
    seen = judged(host, found, f"{visit.again} --install-docker")
    visit.show(seen)
    if dry_run:
        visit.options.say(f"\nThis would be written to {host.file}:\n{document.text}")
        return
    _require_fit(visit, seen)
    StackFile(root, name).create(document)
    host.keep(found)
    visit.options.say(
        f"\nThe host {name!r} is added, as the stack in {host.file}.\n"
        f"To deploy to it: {occ(name, 'setup')}"
    )


def _check(host: "Host") -> None:
    """Refuse settings that cannot be used, before anybody is asked for a key.

    Raises:
        SettingsError: with every problem.
    """
    from opencode_cloud.configuration import SettingsError

    try:
        _document(host)
    except SettingsError as error:
        found = [each for each in error.problems if each.key != "ssh_host_key"]
        if found or host.address.host_keys:
            raise SettingsError(host.name, found or error.problems) from None


def _document(host: "Host") -> "Document":
    from opencode_cloud.ops.setup_plan import NEW, written
    from opencode_cloud.ops.stack_document import Document

    return written(Document(host.file.name, NEW), host.name, host.settings)


def _require_fit(visit: Visit, seen: "list[Finding]") -> None:
    from opencode_cloud.ops.hosts.judgement import fit

    options: Options = visit.options
    if fit(seen) or options.yes:
        return
    if not options.can_ask:
        raise OperationError(
            f"Nothing can be deployed there yet, so that no stack was made: mend what is a "
            f"problem above, or make the stack all the same: {visit.again} --yes"
        )
    if not agrees("Nothing can be deployed there yet. Make its stack all the same? [y/N]"):
        raise OperationError(NOTHING)


def _as_new(said: str, name: str, again: str) -> str:
    """Say what ssh's complaint means for a host that is not there yet to be edited."""
    edit = f"occ host edit {name}"
    return said.replace(f" If it has moved: {edit} --hostname NAME", "").replace(edit, again)
