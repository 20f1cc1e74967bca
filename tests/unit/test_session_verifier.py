import asyncio
import time
from pathlib import Path

import pytest
from accounts.directory import Account
from session import audit, verifier
from session.audit import Client
from session.verifier import Later

from tests.unit.session_parts import CLIENT, ELSEWHERE, HASH, PASSWORD, Service, audited, write_etc

ATTEMPTS = 5


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    return write_etc(tmp_path / "etc", ada=HASH, eve="!" + HASH)


@pytest.fixture
def service(etc: Path) -> Service:
    return Service(etc, attempts=ATTEMPTS)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals without their pause."""
    monkeypatch.setattr(verifier, "REFUSAL_SECONDS", 0)


async def verify(
    service: Service, password: str, client: Client = CLIENT, user: str = "ada"
) -> Account | Later | None:
    return await service.verifier.verify(user, password, client, audit.FORM)


async def guess(service: Service, times: int, client: Client = CLIENT, user: str = "ada"):
    return await asyncio.gather(
        *(verify(service, f"wrong {number}", client, user) for number in range(times))
    )


def at(address: str) -> Client:
    return Client(address, "")


@pytest.mark.parametrize("name", ["ada", "eve", "nobody", "root", ""])
async def test_a_refusal_takes_as_long_whether_or_not_the_name_exists(service: Service, name: str):
    began = time.monotonic()
    assert await verify(service, "wrong", user=name) is None
    took = time.monotonic() - began
    assert verifier.REFUSAL_SECONDS <= took < verifier.REFUSAL_SECONDS + 1


async def test_after_too_many_wrong_passwords_none_is_looked_at(service: Service, hasty: None):
    assert await guess(service, ATTEMPTS) == [None] * ATTEMPTS
    later = await verify(service, PASSWORD)
    assert isinstance(later, Later)
    assert 0 < later.seconds <= 60
    assert service.pam.asked == ATTEMPTS


async def test_guesses_made_at_once_cannot_exceed_the_limit(service: Service, hasty: None):
    answers = await guess(service, 50)
    assert answers.count(None) == ATTEMPTS
    assert service.pam.asked == ATTEMPTS


async def test_names_that_do_not_exist_are_limited_alike(service: Service, hasty: None):
    for number in range(ATTEMPTS):
        assert await verify(service, "wrong", at(f"192.0.2.{number}"), "nobody") is None
    assert isinstance(await verify(service, "wrong", ELSEWHERE, "nobody"), Later)


async def test_an_address_is_limited_whatever_the_name(service: Service, hasty: None):
    for number in range(ATTEMPTS):
        await verify(service, "wrong", user=f"name{number}")
    assert isinstance(await verify(service, PASSWORD), Later)
    assert isinstance(await verify(service, PASSWORD, ELSEWHERE), Account)


async def test_right_passwords_are_never_too_many(service: Service):
    for _ in range(3 * ATTEMPTS):
        assert isinstance(await verify(service, PASSWORD), Account)


async def guess_from_everywhere(service: Service) -> None:
    for number in range(ATTEMPTS):
        await verify(service, "wrong", at(f"198.51.100.{number}"))


async def test_an_account_is_guarded_against_guesses_from_many_addresses(
    service: Service, hasty: None
):
    await guess_from_everywhere(service)
    assert isinstance(await verify(service, "wrong", at("198.51.100.99")), Later)


async def test_the_owner_is_not_locked_out_by_others_guesses(service: Service, hasty: None):
    assert await service.authenticator.sign_in("ada", PASSWORD, at("2001:db8::1"))
    await guess_from_everywhere(service)
    assert isinstance(await verify(service, PASSWORD, at("2001:db8::2")), Account)
    assert isinstance(await verify(service, PASSWORD, ELSEWHERE), Later)


async def test_the_owners_address_has_a_limit_too(service: Service, hasty: None):
    assert await service.authenticator.sign_in("ada", PASSWORD, CLIENT)
    answers = await guess(service, 50)
    assert answers.count(None) == ATTEMPTS


async def test_a_session_of_before_the_password_changed_excuses_nobody(
    service: Service, etc: Path, hasty: None
):
    assert await service.authenticator.sign_in("ada", PASSWORD, CLIENT)
    write_etc(etc, ada=HASH + "new")
    await guess_from_everywhere(service)
    assert isinstance(await verify(service, PASSWORD, CLIENT), Later)


async def test_a_flood_keeps_pam_no_busier_than_it_can_be(etc: Path, hasty: None):
    service = Service(etc, attempts=1000)
    answers = await asyncio.gather(
        *(verify(service, "wrong", at(f"192.0.2.{number}")) for number in range(200))
    )
    assert service.pam.most_at_once == verifier.AT_ONCE
    assert answers.count(None) == verifier.AT_ONCE + verifier.LONGEST_QUEUE
    assert answers.count(Later(1, is_crowded=True)) == 200 - answers.count(None)
    assert isinstance(await verify(service, PASSWORD), Account)


async def test_a_crowd_of_right_passwords_is_let_in_one_after_the_other(service: Service):
    answers = await asyncio.gather(
        *(verify(service, PASSWORD, at(f"192.0.2.{n}")) for n in range(ATTEMPTS))
    )
    assert all(isinstance(answer, Account) for answer in answers)
    assert service.pam.most_at_once == verifier.AT_ONCE


async def test_who_found_a_crowd_has_used_up_nothing(
    service: Service, hasty: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(verifier, "LONGEST_QUEUE", -verifier.AT_ONCE)
    for _ in range(2 * ATTEMPTS):
        assert await verify(service, PASSWORD) == Later(1, is_crowded=True)
    monkeypatch.setattr(verifier, "LONGEST_QUEUE", 1)
    assert isinstance(await verify(service, PASSWORD), Account)


async def test_a_refused_name_is_written_down_only_if_it_is_an_accounts(
    service: Service, hasty: None, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    for name in ("ada", "eve", "my secret password", "root"):
        await verify(service, "wrong", user=name)
    said = [(line["event"], line["user"]) for line in audited(caplog)]
    refused = "sign_in_refused"
    assert said == [(refused, "ada"), (refused, "eve"), (refused, None), (refused, None)]


async def test_a_flood_of_attempts_is_no_flood_of_lines(
    service: Service, hasty: None, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    await guess(service, 100)
    limited = [line for line in audited(caplog) if line["event"] == "sign_in_limited"]
    assert len(limited) == 1
    assert service.audit.counts["sign_in_limited", "form"] == 100 - ATTEMPTS
