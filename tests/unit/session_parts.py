"""What several tests of the session service stand on."""

import asyncio
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from accounts.directory import Directory
from aiohttp import web
from aiohttp.test_utils import TestClient
from session.app import Gateway
from session.audit import Audit, Client
from session.auth import Authenticator
from session.check import Check
from session.cookies import Cookies
from session.front import LARGEST_FORM, Front
from session.limits import Limits
from session.pages import Pages
from session.store import Store
from session.upstream import Health, Upstream
from session.verifier import Verifier
from session.visitors import Visitors

PASSWORD = "correct horse"
HASH = "$y$j9T$salt$hash"
GROUPS = "root:x:0:\nshadow:x:42:session\nopencode-users:x:802:{0}\nopencode:x:1000:{0}\n"
PASSWD = "root:x:0:0:root:/root:/bin/bash\nopencode:x:1000:1000::/home/opencode:/bin/bash\n"
SHADOW = "root:*:20000:0:99999:7:::\nopencode:!:20000:0:99999:7:::\n"

LOGIN = "/_gateway/login"
CLIENT = Client("192.0.2.1", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko Firefox/140.0")
ELSEWHERE = Client("203.0.113.9", "curl/8.14.1")


def write_etc(folder: Path, **hashes: str) -> Path:
    """An /etc with an account for each name, and the system's own."""
    folder.mkdir(exist_ok=True)
    names = sorted(hashes)
    groups = [f"{name}:x:{2000 + i}:\n" for i, name in enumerate(names)]
    users = [
        f"{name}:x:{2000 + i}:{2000 + i}::/home/{name}:/bin/bash\n" for i, name in enumerate(names)
    ]
    secrets = [f"{name}:{hashes[name]}:20000:0:99999:7:::\n" for name in names]
    (folder / "group").write_text(GROUPS.format(",".join(names)) + "".join(groups))
    (folder / "passwd").write_text(PASSWD + "".join(users))
    (folder / "shadow").write_text(SHADOW + "".join(secrets))
    return folder


class Pam:
    """Knows one password, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.at_once = 0
        self.most_at_once = 0

    async def accepts(self, name: str, password: str) -> bool:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        return (name, password) == ("ada", PASSWORD)


class Opencode(Upstream):
    """An opencode that is as a test says."""

    def __init__(self) -> None:
        self.state = Health(True, version="1.18.33")

    async def health(self) -> Health:
        return self.state

    async def is_ready(self) -> bool:
        return self.state.healthy


class Service:
    """The session service's parts, put together for an /etc of a test's own."""

    def __init__(
        self, etc: Path, attempts: int = 1000, window: int = 60, store: Store | None = None
    ) -> None:
        self.pam = Pam()
        self.store = store or Store(":memory:")
        self.upstream = Opencode()
        self.audit = Audit(window)
        directory = Directory(etc)
        self.verifier = Verifier(
            directory, self.pam, self.store, Limits(attempts, window), self.audit
        )
        self.authenticator = Authenticator(directory, self.verifier, self.store, self.audit)

    def application(self) -> web.Application:
        """What nginx and the other services ask."""
        cookies = Cookies("0badcafe", b"k" * 32)
        visitors = Visitors(self.authenticator, cookies)
        pages = Pages("<b>team</b> & friends", container="opencode-local")
        front = Front(self.authenticator, visitors, cookies, pages, "/workspace")
        gateway = Gateway(self.authenticator, self.upstream, self.store, self.audit)
        check = Check(visitors, self.upstream)

        async def checked(request: web.Request) -> web.Response:
            answer = await check.answer(request)
            return web.Response(status=answer.status, headers=answer.headers)

        application = web.Application(client_max_size=LARGEST_FORM)
        asked = web.get("/_gateway/check", checked)
        application.add_routes([*gateway.routes(), *front.routes(), asked])
        return application


class Page(HTMLParser):
    """What a browser reads of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.tags: list[str] = []
        self.buttons: dict[str, dict[str, str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = {name: value or "" for name, value in attrs}
        if tag == "input":
            self.fields[values["name"]] = values.get("value", "")
        if tag == "button" and "name" in values:
            label = values.get("aria-label", values["name"])
            self.buttons[label] = {values["name"]: values["value"]}


def as_nginx(scheme: str = "http", **headers: str) -> dict[str, str]:
    """The headers that nginx sets, for a request to /."""
    told = {
        "X-Gateway-Address": CLIENT.address,
        "X-Gateway-Scheme": scheme,
        "X-Gateway-Method": "GET",
        "X-Gateway-Target": "/",
    }
    return told | {name.replace("_", "-"): value for name, value in headers.items()}


def audited(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    """The audit's lines so far."""
    return [json.loads(record.message) for record in caplog.records if record.name == "audit"]


async def sign_in(client: TestClient, query: str = "", scheme: str = "http", **fields: str):
    """Fill in the form, as `client`, and give the answer."""
    page = await client.get(LOGIN + query, headers=as_nginx(scheme))
    form = Page(await page.text()).fields
    form |= {"username": "ada", "password": PASSWORD} | fields
    return await client.post(LOGIN, data=form, headers=as_nginx(scheme), allow_redirects=False)
