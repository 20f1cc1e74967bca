import base64

import pytest
from aiohttp.test_utils import TestClient
from session import verifier
from session.upstream import Health

from tests.unit.session_parts import (
    CLIENT,
    PASSWORD,
    Page,
    Service,
    as_nginx,
    sign_in,
)

BROWSER = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Accept": "text/html"}


def basic(password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": f"Basic {token(password)}"}


def token(password: str = PASSWORD) -> str:
    return base64.b64encode(f"ada:{password}".encode()).decode()


async def test_a_browser_without_a_session_is_sent_to_sign_in_and_back(client: TestClient):
    headers = as_nginx() | BROWSER | {"X-Gateway-Target": "/a?b=c&d=e"}
    answer = await client.get("/refused", headers=headers, allow_redirects=False)
    assert answer.status == 303
    assert answer.headers["Location"] == "/_gateway/login?next=%2Fa%3Fb%3Dc%26d%3De"
    page = await client.get(answer.headers["Location"], headers=as_nginx())
    assert Page(await page.text()).fields["next"] == "/a?b=c&d=e"


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


async def test_while_opencode_boots_nobody_is_let_through(client: TestClient, service: Service):
    await sign_in(client)
    service.upstream.state = Health(False, reason="opencode does not listen")
    check = await client.get("/_gateway/check", headers=as_nginx())
    assert (check.status, check.headers["X-Gateway-Refusal"]) == (403, "starting")
    assert (
        await client.get("/refused", headers=as_nginx(X_Gateway_Refusal="starting"))
    ).status == 503


async def test_health_is_opencodes_own(client: TestClient, service: Service):
    answer = await client.get("/health")
    assert answer.status == 200
    assert await answer.json() == {"healthy": True, "version": "1.18.33"}
    service.upstream.state = Health(False, reason="opencode does not listen")
    answer = await client.get("/health")
    assert answer.status == 503
    assert await answer.json() == {"healthy": False, "reason": "opencode does not listen"}


async def check(client: TestClient, **headers: str):
    return await client.get("/_gateway/check", headers=as_nginx() | headers)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals without their pause."""
    monkeypatch.setattr(verifier, "REFUSAL_SECONDS", 0)


async def test_too_many_wrong_passwords_are_said_to_programs_in_seconds(
    client: TestClient, hasty: None
):
    for _ in range(5):
        assert (await check(client, **basic("wrong"))).status == 401
    refusal = await check(client, **basic("another"))
    reason, _, seconds = refusal.headers["X-Gateway-Refusal"].partition(":")
    assert (refusal.status, reason) == (403, "limited")
    answer = await client.get("/refused", headers=as_nginx(X_Gateway_Refusal=f"limited:{seconds}"))
    assert (answer.status, answer.headers["Retry-After"]) == (429, seconds)
    assert f"try again in {seconds} s" in (await answer.json())["error"]


async def test_who_brings_nothing_has_not_tried_anything(client: TestClient):
    for _ in range(20):
        assert (await check(client)).headers["X-Gateway-Refusal"] == "unauthenticated"
    assert (await check(client, **basic())).status == 200


async def void(client: TestClient, *grants: str) -> list[str]:
    body = "".join(f"{grant}\n" for grant in grants)
    answer = await client.post("/grants", data=body, headers={"Content-Type": "text/plain"})
    assert (answer.status, answer.content_type) == (200, "text/plain")
    return (await answer.text()).splitlines()


async def test_void_grants_are_told_from_good_ones(client: TestClient, service: Service):
    await sign_in(client)
    good = [
        (await check(client)).headers["X-Gateway-Grant"],
        (await check(client, **basic())).headers["X-Gateway-Grant"],
    ]
    assert await void(client, *good) == []
    assert await void(client, good[0], "nonsense", good[1]) == ["nonsense"]
    assert await void(client) == []
    service.store.end_all("ada")
    assert await void(client, *good) == good


async def test_grants_come_back_byte_for_byte(client: TestClient):
    odd = b"\xff\xfe\r\n\x85 a \n\n.\nsession.\naccount.zz.\n" + b"x" * 900_000
    answer = await client.post("/grants", data=odd)
    assert await answer.read() == odd.replace(b"\n\n", b"\n") + b"\n"


async def test_more_grants_than_there_can_be_are_refused(client: TestClient):
    assert (await client.post("/grants", data=b"x\n" * 600_000)).status == 413


APP = ["tauri://localhost", "http://tauri.localhost", "https://tauri.localhost"]
FROM_APP = {"X-Gateway-Method": "POST", "Sec-Fetch-Site": "cross-site"}


@pytest.mark.parametrize("origin", APP)
async def test_the_desktop_app_may_do_what_its_password_may(client: TestClient, origin: str):
    answer = await check(client, Origin=origin, **FROM_APP, **basic())
    assert answer.status == 200
    assert answer.headers["X-Gateway-Origin"] == origin


@pytest.mark.parametrize("origin", APP)
async def test_a_cookie_is_worth_nothing_to_the_desktop_app(client: TestClient, origin: str):
    await sign_in(client)
    for method, refusal in (("POST", "foreign"), ("GET", "unauthenticated")):
        answer = await check(client, Origin=origin, **{"X-Gateway-Method": method})
        assert answer.headers["X-Gateway-Refusal"] == refusal
        assert "X-Gateway-Origin" not in answer.headers


async def test_the_desktop_app_can_read_why_it_was_refused(client: TestClient):
    answer = await client.get("/refused", headers=as_nginx(Origin=APP[0]))
    assert answer.headers["Access-Control-Allow-Origin"] == APP[0]
    answer = await client.get("/refused", headers=as_nginx(Origin="http://evil.example"))
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "tauri://localhost.evil.example", "TAURI://localhost"]
)
async def test_no_other_origin_may_by_a_password(client: TestClient, origin: str):
    answer = await check(client, Origin=origin, **FROM_APP, **basic())
    assert (answer.status, answer.headers["X-Gateway-Refusal"]) == (403, "foreign")


async def test_nobody_but_the_desktop_app_is_told_of_an_origin(client: TestClient):
    answer = await check(client, **basic())
    assert "X-Gateway-Origin" not in answer.headers


@pytest.mark.parametrize("origin", [{}, {"Origin": APP[0]}])
async def test_a_terminal_of_a_program_signs_in_by_its_address(
    client: TestClient, origin: dict[str, str]
):
    target = {"X-Gateway-Target": f"/pty/1/connect?auth_token={token()}"}
    socket = {"X-Gateway-Upgrade": "websocket"}
    assert (await check(client, **target, **socket, **origin)).status == 200
    wrong = {"X-Gateway-Target": f"/pty/1/connect?auth_token={token('wrong')}"}
    assert (await check(client, **wrong, **socket, **origin)).status == 401
    assert (await check(client, **target, **socket, **basic("wrong"))).status == 401
    assert (await check(client, **target)).status == 401


async def test_metrics_say_who_signed_in_and_how_opencode_is(
    client: TestClient, service: Service, hasty: None
):
    await sign_in(client, password="wrong")
    await sign_in(client)
    await check(client, **basic())
    for _ in range(9):
        await check(client, **basic("wrong"))
    lines = (await (await client.get("/metrics")).text()).splitlines()
    sign_ins = "opencode_cloud_sign_ins_total"
    assert "opencode_cloud_sessions 1" in lines
    assert f'{sign_ins}{{method="form",result="accepted"}} 1' in lines
    assert f'{sign_ins}{{method="form",result="refused"}} 1' in lines
    assert f'{sign_ins}{{method="form",result="limited"}} 0' in lines
    assert f'{sign_ins}{{method="basic",result="accepted"}} 1' in lines
    assert f'{sign_ins}{{method="basic",result="refused"}} 4' in lines
    assert f'{sign_ins}{{method="basic",result="limited"}} 5' in lines
    assert "opencode_cloud_opencode_healthy 1" in lines
    assert 'opencode_cloud_opencode_info{version="1.18.33"} 1' in lines
    service.authenticator.revoke("ada", service.authenticator.sessions("ada")[0].id, CLIENT)
    service.upstream.state = Health(False, reason="it sleeps")
    lines = (await (await client.get("/metrics")).text()).splitlines()
    assert "opencode_cloud_revocations_total 1" in lines
    assert "opencode_cloud_opencode_healthy 0" in lines
    assert "opencode_cloud_sessions 0" in lines
