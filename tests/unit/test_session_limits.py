import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import limits
from session.limits import Limits

HERE, ADA = limits.of_address("192.0.2.1"), limits.of_name("ada")


def test_as_many_attempts_as_allowed_pass_and_then_one_has_to_wait():
    limit = Limits(3, 60)
    assert [limit.begin([HERE], now) for now in (0, 10, 20)] == [0, 0, 0]
    assert limit.begin([HERE], 30) == 30
    assert limit.begin([HERE], 59.5) == 1
    assert limit.begin([HERE], 60) == 0
    assert limit.begin([HERE], 60) == 10


def test_waiting_is_not_made_longer_by_trying():
    limit = Limits(1, 60)
    limit.begin([HERE], 0)
    assert [limit.begin([HERE], now) for now in (1, 30, 59)] == [59, 30, 1]
    assert limit.begin([HERE], 60) == 0


def test_who_was_right_has_not_used_up_anything():
    limit = Limits(1, 60)
    for now in range(10):
        assert limit.begin([HERE, ADA], now) == 0
        limit.give_back([HERE, ADA], now)
    assert limit.begin([HERE, ADA], 10) == 0
    assert limit.begin([HERE, ADA], 11) > 0


def test_guesses_made_at_once_count_before_they_are_answered():
    limit = Limits(5, 60)
    assert sum(limit.begin([HERE], 0) == 0 for _ in range(100)) == 5


def test_one_full_bucket_is_enough_and_the_others_are_left_alone():
    limit = Limits(1, 60)
    limit.begin([HERE, ADA], 0)
    there = limits.of_address("203.0.113.9")
    assert limit.begin([there, ADA], 0) > 0
    assert limit.begin([there, limits.of_name("eve")], 0) == 0


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::2"),
    ],
)
def test_addresses_of_one_client_are_one(address: str, same: str):
    assert limits.of_address(address) == limits.of_address(same)


@pytest.mark.parametrize(
    ("address", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("192.0.2.1", "192.0.2.2"),
        ("unix:", "192.0.2.1"),
        ("unix:", "unknown"),
        ("::1", "127.0.0.1"),
    ],
)
def test_addresses_of_others_are_not(address: str, other: str):
    assert limits.of_address(address) != limits.of_address(other)


def test_a_name_is_no_address():
    assert limits.of_name("192.0.2.1") != limits.of_address("192.0.2.1")


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.floats(0, 5), st.sampled_from("abc"), st.booleans()), max_size=60),
)
def test_no_window_ever_has_more_failures_than_allowed(
    attempts: int, tries: list[tuple[float, str, bool]]
):
    limit, now = Limits(attempts, 10), 0.0
    failures: dict[str, list[float]] = {"a": [], "b": [], "c": []}
    for pause, bucket, is_right in tries:
        now += pause
        wait = limit.begin([bucket], now)
        recent = [then for then in failures[bucket] if now - then < 10]
        assert (wait > 0) == (len(recent) >= attempts)
        if wait:
            assert 0 <= wait - (recent[0] + 10 - now) <= 1
        elif is_right:
            limit.give_back([bucket], now)
        else:
            failures[bucket].append(now)


@given(st.lists(st.text(max_size=3), max_size=200))
def test_a_flood_takes_no_more_memory_than_allowed(names: list[str]):
    limit = Limits(2, 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "SIZE", 10)
        for now, name in enumerate(names):
            limit.begin([limits.of_name(name), limits.of_address(name)], now)
            assert len(limit) <= 10


def test_who_is_limited_cannot_make_the_gateway_forget_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "SIZE", 10)
    limit = Limits(1, 60)
    limit.begin([HERE, ADA], 0)
    for number in range(100):
        assert limit.begin([HERE, limits.of_name(str(number))], 0) > 0
    assert limit.begin([ADA], 0) > 0


def test_a_name_without_end_takes_no_memory_without_end():
    assert len(limits.of_name("x" * 100_000)) < 100
