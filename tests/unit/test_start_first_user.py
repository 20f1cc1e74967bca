import re
from pathlib import Path
from typing import Any

import pytest

from opencode_cloud.start.errors import StartError
from opencode_cloud.start.plan import Context
from opencode_cloud.start.steps import first_user
from opencode_cloud.start.steps.first_user import FirstUser
from tests.unit.start_parts import Notes, context, ok, runner_of


def users(asked: Context, listed: str) -> FirstUser:
    runner_of(asked).answers["docker", "exec", "opencode-local", "opencode-user", "list"] = ok(
        listed
    )
    return FirstUser(asked)


def test_the_first_user_gets_a_password_that_is_shown_and_never_on_a_command_line(tmp_path: Path):
    asked = context(tmp_path)
    step = users(asked, "")
    assert not step.is_done()
    step.run(Notes())
    runner = runner_of(asked)
    assert asked.generated_password
    assert runner.ran == [
        ("docker", "exec", "-i", "opencode-local", "opencode-user", "add", "admin")
    ]
    assert runner.stdin == [f"{asked.generated_password}\n"]
    assert asked.generated_password not in asked.paths.changes.read_text()


def test_a_given_password_is_used_and_not_shown(tmp_path: Path):
    asked = context(tmp_path, user="ada", password_stdin=True)
    asked.password = "correct horse"
    users(asked, "").run(Notes())
    assert runner_of(asked).ran[0][-2:] == ("add", "ada")
    assert runner_of(asked).stdin == ["correct horse\n"]
    assert asked.generated_password is None


def test_users_that_are_there_are_left_alone(tmp_path: Path):
    asked = context(tmp_path)
    assert users(asked, "ada\tenabled\nbob\tdisabled\n").is_done() == "ada, bob"
    assert asked.users == ["ada", "bob"]


@pytest.mark.parametrize(
    ("options", "listed", "verb"),
    [
        ({"user": "ada", "password_stdin": True}, "ada\tenabled\n", "passwd"),
        ({"user": "ada", "new_password": True}, "ada\tenabled\n", "passwd"),
        ({"user": "bob"}, "ada\tenabled\n", "add"),
        ({"new_password": True}, "", "add"),
    ],
)
def test_an_existing_user_gets_a_new_password_only_when_asked_for(
    tmp_path: Path, options: dict[str, Any], listed: str, verb: str
):
    asked = context(tmp_path, **options)
    asked.password = "correct horse" if "password_stdin" in options else None
    step = users(asked, listed)
    assert not step.is_done()
    outcome = step.run(Notes())
    name = options.get("user", "admin")
    assert runner_of(asked).ran[0][-2:] == (verb, name)
    assert outcome.detail == f"{'new password for' if verb == 'passwd' else 'made'} {name}"


def test_a_new_password_for_nobody_names_who_there_is(tmp_path: Path):
    asked = context(tmp_path, new_password=True)
    with pytest.raises(StartError, match=r"There is no user admin; there is ada\..*--user ada"):
        users(asked, "ada\tenabled\n").run(Notes())


def test_generated_passwords_are_long_typable_and_never_the_same():
    made = {first_user.generate_password() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"([a-km-np-z2-9]{4}-){4}[a-km-np-z2-9]{4}", one) for one in made)
