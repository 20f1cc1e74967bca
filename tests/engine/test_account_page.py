"""The account page of a real container: what is revoked is out at once."""

import re
import time

import pytest
import requests

from tests.engine.container import BASIC, BROWSER, LANDING, Running, wait_until
from tests.engine.deployment import USER

ACCOUNT = "/_gateway/account"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)


def sign_in(opencode: Running, agent: str) -> requests.Session:
    browser = requests.Session()
    browser.headers["User-Agent"] = agent
    assert opencode.send_form(browser).status_code == requests.codes.see_other
    return browser


def open_account(opencode: Running, browser: requests.Session) -> str:
    page = browser.get(opencode.url + ACCOUNT, headers=BROWSER, timeout=10)
    assert page.status_code == requests.codes.ok
    return page.text


def press(
    opencode: Running, browser: requests.Session, page: str, button: dict[str, str]
) -> requests.Response:
    csrf = re.findall(r'name="csrf" value="([^"]*)"', page)[0]
    return browser.post(
        opencode.url + ACCOUNT, data={"csrf": csrf} | button, timeout=10, allow_redirects=False
    )


def revoke(opencode: Running, browser: requests.Session, device: str) -> requests.Response:
    """Press the first button that revokes such a device."""
    page = open_account(opencode, browser)
    session = re.findall(rf'value="([0-9a-f]+)" aria-label="Revoke {device}, ', page)[0]
    return press(opencode, browser, page, {"revoke": session})


def is_open(stream: requests.Response) -> bool:
    """Whether events still come; the gateway's end of the connection is what ends them."""
    try:
        return bool(next(stream.iter_content(1 << 16), b""))
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        return False


def test_the_page_lists_each_browser_in_words_and_marks_this_one(opencode: Running):
    phone = sign_in(opencode, SAFARI)
    page = open_account(opencode, sign_in(opencode, FIREFOX))
    assert f"<strong>{USER}</strong>" in page
    assert re.search(r"Firefox on Linux <span[^>]*>this browser", page)
    assert "Safari on iPhone" in page
    assert page.count("this browser") == 1
    assert re.search(r'<time datetime="\d{4}-\d\d-\d\dT[\d:]{8}Z">just now</time>', page)
    assert opencode.lets_in(phone)


def test_a_revoked_browser_is_out_at_once_and_its_events_end(opencode: Running):
    browser, phone = sign_in(opencode, FIREFOX), sign_in(opencode, SAFARI)
    with phone.get(f"{opencode.url}/event", stream=True, timeout=5) as events:
        assert is_open(events)
        while "Safari on iPhone" in open_account(opencode, browser):
            assert revoke(opencode, browser, "Safari on iPhone").status_code == 303
        revoked = time.monotonic()
        assert not opencode.lets_in(phone)
        while is_open(events):
            assert time.monotonic() - revoked < 2
        assert time.monotonic() - revoked < 1
    assert opencode.lets_in(browser)
    assert (
        "That session has ended." in browser.get(f"{opencode.url}{ACCOUNT}?ended", timeout=10).text
    )


def test_signing_out_everywhere_ends_browsers_programs_and_their_events(opencode: Running):
    browser, phone = sign_in(opencode, FIREFOX), sign_in(opencode, SAFARI)
    url = f"{opencode.url}/event"
    with (
        phone.get(url, stream=True, timeout=5) as by_session,
        requests.get(url, auth=BASIC, stream=True, timeout=5) as by_basic,
    ):
        assert is_open(by_session)
        assert is_open(by_basic)
        answer = press(opencode, browser, open_account(opencode, browser), {"everywhere": "yes"})
        ended = time.monotonic()
        assert answer.headers["Location"] == "/_gateway/login"
        assert not opencode.lets_in(browser)
        assert not opencode.lets_in(phone)
        while is_open(by_session) or is_open(by_basic):
            assert time.monotonic() - ended < 2
    # The password itself is good as before, and is looked at again.
    asked = opencode.logs().count('"method": "basic"')
    assert requests.get(f"{opencode.url}/global/health", auth=BASIC, timeout=10).ok
    wait_until(lambda: opencode.logs().count('"method": "basic"') == asked + 1, 30)


@pytest.mark.parametrize("fields", [{}, {"csrf": "0" * 64}])
def test_a_form_that_is_not_ours_revokes_nothing(opencode: Running, fields: dict[str, str]):
    browser = sign_in(opencode, FIREFOX)
    form = {"everywhere": "yes"} | fields
    browser.post(opencode.url + ACCOUNT, data=form, timeout=10)
    assert opencode.lets_in(browser)


def test_another_sites_page_revokes_nothing(opencode: Running):
    browser = sign_in(opencode, FIREFOX)
    page = open_account(opencode, browser)
    browser.headers["Origin"] = "http://evil.example"
    press(opencode, browser, page, {"everywhere": "yes"})
    del browser.headers["Origin"]
    assert opencode.lets_in(browser)


def test_programs_may_look_at_the_page_and_strangers_are_sent_to_sign_in(opencode: Running):
    page = requests.get(opencode.url + ACCOUNT, auth=BASIC, headers=BROWSER, timeout=10)
    assert page.status_code == requests.codes.ok
    assert "this browser" not in page.text
    answer = requests.get(opencode.url + "/_gateway/", headers=BROWSER, timeout=10)
    assert answer.url.endswith("/_gateway/login?next=%2F_gateway%2Faccount")
    asked = requests.get(opencode.url + ACCOUNT, headers={"User-Agent": "curl/8"}, timeout=10)
    assert asked.status_code == requests.codes.unauthorized


def test_sessions_outlive_the_container_with_what_is_known_of_them(opencode: Running):
    browser = sign_in(opencode, SAFARI)
    opencode.remove_container()
    opencode.create()
    page = open_account(opencode, browser)
    assert re.search(r"Safari on iPhone <span[^>]*>this browser", page)
    assert browser.get(opencode.url + LANDING, headers=BROWSER, timeout=30).ok


def test_what_other_services_ask_cannot_be_asked_from_outside(opencode: Running):
    for path in ("/grants", "/metrics", "/_gateway/check", "/_gateway/grants", "/_gateway/metrics"):
        for browser in (requests.Session(), sign_in(opencode, FIREFOX)):
            answer = browser.post(opencode.url + path, data="session.1.2", timeout=10)
            assert "session.1.2" not in answer.text
            answer = browser.get(opencode.url + path, timeout=10)
            assert "opencode_cloud_sessions" not in answer.text
