"""Streams through the gateway, on a real container: how they last, and when they end."""

import base64
import hashlib
import random
import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Self
from urllib.parse import urlsplit

import docker
import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.engine.container import BASIC, Running, running, wait_until
from tests.engine.stand_in import standing_in

OTHER = "eve"
OTHER_PASSWORD = "a good password"
SILENCE_SECONDS = 75
"""Longer than what proxies and clients wait by default."""
SOON_SECONDS = 3
"""A second where nothing else runs; here other tests do."""
KEPT = 64 * 1024
"""Bytes of what a stream says that are looked at."""
IDLE_STREAMS = 1000
LARGEST_OVERHEAD = 150 * 1024
"""KiB of memory for all that is not opencode, with that many streams."""
LARGEST_SHARE = 5 * 1024
"""KiB that they may add to what is written in Python; the rest is nginx's."""

STAND_IN = """
import asyncio, contextlib, hashlib, json, random

async def answer(reader, writer):
    head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode()
    method, target, _ = head.split(" ", 2)
    path, _, query = target.partition("?")
    size = int(head.lower().partition("content-length: ")[2].split("\\r\\n")[0] or 0)
    if method == "POST":
        digest = hashlib.sha256()
        while size > 0:
            data = await reader.read(1 << 16)
            digest.update(data)
            size -= len(data)
        await say(writer, "text/plain", digest.hexdigest().encode())
    elif path == "/event" and query.startswith("bytes="):
        await say(writer, "text/event-stream", random.Random(1).randbytes(int(query[6:])))
    elif path == "/event" and query.startswith("flood="):
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\n\\r\\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(0, int(query[6:]), 1 << 16):
                writer.write(b"y\\n" * (1 << 15))
                await writer.drain()
            writer.write(b"the end")
    elif path == "/event":
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\n\\r\\n")
        writer.write(b"data: hello\\n\\n")
        if query.startswith("silent="):
            await asyncio.sleep(int(query[7:]))
            writer.write(b"data: still there\\n\\n")
        await reader.read()
    else:
        healthy = {"healthy": True, "version": "0"}
        await say(writer, "application/json", json.dumps(healthy).encode())
    writer.close()

async def say(writer, kind, body):
    writer.write(f"HTTP/1.1 200 OK\\r\\nContent-Type: {kind}\\r\\n"
        f"Content-Length: {len(body)}\\r\\nConnection: close\\r\\n\\r\\n".encode() + body)
    await writer.drain()

async def main():
    await (await asyncio.start_server(answer, "127.0.0.1", 4096, backlog=1024)).serve_forever()

asyncio.run(main())
"""
"""A server in opencode's place whose events say hello and then nothing."""

PSS = """
import os, pathlib
for process in pathlib.Path("/proc").glob("[0-9]*"):
    if process.name == str(os.getpid()) or process.stat().st_uid == 1000:
        continue
    name = process.joinpath("comm").read_text().strip()
    lines = process.joinpath("smaps_rollup").read_text().splitlines()
    print(name, *(line.split()[1] for line in lines if line.startswith("Pss:")))
"""
"""Prints the memory of every process but opencode's user's, in KiB."""


class Open:
    """Something that stays open: hears what it says, until it ends, and keeps the last of it."""

    def __init__(self, hear: Callable[[], bytes], close: Callable[[], None]) -> None:
        self._hear = hear
        self._close = close
        self._has_ended = threading.Event()
        self.first = b""
        self.heard = b""
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self._thread.join(timeout=10)

    @property
    def is_open(self) -> bool:
        return not self._has_ended.is_set()

    def wait_for(self, text: bytes, seconds: float = 10) -> None:
        wait_until(
            lambda: text in self.heard or not self.is_open,
            seconds,
            lambda: repr(self.heard[-1000:]),
        )
        assert text in self.heard, self.heard[-1000:]

    def ends_within(self, seconds: float) -> bool:
        return self._has_ended.wait(seconds)

    def _listen(self) -> None:
        with suppress(OSError, ConnectionClosed):
            while data := self._hear():
                self.first = self.first or data
                self.heard = (self.heard + data)[-KEPT:]
        self._has_ended.set()


class Person:
    """Somebody who is signed in, by the headers that say so."""

    def __init__(self, opencode: Running, headers: dict[str, str]) -> None:
        self._opencode = opencode
        self.headers = headers

    def events(self, target: str = "/event") -> Open:
        """Open the stream of events."""
        address = urlsplit(self._opencode.url)
        connection = socket.create_connection((address.hostname, address.port or 80), timeout=10)
        connection.settimeout(None)
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
        connection.sendall(f"{head}{lines}\r\n".encode())

        def close() -> None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

        opened = Open(lambda: connection.recv(65536), close)
        wait_until(lambda: opened.first != b"" or not opened.is_open, 30)
        assert opened.first.startswith(b"HTTP/1.1 200 "), opened.first
        return opened

    def terminal(self) -> "Terminal":
        """Start a shell and connect to it."""
        url = self._opencode.url
        made = requests.post(
            f"{url}/pty", json={"title": "Try"}, headers=self.headers, timeout=30
        ).json()
        return Terminal(
            f"{url.replace('http', 'ws')}/pty/{made['id']}/connect?directory=/workspace",
            self.headers,
        )

    def is_let_in(self) -> bool:
        """Whether a request gets through to opencode."""
        url = f"{self._opencode.url}/session"
        return requests.get(url, headers=self.headers, timeout=10).ok


class Terminal(Open):
    """A shell of opencode's."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        stack = ExitStack()
        self._connection = stack.enter_context(
            connect(url, additional_headers=headers, proxy=None, ping_interval=None, max_size=None)
        )
        super().__init__(self._receive, stack.close)

    def run(self, command: str) -> None:
        """Type a command."""
        self._connection.send(f"{command}\n")

    def _receive(self) -> bytes:
        message = self._connection.recv()
        return message.encode() if isinstance(message, str) else message


def by_cookie(opencode: Running, browser: requests.Session) -> Person:
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies)
    return Person(opencode, {"Cookie": cookies})


def by_basic(opencode: Running, user: str, password: str) -> Person:
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Person(opencode, {"Authorization": f"Basic {token}"})


def submit(opencode: Running, browser: requests.Session, path: str, **fields: str) -> None:
    """Send one of the forms of the gateway's own pages."""
    page = browser.get(f"{opencode.url}{path}", timeout=10).text
    csrf = re.findall(r'name="csrf" value="([^"]*)"', page)[0]
    browser.post(f"{opencode.url}{path}", data={"csrf": csrf, **fields}, timeout=10)


def works_both_ways(person: Person, terminal: Terminal, events: Open) -> bool:
    """Whether what is typed arrives and what happens is told; fails when it does not soon."""
    number = random.randrange(10**6)
    terminal.run(f"echo it-$(({number}+1))")
    terminal.wait_for(f"it-{number + 1}".encode())
    before = events.heard.count(b"session.created")
    requests.post(f"{person._opencode.url}/session", json={}, headers=person.headers, timeout=30)
    wait_until(lambda: events.heard.count(b"session.created") > before, 30)
    return True


@pytest.fixture
def ada(opencode: Running) -> Person:
    return by_cookie(opencode, opencode.sign_in())


@pytest.fixture
def eve(opencode: Running) -> Iterator[requests.Session]:
    """The browser of a second user, who is removed afterwards."""
    opencode.add_user(OTHER, OTHER_PASSWORD)
    yield opencode.sign_in(username=OTHER, password=OTHER_PASSWORD)
    opencode.attempt("opencode-user", "remove", OTHER)


@pytest.fixture(scope="module")
def quiet(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container whose opencode is the stand-in."""
    with standing_in(docker_client, image, program=STAND_IN) as container:
        yield container


@pytest.fixture(scope="module", autouse=True)
def silent_events(quiet: Running) -> Iterator[Open]:
    """Events that say nothing for long, while the other tests run."""
    with by_basic(quiet, *BASIC).events(f"/event?silent={SILENCE_SECONDS}") as events:
        yield events


@pytest.fixture(scope="module", autouse=True)
def silent_terminal(opencode: Running) -> Iterator[Terminal]:
    """A terminal that says nothing for as long."""
    with by_basic(opencode, *BASIC).terminal() as terminal:
        terminal.run(f"sleep {SILENCE_SECONDS}; echo still-$((2+2))-there")
        yield terminal


@pytest.mark.parametrize(
    "change", [("disable", OTHER), ("remove", OTHER), ("passwd", OTHER)], ids=lambda c: c[0]
)
def test_streams_end_within_a_second_of_a_change_of_their_account_and_others_go_on(
    opencode: Running, ada: Person, eve: requests.Session, change: tuple[str, str]
):
    theirs = [by_cookie(opencode, eve), by_basic(opencode, OTHER, OTHER_PASSWORD)]
    with ExitStack() as stack:
        events, terminal = stack.enter_context(ada.events()), stack.enter_context(ada.terminal())
        ending: list[Open] = []
        for person in theirs:
            ending.append(stack.enter_context(person.events()))
            ending.append(stack.enter_context(person.terminal()))
        assert all(stream.is_open for stream in ending)
        opencode.run("opencode-user", *change, stdin="another password\n")
        deadline = time.monotonic() + SOON_SECONDS
        assert all(stream.ends_within(deadline - time.monotonic()) for stream in ending)
        assert not any(person.is_let_in() for person in theirs)
        assert events.is_open
        assert works_both_ways(ada, terminal, events)
    opencode.wait_printed("closed 2 streams of a sign-in that ended")


def test_signing_out_ends_the_streams_of_that_session_alone(opencode: Running):
    leaving, staying = opencode.sign_in(), opencode.sign_in()
    with ExitStack() as stack:
        gone, here = by_cookie(opencode, leaving), by_cookie(opencode, staying)
        ending = [stack.enter_context(gone.events()), stack.enter_context(gone.terminal())]
        events, terminal = stack.enter_context(here.events()), stack.enter_context(here.terminal())
        program = stack.enter_context(by_basic(opencode, *BASIC).events())
        submit(opencode, leaving, "/_gateway/logout")
        deadline = time.monotonic() + SOON_SECONDS
        assert all(stream.ends_within(deadline - time.monotonic()) for stream in ending)
        assert works_both_ways(here, terminal, events)
        assert program.is_open


def test_a_session_that_is_revoked_takes_its_streams_along(
    opencode: Running, eve: requests.Session
):
    def sessions() -> set[str]:
        page = eve.get(f"{opencode.url}/_gateway/account", timeout=10).text
        return set(re.findall(r'name="revoke" value="([^"]*)"', page))

    own = sessions()
    lost = by_cookie(opencode, opencode.sign_in(username=OTHER, password=OTHER_PASSWORD))
    with lost.events() as ending, by_cookie(opencode, eve).events() as events:
        submit(opencode, eve, "/_gateway/account", revoke=(sessions() - own).pop())
        assert ending.ends_within(SOON_SECONDS)
        assert events.is_open


def test_signing_out_everywhere_ends_all_streams_of_a_user_and_no_others(
    opencode: Running, ada: Person, eve: requests.Session
):
    second = opencode.sign_in(username=OTHER, password=OTHER_PASSWORD)
    with ExitStack() as stack:
        events, terminal = stack.enter_context(ada.events()), stack.enter_context(ada.terminal())
        ending = [
            stack.enter_context(person.events())
            for person in (
                by_cookie(opencode, eve),
                by_cookie(opencode, second),
                by_basic(opencode, OTHER, OTHER_PASSWORD),
            )
        ]
        ending.append(stack.enter_context(by_cookie(opencode, eve).terminal()))
        submit(opencode, eve, "/_gateway/account", everywhere="yes")
        deadline = time.monotonic() + SOON_SECONDS
        assert all(stream.ends_within(deadline - time.monotonic()) for stream in ending)
        assert works_both_ways(ada, terminal, events)


def test_no_grant_is_in_the_logs_or_reaches_opencode(opencode: Running, ada: Person):
    with ada.events():
        assert not re.search(r"(session|account)\.\w+\.[0-9a-f]{64}", opencode.logs())


@pytest.fixture(scope="module")
def restarted(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container of its own, whose services are restarted: the others' streams must last."""
    with running(docker_client, image) as container:
        yield container


def reconnects(person: Person) -> bool:
    """Whether a stream can be opened now."""
    try:
        with person.events() as events:
            return events.is_open
    except (OSError, AssertionError):
        return False


@pytest.mark.parametrize("service", ["gateway", "streams", "session"])
def test_after_a_restart_of_a_service_people_reconnect_without_a_new_login(
    restarted: Running, service: str
):
    ada = by_cookie(restarted, restarted.sign_in())
    with ada.events() as events:
        restarted.run("s6-svc", "-r", f"/run/service/{service}")
        began = time.monotonic()
        # The session service may take its time: its absence cuts nothing.
        if service == "session":
            assert not events.ends_within(1.5)
        else:
            assert events.ends_within(SOON_SECONDS)
        wait_until(lambda: reconnects(ada), 5, restarted.logs)
        assert time.monotonic() - began < 4 + SOON_SECONDS


def test_a_session_service_that_stays_away_ends_all_streams(restarted: Running):
    ada = by_basic(restarted, *BASIC)
    # What an earlier restart had it say comes first.
    away, back = "cannot be asked about sign-ins", "the session service answers again"
    wait_until(
        lambda: restarted.logs().count(away) == restarted.logs().count(back), 15, restarted.logs
    )
    with ada.events() as events:
        already = len(restarted.logs())
        restarted.run("s6-svc", "-wD", "-d", "/run/service/session")
        assert not events.ends_within(3)
        assert events.ends_within(4 + SOON_SECONDS)
    restarted.run("s6-svc", "-u", "/run/service/session")
    wait_until(lambda: reconnects(ada), 5, restarted.logs)
    said = "the session service answers again"
    wait_until(lambda: said in restarted.logs()[already:], 5, restarted.logs)
    lines = restarted.logs()[already:].splitlines()
    told = [line.partition("| ")[2] for line in lines if line.startswith("streams ")]
    first, *others = told[told[0] == said :]  # that of an earlier restart may come late
    assert first.startswith("the session service cannot be asked about sign-ins: ")
    closed = "closed 1 stream: the session service has not answered for 5 s"
    assert others == [closed, said]


def test_a_restart_of_the_session_service_cuts_no_stream(opencode: Running, ada: Person):
    with ada.events() as events, ada.terminal() as terminal:
        opencode.run("s6-svc", "-r", "/run/service/session")
        time.sleep(2)
        wait_until(ada.is_let_in, 5, opencode.logs)
        assert works_both_ways(ada, terminal, events)


def test_credentials_in_a_url_are_not_logged_when_something_fails(
    opencode: Running, eve: requests.Session
):
    # opencode's own clients put them there for terminals.
    token = base64.b64encode(f"{OTHER}:{OTHER_PASSWORD}".encode()).decode()
    with by_cookie(opencode, eve).events(f"/event?auth_token={token}") as events:
        opencode.run("opencode-user", "passwd", OTHER, stdin="another password\n")
        assert events.ends_within(SOON_SECONDS)
    assert token not in opencode.logs()


def test_a_flood_of_one_user_holds_up_nobody_else(quiet: Running):
    ada = by_basic(quiet, *BASIC)
    with ada.events("/event?flood=300000000") as flood, ada.events("/event?flood=1000000000"):
        times = []
        while flood.is_open and b"the end" not in flood.heard:
            began = time.monotonic()
            assert ada.is_let_in()
            times.append(time.monotonic() - began)
        assert max(times) < 1


@pytest.mark.parametrize("size", [1, 65_537, 50_000_000])
def test_uploads_and_downloads_pass_whole(quiet: Running, size: int):
    data = random.Random(1).randbytes(size)
    told = requests.post(
        f"{quiet.url}/session/ses_1/message", data=data, auth=BASIC, timeout=60
    ).text
    assert told == hashlib.sha256(data).hexdigest()
    got = requests.get(f"{quiet.url}/event?bytes={size}", auth=BASIC, timeout=60).content
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def overhead(docker_client: docker.DockerClient, image: str, container: Running) -> dict[str, int]:
    """KiB of memory of each process that is not opencode's user's."""
    output = docker_client.containers.run(
        image,
        ["-c", PSS],
        entrypoint="python3",
        pid_mode=f"container:{container.container.id}",
        cap_add=["SYS_PTRACE"],
        remove=True,
    )
    sizes: dict[str, int] = {}
    for line in output.decode().splitlines():
        name, size = line.rsplit(" ", 1)
        sizes[name] = sizes.get(name, 0) + int(size)
    return sizes


def test_a_thousand_idle_streams_are_light(
    docker_client: docker.DockerClient, image: str, quiet: Running
):
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    ada = by_cookie(quiet, quiet.sign_in())
    before = overhead(docker_client, image, quiet)
    address = urlsplit(quiet.url)
    request = f"GET /event HTTP/1.1\r\nHost: localhost\r\nCookie: {ada.headers['Cookie']}\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(IDLE_STREAMS):
            connection = socket.create_connection((address.hostname, address.port or 80))
            stack.enter_context(connection)
            connection.sendall(request.encode())
            heard = b""
            while b"hello" not in heard:
                heard += connection.recv(1000)
        after = overhead(docker_client, image, quiet)
        began = time.monotonic()
        assert ada.is_let_in()
        assert time.monotonic() - began < 5
    assert sum(after.values()) <= LARGEST_OVERHEAD, after
    assert after["python3"] - before["python3"] <= LARGEST_SHARE, (before, after)


def test_what_was_silent_for_long_is_still_heard(silent_events: Open, silent_terminal: Terminal):
    silent_events.wait_for(b"still there", SILENCE_SECONDS + 15)
    silent_terminal.wait_for(b"still-4-there", SILENCE_SECONDS + 15)
