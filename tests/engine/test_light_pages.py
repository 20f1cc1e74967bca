"""What opencode's pages weigh through the gateway, on a real container."""

import re
from collections.abc import Iterator

import pytest
import requests

from tests.engine.container import BASIC, LANDING, Running

SCRIPT = re.compile(r'"(/assets/index-[\w-]+\.js)"')


@pytest.fixture
def client() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.auth = BASIC
        yield session


@pytest.fixture
def script(opencode: Running, client: requests.Session) -> str:
    """The largest of opencode's files, by its URL."""
    page = client.get(opencode.url + LANDING, timeout=30).text
    found = SCRIPT.search(page)
    assert found, page
    return opencode.url + found[1]


def sent(client: requests.Session, url: str, encoding: str) -> tuple[requests.Response, int]:
    """An answer, and how many bytes of it were on the wire."""
    headers = {"Accept-Encoding": encoding}
    with client.get(url, headers=headers, stream=True, timeout=30) as answer:
        return answer, len(answer.raw.read(decode_content=False))


@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_a_script_is_sent_compressed_and_kept_for_good(
    client: requests.Session, script: str, encoding: str
):
    _, whole = sent(client, script, "identity")
    for _ in range(2):
        answer, size = sent(client, script, encoding)
        assert answer.headers["Content-Encoding"] == encoding
        assert size < 0.31 * whole
        assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        assert answer.headers["Vary"] == "Accept-Encoding"


def test_what_is_compressed_is_the_same(opencode: Running, client: requests.Session, script: str):
    plain = client.get(script, headers={"Accept-Encoding": "identity"}, timeout=30).content
    assert client.get(script, headers={"Accept-Encoding": "gzip"}, timeout=30).content == plain
    user, password = opencode.internal_basic()
    path = script.removeprefix(opencode.url)
    direct = opencode.run(
        *("sh", "-c", f"curl --silent --config - http://127.0.0.1:4096{path} | sha256sum"),
        stdin=f'user = "{user}:{password}"\n',
    )
    ours = opencode.run(
        *("sh", "-c", f"curl --silent --config - http://127.0.0.1:8080{path} | sha256sum"),
        stdin=f'user = "{BASIC[0]}:{BASIC[1]}"\n',
    )
    assert ours == direct


def test_an_encoding_that_is_declined_is_not_sent(client: requests.Session, script: str):
    for encoding in ("br;q=0, gzip;q=0", "identity", "zstd"):
        answer, _ = sent(client, script, encoding)
        assert "Content-Encoding" not in answer.headers
    answer, _ = sent(client, script, "br;q=0, gzip")
    assert answer.headers["Content-Encoding"] == "gzip"


def test_opencode_is_asked_for_a_file_only_once(opencode: Running, client: requests.Session):
    """The second time, it is served while opencode hangs."""
    url = f"{opencode.url}/assets/Inter.ttf"
    first = client.get(url, timeout=30)
    pid = str(opencode.pids("^opencode serve")[0])
    opencode.run("kill", "-STOP", pid)
    try:
        assert client.get(url, timeout=5).content == first.content
    finally:
        opencode.run("kill", "-CONT", pid)
    opencode.wait_healthy()


def test_a_file_without_a_hash_in_its_name_is_asked_about_but_not_sent_again(
    opencode: Running, client: requests.Session
):
    url = f"{opencode.url}/assets/Inter.ttf"
    first = client.get(url, timeout=30)
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = client.get(url, headers={"If-None-Match": first.headers["ETag"]}, timeout=30)
    assert (again.status_code, again.content) == (304, b"")


def test_the_start_page_is_never_kept_in_a_files_place(opencode: Running, client: requests.Session):
    answer = client.get(f"{opencode.url}/assets/gone-12345678.js", timeout=30)
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/provider", "/agent", "/command"])
def test_lists_that_have_not_changed_are_not_sent_again(
    opencode: Running, client: requests.Session, path: str
):
    url = f"{opencode.url}{path}?directory=/workspace"
    first = client.get(url, timeout=30)
    assert first.json()
    again = client.get(url, headers={"If-None-Match": first.headers["ETag"]}, timeout=30)
    assert (again.status_code, again.content) == (304, b"")


def test_lists_that_have_changed_are_sent(opencode: Running, client: requests.Session):
    url = f"{opencode.url}/config?directory=/workspace"
    providers = f"{opencode.url}/provider?directory=/workspace"
    before = client.get(providers, timeout=30)
    key = {"type": "api", "key": "sk-test"}
    assert client.put(f"{opencode.url}/auth/groq", json=key, timeout=30).ok, url
    try:
        headers = {"If-None-Match": before.headers["ETag"]}
        after = client.get(providers, headers=headers, timeout=30)
        assert after.status_code == requests.codes.ok
        assert "groq" in after.json()["connected"]
        assert "groq" not in before.json()["connected"]
    finally:
        client.delete(f"{opencode.url}/auth/groq", timeout=30)


def test_long_answers_are_compressed_and_events_are_not(
    opencode: Running, client: requests.Session
):
    answer, size = sent(client, f"{opencode.url}/doc", "gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert size < 0.2 * len(client.get(f"{opencode.url}/doc", timeout=30).content)
    with client.get(f"{opencode.url}/event", stream=True, timeout=30) as events:
        assert "Content-Encoding" not in events.headers


@pytest.mark.parametrize("path", ["/assets/Inter.ttf", "/provider", "/agent"])
def test_files_and_lists_need_a_login_too(opencode: Running, path: str):
    requests.get(opencode.url + path, auth=BASIC, timeout=30)
    assert requests.get(opencode.url + path, timeout=30).status_code == 401
