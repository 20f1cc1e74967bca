"""What `occ open` and `occ attach` have in common."""

import sys
from typing import Annotated

import typer

from opencode_cloud.cli.options import Options
from opencode_cloud.ops.docker_host import DockerHost
from opencode_cloud.ops.reach import Way

LocalPort = Annotated[
    int | None,
    typer.Option(
        "--local-port",
        min=1,
        max=65535,
        help="Port of this machine for the tunnel to a host over SSH.",
        show_default="the deployment's own, or the next free one",
    ),
]
PrintSsh = Annotated[
    bool,
    typer.Option(
        "--print-ssh", help="Print the ssh command that makes the same tunnel, and do nothing."
    ),
]


def print_ssh(way: Way, host: DockerHost) -> None:
    """Print how to get there by ssh alone."""
    if command := way.ssh_command(host):
        print(command)
    print(f"# then open {way.url}" if command else f"# no tunnel is needed: {way.url}")


def say_aside(options: Options, text: str) -> None:
    """Say what is good to know beside the address that others may read."""
    if not options.quiet:
        print(text, file=sys.stderr, flush=True)
