"""A command on several stacks: what can be done so, and how it is shown."""

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import typer

from opencode_cloud.cli import app, commands, targets
from opencode_cloud.cli.main import DONE, FAILED, complain
from opencode_cloud.cli.options import Options, options_of
from opencode_cloud.spec.fleet import FleetError, chosen, counted

_ALONE = {
    "setup": "asks what one deployment is to be",
    "open": "opens one page",
    "attach": "is one conversation",
    "host": "is about the list of hosts itself",
    "config edit": "opens an editor",
    "backup restore": "puts one backup into the deployment that it is meant for",
}
"""Commands, or their first words, that make no sense on several; and what they do."""


def call(arguments: Sequence[str], name: str) -> int:
    """Run the command on every stack that `arguments` name; gives the exit code."""
    line = targets.take_apart(typer.main.get_command(app.app), arguments)
    choice = line.choice
    if not line.is_command:
        return app.call(arguments, name)
    if not choice.is_several:
        return app.call(line.words(choice.hosts[-1] if choice.hosts else ""), name)
    try:
        options, given = _parsed(line, name)
    except typer.TyperException as error:
        complain(commands.words(error))
        return error.exit_code
    except typer.Exit as done:
        return done.exit_code
    if why := refusal(line.path, given):
        raise FleetError(f"{why} Name one by --host NAME.")
    from opencode_cloud.ops import fleet, project

    names = chosen(choice, fleet.known(project.folder(), os.environ))
    return _run(line, names, choice.parallel or fleet.default_parallel(), options, _stdin(given))


def _parsed(line: targets.Line, name: str) -> tuple[Options, dict[str, Any]]:
    """Read the command's words once, before any process does."""
    called = " ".join((name, *line.path))
    # A command takes the global options that stand before it as well.
    context = line.command.make_context(called, [*line.before, *line.after])
    return options_of(context), context.params


def refusal(path: Sequence[str], given: dict[str, Any]) -> str:
    """Say why a command cannot be done on several stacks; empty where it can."""
    command = " ".join(path)
    for words, does in _ALONE.items():
        if command == words or command.startswith(f"{words} "):
            return f"`occ {command}` {does}, and cannot be done on several stacks at once."
    if command == "shell" and not given["command"]:
        return "A shell is for one deployment. `occ shell COMMAND` runs a command on several."
    if command == "status" and given["watch"]:
        return "--watch draws one deployment over and over. Without it, status shows several."
    if command == "uninstall" and given["data"]:
        return "--data deletes what people made, and has each stack's name typed."
    return ""


def _stdin(given: dict[str, Any]) -> bytes:
    """Read what a command takes from standard input, for all of them."""
    if not (given.get("stdin") or given.get("password_stdin")):
        return b""
    if sys.stdin.isatty():
        raise FleetError("Several stacks take the same: pipe it in, a terminal would show it.")
    return sys.stdin.buffer.read()


def _run(
    line: targets.Line, names: list[str], parallel: int, options: Options, stdin: bytes
) -> int:
    from opencode_cloud.cli.fleet_view import View
    from opencode_cloud.ops.fleet import Fleet

    view = View(names, options)
    began = time.monotonic()
    fleet = Fleet(names, line.words, view, parallel, stdin, as_json=options.json)
    with view.shown():
        results = fleet.run()
    if options.json:
        print(json.dumps({name: asdict(ended) for name, ended in results.items()}))
    view.summarize(results, time.monotonic() - began)
    if fleet.is_interrupted:
        raise KeyboardInterrupt(
            f"Interrupted: {counted(results)}. What each came to stands above. To see how they "
            "are: occ status, for the same stacks. To go on: the same command again."
        )
    return DONE if all(ended.exit_code == DONE for ended in results.values()) else FAILED
