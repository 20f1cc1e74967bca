import pytest
from certificates import schedule
from certificates.certificate import Certificate
from hypothesis import given
from hypothesis import strategies as st

MINUTE, HOUR, DAY = 60, 3600, 86400
VALID = Certificate(names=(), issuer="", not_before=0, not_after=90 * DAY, fingerprint="")
LATER = 61 * DAY
"""When VALID is due."""


def is_due(
    certificate: Certificate | None = None,
    failures: tuple[int, ...] = (),
    next_attempt: int = 0,
    now: int = 0,
    at_once: bool = False,
) -> bool:
    return schedule.is_attempt_due(certificate, failures, next_attempt, now, at_once)


def test_a_name_without_a_certificate_gets_one_at_once():
    assert is_due()


@pytest.mark.parametrize("at_once", [False, True])
def test_a_certificate_that_is_not_due_is_left_alone(at_once: bool):
    assert not is_due(VALID, at_once=at_once)
    assert is_due(VALID, now=LATER, at_once=at_once)


def test_after_a_failure_the_next_attempt_waits_for_its_time():
    assert not is_due(failures=(0,), next_attempt=60, now=59)
    assert is_due(failures=(0,), next_attempt=60, now=60)


def test_whoever_does_not_want_to_wait_need_not():
    assert is_due(failures=(0,), next_attempt=6 * HOUR, now=60, at_once=True)


def test_nobodys_impatience_makes_a_sixth_failure_in_an_hour():
    failures = (0, 10, 20, 30, 40)
    assert not is_due(failures=failures, next_attempt=50, now=HOUR - 1, at_once=True)
    assert is_due(failures=failures, next_attempt=50, now=HOUR, at_once=True)


def test_an_attempt_planned_by_a_clock_that_was_wrong_is_made_now():
    assert is_due(failures=(0,), next_attempt=10 * 365 * DAY, now=60)


@pytest.mark.parametrize(
    ("failures", "wait"),
    [(1, MINUTE), (2, 5 * MINUTE), (3, 30 * MINUTE), (4, 6 * HOUR), (9, 6 * HOUR)],
)
def test_waits_grow(failures: int, wait: int):
    moments = [DAY * number for number in range(failures)]
    assert schedule.attempt_after(moments, moments[-1], chance=0) == moments[-1] + wait


def test_a_wait_is_never_cut_short():
    assert schedule.attempt_after([1000], 1000.9, chance=0) >= 1060.9


def test_machines_that_fail_together_do_not_return_together():
    waits = {schedule.attempt_after([0], 0, chance) for chance in (0, 0.5, 0.99)}
    assert waits == {60, 63, 66}


@given(
    st.lists(st.integers(1, 2 * HOUR), max_size=60),
    st.lists(st.booleans(), min_size=60, max_size=60),
)
def test_whatever_people_do_an_hour_sees_five_failures_at_most(waits: list[int], hurry: list[bool]):
    now, next_attempt, failures = 0, 0, []
    for wait, at_once in zip(waits, hurry, strict=False):
        now += wait
        if schedule.is_attempt_due(None, failures[-10:], next_attempt, now, at_once):
            failures.append(now)
            next_attempt = schedule.attempt_after(failures[-10:], now, 0)
    for number, moment in enumerate(failures[5:]):
        assert moment - failures[number] >= HOUR


def test_the_service_sleeps_until_something_is_due():
    assert 100 <= schedule.seconds_to_sleep([1100, 5000], now=1000) <= 101


def test_the_service_never_spins_and_never_sleeps_for_long():
    assert schedule.seconds_to_sleep([10], now=1000) == 1
    assert schedule.seconds_to_sleep([90 * DAY], now=0) == HOUR
    assert schedule.seconds_to_sleep([], now=0) == HOUR
