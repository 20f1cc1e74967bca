import hashlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from streams import asker, relay
from streams.asker import Asker
from streams.loop import Loop
from streams.relay import Relay

SILENT = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hello\n\n"


def serve(listener: socket.socket, handle: Callable[[socket.socket], None]) -> None:
    """Handle each connection in a thread of its own, until the listener is shut down."""

    def run() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()


class Opencode:
    """Listens where opencode would, and does what a test sets."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.ended = threading.Semaphore(0)
        self.answer: Callable[[socket.socket], None] = self.stay_silent
        self.listener = socket.create_server(("127.0.0.1", 0))
        serve(self.listener, self._handle)

    @property
    def address(self) -> tuple[str, int]:
        return self.listener.getsockname()

    def stay_silent(self, connection: socket.socket) -> None:
        connection.sendall(SILENT)
        with suppress(ConnectionError):
            connection.recv(1)

    def stop(self) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _handle(self, connection: socket.socket) -> None:
        head = b""
        with connection, suppress(ConnectionError):
            while not head.endswith(b"\r\n\r\n"):
                if not (letter := connection.recv(1)):
                    return
                head += letter
            self.heads.append(head)
            self.answer(connection)
        self.ended.release()


class SessionService:
    """Answers which grants are void, until it is stopped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.void: set[str] = set()
        self.asked: list[list[str]] = []
        self.status = "200 OK"
        self.is_hung = False
        self.start()

    def start(self) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self._path))
        self.listener.listen()
        serve(self.listener, self._handle)

    def stop(self) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._path.unlink(missing_ok=True)

    def _handle(self, connection: socket.socket) -> None:
        # Whoever asks does not wait for ever.
        with suppress(ConnectionError), connection, connection.makefile("rb") as stream:
            head = b""
            while (line := stream.readline()) != b"\r\n":
                if not line:
                    return
                head += line
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            grants = stream.read(length).decode().split()
            self.asked.append(grants)
            if self.is_hung:
                connection.recv(1)
                return
            body = "".join(f"{grant}\n" for grant in grants if grant in self.void)
            answer = f"HTTP/1.0 {self.status}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            connection.sendall(answer.encode())


class Gateway:
    """The relay at work, between nginx's side and two stand-ins."""

    def __init__(self, folder: Path, most: int = 100) -> None:
        self.opencode = Opencode()
        self.service = SessionService(folder / "session")
        self._path = folder / "streams"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen()
        self._listener.setblocking(False)
        self._is_stopping = False
        loop = Loop()
        self.relay = Relay(
            loop,
            self._listener,
            self.opencode.address,
            Asker(loop, folder / "session"),
            most,
        )
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10)
        client.connect(str(self._path))
        return client

    def request(self, grant: str = "g", more: bytes = b"") -> socket.socket:
        """Send a request; `more` is what comes after its head."""
        client = self.connect()
        head = f"GET /x HTTP/1.1\r\nX-Gateway-Grant: {grant}\r\nA: b\r\n\r\n"
        client.sendall(head.encode() + more)
        return client

    def open(self, grant: str = "g") -> socket.socket:
        """Open a stream that goes on, silently."""
        client = self.request(grant)
        assert client.recv(1000) == SILENT
        return client

    def stop(self) -> None:
        self._is_stopping = True
        self.connect().close()
        self._thread.join()
        self._listener.close()
        self.opencode.stop()
        self.service.stop()

    def _run(self) -> None:
        while not self._is_stopping:
            self.relay.turn()


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    monkeypatch.setattr(relay, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(asker, "PERIOD_SECONDS", 0.05)
    monkeypatch.setattr(asker, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(asker, "PATIENCE_SECONDS", 0.6)
    made = Gateway(tmp_path)
    yield made
    made.stop()


def everything(client: socket.socket) -> bytes:
    """All that is said until the other side ends."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def is_open(client: socket.socket) -> bool:
    client.settimeout(0.2)
    try:
        return client.recv(1) != b""
    except TimeoutError:
        return True


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_opencode_gets_the_request_byte_for_byte_without_the_grant(gateway: Gateway):
    with gateway.open():
        assert gateway.opencode.heads == [b"GET /x HTTP/1.1\r\nA: b\r\n\r\n"]


def test_a_head_may_come_in_pieces(gateway: Gateway):
    with gateway.connect() as client:
        for letter in b"GET /x HTTP/1.1\r\nX-Gateway-Grant: g\r\n\r\n":
            client.send(bytes([letter]))
        assert client.recv(1000) == SILENT
    assert gateway.opencode.heads == [b"GET /x HTTP/1.1\r\n\r\n"]


def test_large_bodies_arrive_whole_in_both_directions_at_once(gateway: Gateway):
    data = random.Random(1).randbytes(20_000_000)
    digests = []

    def echo(connection: socket.socket) -> None:
        for _ in range(0, len(data), 10_000):
            connection.sendall(connection.recv(10_000, socket.MSG_WAITALL))

    def listen(client: socket.socket) -> None:
        digests.append(hashlib.sha256(everything(client)).digest())

    gateway.opencode.answer = echo
    with gateway.request() as client:
        hearing = threading.Thread(target=listen, args=(client,))
        hearing.start()
        client.sendall(data)
        hearing.join()
    assert digests == [hashlib.sha256(data).digest()]


def test_what_opencode_says_before_it_ends_reaches_a_slow_reader(gateway: Gateway):
    gateway.opencode.answer = lambda connection: connection.sendall(b"x" * 5_000_000)
    with gateway.request() as client:
        time.sleep(0.2)
        assert len(everything(client)) == 5_000_000


def test_what_a_client_says_before_it_ends_reaches_opencode(gateway: Gateway):
    heard = []
    gateway.opencode.answer = lambda connection: heard.append(everything(connection))
    gateway.request(more=b"x" * 1_000_000).close()
    gateway.opencode.ended.acquire(timeout=5)
    assert heard == [b"x" * 1_000_000]


def test_a_slow_reader_holds_up_nobody_else(gateway: Gateway):
    gateway.opencode.answer = lambda connection: connection.sendall(b"x" * 50_000_000)
    with gateway.request("slow"):
        time.sleep(0.1)
        gateway.opencode.answer = gateway.opencode.stay_silent
        began = time.monotonic()
        gateway.open("quick").close()
        assert time.monotonic() - began < 5


def test_an_answer_to_a_body_that_is_not_heard_out_arrives(gateway: Gateway):
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
    gateway.opencode.answer = lambda connection: connection.sendall(refusal)
    with gateway.request() as client:
        with suppress(ConnectionError):
            client.sendall(b"x" * 10_000_000)
        assert client.recv(1000) == refusal


@pytest.mark.parametrize("head", ["", "X-Gateway-Grant: a b\r\n", "X-Gateway-Grant: g\r\n" * 2])
def test_no_grant_no_stream(gateway: Gateway, head: str, capfd: pytest.CaptureFixture[str]):
    with gateway.connect() as client:
        client.sendall(f"GET /x HTTP/1.1\r\n{head}\r\n".encode())
        assert everything(client).startswith(b"HTTP/1.1 500 ")
    assert gateway.opencode.heads == []
    assert "refused a request" in capfd.readouterr().out


def test_an_endless_head_is_cut_short(gateway: Gateway):
    with gateway.connect() as client:
        with suppress(ConnectionError):
            client.sendall(b"GET /x HTTP/1.1\r\n" + b"A: b\r\n" * 100_000)
        with suppress(ConnectionError):
            assert everything(client).startswith(b"HTTP/1.1 500 ")
    wait_until(lambda: gateway.relay.count == 0)


def test_a_head_that_never_comes_is_not_waited_for(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(relay, "ESTABLISH_SECONDS", 0.1)
    with gateway.connect() as client:
        client.sendall(b"GET /x HTTP/1.1\r\n")
        assert everything(client).startswith(b"HTTP/1.1 502 ")


def test_an_opencode_that_is_gone_is_a_bad_gateway(gateway: Gateway):
    gateway.opencode.stop()
    with gateway.request() as client:
        assert everything(client).startswith(b"HTTP/1.1 502 ")


def test_an_opencode_that_ends_without_a_word_is_a_bad_gateway(gateway: Gateway):
    gateway.opencode.answer = socket.socket.close
    with gateway.request() as client:
        assert everything(client).startswith(b"HTTP/1.1 502 ")


def test_a_client_that_goes_takes_its_stream_along(gateway: Gateway):
    gateway.open().close()
    assert gateway.opencode.ended.acquire(timeout=5)
    wait_until(lambda: gateway.relay.count == 0)


def test_streams_end_with_their_sign_in_and_others_go_on(
    gateway: Gateway, capfd: pytest.CaptureFixture[str]
):
    ending, other = [gateway.open("ending") for _ in range(3)], gateway.open("other")
    gateway.service.void = {"ending"}
    for client in ending:
        assert everything(client) == b""
        assert gateway.opencode.ended.acquire(timeout=5)
    assert is_open(other)
    assert gateway.relay.count == 1
    other.close()
    said = capfd.readouterr().out
    assert said == "closed 3 streams of a sign-in that ended\n"


def test_a_grant_that_is_void_already_opens_nothing_for_long(gateway: Gateway):
    gateway.service.void = {"g"}
    with gateway.request() as client:
        everything(client)
    wait_until(lambda: gateway.relay.count == 0)


def test_each_grant_is_asked_about_once_and_nothing_without_streams(gateway: Gateway):
    clients = [gateway.open(grant) for grant in "aab"]
    wait_until(lambda: sorted(gateway.service.asked[-1:]) == [["a", "b"]])
    for client in clients:
        client.close()
    wait_until(lambda: gateway.relay.count == 0)
    time.sleep(0.1)
    count = len(gateway.service.asked)
    time.sleep(0.2)
    assert len(gateway.service.asked) == count


def test_a_restart_of_the_session_service_cuts_no_stream(
    gateway: Gateway, capfd: pytest.CaptureFixture[str]
):
    client = gateway.open()
    gateway.service.stop()
    time.sleep(0.2)
    gateway.service.start()
    count = len(gateway.service.asked)
    wait_until(lambda: len(gateway.service.asked) > count + 1)
    assert is_open(client)
    client.close()
    cannot, again = capfd.readouterr().out.splitlines()
    assert cannot.startswith("the session service cannot be asked about sign-ins: ")
    assert again == "the session service answers again"


def hang(service: SessionService) -> None:
    service.is_hung = True


def fail(service: SessionService) -> None:
    service.status = "500 Internal Server Error"


@pytest.mark.parametrize("leave", [SessionService.stop, hang, fail])
def test_without_the_session_service_no_stream_goes_on(
    gateway: Gateway,
    leave: Callable[[SessionService], None],
    capfd: pytest.CaptureFixture[str],
):
    with gateway.open(), gateway.open("other") as client:
        leave(gateway.service)
        assert everything(client) == b""
    with gateway.request() as client:
        assert everything(client).startswith(b"HTTP/1.1 503 ")
    gateway.service.stop()
    gateway.service.is_hung, gateway.service.status = False, "200 OK"
    gateway.service.start()
    wait_until(lambda: "answers again" in capfd.readouterr().out)
    gateway.open().close()


def test_it_is_said_once_why_streams_end(gateway: Gateway, capfd: pytest.CaptureFixture[str]):
    with gateway.open() as client:
        gateway.service.stop()
        assert everything(client) == b""
    time.sleep(0.2)
    first, second = capfd.readouterr().out.splitlines()
    assert first.startswith("the session service cannot be asked about sign-ins: No such file")
    assert second == "closed 1 stream: the session service has not answered for 5 s"


def test_more_streams_than_there_can_be_are_refused(tmp_path: Path):
    gateway = Gateway(tmp_path, most=2)
    try:
        with gateway.open() as first, gateway.open():
            with suppress(ConnectionError), gateway.request() as third:
                assert everything(third).startswith(b"HTTP/1.1 503 ")
            assert len(gateway.opencode.heads) == 2
            first.close()
            wait_until(lambda: gateway.relay.count == 1)
            gateway.open().close()
    finally:
        gateway.stop()
