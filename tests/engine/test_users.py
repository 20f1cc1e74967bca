"""opencode-user on a real container: what it does, what it says, what it refuses."""

import pytest

from tests.engine.container import Running
from tests.engine.deployment import PASSWORD, USER


def refused(opencode: Running, *command: str, stdin: str = f"{PASSWORD}\n") -> str:
    """What is said when a command is refused; it must change nothing."""
    before = opencode.run("cat", "/etc/passwd", "/etc/shadow", "/etc/group")
    done = opencode.attempt("opencode-user", *command, stdin=stdin)
    assert done.returncode == 1, done
    assert opencode.run("cat", "/etc/passwd", "/etc/shadow", "/etc/group") == before
    assert done.stdout == ""
    return done.stderr


def test_users_are_listed_with_their_state(opencode: Running):
    assert opencode.run("opencode-user", "list") == f"{USER}\tenabled\n"


@pytest.mark.parametrize(
    "name", ["", "Ada", "1ada", "a b", "a:b", "a/b", "../etc", "a\nb", "ada.", "ä", "a" * 33]
)
def test_a_name_that_cannot_be_one_is_refused_with_the_rule(opencode: Running, name: str):
    assert "use 1 to 32 lower-case letters" in refused(opencode, "add", "--", name)


@pytest.mark.parametrize(
    "name", ["root", "opencode", "session", "gateway", "nobody", "users", "shadow"]
)
def test_the_systems_names_are_refused(opencode: Running, name: str):
    assert "belongs to the system" in refused(opencode, "add", name)
    for command in ("passwd", "disable", "remove", "enable"):
        assert f"no user '{name}': the users are ada" in refused(opencode, command, name)


def test_a_user_is_not_added_twice(opencode: Running):
    assert "opencode-user passwd ada" in refused(opencode, "add", USER)


@pytest.mark.parametrize(
    ("password", "said"),
    [("", "is empty"), ("short", "has 5 characters: use at least 8"), ("x" * 600, "too long")],
)
@pytest.mark.parametrize("command", [("add", "eve"), ("passwd", USER)])
def test_an_unusable_password_is_refused(
    opencode: Running, command: tuple[str, str], password: str, said: str
):
    assert said in refused(opencode, *command, stdin=f"{password}\n")


@pytest.mark.parametrize("command", ["disable", "remove"])
def test_the_last_user_is_kept_unless_forced(opencode: Running, command: str):
    assert "the last user who can sign in" in refused(opencode, command, USER)
    opencode.run("opencode-user", command, "--force", USER)
    if command == "disable":
        assert opencode.run("opencode-user", "list") == f"{USER}\tdisabled\n"
        opencode.run("opencode-user", "enable", USER)
    else:
        assert opencode.run("opencode-user", "list") == ""
        assert "opencode-user add" in refused(opencode, "remove", USER)
        opencode.add_user()
    assert opencode.run("opencode-user", "list") == f"{USER}\tenabled\n"


@pytest.mark.parametrize(
    "password", ["a:b c'd\"e$f\\g", "pässwörtli", "  spaces around  ", "x" * 511]
)
def test_any_text_can_be_a_password(opencode: Running, password: str):
    opencode.add_user("eve", password)
    assert opencode.lets_in(opencode.sign_in(username="eve", password=password))
    opencode.run("opencode-user", "remove", "eve")


def test_an_account_is_an_ordinary_one(opencode: Running):
    assert int(opencode.run("id", "--user", USER)) >= 2000
    groups = opencode.run("id", "--groups", "--name", USER).split()
    assert groups == [USER, "opencode-users", "opencode"]
    assert opencode.run("getent", "passwd", USER).strip().endswith(f":/home/{USER}:/bin/bash")
    assert opencode.run("stat", "-c", "%U %a", f"/home/{USER}").strip() == f"{USER} 700"


def test_ids_are_not_those_of_a_host_or_of_each_other(opencode: Running):
    opencode.add_user("eve")
    assert opencode.run("id", "--user", "eve") != opencode.run("id", "--user", USER)
    opencode.run("opencode-user", "remove", "eve")


def test_what_the_agent_leaves_in_the_workspace_is_not_run_by_root(opencode: Running):
    for package in ("accounts", "certificates"):
        trap = f"/workspace/{package}"
        opencode.run("mkdir", trap, user="opencode")
        opencode.run("cp", "/dev/stdin", f"{trap}/__main__.py", stdin="exit(99)", user="opencode")
    try:
        assert USER in opencode.run("sh", "-c", "cd /workspace && opencode-user list")
        shown = opencode.attempt("sh", "-c", "cd /workspace && opencode-certificate")
        assert (shown.returncode, "TLS is off" in shown.stderr) == (1, True)
    finally:
        opencode.run("rm", "-r", "/workspace/accounts", "/workspace/certificates")


def test_a_hash_is_as_good_as_the_password_that_it_is_of(opencode: Running):
    """So that a machine can make its first user and never know the password."""
    hashed = opencode.run("openssl", "passwd", "-6", "-stdin", stdin="of the cloud\n")
    opencode.run("opencode-user", "add", "--hashed", "eve", stdin=hashed)
    try:
        browser = opencode.sign_in(username="eve", password="of the cloud")
        assert opencode.lets_in(browser)
    finally:
        opencode.run("opencode-user", "remove", "eve")


@pytest.mark.parametrize("text", ["", "of the cloud", "$1$salt$short", "$6$salt$short", "!", "*"])
def test_what_is_no_hash_is_refused(opencode: Running, text: str):
    said = refused(opencode, "add", "--hashed", "eve", stdin=f"{text}\n")
    assert "no hash that crypt(5) knows" in said
