import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import remembered, verifier
from session.auth import Authenticator, Visitor
from session.verifier import Later

from tests.unit.session_parts import (
    CLIENT,
    ELSEWHERE,
    HASH,
    PASSWORD,
    Pam,
    Service,
    audited,
    write_etc,
)


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    return write_etc(tmp_path / "etc", ada=HASH, eve="!" + HASH)


@pytest.fixture
def service(etc: Path) -> Service:
    return Service(etc)


@pytest.fixture
def pam(service: Service) -> Pam:
    return service.pam


@pytest.fixture
def authenticator(service: Service) -> Authenticator:
    return service.authenticator


async def sign_in(authenticator: Authenticator) -> str:
    token = await authenticator.sign_in("ada", PASSWORD, CLIENT)
    assert isinstance(token, str)
    return token


async def bring(authenticator: Authenticator, password: str = PASSWORD, user: str = "ada"):
    """Basic credentials, as programs do."""
    return await authenticator.by_password(user, password, CLIENT)


def find(authenticator: Authenticator, token: str) -> Visitor | None:
    return authenticator.by_session(token, CLIENT.address)


async def both_grants(authenticator: Authenticator) -> list[str]:
    """The grants of a session and of Basic credentials."""
    visitors = find(authenticator, await sign_in(authenticator)), await bring(authenticator)
    return [visitor.grant for visitor in visitors if isinstance(visitor, Visitor)]


async def test_who_signs_in_is_known_by_the_session(authenticator: Authenticator):
    token = await sign_in(authenticator)
    visitor = find(authenticator, token)
    assert visitor
    assert visitor.session
    assert visitor.user == visitor.session.user == "ada"
    authenticator.sign_out(visitor.session, CLIENT)
    assert find(authenticator, token) is None


async def test_a_disabled_account_is_never_let_in(authenticator: Authenticator, pam: Pam):
    assert await authenticator.sign_in("eve", PASSWORD, CLIENT) is None
    assert await bring(authenticator, user="eve") is None
    assert pam.asked == 0


CHANGES = [{"ada": HASH + "new"}, {"ada": "!" + HASH}, {"eve": HASH}]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_account_loses_its_sessions_at_once(
    authenticator: Authenticator, etc: Path, change: dict[str, str]
):
    token = await sign_in(authenticator)
    assert await bring(authenticator)
    write_etc(etc, **change)
    assert find(authenticator, token) is None
    write_etc(etc, ada=HASH)
    assert find(authenticator, token) is None, "an ended session came back"


async def test_programs_cost_one_question_to_pam(authenticator: Authenticator, pam: Pam):
    answers = await asyncio.gather(*(bring(authenticator) for _ in range(50)))
    assert {answer.user for answer in answers if isinstance(answer, Visitor)} == {"ada"}
    assert len(answers) == 50
    assert await bring(authenticator)
    assert pam.asked == 1


async def test_a_wrong_password_is_not_let_in_beside_a_right_one(authenticator: Authenticator):
    right, wrong = await asyncio.gather(
        bring(authenticator), bring(authenticator, password="wrong")
    )
    assert isinstance(right, Visitor)
    assert wrong is None


async def test_pam_is_asked_again_when_the_account_was_changed(
    authenticator: Authenticator, pam: Pam, etc: Path
):
    await bring(authenticator)
    write_etc(etc, ada=HASH + "new")
    await bring(authenticator)
    assert pam.asked == 2


async def test_a_caller_who_gives_up_does_not_disturb_the_others(authenticator: Authenticator):
    hasty = asyncio.create_task(bring(authenticator))
    patient = asyncio.create_task(bring(authenticator))
    await asyncio.sleep(0.001)
    hasty.cancel()
    assert isinstance(await patient, Visitor)


async def test_what_is_in_use_is_never_limited(etc: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verifier, "REFUSAL_SECONDS", 0)
    authenticator = Service(etc, attempts=3).authenticator
    token = await sign_in(authenticator)
    await bring(authenticator)
    for number in range(5):
        await bring(authenticator, password=str(number))
    assert isinstance(await bring(authenticator, password="x"), Later)
    assert isinstance(await bring(authenticator), Visitor)
    assert find(authenticator, token)


async def test_one_address_does_not_wait_for_what_another_is_told(
    etc: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(verifier, "REFUSAL_SECONDS", 0)
    authenticator = Service(etc, attempts=1).authenticator
    await authenticator.by_password("nobody", "wrong", ELSEWHERE)
    limited, let_in = await asyncio.gather(
        authenticator.by_password("ada", PASSWORD, ELSEWHERE), bring(authenticator)
    )
    assert isinstance(limited, Later)
    assert isinstance(let_in, Visitor)


async def test_a_user_sees_and_ends_sessions_of_ones_own_alone(service: Service, etc: Path):
    write_etc(etc, ada=HASH, eve=HASH)
    authenticator = service.authenticator
    token = await sign_in(authenticator)
    fingerprint = authenticator.sessions("ada")[0].fingerprint
    _, others = service.store.create("eve", fingerprint, "192.0.2.7", "", time.time())
    assert [session.user for session in authenticator.sessions("ada")] == ["ada"]
    assert not authenticator.revoke("ada", others.id, CLIENT)
    assert not authenticator.revoke("ada", "", CLIENT)
    assert service.store.get(others.id, time.time())
    assert authenticator.revoke("ada", authenticator.sessions("ada")[0].id, CLIENT)
    assert find(authenticator, token) is None


async def test_a_session_of_before_the_password_changed_is_not_listed(
    authenticator: Authenticator, etc: Path
):
    await sign_in(authenticator)
    write_etc(etc, ada=HASH + "new")
    assert authenticator.sessions("ada") == []


async def test_signing_out_everywhere_ends_sessions_and_forgets_programs(
    authenticator: Authenticator, pam: Pam
):
    tokens = [await sign_in(authenticator), await sign_in(authenticator)]
    visitor = await bring(authenticator)
    assert isinstance(visitor, Visitor)
    asked = pam.asked
    authenticator.sign_out_everywhere(visitor, CLIENT)
    assert [find(authenticator, token) for token in tokens] == [None, None]
    assert isinstance(await bring(authenticator), Visitor)
    assert pam.asked == asked + 1


async def test_a_grant_is_good_as_long_as_its_sign_in(service: Service, authenticator):
    of_session, of_account = await both_grants(authenticator)
    assert authenticator.is_good(of_session)
    assert authenticator.is_good(of_account)
    authenticator.revoke("ada", authenticator.sessions("ada")[0].id, CLIENT)
    assert not authenticator.is_good(of_session)
    assert authenticator.is_good(of_account)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_account_voids_its_grants(
    authenticator: Authenticator, etc: Path, change: dict[str, str]
):
    grants = await both_grants(authenticator)
    write_etc(etc, **change)
    assert [authenticator.is_good(grant) for grant in grants] == [False, False]


async def test_signing_out_everywhere_voids_all_grants_and_none_of_later(
    authenticator: Authenticator,
):
    before = await both_grants(authenticator)
    authenticator.sign_out_everywhere(Visitor("ada", "", None), CLIENT)
    after = await both_grants(authenticator)
    assert [authenticator.is_good(grant) for grant in before] == [False, False]
    assert [authenticator.is_good(grant) for grant in after] == [True, True]


async def test_a_grant_outlives_the_service_and_a_foreign_one_is_void(etc: Path, service: Service):
    grants = await both_grants(service.authenticator)
    again = Service(etc, store=service.store).authenticator
    assert all(again.is_good(grant) for grant in grants)
    other = Service(etc).authenticator
    assert not any(other.is_good(grant) for grant in grants)


async def test_a_grant_fits_where_it_is_put_and_opens_nothing(authenticator: Authenticator):
    for grant in await both_grants(authenticator):
        assert len(grant) <= 256
        assert set(grant) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~:-"
        )
        assert find(authenticator, grant) is None
        assert await bring(authenticator, password=grant) is None


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authenticator, list[str]]:
    etc = write_etc(tmp_path_factory.mktemp("issued") / "etc", ada=HASH, bob=HASH)
    authenticator = Service(etc).authenticator
    return authenticator, asyncio.run(both_grants(authenticator))


@given(data=st.data())
def test_no_grant_that_was_changed_is_good(issued: tuple[Authenticator, list[str]], data):
    authenticator, grants = issued
    grant = data.draw(st.sampled_from(grants))
    at = data.draw(st.integers(0, len(grant)))
    until = data.draw(st.integers(at, len(grant)))
    changed = grant[:at] + data.draw(st.text(max_size=3) | st.sampled_from(grants)) + grant[until:]
    assert authenticator.is_good(changed) == (changed in grants)


@given(st.text() | st.from_regex(r"(session|account)\.[0-9a-f]{0,24}\.[0-9a-f]{0,64}"))
def test_no_text_is_taken_for_a_grant(issued: tuple[Authenticator, list[str]], text: str):
    assert not issued[0].is_good(text)


async def test_each_step_of_a_session_is_written_down(
    service: Service, etc: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    authenticator = service.authenticator
    ended, _, _, changed = [await sign_in(authenticator) for _ in range(4)]
    sessions = authenticator.sessions("ada")
    visitor = find(authenticator, ended)
    assert visitor
    assert visitor.session
    authenticator.sign_out(visitor.session, CLIENT)
    authenticator.revoke("ada", sessions[1].id, ELSEWHERE)
    write_etc(etc, ada=HASH + "new")
    assert find(authenticator, changed) is None
    authenticator.sign_out_everywhere(Visitor("ada", "", None), CLIENT)
    said = [(line["event"], line["session"]) for line in audited(caplog)][4:]
    assert said[0] == ("sign_out", visitor.session.id)
    assert said[1] == ("session_revoked", sessions[1].id)
    assert said[2][0] == "account_changed"
    assert said[3] == ("signed_out_everywhere", None)
    assert {line["user"] for line in audited(caplog)} == {"ada"}
    assert audited(caplog)[5]["address"] == ELSEWHERE.address


async def test_programs_are_written_down_once(
    authenticator: Authenticator, etc: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    for _ in range(5):
        await bring(authenticator)
    write_etc(etc, ada="!" + HASH)
    await bring(authenticator)
    await bring(authenticator)
    said = [(line["event"], line["method"]) for line in audited(caplog)]
    assert said[:2] == [("sign_in", "basic"), ("account_changed", "basic")]
    assert {event for event, _ in said[2:]} == {"sign_in_refused"}


def test_credentials_are_remembered_while_they_are_used():
    memory = remembered.Remembered()
    pause = remembered.LIFETIME_SECONDS - 1
    memory.keep("ada", PASSWORD, "f", now=0)
    assert memory.find("ada", PASSWORD, now=pause) == "f"
    assert memory.find("ada", PASSWORD, now=2 * pause) == "f"
    assert memory.find("ada", PASSWORD, now=3 * pause + 1) is None
    assert memory.find("ada", PASSWORD, now=0) is None, "an expired entry came back"


def test_other_credentials_are_not_taken_for_remembered_ones():
    memory = remembered.Remembered()
    memory.keep("ada", PASSWORD, "f", now=0)
    assert memory.find("ada", "wrong", now=0) is None
    assert memory.find("eve", PASSWORD, now=0) is None
    assert memory.find("ada\0correct", "horse", now=0) is None


def test_all_credentials_of_a_user_are_forgotten_together():
    memory = remembered.Remembered()
    for user, password in [("ada", "1"), ("ada", "2"), ("eve", "3")]:
        memory.keep(user, password, "f", now=0)
    memory.forget("ada")
    assert memory.find("ada", "1", now=0) is None
    assert memory.find("ada", "2", now=0) is None
    assert memory.find("eve", "3", now=0) == "f"


def test_the_memory_does_not_grow_without_end():
    memory = remembered.Remembered()
    for number in range(remembered.SIZE + 1):
        memory.keep("ada", str(number), "f", now=0)
    assert memory.find("ada", "0", now=0) is None
    assert memory.find("ada", "1", now=0) == "f"
