import base64
import re
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
from aiohttp.test_utils import TestClient, make_mocked_request
from hypothesis import example, given
from hypothesis import strategies as st
from session import cookies, front, verifier
from session.pages import Pages
from session.store import Session

from tests.unit.session_parts import (
    CLIENT,
    ELSEWHERE,
    LOGIN,
    PASSWORD,
    Page,
    Service,
    as_nginx,
    sign_in,
    write_etc,
)

ACCOUNT = "/_gateway/account"
LANDING = "/L3dvcmtzcGFjZQ/session"
BASIC = {"Authorization": "Basic " + base64.b64encode(f"ada:{PASSWORD}".encode()).decode()}
FIREFOX = {"User-Agent": CLIENT.agent}


async def open_login(client: TestClient, query: str = "") -> Page:
    answer = await client.get(LOGIN + query, headers=as_nginx())
    assert answer.status == 200
    return Page(await answer.text())


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


@given(st.lists(st.tuples(st.text(), st.text())))
def test_no_cookie_header_is_too_odd(pairs: list[tuple[str, str]]):
    header = "; ".join(f"{name}={value}" for name, value in pairs)
    found = cookies.parse(header)
    assert not [name for name, value in found.items() if ";" in name + value]


async def read_form(body: bytes) -> dict[str, str]:
    request = make_mocked_request("POST", LOGIN)
    request._read_bytes = body
    return await front._form(request)


@given(st.binary())
async def test_no_body_is_too_odd_for_a_form(body: bytes):
    fields = await read_form(body)
    assert all(isinstance(text, str) for field in fields.items() for text in field)


@given(st.dictionaries(st.text(min_size=1), st.text()))
async def test_a_form_is_read_as_it_was_filled_in(fields: dict[str, str]):
    assert await read_form(urlencode(fields).encode()) == fields


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals without their pause."""
    monkeypatch.setattr(verifier, "REFUSAL_SECONDS", 0)


async def test_after_too_many_wrong_passwords_the_page_says_for_how_long(
    client: TestClient, service: Service, hasty: None
):
    for _ in range(5):
        assert (await sign_in(client, password="wrong")).status == 401
    answer = await sign_in(client)
    text = await answer.text()
    assert answer.status == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert re.search(r'role="alert">Too many wrong passwords. Try again in \d+ seconds.<', text)
    assert Page(text).fields["username"] == "ada"
    assert (
        "Set-Cookie" not in answer.headers or "opencode-session" not in answer.headers["Set-Cookie"]
    )
    assert service.pam.asked == 5


async def test_a_crowd_is_nobodys_wrong_password(
    client: TestClient, hasty: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(verifier, "LONGEST_QUEUE", -verifier.AT_ONCE)
    answer = await sign_in(client)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    assert "Too many people are signing in. Try again in 1 second." in await answer.text()


async def open_account(client: TestClient, **headers: str) -> Page:
    answer = await client.get(ACCOUNT, headers=as_nginx() | headers, allow_redirects=False)
    assert answer.status == 200, answer.headers
    return Page(await answer.text())


async def press(client: TestClient, page: Page, button: str, **headers: str):
    form = {"csrf": page.fields["csrf"]} | page.buttons[button]
    return await client.post(
        ACCOUNT, data=form, headers=as_nginx() | headers, allow_redirects=False
    )


async def is_let_in(client: TestClient, headers: dict[str, str] | None = None) -> bool:
    check = await client.get("/_gateway/check", headers=as_nginx() | (headers or {}))
    return check.status == 200


async def sign_in_elsewhere(service: Service) -> str:
    """The token of another browser that is signed in."""
    token = await service.authenticator.sign_in("ada", PASSWORD, ELSEWHERE)
    assert isinstance(token, str)
    return token


def is_signed_in(service: Service, token: str) -> bool:
    return service.authenticator.by_session(token, ELSEWHERE.address) is not None


async def test_the_account_page_shows_where_one_is_signed_in(client: TestClient, service: Service):
    await sign_in(client)
    await sign_in_elsewhere(service)
    answer = await client.get(ACCOUNT, headers=as_nginx())
    text = await answer.text()
    assert "<strong>ada</strong>" in text
    assert "curl" in text
    assert ELSEWHERE.address in text
    assert text.count("this browser") == 1
    assert "just now</time>" in text
    assert answer.headers["Cache-Control"] == "no-store"


async def test_revoking_a_session_ends_it_and_no_other(client: TestClient, service: Service):
    await sign_in(client)
    other = await sign_in_elsewhere(service)
    page = await open_account(client)
    answer = await press(client, page, f"Revoke curl, {ELSEWHERE.address}")
    assert (answer.status, answer.headers["Location"]) == (303, f"{ACCOUNT}?ended")
    assert not is_signed_in(service, other)
    assert await is_let_in(client)
    told = await client.get(f"{ACCOUNT}?ended", headers=as_nginx())
    assert 'role="status"' in await told.text()


async def test_revoking_ones_own_session_is_signing_out(client: TestClient, service: Service):
    await sign_in(client)
    page = await open_account(client)
    answer = await press(client, page, next(label for label in page.buttons if "Revoke" in label))
    assert answer.headers["Location"] == LOGIN
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert not await is_let_in(client)


async def test_signing_out_everywhere_ends_all(client: TestClient, service: Service):
    await sign_in(client)
    other = await sign_in_elsewhere(service)
    assert await is_let_in(client, BASIC)
    asked = service.pam.asked
    answer = await press(client, await open_account(client), "everywhere")
    assert (answer.status, answer.headers["Location"]) == (303, LOGIN)
    assert not await is_let_in(client)
    assert not is_signed_in(service, other)
    assert await is_let_in(client, BASIC)
    assert service.pam.asked == asked + 1


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://evil.example"}])
async def test_another_page_can_neither_revoke_nor_sign_out_everywhere(
    client: TestClient, service: Service, headers: dict[str, str]
):
    await sign_in(client)
    page = await open_account(client)
    if not headers:
        page.fields["csrf"] = "0" * 64
    for button in page.buttons:
        answer = await press(client, page, button, **headers)
        assert answer.headers["Location"] == ACCOUNT
    assert await is_let_in(client)


async def test_nobody_ends_the_session_of_another_user(client: TestClient, service: Service):
    await sign_in(client)
    others = service.store.create("eve", "f", "192.0.2.7", "", time.time())[1]
    page = await open_account(client)
    page.buttons["forged"] = {"revoke": others.id}
    await press(client, page, "forged")
    assert service.store.get(others.id, time.time())


async def test_programs_see_the_page_too_and_end_sessions(client: TestClient, service: Service):
    other = await sign_in_elsewhere(service)
    answer = await client.get(ACCOUNT, headers=as_nginx() | BASIC)
    text = await answer.text()
    assert "this browser" not in text
    assert "/_gateway/logout" not in text
    await press(client, Page(text), f"Revoke curl, {ELSEWHERE.address}", **BASIC)
    assert not is_signed_in(service, other)


async def test_who_is_not_signed_in_is_sent_to_sign_in_and_back(client: TestClient):
    headers = as_nginx(X_Gateway_Target=ACCOUNT) | {"Accept": "text/html"}
    for ask in (client.get, client.post):
        answer = await ask(ACCOUNT, headers=headers, allow_redirects=False)
        assert answer.headers["Location"] == f"{LOGIN}?next=%2F_gateway%2Faccount"
    assert (await sign_in(client, next=ACCOUNT)).headers["Location"] == ACCOUNT


async def test_the_account_page_is_no_way_around_the_limit(client: TestClient, hasty: None):
    wrong = {"Authorization": "Basic " + base64.b64encode(b"ada:wrong").decode()}
    statuses = [(await client.get(ACCOUNT, headers=as_nginx() | wrong)).status for _ in range(6)]
    assert statuses == [401] * 5 + [429]


async def test_the_shortest_address_leads_to_the_account(client: TestClient):
    answer = await client.get("/_gateway/", headers=as_nginx(), allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, ACCOUNT)


@pytest.mark.parametrize("agent", [b"\xff\xfe", b"<script>", b"x" * 9000, "☃".encode()])
async def test_no_browser_calls_itself_too_oddly(client: TestClient, agent: bytes):
    odd = {"User-Agent": agent.decode("utf-8", "surrogateescape")[:8000]}
    page = await client.get(LOGIN, headers=as_nginx())
    form = Page(await page.text()).fields | {"username": "ada", "password": PASSWORD}
    answer = await client.post(LOGIN, data=form, headers=as_nginx() | odd, allow_redirects=False)
    assert answer.status == 303
    text = await (await client.get(ACCOUNT, headers=as_nginx())).text()
    assert "<script>" not in text


@given(st.text(), st.text(), st.text())
@example('"><script>', "$csrf", "</td><script>")
def test_no_session_can_become_markup(agent: str, address: str, name: str):
    def shown(*told: str) -> list[str]:
        agent, address, name = told
        session = Session("id", name, "f", address, agent, 0, 0)
        return Page(
            Pages("team", "c").account(
                csrf="x",
                name=name,
                sessions=[session],
                here="id",
                landing="/",
                notice="n",
                now=0,
            )
        ).tags

    assert shown(agent, address, name) == shown("a", "b", "c")
