"""`occ open`."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated

import typer

from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.options import Options, options_of, refuse_json
from opencode_cloud.cli.reaching import LocalPort, PrintSsh, print_ssh, say_aside
from opencode_cloud.ops import lock, reach


def open_page(
    context: typer.Context,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the address, and open nothing.")
    ] = False,
    local_port: LocalPort = None,
    ssh: PrintSsh = False,
) -> None:
    """Open opencode in the browser; where there is none, print its address.

    On a host over SSH, nothing of the deployment is open to the network: a tunnel leads there,
    until Ctrl-C. What has a public name is opened by it.
    """
    options = options_of(context)
    refuse_json(options, "open")
    deployment = options.needed()
    host = options.docker_host()
    found = reach.way(deployment, host, local_port or 0)
    if ssh:
        print_ssh(found, host)
        return
    deployment.require_running()
    with (
        lock.orderly_end(),
        reach.opened(found, host, lambda text: say_aside(options, text)) as tunnel,
    ):
        _show(options, found.url, print_only=print_only)
        if tunnel:
            say_aside(
                options,
                f"The tunnel to {host.name} is open until Ctrl-C, or: kill {os.getpid()}",
            )
            # That is how it ends.
            with suppress(KeyboardInterrupt):
                tunnel.hold()


def _show(options: Options, url: str, *, print_only: bool) -> None:
    if print_only or not has_screen(sys.platform, os.environ) or not _shown(url):
        # At once: whoever reads it from a pipe waits for it.
        print(url, flush=True)
    else:
        options.say(f"Opened {url}")


def has_screen(platform: str, environment: Mapping[str, str]) -> bool:
    """Whether a browser could show itself: one in the terminal would take it over."""
    if platform in ("darwin", "win32"):
        return True
    return any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def _shown(url: str) -> bool:
    import webbrowser

    return webbrowser.open(url)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "open",
        epilog=examples(
            "occ open",
            "occ open --print",
            "occ --host box open",
            "occ --host box open --local-port 8080",
            "occ --host box open --print-ssh",
        ),
    )(open_page)
