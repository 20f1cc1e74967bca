import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.engine.container import Running
from tests.engine.deployment import PASSWORD, USER

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5) AppleWebKit/605.1.15 Version/18.5 Safari/604.1"


def sign_in(page: Page, opencode: Running) -> None:
    """Sign in, and land on the account page."""
    page.goto(f"{opencode.url}/_gateway/")
    page.get_by_label("User name").fill(USER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()


@pytest.fixture
def phone(browser: Browser, opencode: Running) -> Iterator[Page]:
    """Another browser of the same person, narrow, signed in."""
    context = browser.new_context(user_agent=PHONE, color_scheme="dark")
    page = context.new_page()
    page.set_viewport_size({"width": 375, "height": 812})
    sign_in(page, opencode)
    yield page
    context.close()


def is_signed_in(page: Page) -> bool:
    """Whether the account is shown, and not the page to sign in."""
    page.reload()
    return "/_gateway/account" in page.url


def tab_to(page: Page, name: str) -> None:
    """Move by the keyboard until the button is reached."""
    for _ in range(50):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if name in (focused.get_attribute("aria-label") or focused.inner_text()):
            return
    pytest.fail(f"{name!r} is not reached by the keyboard")


def test_a_person_revokes_another_browser_by_the_keyboard_alone(
    page: Page, phone: Page, opencode: Running
):
    sign_in(page, opencode)
    row = page.get_by_role("row", name="Safari on iPhone")
    before = row.count()
    tab_to(page, "Revoke Safari on iPhone, ")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("That session has ended.")
    expect(row).to_have_count(before - 1)
    assert not is_signed_in(phone)
    assert is_signed_in(page)


def test_signing_out_everywhere_ends_every_browser(page: Page, phone: Page, opencode: Running):
    sign_in(page, opencode)
    page.get_by_role("button", name="Sign out everywhere").click()
    expect(page).to_have_url(re.compile("/_gateway/login"))
    assert not is_signed_in(phone)
    page.goto(f"{opencode.url}/_gateway/account")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_page_is_read_out_as_a_table_also_where_it_is_cards(phone: Page):
    table = phone.get_by_role("table", name="Sessions")
    row = table.get_by_role("row").filter(has_text="this browser")
    expect(row.get_by_role("rowheader")).to_contain_text("Safari on iPhone")
    expect(row.get_by_role("button", name=re.compile("^Revoke Safari on iPhone, "))).to_be_visible()
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_account_is_found_from_the_page_to_sign_out(page: Page, opencode: Running):
    sign_in(page, opencode)
    page.goto(f"{opencode.url}/_gateway/logout")
    page.get_by_role("link", name="Your account and sessions").click()
    expect(page.get_by_role("link", name="Back to the workspace")).to_be_visible()
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page).to_have_url(re.compile("/_gateway/login"))


def test_the_page_needs_nothing_that_its_policy_forbids(page: Page, opencode: Running):
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    sign_in(page, opencode)
    page.get_by_role("button", name="Sign out everywhere").hover()
    assert complaints == []
