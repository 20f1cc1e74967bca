import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from accounts.directory import Directory
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import example, given
from hypothesis import strategies as st
from session import cookies
from session.app import Gateway
from session.auth import Authenticator
from session.cookies import Cookies
from session.pages import Pages
from session.store import Store
from session.upstream import Health, Upstream

from tests.unit.session_parts import HASH, PASSWORD, Pam, write_etc

LANDING = "/L3dvcmtzcGFjZQ/session"
LOGIN = "/_gateway/login"
BROWSER = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Accept": "text/html"}


class Opencode(Upstream):
    """An opencode that is as a test says."""

    def __init__(self) -> None:
        self.state = Health(True, version="1.18.33")

    async def health(self) -> Health:
        return self.state

    async def is_ready(self) -> bool:
        return self.state.healthy


class Page(HTMLParser):
    """What a browser reads of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = {name: value or "" for name, value in attrs}
        if tag == "input":
            self.fields[values["name"]] = values.get("value", "")


def as_nginx(scheme: str = "http", **headers: str) -> dict[str, str]:
    """The headers that nginx sets, for a request to /."""
    told = {
        "X-Gateway-Address": "192.0.2.1",
        "X-Gateway-Scheme": scheme,
        "X-Gateway-Method": "GET",
        "X-Gateway-Target": "/",
    }
    return told | {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def upstream() -> Opencode:
    return Opencode()


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    return write_etc(tmp_path / "etc", ada=HASH)


@pytest.fixture
async def client(etc: Path, upstream: Opencode) -> AsyncIterator[TestClient]:
    store = Store(":memory:")
    gateway = Gateway(
        Authenticator(Directory(etc), Pam(), store),
        Cookies("0badcafe", b"k" * 32),
        Pages("<b>team</b> & friends", container="opencode-local"),
        upstream,
        "/workspace",
    )
    async with TestClient(TestServer(gateway.application())) as client:
        yield client


async def open_login(client: TestClient, query: str = "") -> Page:
    answer = await client.get(LOGIN + query, headers=as_nginx())
    assert answer.status == 200
    return Page(await answer.text())


async def sign_in(client: TestClient, query: str = "", scheme: str = "http", **fields: str):
    page = await client.get(LOGIN + query, headers=as_nginx(scheme))
    form = Page(await page.text()).fields
    form |= {"username": "ada", "password": PASSWORD} | fields
    return await client.post(LOGIN, data=form, headers=as_nginx(scheme), allow_redirects=False)


async def test_signing_in_by_the_form_lets_requests_through(client: TestClient):
    answer = await sign_in(client)
    assert (answer.status, answer.headers["Location"]) == (303, LANDING)
    check = await client.get("/_gateway/check", headers=as_nginx())
    assert (check.status, check.headers["X-Gateway-Account"]) == (200, "ada")


async def test_a_wrong_password_is_announced_and_the_name_kept(client: TestClient):
    answer = await sign_in(client, password="wrong")
    text = await answer.text()
    assert answer.status == 401
    assert 'role="alert"' in text
    assert Page(text).fields["username"] == "ada"
    assert "wrong" not in text.replace("Wrong user name or password", "")
    check = await client.get("/_gateway/check", headers=as_nginx())
    assert check.status == 401


async def test_the_cookie_cannot_be_read_by_scripts_nor_sent_by_other_sites(client: TestClient):
    cookie = (await sign_in(client)).headers["Set-Cookie"]
    assert cookie.startswith("opencode-session-0badcafe=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))


async def test_over_https_the_cookie_is_bound_to_it(client: TestClient):
    page = await client.get(LOGIN, headers=as_nginx("https"))
    form = Page(await page.text()).fields | {"username": "ada", "password": PASSWORD}
    cookie = {"Cookie": page.headers["Set-Cookie"].partition(";")[0]}
    answer = await client.post(
        LOGIN, data=form, headers=as_nginx("https") | cookie, allow_redirects=False
    )
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-opencode-session-0badcafe=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


async def test_signing_in_again_ends_the_session_before(client: TestClient):
    first = (await sign_in(client)).cookies["opencode-session-0badcafe"].value
    client.session.cookie_jar.clear()
    header = {"Cookie": f"opencode-session-0badcafe={first}"}
    page = await client.get(LOGIN, headers=as_nginx())
    form = Page(await page.text()).fields | {"username": "ada", "password": PASSWORD}
    header["Cookie"] += f"; {page.headers['Set-Cookie'].partition(';')[0]}"
    client.session.cookie_jar.clear()
    answer = await client.post(LOGIN, data=form, headers=as_nginx() | header, allow_redirects=False)
    assert answer.status == 303
    assert answer.cookies["opencode-session-0badcafe"].value != first
    client.session.cookie_jar.clear()
    check = await client.get("/_gateway/check", headers=as_nginx() | header)
    assert check.status == 401


@pytest.mark.parametrize("csrf", [None, "", "0" * 64, "\N{SNOWMAN}"])
async def test_a_form_that_is_not_ours_signs_nobody_in(client: TestClient, csrf: str | None):
    await open_login(client)
    form = {"username": "ada", "password": PASSWORD} | ({"csrf": csrf} if csrf is not None else {})
    answer = await client.post(LOGIN, data=form, headers=as_nginx(), allow_redirects=False)
    assert answer.status == 403
    assert "opencode-session" not in answer.headers.get("Set-Cookie", "")


async def test_a_form_of_another_browser_signs_nobody_in(client: TestClient):
    form = (await open_login(client)).fields | {"username": "ada", "password": PASSWORD}
    client.session.cookie_jar.clear()
    await open_login(client)
    answer = await client.post(LOGIN, data=form, headers=as_nginx(), allow_redirects=False)
    assert answer.status == 403


async def test_another_sites_page_cannot_send_the_form(client: TestClient):
    form = (await open_login(client)).fields | {"username": "ada", "password": PASSWORD}
    headers = as_nginx(Origin="http://evil.example")
    answer = await client.post(LOGIN, data=form, headers=headers, allow_redirects=False)
    assert answer.status == 403


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"csrf", b"csrf=%ff", b"a=" + b"b" * 20_000])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded; charset=no", "text/x"])
async def test_no_form_is_too_odd_to_be_refused(client: TestClient, body: bytes, kind: str):
    headers = as_nginx() | {"Content-Type": kind, "Cookie": "opencode-form-0badcafe=\udcff"}
    answer = await client.post(LOGIN, data=body, headers=headers, allow_redirects=False)
    assert answer.status in (403, 413)


@pytest.mark.parametrize(
    ("wanted", "location"),
    [("/x?y=1", "/x?y=1"), ("//evil.example", LANDING), ("https://evil.example", LANDING)],
)
async def test_signing_in_goes_where_one_was_going_on_this_site(
    client: TestClient, wanted: str, location: str
):
    assert (await sign_in(client, next=wanted)).headers["Location"] == location


async def test_who_is_signed_in_already_is_not_asked_again(client: TestClient):
    await sign_in(client)
    answer = await client.get(LOGIN + "?next=/x", headers=as_nginx(), allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/x")


async def test_signing_out_ends_the_session_and_forgets_the_cookie(client: TestClient):
    await sign_in(client)
    page = await client.get("/_gateway/logout", headers=as_nginx())
    text = await page.text()
    assert "ada" in text
    answer = await client.post(
        "/_gateway/logout", data=Page(text).fields, headers=as_nginx(), allow_redirects=False
    )
    assert (answer.status, answer.headers["Location"]) == (303, LOGIN)
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert (await client.get("/_gateway/check", headers=as_nginx())).status == 401


async def test_nobody_is_signed_out_by_another_page(client: TestClient):
    await sign_in(client)
    answer = await client.post("/_gateway/logout", headers=as_nginx(), allow_redirects=False)
    assert answer.headers["Location"] == "/_gateway/logout"
    assert (await client.get("/_gateway/check", headers=as_nginx())).status == 200


async def test_a_browser_without_a_session_is_sent_to_sign_in_and_back(client: TestClient):
    headers = as_nginx() | BROWSER | {"X-Gateway-Target": "/a?b=c&d=e"}
    answer = await client.get("/refused", headers=headers, allow_redirects=False)
    assert answer.status == 303
    assert answer.headers["Location"] == "/_gateway/login?next=%2Fa%3Fb%3Dc%26d%3De"
    page = await open_login(client, "?next=%2Fa%3Fb%3Dc%26d%3De")
    assert page.fields["next"] == "/a?b=c&d=e"


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Mode": "cors"}, {"User-Agent": "Mozilla/5.0"}])
async def test_a_page_of_opencode_gets_an_answer_that_opens_no_prompt(
    client: TestClient, headers: dict[str, str]
):
    answer = await client.get("/refused", headers=as_nginx() | headers)
    assert answer.status == 401
    assert "WWW-Authenticate" not in answer.headers
    assert "error" in await answer.json()


async def test_a_program_is_asked_for_basic_credentials(client: TestClient):
    headers = as_nginx() | {"User-Agent": "curl/8"}
    answer = await client.get("/refused", headers=headers)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


async def test_what_another_site_sends_is_refused_with_a_reason(client: TestClient):
    await sign_in(client)
    headers = as_nginx(X_Gateway_Method="POST", Origin="http://evil.example")
    check = await client.get("/_gateway/check", headers=headers)
    assert (check.status, check.headers["X-Gateway-Refusal"]) == (403, "foreign")
    answer = await client.get("/refused", headers=as_nginx(X_Gateway_Refusal="foreign"))
    assert answer.status == 403
    assert "another site" in (await answer.json())["error"]


async def test_while_opencode_boots_nobody_is_let_through(client: TestClient, upstream: Opencode):
    await sign_in(client)
    upstream.state = Health(False, reason="opencode does not listen")
    check = await client.get("/_gateway/check", headers=as_nginx())
    assert (check.status, check.headers["X-Gateway-Refusal"]) == (403, "starting")
    assert (
        await client.get("/refused", headers=as_nginx(X_Gateway_Refusal="starting"))
    ).status == 503


async def test_health_is_opencodes_own(client: TestClient, upstream: Opencode):
    answer = await client.get("/health")
    assert answer.status == 200
    assert await answer.json() == {"healthy": True, "version": "1.18.33"}
    upstream.state = Health(False, reason="opencode does not listen")
    answer = await client.get("/health")
    assert answer.status == 503
    assert await answer.json() == {"healthy": False, "reason": "opencode does not listen"}


async def test_without_users_the_page_says_how_to_add_one(client: TestClient, etc: Path):
    write_etc(etc)
    text = await (await client.get(LOGIN, headers=as_nginx())).text()
    assert "docker exec -it opencode-local opencode-user add" in text
    assert "password" not in Page(text).fields


async def test_pages_are_kept_by_nobody_and_allow_no_script(client: TestClient):
    answer = await client.get(LOGIN, headers=as_nginx())
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"


async def test_the_deployments_name_is_text_and_no_markup(client: TestClient):
    text = await (await client.get(LOGIN, headers=as_nginx())).text()
    assert "&lt;b&gt;team&lt;/b&gt; &amp; friends" in text
    assert "<b>" not in text


@given(st.text(), st.text(), st.text())
@example('"><script>alert(1)</script>', "' onfocus=alert(1) x='", "</title><b>")
@example("$csrf ${next} $$", "$deployment", "$title")
def test_nothing_that_is_shown_can_become_markup(name: str, next_path: str, error: str):
    page = Page(Pages("team", "c").login(csrf="x", next_path=next_path, name=name, error=error))
    plain = Page(
        Pages("team", "c").login(csrf="x", next_path="", name="", error="e" if error else "")
    )
    assert page.tags == plain.tags
    # HTML knows no NUL, and reads every end of a line as a line feed.
    if not re.search("[\0\r]", name + next_path):
        assert (page.fields["username"], page.fields["next"]) == (name, next_path)


@given(st.text(), st.text())
@example('{"a": 1}; b=[2]', "; ;=;")
def test_our_cookie_is_found_among_any_others(before: str, after: str):
    name = "opencode-session-0badcafe"
    found = cookies.parse(f"{before.replace(name, '')}; {name}=token; {after}")
    assert found[name] == "token"
