"""`occ host edit`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from opencode_cloud.cli.host_options import WAIT_SECONDS, InstallDocker, Name, Wait, Way, by_options
from opencode_cloud.cli.host_visit import NOTHING, Visit
from opencode_cloud.cli.options import options_of, refuse_json
from opencode_cloud.ops import project
from opencode_cloud.ops.errors import OperationError

if TYPE_CHECKING:
    from opencode_cloud.ops.hosts.registry import Host


@by_options
def edit(
    context: typer.Context,
    name: Name,
    *,
    hostname: Annotated[
        str | None, typer.Option(metavar="[USER@]HOSTNAME", help="Where it is now.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Who to sign in as; empty: as ssh decides.")
    ] = None,
    way: Way,
    install_docker: InstallDocker = False,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Write it without connecting first.")
    ] = False,
    wait: Wait = WAIT_SECONDS,
) -> None:
    """Change how a host is reached, or which groups it is in; connects by it before it is written.

    An empty value goes back to what ssh decides. Groups that are given take the place of all. What
    is deployed stays as it is.
    """
    from opencode_cloud.ops.hosts.registry import host_of

    options = options_of(context)
    refuse_json(options, "host edit")
    host = host_of(project.root(), name)
    way = replace(way, ssh_host=_ssh_host(host, hostname, user))
    if not way.settings and not way.accept_host_key and not install_docker:
        raise typer.BadParameter("There is nothing to change: say what, by an option.")
    visit = Visit(options, f"occ host edit {name}", wait)
    only_groups = not (way.settings.keys() - {"groups"} or way.accept_host_key or install_docker)
    with visit.left_alone():
        _edit(visit, host, way, install=install_docker, look=not (only_groups or no_check))


def _edit(visit: Visit, host: "Host", way: Way, *, install: bool, look: bool) -> None:
    from opencode_cloud.ops.hosts.reports import judged
    from opencode_cloud.ops.settings_file import StackFile
    from opencode_cloud.ops.setup_plan import written
    from opencode_cloud.ops.ssh import SshError
    from opencode_cloud.ops.stack_change import edited

    file = StackFile(host.paths.root, host.name)
    document = file.read()
    # What cannot be used is told before the host is asked.
    written(document, host.name, way.settings)
    new = host.with_settings(way.settings)
    try:
        new = visit.known(new, way)
        if look:
            found = visit.look(new, install=install)
            visit.show(judged(new, found, f"{visit.again} --install-docker"))
            host.keep(found)
    except SshError as error:
        raise OperationError(
            f"{error} {NOTHING} To write it without connecting: add --no-check"
        ) from None
    wanted = {name: new.settings.get(name, "") for name in (*way.settings, "ssh_host_key")}
    change = edited(document, written(document, host.name, wanted).text, host.name)
    if change.is_none:
        visit.options.say(f"{file.name} says so already. {NOTHING}")
        return
    # The connection that is open is the one of before.
    host.ssh().disconnect()
    file.write(change)
    visit.options.say(f"Written to {file.name}.")


def _ssh_host(host: "Host", hostname: str | None, user: str | None) -> str | None:
    """Give the whole new address; None: it stays."""
    if hostname is None and user is None:
        return None
    old_user, _, old_name = host.settings.get("ssh_host", "").rpartition("@")
    given_user, _, name = (hostname or old_name).rpartition("@")
    chosen = user if user is not None else given_user or old_user
    return f"{chosen}@{name}" if chosen else name
