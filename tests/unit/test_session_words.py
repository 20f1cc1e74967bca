import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import words

APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox on Linux",
        ),
        (f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/140.0 Safari/537.36", "Chrome on Windows"),
        (
            f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge on Windows",
        ),
        (
            f"Mozilla/5.0 (Macintosh; Intel Mac OS X) {APPLE} Version/18.5 Safari/605.1.15",
            "Safari on macOS",
        ),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5) {APPLE} Version/18.5 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            f"Mozilla/5.0 (Linux; Android 15) {WEBKIT} Chrome/140.0 Safari/537.36",
            "Chrome on Android",
        ),
        (
            f"Mozilla/5.0 (X11; CrOS x86_64) {WEBKIT} Chrome/140.0 Safari/537.36",
            "Chrome on ChromeOS",
        ),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X) {WEBKIT}", "A browser on macOS"),
        ("curl/8.14.1", "curl"),
        ("python-requests/2.32", "python-requests"),
        ("", "Unknown device"),
        ("<b>", "Unknown device"),
    ],
)
def test_a_device_is_called_what_people_call_it(agent: str, device: str):
    assert words.device(agent) == device


@given(st.text())
def test_no_agent_is_too_odd_to_be_named(agent: str):
    assert 0 < len(words.device(agent)) <= 40


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (185, "3 minutes ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (86399, "23 hours ago"),
        (86400, "1 day ago"),
        (29.9 * 86400, "29 days ago"),
    ],
)
def test_a_time_is_said_as_people_say_it(seconds: float, said: str):
    assert words.ago(1_000_000_000, 1_000_000_000 + seconds) == said


def test_machines_get_the_exact_time():
    assert words.stamp(0) == "1970-01-01T00:00:00Z"
