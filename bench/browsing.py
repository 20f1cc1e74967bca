"""What Chromium fetches until a person can type, and how long that takes, on a slow link."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Error, Page, sync_playwright

from tests.browser.conftest import FLAGS
from tests.engine.container import LANDING

LINK = {
    "offline": False,
    "latency": 60,  # milliseconds from a request to its answer
    "downloadThroughput": 20e6 / 8,  # bytes a second
    "uploadThroughput": 20e6 / 8,
}
PROMPT = "[contenteditable=true]"
QUIET = 1.5
"""Seconds after which a page that has asked for nothing more has all it wants."""
LONGEST = 60
"""Seconds that it may take to get there."""
TRIES = 10
NETWORK_CHANGED = "net::ERR_NETWORK_CHANGED"


@dataclass(frozen=True)
class Site:
    """opencode as a person reaches it, who has signed in already."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Answer:
    """One answer, and what it took on the wire."""

    path: str = ""
    is_over: bool = False
    """All here; or a stream, which never is."""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    bytes: int = 0
    """Encoded, with its headers."""

    def __str__(self) -> str:
        wanted = ("content-type", "content-encoding", "cache-control", "etag", "vary")
        headers = {name.lower(): value for name, value in self.headers.items()}
        shown = "  ".join(f"{name}: {headers[name]}" for name in wanted if name in headers)
        # A header that came twice is two lines.
        return f"{self.bytes:10,}  {self.status}  {self.path}  {shown}".replace("\n", ", ")


@dataclass(frozen=True)
class Load:
    """One load of a page."""

    seconds: float
    """Until the prompt could be typed into."""
    answers: list[Answer]

    @property
    def bytes(self) -> int:
        """All that came over the wire, up to when the page was quiet."""
        return sum(answer.bytes for answer in self.answers)


class NetworkChangedError(Exception):
    """The machine got or lost an interface, upon which Chromium ends all its requests."""


class Traffic:
    """Counts what a page receives, by Chromium's own account of its network."""

    def __init__(self, page: Page) -> None:
        self._answers: dict[str, Answer] = {}
        self._last = time.monotonic()
        self._network_changed = False
        self._devtools = page.context.new_cdp_session(page)
        self._devtools.send("Network.enable")
        self._devtools.send("Network.emulateNetworkConditions", LINK)
        self._devtools.on("Network.requestWillBeSent", self._asked)
        self._devtools.on("Network.responseReceived", self._answered)
        self._devtools.on("Network.responseReceivedExtraInfo", self._status)
        self._devtools.on("Network.dataReceived", self._received)
        self._devtools.on("Network.loadingFinished", self._finished)
        self._devtools.on("Network.loadingFailed", self._failed)

    def take(self) -> list[Answer]:
        """What has come since this was last asked, the largest first."""
        taken, self._answers = self._answers, {}
        return sorted(taken.values(), key=lambda answer: -answer.bytes)

    def is_quiet(self) -> bool:
        """Whether all answers but streams are here, and nothing more was asked for a while."""
        is_waiting = any(not answer.is_over for answer in self._answers.values())
        return not is_waiting and time.monotonic() - self._last > QUIET

    def check(self) -> None:
        """Find out whether what was counted can count.

        Raises:
            NetworkChangedError: it cannot.
        """
        if self._network_changed:
            raise NetworkChangedError

    def _asked(self, event: Mapping[str, Any]) -> None:
        self._last = time.monotonic()
        address = urlsplit(event["request"]["url"])
        path = address.path + (f"?{address.query}" if address.query else "")
        self._answers[event["requestId"]] = Answer(path)

    def _answer(self, event: Mapping[str, Any]) -> Answer:
        self._last = time.monotonic()
        # What still comes for the page before this one does not count.
        return self._answers.get(event["requestId"], Answer())

    def _answered(self, event: Mapping[str, Any]) -> None:
        answer, response = self._answer(event), event["response"]
        answer.headers = response["headers"]
        answer.status = answer.status or response["status"]
        answer.bytes += response["encodedDataLength"]
        answer.is_over = response["mimeType"] == "text/event-stream"

    def _status(self, event: Mapping[str, Any]) -> None:
        # A 304 is a 200 to the page; here is what came over the wire.
        self._answer(event).status = event["statusCode"]

    def _received(self, event: Mapping[str, Any]) -> None:
        self._answer(event).bytes += event["encodedDataLength"]

    def _finished(self, event: Mapping[str, Any]) -> None:
        answer = self._answer(event)
        answer.is_over = True
        # Of the whole answer with its headers; what was added up so far is short of some.
        answer.bytes = event["encodedDataLength"]

    def _failed(self, event: Mapping[str, Any]) -> None:
        self._answer(event).is_over = True
        self._network_changed |= event["errorText"] == NETWORK_CHANGED


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's own."""
    executable = shutil.which("chromium")
    if not executable:
        sys.exit("bench: no chromium on PATH; ./check browser installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


def first_and_again(browser: Browser, site: Site) -> tuple[Load, Load]:
    """Load the workspace with nothing cached, then reload it."""
    for _ in range(TRIES):
        with suppress(NetworkChangedError):
            return _first_and_again(browser, site)
    sys.exit("bench: this machine's network changes too often, as when containers come and go")


def _first_and_again(browser: Browser, site: Site) -> tuple[Load, Load]:
    # Not `http_credentials`: with them Playwright turns the browser's cache off.
    context = browser.new_context(extra_http_headers=dict(site.headers))
    context.add_cookies(
        [{"name": name, "value": value, "url": site.url} for name, value in site.cookies.items()]
    )
    try:
        page = context.new_page()
        traffic = Traffic(page)
        address = site.url + LANDING
        first = _load(page, traffic, lambda: page.goto(address, wait_until="commit"))
        return first, _load(page, traffic, lambda: page.reload(wait_until="commit"))
    finally:
        context.close()


def _load(page: Page, traffic: Traffic, go: Callable[[], object]) -> Load:
    traffic.take()
    began = time.monotonic()
    try:
        go()
        page.locator(PROMPT).first.wait_for(timeout=LONGEST * 1000)
    except Error as error:
        if NETWORK_CHANGED in error.message:
            raise NetworkChangedError from None
        raise
    seconds = time.monotonic() - began
    while not traffic.is_quiet() and time.monotonic() < began + LONGEST:
        page.wait_for_timeout(100)
    traffic.check()
    return Load(seconds, traffic.take())
