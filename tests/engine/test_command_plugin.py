"""The command plugin that the engine layer runs with, held to what its SDK documents."""

from pathlib import Path
from typing import Any

import pytest

from tests.engine.command_program import Program
from tests.engine.stack import PulumiFailedError


def test_a_local_command_runs_when_its_resource_is_made_changed_and_deleted_and_never_else(
    program: Program, diary: Path
):
    commands = {
        "create": f"echo made >> {diary}; echo first",
        "update": f'echo "changed after $PULUMI_COMMAND_STDOUT" >> {diary}; echo second',
        "delete": f'echo "deleted after $PULUMI_COMMAND_STDOUT" >> {diary}',
    }
    program.declare("local.Command", **commands)
    program.stack.preview()
    assert not diary.exists()
    program.up("local.Command", **commands)
    assert "2 unchanged" in program.up("local.Command", **commands)
    assert diary.read_text() == "made\n"
    program.up("local.Command", **commands, environment={"ANY": "change"})
    assert program.resource()["outputs"]["stdout"] == "second"
    program.stack.operate("preview", "--refresh", "--expect-no-changes")
    program.stack.destroy()
    assert diary.read_text() == "made\nchanged after first\ndeleted after second\n"


def test_without_an_update_command_create_runs_again(program: Program, diary: Path):
    create = f'echo "$WHO, after [$PULUMI_COMMAND_STDOUT]" | tee -a {diary}'
    inputs: dict[str, Any] = {"create": create, "add_previous_output_in_env": False}
    program.up("local.Command", **inputs, environment={"WHO": "one"})
    program.up("local.Command", **inputs, environment={"WHO": "two"})
    assert diary.read_text() == "one, after []\ntwo, after []\n"


def test_a_changed_trigger_replaces_the_resource(program: Program, diary: Path):
    commands = {
        "create": f"echo made >> {diary}",
        "update": f"echo changed >> {diary}",
        "delete": f"echo deleted >> {diary}",
    }
    program.up("local.Command", **commands, triggers=["a", {"deep": [1]}])
    before = program.resource()["id"]
    program.up("local.Command", **commands, triggers=["a", {"deep": [1]}])
    assert program.resource()["id"] == before
    program.up("local.Command", **commands, triggers=["a", {"deep": [2]}])
    assert program.resource()["id"] != before
    assert diary.read_text() == "made\nmade\ndeleted\n"


def test_a_secret_on_stdin_reaches_the_command_and_nothing_else(program: Program, diary: Path):
    printed = program.up(
        "local.Command", create=f"tr a-z A-Z > {diary}", stdin={"$secret": "open sesame"}
    )
    assert diary.read_text() == "OPEN SESAME"
    assert "sesame" not in printed.lower()
    assert "sesame" not in program.state().lower()


@pytest.mark.parametrize(
    ("logging", "shown"),
    [
        (None, {"to-stdout", "to-stderr"}),
        ("stdoutAndStderr", {"to-stdout", "to-stderr"}),
        ("stdout", {"to-stdout"}),
        ("stderr", {"to-stderr"}),
        ("none", set()),
    ],
)
def test_only_the_streams_that_were_asked_for_are_shown(
    program: Program, logging: str | None, shown: set[str]
):
    # The words are split, so that the command itself does not show them.
    create = "printf 'to-%s\\n' stdout; printf 'to-%s\\n' stderr >&2"
    printed = program.up("local.Command", create=create, logging=logging)
    assert {word for word in ("to-stdout", "to-stderr") if word in printed} == shown
    outputs = program.resource()["outputs"]
    assert (outputs["stdout"], outputs["stderr"]) == ("to-stdout", "to-stderr")


def test_a_command_that_fails_shows_what_it_printed(program: Program):
    with pytest.raises(PulumiFailedError, match=r"exit status 3.*\n.*the reason"):
        program.up("local.Command", create="echo the reason >&2; exit 3")


def test_a_command_has_the_folder_interpreter_and_variables_it_asks_for_and_leaves_files(
    program: Program, tmp_path: Path
):
    program.up(
        "local.Command",
        interpreter=["python3", "-c"],
        dir=str(tmp_path),
        environment={"NAME": "made.txt"},
        create="import os, pathlib; pathlib.Path('out').mkdir(exist_ok=True);"
        "[pathlib.Path('out', n).write_text(n) for n in (os.environ['NAME'], 'secret.txt')]",
        asset_paths=["out/**", "!**secret*"],
        archive_paths=["**/secret.txt"],
    )
    outputs = program.resource()["outputs"]
    assert [*outputs["assets"]] == ["out/made.txt"]
    assert [*outputs["archive"]["assets"]] == ["out/secret.txt"]


def test_the_run_function_runs_each_time_that_the_program_does(program: Program, diary: Path):
    inputs = {"command": f"echo run >> {diary}; wc -l < {diary}"}
    program.up("local.run", **inputs)
    program.up("local.run", **inputs)
    assert program.stack.pulumi("stack", "output", "stdout", "--json").strip() == '"2"'
