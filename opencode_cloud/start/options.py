"""The command line of ``./start``."""

import argparse
import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from opencode_cloud.start.errors import UsageError

DEFAULT_USER = "admin"
USAGE = Path(__file__).with_name("usage.txt")

_USER = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_STACK = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_LAST_PORT = 65535


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was asked for. ``None`` where nothing was."""

    user: str | None = None
    password_stdin: bool = False
    new_password: bool = False
    port: int | None = None
    stack: str = "local"
    dry_run: bool = False
    print_env: bool = False
    only_environment: bool = False
    verbose: bool = False
    color: bool = True
    help: bool = False

    @property
    def user_name(self) -> str:
        """The user to make or to act on."""
        return self.user or DEFAULT_USER


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}. ./start --help shows the options.")


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 1 to 65535")
    return int(text)


def is_user_name(text: str) -> bool:
    """Whether somebody can be called so."""
    return _USER.fullmatch(text) is not None


def _user(text: str) -> str:
    if not is_user_name(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be a user name; use up to 32 of a-z, 0-9, _ and -, "
            "with a letter first"
        )
    return text


def _stack(text: str) -> str:
    # It becomes part of the names of a container and of volumes.
    if not _STACK.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be a stack's name; use up to 40 of a-z, 0-9, _ and -"
        )
    return text


def _parser() -> _Parser:
    parser = _Parser(prog="./start", add_help=False, allow_abbrev=False)
    parser.add_argument("--user", type=_user, metavar="NAME")
    parser.add_argument("--password-stdin", action="store_true")
    parser.add_argument("--new-password", action="store_true")
    parser.add_argument("--port", type=_port, metavar="N")
    parser.add_argument("--stack", type=_stack, metavar="NAME", default="local")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--print-env", action="store_true")
    parser.add_argument("--only-environment", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--no-color", dest="color", action="store_false")
    parser.add_argument("-h", "--help", action="store_true")
    return parser


def _unknown(word: str) -> UsageError:
    known = re.findall(r"^ .*?(--[a-z-]+)", USAGE.read_text(), re.MULTILINE)
    close = difflib.get_close_matches(word.partition("=")[0], known, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return UsageError(f"Unknown option {word}.{meant} ./start --help shows the options.")


def parse(arguments: list[str]) -> Options:
    """Read the command line.

    Raises:
        UsageError: with one sentence for the person who typed it.
    """
    known, unknown = _parser().parse_known_args(arguments)
    if unknown:
        raise _unknown(unknown[0])
    options = Options(**vars(known))
    if options.password_stdin and options.new_password:
        raise UsageError(
            "--password-stdin gives a password and --new-password makes one: use one of the two."
        )
    if options.dry_run and options.print_env:
        raise UsageError("--dry-run and --print-env each print something else: use one of the two.")
    return options
