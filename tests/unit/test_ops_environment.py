import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opencode_cloud.configuration import SettingsError
from opencode_cloud.environment import ENV, SECRET
from opencode_cloud.ops import environment
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.impact import Need
from opencode_cloud.ops.secrets import Secret, read, secrets
from opencode_cloud.ops.stack_change import Difference, edited
from opencode_cloud.ops.stack_document import Document

FILE = """\
# Ours.
config:
  opencode:image_source: build  # for now
  env:TZ: Europe/Berlin
  secret:BY_OCC: {set: "2026-01-31T10:00:00Z", value: {secure: "v1:a:b"}}
  # Theirs.
  secret:BY_PULUMI:
    secure: v1:c:d
  secret:PLAIN: for all
encryptionsalt: v1:salt
"""
NOW = "2026-02-01T00:00:00Z"


def document(text: str = FILE) -> Document:
    return Document("stacks/Pulumi.local.yaml", text)


def test_variables_are_set_in_the_file_and_nothing_else_is_touched():
    change = environment.set_variables(document(), {"TZ": "UTC", "A": "x: y"})
    expected = FILE.replace("Europe/Berlin", "UTC")
    assert change.after == expected.replace("for all\n", 'for all\n  env:A: "x: y"\n')
    assert change.need is Need.REPLACE
    assert change.can_be_applied
    assert change.differences == (
        Difference("env:TZ", "Europe/Berlin", "UTC"),
        Difference("env:A", None, "x: y"),
    )
    assert environment.set_variables(document(), {"TZ": "Europe/Berlin"}).is_none


@settings(deadline=None)
@given(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0")))
def test_any_text_is_read_back_as_it_was_set(value: str):
    after = environment.set_variables(document(), {"A": value}).after
    assert environment.variables(document(after)) == {"A": value, "TZ": "Europe/Berlin"}


def test_removing_leaves_the_rest_and_knows_what_there_is():
    change = environment.remove(document(), ENV, ["TZ"])
    assert change.after == FILE.replace("  env:TZ: Europe/Berlin\n", "")
    change = environment.remove(document(), SECRET, ["BY_OCC", "BY_PULUMI", "PLAIN"])
    assert "secret:" not in change.after
    assert "Theirs" in change.after
    for namespace, name, words in (
        (ENV, "TZZ", "Did you mean TZ?"),
        (ENV, "NOTHING_LIKE_IT", "occ env list"),
        (ENV, "BY_OCC", "occ secret remove BY_OCC"),
        (SECRET, "TZ", "occ env remove TZ"),
    ):
        with pytest.raises(OperationError, match=words.replace("?", r"\?")):
            environment.remove(document(), namespace, [name])


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HOME", "/", "who the agent is"),
        ("1", "x", "no name"),
        ("BY_OCC", "x", "occ secret remove BY_OCC"),
        ("A", "\0", "NUL"),
        ("A", "x" * 33_000, "32 KiB"),
    ],
)
def test_what_cannot_be_a_variable_is_refused(name: str, value: str, words: str):
    with pytest.raises(OperationError, match=words):
        environment.set_variables(document(), {name: value})


def test_all_together_fit_into_what_pulumi_hands_on():
    values = {f"V{number}": "x" * 32_000 for number in range(3)}
    with pytest.raises(OperationError, match="have 64 KiB"):
        environment.set_variables(document(), values)
    cipher = "v1:" + "A" * 100_000
    with pytest.raises(OperationError, match="All variables and secrets together"):
        environment.set_variables(document(FILE.replace("v1:c:d", cipher)), {"A": "x"})


def test_an_encrypted_value_takes_any_place_and_the_others_stay():
    there = document().of(SECRET)
    line = f'{{set: "{NOW}", value: {{secure: "v1:x:y"}}}}'
    for name, old in (
        ("BY_OCC", 'secret:BY_OCC: {set: "2026-01-31T10:00:00Z", value: {secure: "v1:a:b"}}'),
        ("BY_PULUMI", "secret:BY_PULUMI:\n    secure: v1:c:d"),
        ("PLAIN", "secret:PLAIN: for all"),
    ):
        after = there.with_encrypted(name, "v1:x:y", NOW).text
        assert after == FILE.replace(old, f"secret:{name}: {line}")
        assert Secret(name, NOW, encrypted=True) in secrets(document(after))


def test_secrets_are_listed_with_when_they_were_set_if_that_is_known():
    assert secrets(document()) == [
        Secret("BY_OCC", "2026-01-31T10:00:00Z", encrypted=True),
        Secret("BY_PULUMI", None, encrypted=True),
        Secret("PLAIN", None, encrypted=False),
    ]
    assert secrets(document("config: {}\n")) == []


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"x", "x"),
        (b"x\n", "x"),
        (b"x\r\n", "x"),
        (b"x\n\n", "x\n"),
        (b" x ", " x "),
        (b"a\r\nb", "a\r\nb"),
        (b"", ""),
        ("\u00e9\U0001f600\n".encode(), "\u00e9\U0001f600"),
    ],
)
def test_one_line_end_is_not_part_of_a_secret(content: bytes, value: str):
    assert read(None, content) == value


def test_what_is_no_text_is_no_secret():
    with pytest.raises(OperationError, match="UTF-8"):
        read(None, b"\xff")


def test_an_edit_is_judged_with_its_variables_and_secrets():
    fine = FILE.replace("  secret:PLAIN: for all\n", "")
    change = edited(document(fine), fine.replace("Europe/Berlin", "UTC"), "local")
    assert change.need is Need.REPLACE
    assert change.differences == (Difference("env:TZ", "Europe/Berlin", "UTC"),)
    [difference] = edited(document(fine), fine.replace("c:d", "e:f"), "local").differences
    assert "e:f" not in str(difference)
    with pytest.raises(SettingsError, match="secret:PLAIN is not encrypted") as caught:
        edited(document(fine), FILE, "local")
    assert "for all" not in str(caught.value)
    with pytest.raises(SettingsError, match="env:HOME says who the agent is"):
        edited(document(fine), fine.replace("env:TZ", "env:HOME"), "local")


@pytest.mark.parametrize(("argument", "pair"), [("A=b", ("A", "b")), ("A==", ("A", "="))])
def test_an_argument_is_a_name_and_a_value(argument: str, pair: tuple[str, str]):
    assert environment.pair(argument) == pair
    with pytest.raises(OperationError, match="NAME=VALUE"):
        environment.pair("A")
