"""Backups on the operator's side: archives, places, keys, units and the commands' words."""

import io
import json
import os
import subprocess
import tarfile
import threading
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opencode_cloud.cli import backup_schedule
from opencode_cloud.ops import archive, backup
from opencode_cloud.ops.age import Decrypting, Encrypting, check_recipients, read_identity
from opencode_cloud.ops.archive import ArchiveError, Sink
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.places import Folder, Place, SshFolder, file_of, place_of
from opencode_cloud.ops.timers import Timers
from opencode_cloud.ops.volume_helper import Helper
from opencode_cloud.spec.units import backup_units, is_time, quoted
from tests.unit.cli_parts import occ

# It says nothing of its types.
pyrage: Any = import_module("pyrage")
HEAD = {"format": 1, "stack": "local", "created": "2026-01-31T10:00:00+00:00", "volumes": ["data"]}


def tar_of(**members: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name.replace("_", "."))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


# ---- Archives


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"no tar at all" * 100, "no backup of ours"),
        (tar_of(readme=b"hello"), "begins with readme"),
        (tar_of(backup_json=b"{"), "backup.json is damaged"),
        (tar_of(backup_json=b"[]"), "backup.json is damaged"),
        (tar_of(backup_json=b'{"format": "x"}'), "backup.json is damaged"),
        (tar_of(backup_json=b'{"format": 1}'), "does not say stack, created, volumes"),
        (tar_of(backup_json=b'{"format": 9, "version": "7.0"}'), "newer opencode-cloud \\(7.0\\)"),
        (tar_of(backup_json=json.dumps(HEAD).encode()), "nothing can be read after backup.json"),
        (
            tar_of(backup_json=json.dumps(HEAD).encode(), manifest_jsonl=b"[1]"),
            "manifest.jsonl is damaged",
        ),
        (
            tar_of(backup_json=json.dumps(HEAD).encode(), manifest_jsonl=b'{"notes":[]}'),
            "has 1 members, and should have 0",
        ),
        (
            tar_of(backup_json=json.dumps(HEAD).encode(), manifest_jsonl=b'7\n{"notes":[]}'),
            "the manifest's row for backup.json",
        ),
    ],
)
def test_what_is_no_whole_archive_is_said_in_words(content: bytes, says: str):
    with pytest.raises(ArchiveError, match=says):
        archive.check(io.BytesIO(content))


@given(st.binary(max_size=3000))
def test_no_bytes_make_it_fail_otherwise(content: bytes):
    with pytest.raises(ArchiveError):
        archive.check(io.BytesIO(content))


# ---- Names


@pytest.mark.parametrize(
    ("name", "stack", "encrypted"),
    [
        ("local-20260131T030000Z.tar", "local", False),
        ("a-b-20260131T030000Z.tar.age", "a-b", True),
        ("local-20260131T030000Z.tar.part", None, None),
        (".local-20260131T030000Z.tar.1234.part", None, None),
        ("local-20261331T030000Z.tar", None, None),
        ("notes.txt", None, None),
    ],
)
def test_backups_are_known_by_their_names(
    tmp_path: Path, name: str, stack: str | None, encrypted: bool | None
):
    (tmp_path / name).write_text("12345")
    found = backup.list_(tmp_path)
    if stack is None:
        assert found == []
        return
    [each] = found
    assert (each.stack, each.encrypted, each.size) == (stack, encrypted, 5)
    assert each.created == datetime(2026, 1, 31, 3, tzinfo=UTC)


def test_the_oldest_of_the_stack_go_first_and_those_of_others_stay(tmp_path: Path):
    names = [f"local-2026010{day}T030000Z.tar" for day in range(1, 5)]
    others = ["local-x-20200101T030000Z.tar", "local-20200101T030000Z.txt"]
    for name in (*names, *others):
        (tmp_path / name).touch()
    removed = backup.prune(tmp_path, "local", 2)
    assert [each.name for each in removed] == names[:2]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names[2:], *others])
    assert backup.prune(tmp_path, "local", 2) == []


# ---- Places


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("ssh://nas/srv/backups", SshFolder("", "nas", None, "/srv/backups")),
        ("ssh://me@nas:2222/srv", SshFolder("me", "nas", 2222, "/srv")),
        ("ssh://me@nas/~/backups", SshFolder("me", "nas", None, "backups")),
        ("ssh://[::1]:22/srv", SshFolder("", "[::1]", 22, "/srv")),
        ("ssh://Nas/a%20b", SshFolder("", "Nas", None, "/a b")),
        ("/srv/backups", Folder(Path("/srv/backups"))),
    ],
)
def test_places_are_understood(text: str, place: Folder | SshFolder):
    assert place_of(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "ssh://",
        "ssh://nas",
        "ssh://nas/~",
        "ssh://-oProxyCommand=x/srv",
        "ssh://me:secret@nas/srv",
        "ssh://-x@nas/srv",
        "ssh://nas:port/srv",
        "ssh://na;s/srv",
        "sftp://nas/srv",
        "https://nas/srv",
    ],
)
def test_what_is_no_place_is_refused_and_no_password_repeated(text: str):
    with pytest.raises(OperationError) as refused:
        place_of(text)
    assert "secret" not in str(refused.value)


def test_files_are_understood():
    assert file_of("ssh://me@nas/~/backups/x.tar") == (
        SshFolder("me", "nas", None, "backups"),
        "x.tar",
    )
    assert file_of("/srv/x.tar") == (Folder(Path("/srv")), "x.tar")
    assert file_of("x.tar") == (Folder(Path.cwd()), "x.tar")
    with pytest.raises(OperationError, match="which backup"):
        file_of("ssh://nas/srv/")


def test_a_file_is_there_when_it_is_whole_and_not_before(tmp_path: Path):
    place = Folder(tmp_path / "new" / "folder")
    with place.writing("x.tar") as file:
        file.write(b"one")
        assert not (place.path / "x.tar").exists()
    assert (place.path / "x.tar").read_bytes() == b"one"
    assert (place.path / "x.tar").stat().st_mode & 0o777 == 0o600
    with pytest.raises(KeyboardInterrupt):
        interrupted(place, "y.tar")
    assert [path.name for path in place.path.iterdir()] == ["x.tar"]
    (tmp_path / "file").touch()
    with (
        pytest.raises(OperationError, match="cannot be made"),
        Folder(tmp_path / "file" / "x").writing("x"),
    ):
        pass


def interrupted(place: Place, name: str) -> None:
    with place.writing(name) as file:
        file.write(b"x" * 100_000)
        raise KeyboardInterrupt


def filled(target: AbstractContextManager[Sink]) -> None:
    with target as sink:
        for _ in range(100):
            sink.write(b"x" * 100_000)


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `ssh` that runs here what it would run there; gives the file of its calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    calls = tmp_path / "calls"
    (folder / "ssh").write_text(
        f'#!/bin/sh\necho "$*" >> {calls}\nfor last; do :; done\nsh -c "$last"\n'
    )
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return calls


def test_ssh_is_called_so_that_it_never_asks(ssh: Path, tmp_path: Path):
    place = SshFolder("me", "nas", 2222, str(tmp_path / "it's here"))
    with place.writing("x.tar") as file:
        file.write(b"x" * 100_000)
    assert (tmp_path / "it's here" / "x.tar").stat().st_size == 100_000
    assert place.sizes() == {"x.tar": 100_000}
    with place.reading("x.tar") as source:
        assert len(source.read(200_000)) == 100_000
        assert source.read(1) == b""
    place.remove("x.tar")
    assert place.sizes() == {}
    assert SshFolder("", "nas", None, "/nowhere").sizes() == {}
    calls = [line for line in ssh.read_text().splitlines() if line.startswith("-o")]
    assert len(calls) == 7
    for line in calls:
        assert line.startswith(("-o BatchMode=yes -p 2222 -- me@nas ", "-o BatchMode=yes -- nas "))


def test_what_breaks_over_ssh_leaves_nothing_and_is_said(ssh: Path, tmp_path: Path):
    place = SshFolder("", "nas", None, str(tmp_path / "there"))
    with pytest.raises(KeyboardInterrupt):
        interrupted(place, "x.tar")
    assert list((tmp_path / "there").iterdir()) == []
    (tmp_path / "file").touch()
    wrong = SshFolder("me", "nas", None, str(tmp_path / "file"))
    with pytest.raises(OperationError, match=r"cannot be used: .*ssh me@nas true"):
        filled(wrong.writing("x.tar"))
    with (
        pytest.raises(OperationError, match="No such file"),
        place.reading("missing") as source,
    ):
        source.read(1)


def test_no_ssh_is_said_in_words(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(OperationError, match="no ssh on this machine"):
        SshFolder("", "nas", None, "/x").sizes()


# ---- Keys


def encrypted(content: bytes, *recipients: str) -> bytes:
    out = io.BytesIO()
    with Encrypting(out, recipients) as sink:
        for at in range(0, len(content), 100_000):
            sink.write(content[at : at + 100_000])
    return out.getvalue()


def decrypted(content: bytes, identity: Path) -> bytes:
    with Decrypting(io.BytesIO(content), identity) as source:
        pieces = []
        while piece := source.read(70_000):
            pieces.append(piece)
    return b"".join(pieces)


@pytest.fixture
def key(tmp_path: Path) -> tuple[str, Path]:
    """A public key, and the file of the secret one."""
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "key").write_text(f"# public key: {identity.to_public()}\n{identity}\n")
    return str(identity.to_public()), tmp_path / "key"


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_000])
def test_what_is_encrypted_is_what_comes_out(key: tuple[str, Path], size: int):
    content = os.urandom(size)
    hidden = encrypted(content, key[0])
    assert content[:50] not in hidden or not size > 50
    assert decrypted(hidden, key[1]) == content
    # As age's own tools read it.
    assert pyrage.decrypt(hidden, read_identity(key[1])) == content


def test_several_keys_each_open_it_and_a_file_may_name_them(tmp_path: Path, key: tuple[str, Path]):
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "ssh")], check=True
    )
    keys = tmp_path / "keys"
    keys.write_text(f"# ours\n\n{key[0]}\n")
    hidden = encrypted(b"plain", str(keys), (tmp_path / "ssh.pub").read_text())
    assert decrypted(hidden, key[1]) == b"plain"
    assert decrypted(hidden, tmp_path / "ssh") == b"plain"


def test_a_damaged_or_cut_one_never_ends_well(key: tuple[str, Path], tmp_path: Path):
    hidden = encrypted(os.urandom(500_000), key[0])
    for wrong in (hidden[:-1], hidden[:200_000], hidden[:50], b"", hidden[:300_000] + b"x" * 9):
        with pytest.raises(ArchiveError, match="damaged or was cut off"):
            decrypted(wrong, key[1])
    other = tmp_path / "other"
    other.write_text(str(pyrage.x25519.Identity.generate()))
    with pytest.raises(OperationError, match="does not open this backup"):
        decrypted(hidden, other)


def test_reading_may_end_early(key: tuple[str, Path]):
    hidden = encrypted(os.urandom(5_000_000), key[0])
    before = threading.active_count()
    with Decrypting(io.BytesIO(hidden), key[1]) as source:
        assert len(source.read(10)) == 10
    assert threading.active_count() == before


def test_a_target_that_fails_is_an_error(key: tuple[str, Path]):
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OperationError, match="No space left"):
        filled(Encrypting(Full(), [key[0]]))


def test_keys_that_are_none_are_refused_and_secret_ones_never_repeated(tmp_path: Path):
    secret = str(pyrage.x25519.Identity.generate())
    (tmp_path / "bad").write_text(secret[:-3] + "\n")
    (tmp_path / "empty").write_text("# nothing\n")
    for given_key in ("age1nonsense", "ssh-ed25519 AAAA", "/nowhere", secret):
        with pytest.raises(OperationError) as refused:
            check_recipients([given_key])
        assert secret[20:40] not in str(refused.value)
    for name in ("bad", "empty", "missing"):
        with pytest.raises(OperationError) as refused:
            read_identity(tmp_path / name)
        assert secret[20:40] not in str(refused.value)


# ---- The helper's words


def frame(stream: int, text: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


def heard(*frames: bytes) -> tuple[bytes, list[str], Helper]:
    notes: list[str] = []
    helper = Helper(None, io.BytesIO(b"".join(frames)), notes.append)  # pyright: ignore[reportArgumentType]
    return b"".join(helper.output()), notes, helper


def test_the_helper_is_believed_when_it_says_that_it_is_done():
    out, notes, helper = heard(
        frame(1, b"one"),
        frame(2, b'{"note": "a bro'),
        frame(1, b"two"),
        frame(2, b'ken one"}\n{"done": true}\n'),
    )
    assert (out, notes) == (b"onetwo", ["a broken one"])
    helper.require_done()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "ended from outside"),
        (b'{"error": "the disk is full"}\n', "the disk is full"),
        (b"Traceback (most recent call last):\nMemoryError: none\n", "MemoryError"),
        (b"/usr/bin/python3: No module named backup\n", "image is older than backups"),
    ],
)
def test_a_helper_that_is_not_done_has_failed(said: bytes, words: str):
    _, _, helper = heard(frame(2, said))
    with pytest.raises(OperationError, match=words):
        helper.require_done()


# ---- By the clock


COMMAND = ("/opt/my occ/occ", "--host", "local", "backup", "create", "--to", 'a"b\\c%d$e')


def test_units_hold_against_a_golden_text():
    units = backup_units("local", COMMAND, {"PATH": "/bin:/a b%"}, at="04:30", weekly=True)
    assert units.name == "opencode-cloud-backup-local"
    assert (
        'ExecStart="/opt/my occ/occ" "--host" "local" "backup" "create" "--to" "a\\"b\\\\c%%d$$e"\n'
    ) in units.service
    assert 'Environment="PATH=/bin:/a b%%"\n' in units.service
    assert "OnCalendar=Sun *-*-* 04:30:00\n" in units.timer
    assert "Persistent=true\n" in units.timer
    assert "OnCalendar=*-*-* 03:00:00\n" in backup_units("local", COMMAND, {}).timer


@pytest.mark.parametrize(
    ("text", "good"), [("00:00", True), ("23:59", True), ("24:00", False), ("3:00", False)]
)
def test_times_of_day(text: str, good: bool):
    assert is_time(text) is good


def test_no_word_breaks_out_of_its_line():
    with pytest.raises(ValueError, match="control character"):
        quoted("a\nExecStart=/bin/evil")


def test_without_systemd_it_says_what_else_there_is(tmp_path: Path):
    with pytest.raises(OperationError, match="does not run it"):
        Timers.here({}, tmp_path / "missing")


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `systemctl` that notes how it is called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("systemctl", "loginctl"):
        (folder / name).write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\necho value\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path / "calls"


def test_timers_are_installed_shown_and_removed(systemctl: Path, tmp_path: Path):
    timers = Timers(tmp_path / "units", is_system=False)
    units = backup_units("local", COMMAND, {})
    assert timers.show(units.name) == {}
    assert not timers.remove(units.name)
    timers.install(units)
    assert sorted(path.name for path in timers.folder.iterdir()) == [
        "opencode-cloud-backup-local.service",
        "opencode-cloud-backup-local.timer",
    ]
    shown = timers.show(units.name)
    assert shown["when"] == "*-*-* 03:00:00"
    assert shown["result"] == "value"
    assert timers.ends_with_sign_out()
    assert timers.remove(units.name)
    assert list(timers.folder.iterdir()) == []
    calls = systemctl.read_text()
    assert "--user enable --quiet opencode-cloud-backup-local.timer" in calls
    assert "--user disable --quiet --now opencode-cloud-backup-local.timer" in calls


def test_the_words_of_each_run_hold_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: tuple[str, Path]
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys").write_text(key[0])
    assert backup_schedule._words("there", [key[0], "keys"], 3) == [
        *("--to", str(tmp_path / "there")),
        *("--encrypt-to", key[0], "--encrypt-to", str(tmp_path / "keys")),
        *("--keep", "3"),
    ]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--daily", "--weekly"),
        ("--daily", "--off"),
        ("--show", "--off"),
    ],
)
def test_what_contradicts_itself_is_refused(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
):
    assert occ("backup", "schedule", *words) == 2
    assert "Say one of" in capsys.readouterr().err


# ---- Words of the commands


def test_an_empty_place_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert occ("backup", "list", "--in", str(tmp_path)) == 0
    assert capsys.readouterr().out.startswith(f"None in {tmp_path}.")
    assert occ("backup", "list", "--in", str(tmp_path), "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_backup_that_is_nowhere_is_said(capsys: pytest.CaptureFixture[str]):
    assert occ("backup", "verify", "nothing.tar") == 1
    assert "There is no backup nothing.tar" in capsys.readouterr().err
