"""`occ status`, without all other commands: it is asked for often, and waits for what is loaded."""

from collections.abc import Sequence

from opencode_cloud.cli import assembly, status


def call(arguments: Sequence[str], name: str) -> int:
    """Run it; gives its exit code."""
    return assembly.call(assembly.assemble((status,)), arguments, name)
