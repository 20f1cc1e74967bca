"""The package in the image: volumes into an archive, and back, in folders of the test's own."""

import hashlib
import io
import json
import os
import sqlite3
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from backup import databases, reading, swap, writing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opencode_cloud.ops.archive import ArchiveError, check

ROOT = Path(__file__).parents[2] / "docker"
COMMAND = (sys.executable, "-P", "-m", "backup", "--volumes")
ABOUT = {"stack": "local", "created": "2026-01-31T10:00:00+00:00", "version": "0.1.0"}
HEAD = {**ABOUT, "format": 1, "volumes": ["users", "workspace"]}


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Two volumes, with something in them."""
    top = tmp_path / "volumes"
    for name in ("users", "workspace"):
        (top / name).mkdir(parents=True)
    (top / "users" / "accounts").mkdir(mode=0o700)
    (top / "users" / "accounts" / "shadow").write_text("ada:hash")
    (top / "workspace" / "code.py").write_text("print(42)\n")
    return top


def archive_of(volumes: Path, notes: list[str] | None = None) -> bytes:
    out = io.BytesIO()
    scratch = volumes.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    heard = [] if notes is None else notes
    writing.write(out, volumes, ABOUT, scratch, heard.append)
    assert not list(scratch.iterdir()), "nothing is left in the scratch folder"
    return out.getvalue()


def framed(archive: bytes, *, complete: bool = True) -> bytes:
    head = json.dumps({"volumes": ["users", "workspace"]}).encode() + b"\n"
    pieces = [archive[at : at + 70_000] for at in range(0, len(archive), 70_000)]
    frames = [len(piece).to_bytes(4, "big") + piece for piece in pieces]
    return head + b"".join(frames) + (bytes(4) if complete else b"")


def run(
    volumes: Path, *words: str, stdin: bytes = b"", limit: str = "unlimited"
) -> tuple[int, bytes, list[dict[str, str]]]:
    """Run the command as the helper's container does; `limit` is how big a file may be."""
    done = subprocess.run(
        [
            *("prlimit", f"--fsize={limit}"),
            *COMMAND,
            str(volumes),
            *words,
        ],
        env={"PYTHONPATH": str(ROOT)},
        input=stdin,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, [json.loads(line) for line in done.stderr.splitlines()]


def restore(
    volumes: Path, archive: bytes, limit: str = "unlimited"
) -> tuple[int, list[dict[str, str]]]:
    code, _, said = run(volumes, "restore", stdin=framed(archive), limit=limit)
    return code, said


def state(top: Path) -> dict[str, tuple[object, ...]]:
    """All that is known of everything below a folder."""
    found = {}
    for place, folders, files in os.walk(top):
        for name in [".", *folders, *files]:
            path = Path(place, name)
            facts = path.lstat()
            content: object = None
            if stat.S_ISREG(facts.st_mode):
                content = path.read_bytes()
            elif stat.S_ISLNK(facts.st_mode):
                content = path.readlink()
            kind = (facts.st_mode, facts.st_uid, facts.st_gid, round(facts.st_mtime, 3))
            links = facts.st_nlink if stat.S_ISREG(facts.st_mode) else 0
            found[str(path.relative_to(top))] = (*kind, links, content)
    return found


def give(path: Path, user: int, group: int) -> None:
    """Give a file to somebody, as far as whoever runs the tests may."""
    if os.geteuid() == 0:
        os.chown(path, user, group)


def test_everything_comes_back_as_it_was(volumes: Path):
    workspace = volumes / "workspace"
    (workspace / "empty").mkdir(mode=0o2750)
    (workspace / "run").write_text("#!/bin/sh")
    give(workspace / "run", 1000, 1001)
    (workspace / "run").chmod(0o4755)
    (workspace / "link").symlink_to("../../etc/passwd")
    os.link(workspace / "code.py", workspace / "zz-same")
    (workspace / ("n" * 200)).mkdir()
    (workspace / ("n" * 200) / ("m" * 200)).write_text("long")
    (workspace / os.fsdecode(b"caf\xe9 \n")).write_text("latin-1")
    (workspace / os.fsdecode(b"to \xff")).symlink_to(os.fsdecode(b"\xff\xfe"))
    (workspace / "big").write_bytes(os.urandom(300_000))
    os.utime(workspace / "code.py", (1.5, -86400.25))
    give(workspace, 1000, 1000)
    os.mkfifo(workspace / "pipe")
    before = state(volumes)
    archive = archive_of(volumes)
    for name in ("code.py", "run"):
        (workspace / name).unlink()
    (workspace / "later").write_text("is gone afterwards")
    (volumes / "users" / "accounts" / "shadow").write_text("ada:other")
    workspace.chmod(0o700)
    assert restore(volumes, archive) == (
        0,
        [{"progress": "putting it in place"}, {"done": True}],
    )
    del before["workspace/pipe"]
    after = state(volumes)
    for root in ("users", "workspace"):
        # Something of ours was made and removed in it.
        assert after.pop(root)[:3] == before.pop(root)[:3]
    assert after == before


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    names=st.sets(
        st.binary(min_size=1, max_size=120).filter(
            lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
        ),
        max_size=6,
    ),
    content=st.binary(max_size=2000),
)
def test_any_name_and_content_comes_back(
    tmp_path_factory: pytest.TempPathFactory, names: set[bytes], content: bytes
):
    top = tmp_path_factory.mktemp("any") / "volumes"
    for name in ("users", "workspace"):
        (top / name).mkdir(parents=True)
    for name in names:
        (top / "workspace" / os.fsdecode(name)).write_bytes(content)
    before = state(top)
    archive = archive_of(top)
    assert check(io.BytesIO(archive)).files == len(names) + 2
    for name in names:
        (top / "workspace" / os.fsdecode(name)).unlink()
    targets = {name: top / name for name in ("users", "workspace")}
    unpacking = reading.Unpacking(targets)
    unpacking.unpack(reading.Frames(io.BytesIO(framed(archive).partition(b"\n")[2])))
    unpacking.close()
    assert state(top) == before


def test_a_path_longer_than_any_call_takes_comes_back(volumes: Path):
    inner = os.open(volumes / "workspace", os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 250, dir_fd=inner)
        deeper = os.open("d" * 250, os.O_RDONLY, dir_fd=inner)
        os.close(inner)
        inner = deeper
    os.close(os.open("file", os.O_CREAT, dir_fd=inner))
    os.close(inner)
    archive = archive_of(volumes)
    assert restore(volumes, archive)[0] == 0
    again = content_of(archive_of(volumes))
    assert any(len(name) > 7_000 for name in again)
    assert again.keys() == content_of(archive).keys()


def test_a_hole_stays_a_hole(volumes: Path):
    sparse = volumes / "workspace" / "sparse"
    with sparse.open("wb") as file:
        file.truncate(30_000_000)
        file.seek(10_000_000)
        file.write(b"x")
    archive = archive_of(volumes)
    assert restore(volumes, archive)[0] == 0
    assert sparse.stat().st_size == 30_000_000
    assert sparse.stat().st_blocks * 512 < 1_000_000
    with sparse.open("rb") as file:
        file.seek(10_000_000)
        assert file.read(2) == b"x\0"


def test_who_is_signed_in_is_in_no_backup_and_stays_signed_in(volumes: Path):
    sessions = volumes / "users" / "sessions"
    sessions.mkdir()
    (sessions / "sessions.db").write_text("of before")
    archive = archive_of(volumes)
    assert b"of before" not in archive
    (sessions / "sessions.db").write_text("of now")
    assert restore(volumes, archive)[0] == 0
    assert (sessions / "sessions.db").read_text() == "of now"


# ---- Databases


def database(path: Path, rows: int = 100, *, journal: str = "WAL") -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    connection.execute("CREATE TABLE pairs (one INTEGER, other INTEGER)")
    connection.executemany("INSERT INTO pairs VALUES (?, ?)", [(n, n) for n in range(rows)])
    connection.commit()
    return connection


def content_of(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {
            info.name.removeprefix("volumes/"): file.read()
            for info in tar
            if (file := tar.extractfile(info))
        }


def rows_of(content: bytes, folder: Path) -> int:
    path = folder / "looked-at.db"
    path.write_bytes(content)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        count, equal = connection.execute(
            "SELECT count(*), coalesce(sum(one = other), 0) FROM pairs"
        ).fetchone()
    path.unlink()
    assert count == equal
    return count


def test_a_database_in_use_is_copied_with_all_that_was_committed(volumes: Path, tmp_path: Path):
    with closing(database(volumes / "workspace" / "app.db")) as writer:
        assert (volumes / "workspace" / "app.db-wal").stat().st_size > 0
        writer.execute("INSERT INTO pairs VALUES (1, 2)")  # not committed
        notes: list[str] = []
        found = content_of(archive_of(volumes, notes))
    assert rows_of(found["workspace/app.db"], tmp_path) == 100
    assert [name for name in found if "app.db" in name] == ["workspace/app.db"]
    assert notes == []


def test_a_database_under_writes_is_as_of_one_moment(volumes: Path, tmp_path: Path):
    path = volumes / "workspace" / "busy.db"
    database(path, 20_000).close()
    ended = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            number = 20_000
            while not ended.is_set():
                with connection:
                    connection.execute("INSERT INTO pairs VALUES (?, ?)", (number, number))
                    connection.execute("UPDATE pairs SET one = one + 1, other = other + 1")
                number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(3):
            found = content_of(archive_of(volumes))
            assert rows_of(found["workspace/busy.db"], tmp_path) >= 20_000
    finally:
        ended.set()
        thread.join()


def killed_with(path: Path, script: str) -> None:
    """Have a process die in the middle of its work on a database."""
    code = f"import os, sqlite3\nc = sqlite3.connect({str(path)!r})\n{script}\nos._exit(9)"
    subprocess.run([sys.executable, "-c", code], check=False, timeout=30)


@pytest.mark.parametrize("without", ["", "-shm"])
def test_the_log_of_a_killed_program_is_not_lost(volumes: Path, tmp_path: Path, without: str):
    path = volumes / "workspace" / "killed.db"
    database(path, 5).close()
    killed_with(path, "c.execute('INSERT INTO pairs VALUES (7, 7)'); c.commit()")
    assert Path(f"{path}-wal").stat().st_size > 0
    if without:
        Path(f"{path}{without}").unlink()
    found = content_of(archive_of(volumes))
    assert rows_of(found["workspace/killed.db"], tmp_path) == 6
    assert [name for name in found if "killed" in name] == ["workspace/killed.db"]


def test_a_copy_by_files_has_the_log_and_undoes_the_unfinished(volumes: Path, tmp_path: Path):
    path = volumes / "workspace" / "a.db"
    database(path, 5).close()
    killed_with(path, "c.execute('INSERT INTO pairs VALUES (7, 7)'); c.commit()")
    folder = os.open(path.parent, os.O_RDONLY)
    databases._by_files(folder, "a.db", tmp_path / "copy")
    assert rows_of((tmp_path / "copy").read_bytes(), tmp_path) == 6
    assert not Path(f"{tmp_path / 'copy'}-wal").exists()
    rolled = volumes / "workspace" / "b.db"
    database(rolled, 5, journal="DELETE").close()
    killed_with(
        rolled,
        "c.execute('PRAGMA cache_size = 1'); c.execute('PRAGMA cache_spill = 1')\n"
        "c.executemany('INSERT INTO pairs VALUES (?, 0)', [(n,) for n in range(90000)])",
    )
    assert Path(f"{rolled}-journal").stat().st_size > 0
    databases._by_files(folder, "b.db", tmp_path / "other")
    os.close(folder)
    assert rows_of((tmp_path / "other").read_bytes(), tmp_path) == 5


def test_a_broken_database_is_kept_as_it_lies_and_that_is_said(volumes: Path):
    broken = databases.MAGIC + b"\xff" * 5000
    (volumes / "workspace" / "bad.db").write_bytes(broken)
    (volumes / "workspace" / "bad.db-wal").write_bytes(b"its log")
    notes: list[str] = []
    archive = archive_of(volumes, notes)
    found = content_of(archive)
    assert found["workspace/bad.db"] == broken
    assert found["workspace/bad.db-wal"] == b"its log"
    assert len(notes) == 1
    assert notes[0].startswith("workspace/bad.db is copied as it lies")
    assert check(io.BytesIO(archive)).notes == tuple(notes)


def test_a_folder_beside_a_database_does_not_hide_what_belongs_to_it(volumes: Path):
    with closing(database(volumes / "workspace" / "a.db")):
        (volumes / "workspace" / "a.db-d").mkdir()
        (volumes / "workspace" / "a.db-d" / "file").touch()
        found = content_of(archive_of(volumes))
    assert sorted(name for name in found if name.startswith("workspace/a")) == [
        "workspace/a.db",
        "workspace/a.db-d/file",
    ]


# ---- While somebody changes things


def test_a_file_that_shrinks_or_grows_meanwhile_harms_nothing(
    volumes: Path, monkeypatch: pytest.MonkeyPatch
):
    path = volumes / "workspace" / "growing"
    path.write_bytes(b"x" * 100_000)
    original = writing.Writer.add

    def add(self: writing.Writer, info: tarfile.TarInfo, content: io.BytesIO | None = None) -> None:
        if info.name.endswith("growing"):
            path.write_bytes(b"y" * 10)
        if info.name.endswith("code.py"):
            (volumes / "workspace" / "code.py").write_bytes(b"z" * 10_000)
        original(self, info, content)

    monkeypatch.setattr(writing.Writer, "add", add)
    archive = archive_of(volumes)
    check(io.BytesIO(archive))
    assert len(content_of(archive)["workspace/growing"]) == 100_000


def test_a_folder_in_constant_change_is_backed_up(volumes: Path):
    ended = threading.Event()

    def churn() -> None:
        top = volumes / "workspace" / "churn"
        while not ended.is_set():
            top.mkdir()
            for number in range(20):
                (top / f"{number}").write_text("x" * number * 1000)
            for path in top.iterdir():
                path.unlink()
            top.rmdir()
            top.symlink_to("/etc")
            top.unlink()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(20):
            archive = archive_of(volumes)
            check(io.BytesIO(archive))
            assert b"root:" not in archive, "no link leads out"
    finally:
        ended.set()
        thread.join()


# ---- What an archive must not hold


def tar_of(*members: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info in members:
            tar.addfile(info, io.BytesIO(b"x" * info.size))
    return out.getvalue()


def member(
    name: str, kind: bytes = tarfile.REGTYPE, target: str = "", **facts: int
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, 0o644
    if kind == tarfile.REGTYPE:
        info.size = 1
    for fact, value in facts.items():
        setattr(info, fact, value)
    return info


FOLDER = member("volumes/workspace", tarfile.DIRTYPE)
OUTSIDE = member("volumes/workspace/out", tarfile.SYMTYPE, "/tmp")
THROUGH = member("volumes/workspace/x", tarfile.LNKTYPE, "volumes/workspace/out/y")


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([member("../escaped")], "leads out"),
        ([member("/etc/passwd")], "leads out"),
        ([member("volumes/../../x")], "leads out"),
        ([member("volumes/workspace/../users/accounts/shadow")], "leads out"),
        ([member("volumes/workspace/./x")], "leads out"),
        ([member("other/x")], "leads out"),
        ([member("volumes")], "leads out"),
        ([member("volumes/data/x")], "belongs to no volume"),
        ([member("volumes/workspace")], "is no folder"),
        ([member("volumes/workspace", tarfile.SYMTYPE, "/etc")], "is no folder"),
        ([FOLDER, OUTSIDE, member("volumes/workspace/out/x")], "is none"),
        ([FOLDER, OUTSIDE, member("volumes/workspace/out", tarfile.DIRTYPE)], "twice"),
        ([FOLDER, OUTSIDE, member("volumes/workspace/out")], "twice"),
        ([member("volumes/workspace/no-folder/x")], "is none"),
        ([member("volumes/workspace/x"), member("volumes/workspace/x")], "twice"),
        ([member("volumes/workspace/x", tarfile.LNKTYPE, "/etc/passwd")], "leads out"),
        ([member("volumes/workspace/x", tarfile.LNKTYPE, "volumes/workspace/y")], "not there"),
        ([member("volumes/workspace/x", tarfile.LNKTYPE, "volumes/workspace")], "whole volume"),
        (
            [
                FOLDER,
                OUTSIDE,
                member("volumes/workspace/x", tarfile.LNKTYPE, "volumes/workspace/out/y"),
            ],
            "is none",
        ),
        ([member("volumes/workspace/x", tarfile.CHRTYPE)], "neither file nor folder"),
        ([member("volumes/workspace/x", tarfile.BLKTYPE)], "neither file nor folder"),
        ([member("volumes/workspace/x", tarfile.FIFOTYPE)], "neither file nor folder"),
        ([member("volumes/workspace/x", uid=2**32 - 1)], "belongs to nobody"),
    ],
)
def test_what_leads_out_of_the_volumes_is_refused_and_changes_nothing(
    volumes: Path, members: list[tarfile.TarInfo], says: str
):
    before = state(volumes)
    code, said = restore(volumes, tar_of(*members))
    assert code == 1
    assert says in said[-1]["error"]
    assert _but_times(state(volumes)) == _but_times(before)


def _but_times(found: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    return {name: facts[:3] + facts[4:] for name, facts in found.items()}


# ---- All or nothing


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_what_ends_before_the_word_to_go_ahead_changes_nothing(volumes: Path, share: float):
    archive = archive_of(volumes)
    (volumes / "workspace" / "code.py").write_text("newer")
    before = state(volumes)
    sent = framed(archive, complete=False)
    code, _, said = run(volumes, "restore", stdin=sent[: int(len(sent) * share)])
    assert code == 1
    assert "it was stopped before" in said[-1]["error"]
    assert _but_times(state(volumes)) == _but_times(before)


def test_a_full_disk_changes_nothing(volumes: Path):
    (volumes / "workspace" / "big").write_bytes(os.urandom(3_000_000))
    archive = archive_of(volumes)
    (volumes / "workspace" / "big").write_text("small now")
    before = state(volumes)
    # As near to a full disk as an ordinary user comes.
    code, said = restore(volumes, archive, limit="1000000")
    assert code == 1
    assert "too large" in said[-1]["error"]
    assert _but_times(state(volumes)) == _but_times(before)


class Cut(BaseException):
    """The power fails."""


def cut_after(monkeypatch: pytest.MonkeyPatch, count: int) -> Callable[[], int]:
    """Have everything end at the `count`th change to the disk that the exchange makes."""
    done = 0

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*words: object, **more: object) -> object:
            nonlocal done
            done += 1
            if done > count:
                raise Cut
            return function(*words, **more)

        return wrapped

    for name in ("rename", "chown", "utime"):
        monkeypatch.setattr(swap.os, name, counted(getattr(os, name)))
    for name in ("mkdir", "rename", "touch", "unlink"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    monkeypatch.setattr(swap.shutil, "rmtree", counted(swap.shutil.rmtree))
    return lambda: done


def exchanged(volumes: Path, identifier: str) -> None:
    swap.make(volumes, identifier, ["users", "workspace"])
    for name in ("users", "workspace"):
        (swap.new(volumes, identifier, name) / "new file").write_text(name)
        (swap.new(volumes, identifier, name) / "accounts").mkdir()
    swap.swap(volumes, identifier, ["users", "workspace"])


def test_a_power_cut_at_any_moment_leaves_all_of_the_old_or_all_of_the_new(
    volumes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (volumes / "users" / "sessions").mkdir()
    old = sorted(state(volumes))
    outcomes = set()
    count = 0
    while True:
        with monkeypatch.context() as patch:
            steps = cut_after(patch, count)
            try:
                exchanged(volumes, f".opencode-cloud-restore-{count:016x}")
                swap.repair(volumes)
                finished = True
            except Cut:
                finished = False
            assert steps() > 0
        # The power fails once more while it is being repaired, at every moment too.
        again = count % 7
        with monkeypatch.context() as patch:
            cut_after(patch, again)
            with suppress(Cut):
                swap.repair(volumes)
        swap.repair(volumes)
        now = sorted(state(volumes))
        is_new = "workspace/new file" in now
        assert is_new == ("users/new file" in now)
        assert "users/sessions" in now
        assert not any("restore" in name for name in now)
        outcomes.add(is_new)
        if finished:
            assert is_new
            break
        if not is_new:
            assert now == old
        else:
            _put_back(volumes)
        count += 1
    assert outcomes == {True, False}


def _put_back(volumes: Path) -> None:
    for name in ("users", "workspace"):
        (volumes / name / "new file").unlink()
        (volumes / name / "accounts").rmdir()
    (volumes / "users" / "accounts").mkdir()
    (volumes / "users" / "accounts" / "shadow").write_text("ada:hash")
    (volumes / "workspace" / "code.py").write_text("print(42)\n")


def test_a_folder_that_only_looks_like_ours_is_left_alone(
    volumes: Path, monkeypatch: pytest.MonkeyPatch
):
    forged = volumes / "users" / ".opencode-cloud-restore-0123456789abcdef"
    (forged / "old").mkdir(parents=True)
    (forged / "old" / "planted").touch()
    monkeypatch.setattr(swap.os, "geteuid", lambda: os.getuid() + 1)
    assert swap.repair(volumes) == []
    assert (forged / "old" / "planted").exists()


def test_a_backup_of_half_exchanged_data_is_refused_and_a_restore_mends_them(volumes: Path):
    archive = archive_of(volumes)
    identifier = ".opencode-cloud-restore-0123456789abcdef"
    swap.make(volumes, identifier, ["users", "workspace"])
    swap._take(volumes / "users", volumes / "users" / identifier, frozenset())
    code, _, said = run(volumes, "create", json.dumps(ABOUT))
    assert code == 1
    assert "half exchanged" in said[-1]["error"]
    code, said = restore(volumes, archive)
    assert code == 0
    assert "undid a restore that was cut off" in said[0]["note"]
    assert (volumes / "users" / "accounts" / "shadow").read_text() == "ada:hash"


def test_two_restores_at_once_are_refused(volumes: Path):
    first = subprocess.Popen(
        [*COMMAND, str(volumes), "restore"],
        env={"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert first.stdin
    first.stdin.write(framed(b"")[:-4])
    first.stdin.flush()
    while not list((volumes / "workspace").glob(".opencode-cloud-restore-*")):
        assert first.poll() is None, first.communicate()
    for words in (["restore"], ["repair"], ["create", json.dumps(ABOUT)]):
        code, _, said = run(volumes, *words)
        assert code == 1
        assert "under way" in said[-1]["error"]
    first.communicate()
    assert not list((volumes / "workspace").glob(".opencode-cloud-restore-*"))


# ---- The command


def test_the_command_prints_an_archive_and_says_that_it_is_done(volumes: Path):
    code, out, said = run(volumes, "create", json.dumps(ABOUT))
    assert (code, said) == (0, [{"done": True}])
    manifest = check(io.BytesIO(out))
    assert manifest.volumes == ("users", "workspace")
    assert hashlib.sha256(out).hexdigest() == hashlib.sha256(archive_of(volumes)).hexdigest()


def test_a_damaged_archive_is_found_out_wherever_it_is_damaged(volumes: Path):
    archive = archive_of(volumes)
    check(io.BytesIO(archive))
    with pytest.raises(ArchiveError):
        check(io.BytesIO(b""))
    # All but the padding, which nobody reads.
    for at in range(0, len(archive) - 10_240, 97):
        if archive[at] == 0:
            continue
        damaged = archive[:at] + bytes([archive[at] ^ 0x41]) + archive[at + 1 :]
        try:
            check(io.BytesIO(damaged))
        except ArchiveError:
            continue
        raise AssertionError(f"byte {at} ({archive[at - 5 : at + 5]!r}) may be anything")


def test_an_archive_is_only_whole_with_its_end(volumes: Path):
    archive = archive_of(volumes)
    end = archive.rindex(b'{"notes":[]}')
    for length in range(0, end, 512):
        with pytest.raises(ArchiveError):
            check(io.BytesIO(archive[:length]))
