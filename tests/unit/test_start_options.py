import re
from pathlib import Path

import pytest
from accounts import __main__ as opencode_user

from opencode_cloud.start import command
from opencode_cloud.start.errors import UsageError
from opencode_cloud.start.options import USAGE, Options, parse


def test_without_options_it_is_the_local_stack_and_the_user_admin():
    assert parse([]) == Options()
    assert (Options().stack, Options().user_name) == ("local", "admin")


def test_every_option_is_understood():
    asked = parse(
        ["--user", "ada", "--password-stdin", "--port", "4097", "--stack", "two", "--verbose"]
    )
    assert asked == Options(user="ada", password_stdin=True, port=4097, stack="two", verbose=True)
    assert not parse(["--no-color"]).color


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prot", "4097"], "Unknown option --prot. Did you mean --port?"),
        (["--dryrun"], "Did you mean --dry-run?"),
        (["--passwordstdin=x"], "Did you mean --password-stdin?"),
        (["please"], "Unknown option please. ./start --help"),
        (["--port", "0"], "'0' is not a port; give a number from 1 to 65535"),
        (["--port", "65536"], "'65536' is not a port"),
        (["--port", "http"], "'http' is not a port"),
        (["--port"], "--port: expected one argument"),
        (["--user", "Ada"], "'Ada' cannot be a user name"),
        (["--user", "a" * 33], "cannot be a user name"),
        (["--stack", "a/b"], "'a/b' cannot be a stack's name"),
        (["--password-stdin", "--new-password"], "use one of the two"),
        (["--dry-run", "--print-env"], "use one of the two"),
    ],
)
def test_what_cannot_be_used_is_named_with_the_way_out(arguments: list[str], words: str):
    with pytest.raises(UsageError) as caught:
        parse(arguments)
    assert words in str(caught.value)


def test_the_help_names_every_option_and_no_other():
    described = set(re.findall(r"^ +(?:-h, )?(--[a-z-]+)", USAGE.read_text(), re.MULTILINE))
    understood = set(re.findall(r'"(--[a-z-]+)"', Path(parse.__code__.co_filename).read_text()))
    assert described == understood | {"--help"}


def test_a_password_that_the_container_would_refuse_is_refused_before_anything_is_built():
    assert command.SHORTEST_PASSWORD == opencode_user.SHORTEST_PASSWORD


@pytest.mark.parametrize("name", ["ada", "a", "a" * 32, "ada-lovelace_2", "Ada", "2ada", "", "_x"])
def test_names_are_taken_here_when_the_container_takes_them(name: str):
    def taken() -> bool:
        try:
            return parse(["--user", name]).user == name
        except UsageError:
            return False

    assert taken() == bool(opencode_user.NAME.fullmatch(name))
