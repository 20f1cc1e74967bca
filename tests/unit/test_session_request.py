import base64
import re
from urllib.parse import quote, urljoin, urlsplit

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


def browser_reads(location: str) -> tuple[str, str]:
    """Scheme and host that a browser goes to from SITE (the URL Standard's basic parser)."""
    location = re.sub(r"[\t\n\r]", "", location.strip("".join(map(chr, range(33)))))
    scheme = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]*):", location)
    if scheme:
        return scheme[1].lower(), ""
    slashed = location.replace("\\", "/")
    if not slashed.startswith("//"):
        return "https", "opencode.example"
    return "https", re.split(r"[/?#]", slashed.lstrip("/"), maxsplit=1)[0]


PATHS = (
    st.text()
    | st.from_regex(r"[/\\]{1,3}[ -~]*", fullmatch=True)
    | st.lists(
        st.sampled_from(["/", "\\", "\t", "\n", ".", "..", ":", "@", "?", "#", "%2f", "e"])
    ).map("".join)
)


@given(PATHS)
@example("/a%0d%0aLocation:x")
@example("/\t/evil.example")
@example("/.//evil.example")
@example("/..//evil.example")
def test_whatever_is_accepted_as_next_stays_on_this_site(value: str):
    path = request.local_path(value)
    if path is None:
        return
    assert path == value
    assert browser_reads(path) == ("https", "opencode.example")
    for resolved in (urlsplit(SITE + path), urlsplit(urljoin(SITE, path))):
        assert (resolved.scheme, resolved.netloc) == ("https", "opencode.example")
    assert path.isascii()
    assert path.isprintable()


def test_signing_in_may_lead_to_the_account():
    assert request.local_path("/_gateway/account") == "/_gateway/account"
    assert request.local_path("/_gateway/account/../check") is None


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


SOCKET = {"X-Gateway-Upgrade": "websocket"}
TEXT = st.text(st.characters(exclude_characters=":", exclude_categories=["Cs"]))


def encode(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@given(TEXT, TEXT)
def test_a_socket_brings_credentials_in_its_address(user: str, password: str):
    token = quote(encode(user, password), safe="")
    for query in (f"auth_token={token}", f"directory=%2F&auth_token={token}&cursor=0"):
        target = {"X-Gateway-Target": f"/pty/1/connect?{query}"}
        assert request.credentials(SOCKET | target) == (user, password)
        assert request.credentials(target) is None


YES = encode("ada", "yes")


@pytest.mark.parametrize(
    "target",
    [
        f"/x?%61uth_token={YES}",
        f"/x?auth%5Ftoken={YES}",
        f"/x?AUTH_TOKEN={YES}",
        f"/x?my_auth_token={YES}",
        f"/x?a=b;auth_token={YES}",
        f"/x?auth_token={YES}&auth_token={YES}",
        f"/x?auth_token={encode('ada', '')[:-4]}",
        f"/auth_token={YES}",
        "/x?auth_token=",
        "/x?auth_token",
        "/x?auth_token=%",
        "/x?auth_token=%ff%fe",
    ],
)
def test_nothing_else_in_an_address_is_credentials(target: str):
    assert request.credentials(SOCKET | {"X-Gateway-Target": target}) is None


def test_the_header_is_what_counts_where_there_is_one():
    target = SOCKET | {"X-Gateway-Target": f"/x?auth_token={YES}"}
    assert request.credentials(target) == ("ada", "yes")
    assert request.credentials(target | {"Authorization": "Bearer x"}) is None
    other = {"Authorization": f"Basic {encode('eve', 'no')}"}
    assert request.credentials(target | other) == ("eve", "no")


@given(st.text())
@example("?auth_token=\udcff")
def test_no_address_is_too_odd(target: str):
    found = request.query_credentials(target)
    assert found is None or len(found) == 2


ORIGINS = st.text() | st.from_regex(r"https?://[a-z.:]{0,20}", fullmatch=True)


@given(st.sampled_from(["POST", "PUT", "PATCH", "DELETE", "X"]), ORIGINS, ORIGINS)
def test_what_changes_something_comes_from_our_own_pages_or_from_none(
    method: str, origin: str, site: str
):
    headers = HOST | {"Origin": origin, "Sec-Fetch-Site": site}
    if not request.is_foreign(method, "", headers):
        assert origin in {f"{scheme}://localhost:3000" for scheme in (origin.partition(":")[0],)}
        assert site in ("none", "same-origin")


def test_people_land_where_the_prompt_is_ready():
    assert request.workspace_path("/workspace") == "/L3dvcmtzcGFjZQ/session"
