import asyncio
import time
from pathlib import Path

import pytest
from accounts.directory import Directory
from session import auth, remembered
from session.auth import Authenticator
from session.store import Store

from tests.unit.session_parts import HASH, PASSWORD, Pam, write_etc


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    return write_etc(tmp_path / "etc", ada=HASH, eve="!" + HASH)


@pytest.fixture
def pam() -> Pam:
    return Pam()


@pytest.fixture
def authenticator(etc: Path, pam: Pam) -> Authenticator:
    return Authenticator(Directory(etc), pam, Store(":memory:"))


async def test_who_signs_in_is_known_by_the_session(authenticator: Authenticator):
    token = await authenticator.sign_in("ada", PASSWORD)
    assert token
    assert authenticator.by_session(token) == "ada"
    authenticator.sign_out(token)
    assert authenticator.by_session(token) is None


@pytest.mark.parametrize("name", ["ada", "eve", "nobody", "root", ""])
async def test_a_refusal_takes_as_long_whether_or_not_the_name_exists(
    authenticator: Authenticator, name: str
):
    began = time.monotonic()
    assert await authenticator.sign_in(name, "wrong") is None
    assert auth.REFUSAL_SECONDS <= time.monotonic() - began < auth.REFUSAL_SECONDS + 0.2


async def test_a_disabled_account_is_never_let_in(authenticator: Authenticator, pam: Pam):
    assert await authenticator.sign_in("eve", PASSWORD) is None
    assert await authenticator.by_password("eve", PASSWORD) is None
    assert pam.asked == 0


@pytest.mark.parametrize("change", [{"ada": HASH + "new"}, {"ada": "!" + HASH}, {"eve": HASH}])
async def test_a_changed_account_loses_its_sessions_at_once(
    authenticator: Authenticator, etc: Path, change: dict[str, str]
):
    token = await authenticator.sign_in("ada", PASSWORD)
    assert token
    assert await authenticator.by_password("ada", PASSWORD) == "ada"
    write_etc(etc, **change)
    assert authenticator.by_session(token) is None
    write_etc(etc, ada=HASH)
    assert authenticator.by_session(token) is None, "an ended session came back"


async def test_programs_cost_one_question_to_pam(authenticator: Authenticator, pam: Pam):
    answers = await asyncio.gather(*(authenticator.by_password("ada", PASSWORD) for _ in range(50)))
    assert answers == ["ada"] * 50
    assert await authenticator.by_password("ada", PASSWORD) == "ada"
    assert pam.asked == 1


async def test_a_wrong_password_is_not_let_in_beside_a_right_one(authenticator: Authenticator):
    answers = await asyncio.gather(
        authenticator.by_password("ada", PASSWORD), authenticator.by_password("ada", "wrong")
    )
    assert answers == ["ada", None]


async def test_pam_is_asked_again_when_the_account_was_changed(
    authenticator: Authenticator, pam: Pam, etc: Path
):
    await authenticator.by_password("ada", PASSWORD)
    write_etc(etc, ada=HASH + "new")
    await authenticator.by_password("ada", PASSWORD)
    assert pam.asked == 2


async def test_a_caller_who_gives_up_does_not_disturb_the_others(authenticator: Authenticator):
    hasty = asyncio.create_task(authenticator.by_password("ada", PASSWORD))
    patient = asyncio.create_task(authenticator.by_password("ada", PASSWORD))
    await asyncio.sleep(0.001)
    hasty.cancel()
    assert await patient == "ada"


def test_credentials_are_remembered_for_a_short_while():
    memory = remembered.Remembered()
    memory.keep("ada", PASSWORD, "f", now=0)
    assert memory.holds("ada", PASSWORD, "f", now=remembered.LIFETIME_SECONDS - 1)
    assert not memory.holds("ada", PASSWORD, "f", now=remembered.LIFETIME_SECONDS)
    assert not memory.holds("ada", PASSWORD, "f", now=0), "an expired entry came back"


def test_other_credentials_are_not_taken_for_remembered_ones():
    memory = remembered.Remembered()
    memory.keep("ada", PASSWORD, "f", now=0)
    assert not memory.holds("ada", PASSWORD, "g", now=0)
    memory.keep("ada", PASSWORD, "f", now=0)
    assert not memory.holds("ada", "wrong", "f", now=0)
    assert not memory.holds("eve", PASSWORD, "f", now=0)


def test_the_memory_does_not_grow_without_end():
    memory = remembered.Remembered()
    for number in range(remembered.SIZE + 1):
        memory.keep("ada", str(number), "f", now=0)
    assert not memory.holds("ada", "0", "f", now=0)
    assert memory.holds("ada", "1", "f", now=0)
