import pytest

from opencode_cloud.cli import user as commands
from opencode_cloud.cli.options import Options
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.execution import Done
from opencode_cloud.ops.users import User, parse, refusal

ADA = ("user", "disable", "ada")


def refused(said: str, stack: str = "local") -> str:
    return refusal(stack, ADA, Done(1, "", f"opencode-user: {said}\n"))


def test_users_are_read_with_their_state():
    assert parse("ada\tenabled\neve\tdisabled\n\n") == [User("ada", True), User("eve", False)]


def test_a_refusal_names_the_commands_that_are_typed_here():
    said = refused("the user ada exists: `opencode-user passwd ada` changes the password", "two")
    assert said == "the user ada exists: `occ --host two user passwd ada` changes the password"


def test_the_last_user_is_kept_with_the_command_that_would_not():
    assert refused("last one: or say --force if so").endswith(": occ user disable ada --force")


def test_a_refusal_without_words_has_some():
    assert refusal("local", ADA, Done(3, "", "")) == "opencode-user failed with status 3"


@pytest.mark.parametrize("options", [Options(), Options(quiet=True), Options(host="two")])
def test_without_anybody_to_ask_the_exact_commands_are_said(
    options: Options, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.stdin.isatty", lambda: options.quiet)
    with pytest.raises(OperationError) as caught:
        commands._password(options, "add", "ada", stdin=False, generate=False)
    command = options.occ("user", "add", "ada")
    assert f"({command} --password-stdin)" in str(caught.value)
    assert f"({command} --generate)" in str(caught.value)
    with pytest.raises(OperationError, match=f"{options.occ('user', 'remove', 'ada')} --yes"):
        commands._confirm(options, "ada", force=False)


def test_yes_is_not_asked_for_twice():
    commands._confirm(Options(yes=True), "ada", force=False)


def test_generated_passwords_differ():
    made = {
        commands._password(Options(), "add", "ada", stdin=False, generate=True) for _ in range(9)
    }
    assert len(made) == 9
