"""``./start`` itself: from the command line to an exit status."""

import getpass
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from opencode_cloud.errors import OpencodeCloudError
from opencode_cloud.ops.lock import changing
from opencode_cloud.start import lock, options, plan, preflight, summary
from opencode_cloud.start.engine import Finder
from opencode_cloud.start.errors import StartError, UsageError
from opencode_cloud.start.exports import PulumiEnvironment
from opencode_cloud.start.machine import Machine
from opencode_cloud.start.options import Options
from opencode_cloud.start.paths import Paths
from opencode_cloud.start.plan import Context, Step
from opencode_cloud.start.process import Runner
from opencode_cloud.start.screen import Screen
from opencode_cloud.start.steps import all_steps
from opencode_cloud.start.steps.python_environment import PythonEnvironment

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

SHORTEST_PASSWORD = 8

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    """Do what the arguments ask for, and give the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    screen = Screen(sys.stdout, color="NO_COLOR" not in os.environ)
    try:
        asked = options.parse(arguments)
        screen.color = screen.color and asked.color
        if asked.help:
            print(options.USAGE.read_text(), end="")
        else:
            _do(asked, screen)
    except UsageError as error:
        print(error, file=sys.stderr)
        return WRONG_USAGE
    except OpencodeCloudError as error:
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("Stopped. Run again, ./start goes on from there.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads any more; nor may Python's own last flush find that out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return DONE


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _do(asked: Options, screen: Screen) -> None:
    context = _context(asked, screen)
    preflight.check_system(context.machine)
    preflight.check_target(context)
    if asked.print_env:
        _print_environment(context)
    elif asked.only_environment:
        carry_out(context, [PythonEnvironment(context)], screen, "./start --only-environment")
    elif asked.dry_run:
        _print_plan(context, screen)
    else:
        _start(context, screen)


def _context(asked: Options, screen: Screen) -> Context:
    environment = dict(os.environ)
    machine = Machine.this()
    runner = Runner(environment, machine, tick=screen.tick, tell=screen.note)
    if asked.verbose:
        runner.show = screen.note
    return Context(asked, Paths.of(ROOT, environment), machine, runner, environment)


def _print_environment(context: Context) -> None:
    finder = Finder(context.paths, context.runner, context.environment)
    engine = finder.find() if context.paths.python.exists() else None
    if engine is None:
        raise StartError("Nothing is set up yet. Run ./start first.")
    print(PulumiEnvironment(context.paths, engine, context.environment).as_shell(), end="")


def _print_plan(context: Context, screen: Screen) -> None:
    preflight.check_port(context)
    screen.say("./start would do this. Nothing is changed now.")
    plan.explain(all_steps(context), screen)


def _start(context: Context, screen: Screen) -> None:
    began = time.monotonic()
    steps = all_steps(context)
    preflight.check_obstacles(steps)
    preflight.check_port(context)
    if context.options.password_stdin:
        context.password = _read_password(context.options.user_name)
    carry_out(context, steps, screen, f"./start --stack {context.options.stack}")
    summary.show(context, screen, time.monotonic() - began)


def carry_out(context: Context, steps: Sequence[Step], screen: Screen, what: str) -> None:
    """Run the steps: nobody else's meanwhile, and with a log of every command.

    Args:
        context: of the steps.
        steps: in their order.
        screen: shows each.
        what: the command that this is, as typed.
    """
    # Another ./start is waited for; what occ does to the stack meanwhile is not to be mixed with.
    with (
        lock.held(context.paths.lock, screen.say),
        changing(context.paths, context.options.stack, what),
        _logged(context),
    ):
        if installed := context.environment.get("OPENCODE_CLOUD_INSTALLED"):
            context.note_change(f"installed packages {installed}")
        plan.execute(steps, screen)


def _read_password(user: str) -> str:
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password for {user}: ")
    else:
        password = sys.stdin.readline().removesuffix("\n")
    if len(password) < SHORTEST_PASSWORD:
        # Said now, not by the container after everything is built.
        raise UsageError(
            f"--password-stdin found {len(password)} characters on standard input; a password has "
            f"at least {SHORTEST_PASSWORD}."
        )
    return password


@contextmanager
def _logged(context: Context) -> Iterator[None]:
    path = context.paths.log
    if path.exists():
        path.rename(path.with_suffix(".log.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w") as file:
        context.runner.log = file
        try:
            yield
        except StartError as error:
            file.write(f"{error}\n")
            raise StartError(
                f"{error}\nThe whole log is in {path}. Run again, ./start goes on from there."
            ) from None
