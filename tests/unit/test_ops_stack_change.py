import contextlib
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import settings as how
from hypothesis import strategies as st

from opencode_cloud.configuration import SettingsError, load
from opencode_cloud.ops import settings_file
from opencode_cloud.ops.impact import Need, impact
from opencode_cloud.ops.setting_names import normalised, setting_name
from opencode_cloud.ops.settings_file import StackFile
from opencode_cloud.ops.stack_change import edited, set_value, unset
from opencode_cloud.ops.stack_document import Document, StackConfigError
from opencode_cloud.ops.stack_overview import overview
from opencode_cloud.settings import Settings

BUILD = {"image_source": "build"}
PINNED = "ghcr.io/example/opencode-cloud@sha256:" + "a" * 64

FILE = """\
# yaml-language-server: $schema=../schemas/stack.schema.json
# Ours.
encryptionsalt: v1:salt=:v1:more==
config:
  # It builds.
  opencode:image_source: build   # until there is a release
  aws:region: "eu-central-1"

  opencode:port: "8080"
  other:token:
    secure: v1:cipher
  # The end.
"""


def document(text: str = FILE) -> Document:
    return Document("stacks/Pulumi.local.yaml", text)


def settings(**raw: str) -> Settings:
    return load(BUILD | raw, "local")


def test_a_new_value_takes_the_old_ones_place_and_touches_nothing_else():
    assert document().with_value("port", "9090").text == FILE.replace('"8080"', '"9090"')
    pulled = document().with_value("image_source", "prebuilt").text
    assert pulled == FILE.replace("build   # until", "prebuilt   # until")


def test_a_setting_that_the_file_does_not_name_comes_after_the_last_one():
    added = document().with_value("memory_mb", "4096").text
    new = '  opencode:memory_mb: "4096"\n'
    assert added == FILE.replace("  # The end.\n", f"{new}  # The end.\n")
    assert document(added).without("memory_mb").text == FILE


def test_the_first_setting_and_the_last_one_leave_a_file_that_can_be_read():
    for text in ("", "config: {}\n", "config:\n", "config: {} # mine\n", "a: b", "# nothing\n"):
        added = document(text).with_value("port", "80")
        assert added.values == {"port": "80"}
        emptied = added.without("port").text
        assert yaml.safe_load(emptied)["config"] == {}
        assert ("# mine" in emptied) == ("# mine" in text)


def test_line_ends_of_other_systems_stay():
    text = FILE.replace("\n", "\r\n")
    added = document(text).with_value("cpus", "2").text
    assert added.replace("\r\n", "").count("\n") == 0
    assert document(added).without("cpus").text == text


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("off", "off"),
        ("yes", "yes"),
        ("True", "true"),
        ("0x1F90", "8080"),
        ("010", "8"),
        ("1_000", "1000"),
        ("'010'", "010"),
        ("~", ""),
        ("", ""),
        ("127.0.0.1", "127.0.0.1"),
        ("[10.0.0.1, 3]", '["10.0.0.1",3]'),
        ("|\n    two\n    lines", "two\nlines\n"),
    ],
)
def test_a_value_is_read_as_the_engine_reads_it_and_can_be_changed(written: str, value: str):
    line = f"  opencode:hostnames: {written}".rstrip()
    text = f"config:\n{line}\n  opencode:port: '1'\n"
    assert document(text).values["hostnames"] == value
    changed = document(text).with_value("hostnames", "a.example").text
    assert changed == "config:\n  opencode:hostnames: a.example\n  opencode:port: '1'\n"
    assert document(text).without("hostnames").text == "config:\n  opencode:port: '1'\n"


@pytest.mark.parametrize("key", ["port", "opencode:port", "opencode:config:port"])
def test_every_way_to_write_a_key_is_the_same_setting(key: str):
    text = f"config:\n  {key}: '80'\n"
    assert document(text).with_value("port", "81").text == f'config:\n  {key}: "81"\n'


def test_encrypted_values_are_not_shown_and_stay_as_they_are():
    text = FILE + "  opencode:acme_email:\n    secure: v1:hidden\n"
    change = set_value(document(text), "local", "port", "81")
    assert change.after == text.replace("8080", "81")
    assert change.impact is None, "it depends on what cannot be read"
    shown = {row.key: row for row in overview(document(text), "local").settings}
    assert shown["acme_email"].value is None
    assert shown["acme_email"].source == "stack"
    assert "hidden" not in repr(overview(document(text), "local"))
    replaced = document(text).with_value("acme_email", "me@example.org").text
    assert replaced == FILE + "  opencode:acme_email: me@example.org\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("config: [", "expected the node content"),
        ("config:\n  opencode:port: 1\n  opencode:port: 2\n", "line 3: 'opencode:port' stands"),
        ("config:\n  opencode:port: 1\n  port: 2\n", "line 3: 'port' stands twice"),
        ("config: 5\n", "`key: value` lines"),
        ("config: &a\n  x: *a\n", "in itself"),
        ("config:\n  opencode:port: [!mine 1]\n", "line 2"),
        ("a: 1\n---\nb: 2\n", "another document"),
        ("config: \x07\n", "not allowed"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_place(text: str, words: str):
    with pytest.raises(StackConfigError, match=r"Pulumi\.local\.yaml") as caught:
        _ = document(text).entries
    assert words in str(caught.value)
    assert "occ config edit" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "config: {opencode:image_source: build, a:b: 1}\n",
        "{config: {opencode:image_source: build}}\n",
        "a: &here\n  opencode:image_source: build\nconfig: *here\n",
        "config:\n  opencode:image_source: build\n...\n# end\n",
        "config:\n  opencode:image_source: build\n  ? opencode:port\n",
        "config:\n  ? opencode:image_source\n  : build\n",
    ],
)
def test_a_rare_layout_is_changed_rightly_or_left_alone(text: str):
    before = yaml.safe_load(text)["config"]
    with contextlib.suppress(StackConfigError):
        after = document(text).with_value("port", "81").text
        assert yaml.safe_load(after)["config"] == before | {"opencode:port": "81"}


def test_an_anchor_that_others_use_is_never_changed_with_the_setting():
    text = "config:\n  x:a: &one build\n  opencode:image_source: *one\n"
    with pytest.raises(StackConfigError, match="pulumi config set opencode:image_source"):
        document(text).with_value("image_source", "prebuilt")


VALUES = {
    "port": st.integers(1, 65535).map(str),
    "memory_mb": st.integers(1024, 10**9).map(str),
    "allow_network_exposure": st.sampled_from(["true", "false"]),
    "hostnames": st.lists(st.from_regex(r"[a-z]{1,9}\.[a-z]{2}", fullmatch=True)).map(",".join),
    "bind_address": st.ip_addresses().filter(lambda address: address.is_loopback).map(str),
    "acme_email": st.from_regex(r"[a-z]{1,5}@[a-z]{1,5}", fullmatch=True),
    "base_image": st.text().filter(str.isprintable),
}
PRINTABLE = st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=12)
BASES = [FILE, FILE.replace("\n", "\r\n"), "config:\n  opencode:image_source: build"]


@st.composite
def setting(draw: st.DrawFn) -> tuple[str, str]:
    key = draw(st.sampled_from(sorted(VALUES)))
    return key, draw(VALUES[key])


@how(deadline=None)
@given(base=st.sampled_from(BASES), changes=st.lists(setting(), max_size=6))
def test_whatever_is_set_is_read_back_and_all_other_lines_stay(
    base: str, changes: list[tuple[str, str]]
):
    now = document(base)
    wanted = now.values
    for key, value in changes:
        now = document(set_value(now, "local", key, value).after)
        wanted[key] = value
    assert now.values == wanted
    ours = tuple(f"opencode:{key}:" for key, _ in changes)

    def others(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.strip().startswith(ours or ("\0",))]

    assert others(now.text) == others(base)


@how(deadline=None)
@given(
    comments=st.lists(PRINTABLE, min_size=4, max_size=4), value=PRINTABLE, column=st.integers(1, 8)
)
def test_setting_and_unsetting_gives_the_file_back_to_the_byte(
    comments: list[str], value: str, column: int
):
    indent = " " * column
    text = (
        f"# {comments[0]}\nconfig: # {comments[1]}\n{indent}opencode:image_source: build"
        f" # {comments[2]}\n{indent}# {comments[3]}\nsecretsprovider: passphrase\n"
    )
    added = document(text).with_value("base_image", value)
    assert added.values["base_image"] == value
    assert added.without("base_image").text == text


@how(deadline=None)
@given(st.text(max_size=60), st.text(max_size=10))
def test_no_text_whatever_is_changed_wrongly(text: str, value: str):
    assume(value.isprintable())
    now = document(f"config:\n  opencode:image_source: build\n{text}")
    try:
        after = now.with_value("base_image", value)
    except StackConfigError:
        return
    assert after.values == now.values | {"base_image": value}
    assert after.elsewhere == now.elsewhere


def test_a_value_that_cannot_work_is_refused_and_says_everything():
    for key, value in {"port": "70000", "bind_address": "0.0.0.0", "http_port": "81"}.items():
        with pytest.raises(SettingsError) as caught:
            set_value(document(), "local", key, value)
        assert [problem.key for problem in caught.value.problems] == [key]
    with pytest.raises(SettingsError, match="cannot be printed"):
        set_value(document(), "local", "base_image", "two\nlines")


def test_what_others_need_cannot_be_unset():
    text = FILE + "  opencode:trust_proxy: 10.0.0.1\n  opencode:proxy_protocol: 'true'\n"
    with pytest.raises(SettingsError, match="trust_proxy names nobody"):
        unset(document(text), "local", "trust_proxy")


def test_a_file_with_several_faults_is_put_right_one_by_one():
    text = FILE + "  opencode:memory_mb: '5'\n  opencode:cockpit: 'true'\n"
    first = set_value(document(text), "local", "memory_mb", "2048")
    assert [problem.key for problem in first.problems] == ["cockpit"]
    assert first.impact is None
    second = unset(document(first.after), "local", "opencode:cockpit")
    assert second.problems == ()
    with pytest.raises(SettingsError):
        set_value(document(text), "local", "memory_mb", "5")


def test_unset_of_what_is_not_there_changes_nothing():
    change = unset(document(), "local", "memory-mb")
    assert change.before == change.after
    assert change.differences == ()


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("port", "port"),
        ("opencode:port", "port"),
        ("rate-limit-attempts", "rate_limit_attempts"),
        ("opencode:Rate-Limit-Attempts", "rate_limit_attempts"),
        ("opencode_web_port", "port"),
        ("bind", "bind_address"),
        ("mount", "mounts"),
    ],
)
def test_other_spellings_and_names_of_a_setting_mean_it(given_name: str, name: str):
    assert setting_name(given_name) == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("auth_username", "occ user add"),
        ("auth-password", "occ user add"),
        ("prot", "Did you mean port?"),
        ("bind_addres", "Did you mean bind_address?"),
        ("allow_unauthenticated_network", "allow_network_exposure"),
        ("cockpit", "occ config show"),
        ("aws:region", "is not a setting"),
        ("", "is not a setting"),
    ],
)
def test_what_is_no_setting_is_said_with_what_to_use(name: str, words: str):
    with pytest.raises(StackConfigError) as caught:
        setting_name(name)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "given_value", "value"),
    [
        ("proxy_protocol", "YES", "true"),
        ("proxy_protocol", "0", "false"),
        ("proxy_protocol", "perhaps", "perhaps"),
        ("port", " 080 ", "80"),
        ("port", "eighty", "eighty"),
        ("tls", "off", "off"),
        ("base_image", "010", "010"),
    ],
)
def test_booleans_and_numbers_are_written_in_one_way(name: str, given_value: str, value: str):
    assert normalised(name, given_value) == value


@pytest.mark.parametrize(
    ("old", "new", "need"),
    [
        ({}, {}, Need.NOTHING),
        ({}, {"allow_network_exposure": "true"}, Need.NOTHING),
        ({}, {"acme_email": "me@example.org"}, Need.NOTHING),
        ({}, {"memory_mb": "4096"}, Need.UPDATE),
        ({}, {"restart_policy": "on-failure:3"}, Need.UPDATE),
        ({}, {"memory_mb": "4096", "cpus": "1"}, Need.REPLACE),
        ({}, {"cpus": "1"}, Need.REPLACE),
        ({}, {"port": "81"}, Need.REPLACE),
        ({}, {"rate_limit_attempts": "9"}, Need.REPLACE),
        ({}, {"base_image": "debian:13"}, Need.REPLACE),
        ({}, {"image_source": "prebuilt", "prebuilt_image": PINNED}, Need.REPLACE),
        ({}, {"docker_host": "unix:///run/other.sock"}, Need.DATA),
        ({}, {"delete_data_on_destroy": "local"}, Need.DATA),
        ({"delete_data_on_destroy": "local"}, {}, Need.UPDATE),
        ({"delete_data_on_destroy": "local"}, {"port": "81"}, Need.REPLACE),
    ],
)
def test_what_a_change_needs_is_known_beforehand(
    old: dict[str, str], new: dict[str, str], need: Need
):
    assert impact(settings(**old), settings(**new)).need is need


def test_the_meaning_of_a_change_names_what_people_would_ask():
    moved = impact(settings(), settings(port="81", base_image="debian:13"))
    text = " ".join(moved.meaning)
    assert "Users, sessions and data stay." in text
    assert "built first" in text
    assert "http://127.0.0.1:81, instead of http://127.0.0.1:4096" in text
    pulled = impact(settings(), settings(image_source="prebuilt", prebuilt_image=PINNED))
    assert "pulled first" in " ".join(pulled.meaning)
    armed = impact(settings(), settings(delete_data_on_destroy="local", port="81"))
    assert armed.need is Need.DATA
    assert "deletes users, sessions and data" in " ".join(armed.meaning)


def test_an_edit_may_change_settings_and_comments_and_nothing_that_opens_secrets():
    change = edited(document(), FILE.replace("8080", "81").replace("Ours", "Mine"), "local")
    assert [(d.key, d.old, d.new) for d in change.differences] == [("port", "8080", "81")]
    with pytest.raises(StackConfigError, match="encryptionsalt must stay"):
        edited(document(), FILE.replace("v1:salt", "v1:other"), "local")
    with pytest.raises(SettingsError) as caught:
        edited(document(), FILE.replace("8080", "0").replace("build ", "guess "), "local")
    assert len(caught.value.problems) == 2


def test_an_edit_can_put_right_what_could_not_be_read():
    change = edited(document(FILE + "  x: [\n"), FILE, "local")
    assert change.after == FILE


def test_an_overview_shows_every_setting_with_its_value_and_source():
    shown = overview(document(FILE + "  opencode:cockpit: yes\n"), "local")
    rows: dict[str, Any] = {row.key: row for row in shown.settings}
    assert set(rows) == {*Settings.model_fields, "cockpit"}
    assert (rows["port"].value, rows["port"].source, rows["port"].default) == (8080, "stack", 4096)
    assert (rows["cpus"].value, rows["cpus"].source) == (0, "default")
    assert all(row.description for row in shown.settings)
    assert [problem.key for problem in shown.problems] == ["cockpit"]


def stack_file(root: Path, text: str = FILE) -> StackFile:
    file = StackFile(root, "local")
    file.path.parent.mkdir()
    file.path.write_text(text)
    return file


def test_a_change_is_written_whole_and_the_files_rights_stay(tmp_path: Path):
    file = stack_file(tmp_path)
    file.path.chmod(0o640)
    file.write(set_value(file.read(), "local", "port", "81"))
    assert file.path.read_text() == FILE.replace("8080", "81")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640
    assert [path.name for path in file.path.parent.iterdir()] == [file.path.name]


def test_a_link_stays_a_link(tmp_path: Path):
    file = stack_file(tmp_path)
    real = file.path.rename(tmp_path / "real.yaml")
    file.path.symlink_to(real)
    file.write(set_value(file.read(), "local", "port", "81"))
    assert file.path.is_symlink()
    assert '"81"' in real.read_text()


def test_a_change_by_somebody_else_meanwhile_is_never_overwritten(tmp_path: Path):
    file = stack_file(tmp_path)
    change = set_value(file.read(), "local", "port", "81")
    file.path.write_text(FILE + "# mine\n")
    with pytest.raises(StackConfigError, match="somebody else"):
        file.write(change)
    assert file.path.read_text() == FILE + "# mine\n"


def test_when_writing_fails_the_file_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = stack_file(tmp_path)
    change = set_value(file.read(), "local", "port", "81")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(settings_file.os, "fsync", full)
    with pytest.raises(StackConfigError, match="No space"):
        file.write(change)
    assert file.path.read_text() == FILE
    assert len(list(file.path.parent.iterdir())) == 1


def test_a_file_that_a_setting_names_and_nobody_can_look_at_is_an_error_of_words():
    with pytest.raises(SettingsError, match="cannot be read"):
        set_value(document(), "local", "extra_ca_file", "/" + "a" * 5000)


@pytest.mark.parametrize(
    ("stack", "words"),
    [
        ("loca", "Did you mean local?"),
        ("zzz", "There is local"),
        ("../local", "cannot be the name of a stack"),
    ],
)
def test_a_stack_that_is_not_there_is_refused(tmp_path: Path, stack: str, words: str):
    stack_file(tmp_path)
    with pytest.raises(StackConfigError) as caught:
        StackFile(tmp_path, stack).read()
    assert words in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path):
    file = stack_file(tmp_path)
    file.path.write_bytes(b"config: \xff\n")
    with pytest.raises(StackConfigError, match="byte 8"):
        file.read()
