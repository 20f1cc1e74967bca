import base64
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from session import request

SITE = "https://opencode.example"


@pytest.mark.parametrize(
    "path", ["/L3dvcmtzcGFjZQ/session/ses_1", "/x?directory=%2Fworkspace&y=//z", "/a//b", "/a:b@c"]
)
def test_signing_in_goes_on_to_a_path_of_this_site(path: str):
    assert request.local_path(path) == path


@pytest.mark.parametrize(
    "value",
    [
        "",
        "/",
        "/?directory=x",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "evil.example",
        "/a\r\nSet-Cookie: x=y",
        "/a\nb",
        "/a\tb",
        "/\t/evil.example",
        " /a",
        "/ä",
        "/_gateway/logout",
        "/" + "a" * 2048,
    ],
)
def test_signing_in_never_goes_elsewhere(value: str):
    assert request.local_path(value) is None


@given(st.text() | st.from_regex(r"[/\\]{1,3}[ -~]*", fullmatch=True))
@example("/a%0d%0aLocation:x")
def test_whatever_is_accepted_as_next_stays_on_this_site(value: str):
    path = request.local_path(value)
    if path is None:
        return
    assert path == value
    # As a browser resolves a Location, backslashes included.
    resolved = urlsplit(SITE + path.replace("\\", "/"))
    assert (resolved.scheme, resolved.netloc) == ("https", "opencode.example")
    assert path.isascii()
    assert path.isprintable()


HOST = {"Host": "localhost:3000"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:5173"},
        {"Origin": "http://localhost:3000.evil.example"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:3000"},
    ],
)
def test_another_sites_page_can_change_nothing(headers: dict[str, str]):
    assert request.is_foreign("POST", "", HOST | headers)
    assert request.is_foreign("DELETE", "", HOST | headers)
    assert request.is_foreign("GET", "websocket", HOST | headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost:3000"},
        {"Origin": "https://localhost:3000"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_programs_and_our_own_pages_can(headers: dict[str, str]):
    assert not request.is_foreign("POST", "", HOST | headers)
    assert not request.is_foreign("GET", "websocket", HOST | headers)


def test_a_link_from_another_site_works():
    assert not request.is_foreign("GET", "", HOST | {"Sec-Fetch-Site": "cross-site"})


def test_browsers_are_told_apart_from_programs():
    assert request.is_browser({"Sec-Fetch-Mode": "cors"})
    assert request.is_browser({"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"})
    assert not request.is_browser({"User-Agent": "curl/8.14.1"})
    assert not request.is_browser({})


def test_pages_are_told_apart_from_their_parts():
    assert request.is_navigation({"Sec-Fetch-Mode": "navigate"})
    assert request.is_navigation({"Accept": "text/html,application/xhtml+xml"})
    assert not request.is_navigation({"Sec-Fetch-Mode": "cors", "Accept": "text/html"})
    assert not request.is_navigation({"Accept": "*/*"})


@given(st.text(st.characters(exclude_characters=":", exclude_categories=["Cs"])), st.text())
def test_basic_credentials_are_read_as_they_were_sent(user: str, password: str):
    try:
        encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    except UnicodeEncodeError:
        return
    assert request.basic_credentials(f"Basic {encoded}") == (user, password)
    assert request.basic_credentials(f"bAsIc  {encoded} ") == (user, password)


@given(st.text())
@example("Basic")
@example("Basic =")
@example("Basic ÿ")
@example("Basic \udcff")
@example("Basic /w==")
@example("Bearer YTpi")
def test_no_authorization_header_is_too_odd(value: str):
    credentials = request.basic_credentials(value)
    assert credentials is None or all(isinstance(part, str) for part in credentials)


def test_people_land_where_the_prompt_is_ready():
    assert request.workspace_path("/workspace") == "/L3dvcmtzcGFjZQ/session"
