import stat
from pathlib import Path

import pytest
from accounts import saved
from accounts.__main__ import RefusedError, _check_password
from accounts.directory import DAY, Directory, parse
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.session_parts import HASH, write_etc


def read(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in saved.FILES}


def shadow(name: str = "ada", password: str = HASH, expires: str = "") -> str:
    return f"{name}:{password}:20000:0:99999:7::{expires}:\n"


def account(line: str, uid: str = "2000"):
    return parse("opencode-users:x:802:ada\n", f"ada:x:{uid}:2000::/home/ada:/bin/bash\n", line)[
        "ada"
    ]


def test_an_account_with_a_password_is_enabled():
    assert account(shadow()).is_enabled(now=0)


@pytest.mark.parametrize("password", ["!" + HASH, "!", "*", "", "!!"])
def test_an_account_without_a_usable_password_is_not(password: str):
    assert not account(shadow(password=password)).is_enabled(now=0)


def test_an_account_is_enabled_up_to_its_last_day():
    expiring = account(shadow(expires="20100"))
    assert expiring.is_enabled(now=20100 * DAY - 1)
    assert not expiring.is_enabled(now=20100 * DAY)


@pytest.mark.parametrize(
    "changed",
    [
        account(shadow(password=HASH + "x")),
        account(shadow(password="!" + HASH)),
        account(shadow(expires="1")),
        account(shadow(), uid="2001"),
    ],
)
def test_whatever_changes_an_account_changes_its_fingerprint(changed):
    assert changed.fingerprint != account(shadow()).fingerprint


def test_a_fingerprint_tells_nothing_of_the_hash():
    assert HASH not in account(shadow()).fingerprint


def test_only_members_of_the_group_are_accounts(tmp_path: Path):
    etc = write_etc(tmp_path / "etc", ada=HASH)
    with (etc / "shadow").open("a") as file:
        file.write(shadow("intruder"))
    with (etc / "passwd").open("a") as file:
        file.write("intruder:x:2009:2009::/home/intruder:/bin/bash\n")
    assert [found.name for found in Directory(etc)] == ["ada"]


def test_a_change_is_seen_at_once(tmp_path: Path):
    etc = write_etc(tmp_path / "etc", ada=HASH, eve=HASH)
    directory = Directory(etc)
    assert directory.get_enabled("eve")
    write_etc(etc, ada=HASH, eve="!" + HASH)
    assert directory.get("eve")
    assert directory.get_enabled("eve") is None
    write_etc(etc, ada=HASH)
    assert directory.get("eve") is None


@given(st.text(), st.text(), st.text())
def test_no_file_is_too_odd_to_be_read(group: str, passwd: str, text: str):
    assert isinstance(parse(f"opencode-users:x:802:{group}", passwd, text), dict)


def test_accounts_come_back_into_a_new_container(tmp_path: Path):
    old = write_etc(tmp_path / "old", ada=HASH, eve="!" + HASH)
    before = {found.name: found for found in Directory(old)}
    volume = tmp_path / "volume"
    volume.mkdir()
    saved.save(old, volume)
    new = write_etc(tmp_path / "new")
    assert saved.restore(new, volume) == ({"ada", "eve"}, set())
    assert {found.name: found for found in Directory(new)} == before
    assert read(new) == read(old)


def test_restoring_again_changes_nothing(tmp_path: Path):
    etc, volume = write_etc(tmp_path / "etc", ada=HASH), tmp_path / "volume"
    volume.mkdir()
    saved.save(etc, volume)
    before = read(etc)
    saved.restore(etc, volume)
    saved.restore(etc, volume)
    assert read(etc) == before


def test_a_user_removed_elsewhere_does_not_come_back(tmp_path: Path):
    volume = tmp_path / "volume"
    volume.mkdir()
    saved.save(write_etc(tmp_path / "etc", ada=HASH), volume)
    stale = write_etc(tmp_path / "stale", ada=HASH, eve=HASH)
    saved.restore(stale, volume)
    assert [found.name for found in Directory(stale)] == ["ada"]
    assert "eve" not in (stale / "group").read_text()


@pytest.mark.parametrize("written", [["group"], ["group", "shadow"]])
@pytest.mark.parametrize("before", [{"ada": HASH}, {"ada": HASH, "eve": HASH}])
def test_a_crash_while_saving_harms_no_other_account(
    tmp_path: Path, written: list[str], before: dict[str, str]
):
    after = {"ada": HASH, "eve": HASH} if before == {"ada": HASH} else {"ada": HASH}
    volume, later = tmp_path / "volume", tmp_path / "later"
    volume.mkdir()
    later.mkdir()
    saved.save(write_etc(tmp_path / "etc", **before), volume)
    saved.save(write_etc(tmp_path / "etc", **after), later)
    for file in written:
        (later / file).replace(volume / file)
    etc = write_etc(tmp_path / "new")
    saved.restore(etc, volume)
    assert [found.name for found in Directory(etc)] == ["ada"]


def test_the_image_keeps_a_name_that_it_has_taken(tmp_path: Path):
    volume = tmp_path / "volume"
    volume.mkdir()
    saved.save(write_etc(tmp_path / "etc", ada=HASH, redis=HASH), volume)
    etc = write_etc(tmp_path / "new")
    with (etc / "passwd").open("a") as file:
        file.write("redis:x:101:101::/:/usr/sbin/nologin\n")
    assert saved.restore(etc, volume) == ({"ada"}, {"redis"})
    assert (etc / "passwd").read_text().count("redis:") == 1


def test_hashes_are_readable_by_root_and_group_shadow_alone(tmp_path: Path):
    etc, volume = write_etc(tmp_path / "etc", ada=HASH), tmp_path / "volume"
    volume.mkdir()
    saved.save(etc, volume)
    saved.restore(etc, volume)
    assert stat.S_IMODE((etc / "shadow").stat().st_mode) == 0o640
    assert stat.S_IMODE((etc / "passwd").stat().st_mode) == 0o644
    assert all(stat.S_IMODE((volume / f).stat().st_mode) == 0o600 for f in saved.FILES)


@pytest.mark.parametrize(
    "password", ["correct horse", "pässwörtli", "a:b:c:d:e", " spaces  ", "x" * 511]
)
def test_a_password_may_be_any_text(password: str):
    _check_password(password)


@pytest.mark.parametrize(
    "password", ["", "1234567", "with\ttab", "x" * 512, "ä" * 256, "\udcffabcdefgh"]
)
def test_a_password_that_cannot_be_used_is_refused_with_a_way_out(password: str):
    with pytest.raises(RefusedError, match=r"use|give"):
        _check_password(password)
