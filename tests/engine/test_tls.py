"""HTTPS at the gateway, on a real container: with its own authority, and with an ACME server's."""

import hashlib
import json
import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import docker
import pytest
import requests
from docker.models.networks import Network
from websockets.sync.client import connect

from tests.engine import acme
from tests.engine.acme import Pebble, pebble
from tests.engine.container import BASIC, PATIENT, Running, running, wait_until
from tests.engine.deployment import PASSWORD, USER

INTERNAL = PATIENT | {"OPENCODE_CLOUD_TLS": "internal"}
DOMAIN = "opencode.example.org"
VOLUME = "/var/lib/opencode-cloud/certificates"
KEYS = ("serving.pem", "authority/ca.key", "authority/leaf.pem")
OTHERS = ("opencode", USER, "session", "streams", "metrics", "nobody")
LARGEST_SERVICE = 2 * 1024
"""KiB of memory that the service takes while it waits."""


@dataclass(frozen=True)
class Answer:
    """What came back over TLS."""

    status: int
    headers: dict[str, str]
    fingerprint: str
    """Of the certificate: SHA-256, in pairs of hexadecimal digits with colons."""


def get(opencode: Running, name: str, authority: str, path: str = "/") -> Answer:
    """Ask for a page at `name`, trusting one authority alone, as if DNS led to the container."""
    client = ssl.create_default_context(cadata=authority)
    with connected(opencode, client, name) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        answer = HTTPResponse(connection)
        answer.begin()
        shown = connection.getpeercert(binary_form=True) or b""
    digest = hashlib.sha256(shown).digest().hex(":").upper()
    return Answer(answer.status, dict(answer.getheaders()), digest)


def connected(opencode: Running, client: ssl.SSLContext, name: str) -> ssl.SSLSocket:
    port = urlsplit(opencode.https_url).port or 443
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    return client.wrap_socket(plain, server_hostname=name)


def shown(opencode: Running) -> dict:
    """What `opencode-certificate` knows."""
    return json.loads(opencode.run("opencode-certificate", "show", "--json"))


def has_issuer(opencode: Running, issuer: str) -> bool:
    return shown(opencode)["issuer"] == issuer


def authority_of(opencode: Running) -> str:
    return opencode.run("opencode-certificate", "ca")


def nginx(opencode: Running) -> list[int]:
    return opencode.pids("^nginx: (master|worker)")


# ---- The internal authority.


@pytest.fixture(scope="module")
def internal(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container with a certificate of its own authority."""
    names = {
        "OPENCODE_CLOUD_HOSTNAMES": "code.example.org",
        "OPENCODE_CLOUD_PUBLIC_ADDRESS": "203.0.113.7",
    }
    with running(docker_client, image, INTERNAL | names) as container:
        yield container


@pytest.fixture
def trusted(internal: Running, tmp_path: Path) -> Path:
    """The authority's certificate, as a person saves it."""
    file = tmp_path / "authority.pem"
    file.write_text(authority_of(internal))
    return file


@pytest.fixture
def browser(internal: Running, trusted: Path) -> requests.Session:
    """A browser that trusts the authority, and is signed in."""
    session = requests.Session()
    session.trust_env = False
    session.verify = str(trusted)
    login = f"{internal.https_url}/_gateway/login"
    form = dict(re.findall(r'name="(csrf|next)" value="([^"]*)"', session.get(login).text))
    form |= {"username": USER, "password": PASSWORD}
    answer = session.post(login, data=form, timeout=10, allow_redirects=False)
    assert answer.status_code == requests.codes.see_other, answer.text
    return session


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "code.example.org", "203.0.113.7"])
def test_whoever_trusts_the_authority_is_shown_a_certificate_for_the_name(
    internal: Running, name: str
):
    answer = get(internal, name, authority_of(internal), "/health")
    assert answer.status == requests.codes.ok
    assert answer.fingerprint == shown(internal)["fingerprint_sha256"]


def test_a_name_that_nobody_asked_for_is_in_no_certificate(internal: Running):
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        get(internal, "evil.example", authority_of(internal))


def test_whoever_does_not_trust_the_authority_is_warned(internal: Running):
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        connected(internal, ssl.create_default_context(), "localhost")


@pytest.mark.parametrize(
    ("version", "spoken"),
    [
        (ssl.TLSVersion.TLSv1, False),
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")  # which is the point
def test_tls_before_1_2_is_not_spoken(internal: Running, version: ssl.TLSVersion, spoken: bool):
    client = ssl.create_default_context(cadata=authority_of(internal))
    # This machine's own OpenSSL would refuse first.
    client.set_ciphers("DEFAULT@SECLEVEL=0")
    client.minimum_version = client.maximum_version = version
    if spoken:
        connected(internal, client, "localhost").close()
        return
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        connected(internal, client, "localhost")


def test_http_leads_to_https_with_the_same_path_and_query(internal: Running):
    wanted = "/L3dvcmtzcGFjZQ/session?a=b&c=%2F"
    port = urlsplit(internal.url).port
    for method in ("GET", "POST"):
        answer = requests.request(
            method, f"http://localhost:{port}{wanted}", timeout=10, allow_redirects=False
        )
        assert answer.status_code == requests.codes.permanent_redirect
        assert answer.headers["Location"] == internal.https_url + wanted


def test_a_browser_is_not_told_to_stay_on_https_with_a_certificate_of_our_own(
    internal: Running, browser: requests.Session
):
    for path in ("/_gateway/login", "/health", "/", "/global/health"):
        answer = browser.get(internal.https_url + path, timeout=10)
        assert "Strict-Transport-Security" not in answer.headers, path


def test_cookies_never_travel_in_the_clear(internal: Running, browser: requests.Session):
    assert any("session" in cookie.name for cookie in browser.cookies)
    for cookie in browser.cookies:
        assert cookie.name.startswith("__Host-")
        assert cookie.secure


def test_a_terminal_works_over_tls(internal: Running, browser: requests.Session, trusted: Path):
    made = browser.post(f"{internal.https_url}/pty", json={"title": "Try"}, timeout=30).json()
    address = internal.https_url.replace("https", "wss")
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies)
    with connect(
        f"{address}/pty/{made['id']}/connect?directory=/workspace",
        additional_headers={"Cookie": cookies, "Origin": internal.https_url},
        ssl=ssl.create_default_context(cafile=trusted),
        proxy=None,
    ) as terminal:
        terminal.send("echo four$((2+2))\n")
        seen = ""
        while "four4" not in seen:
            message = terminal.recv(timeout=10)
            seen += message if isinstance(message, str) else message.decode(errors="replace")


def test_events_arrive_at_once_over_tls(internal: Running, browser: requests.Session):
    with browser.get(f"{internal.https_url}/event", stream=True, timeout=30) as stream:
        lines = stream.iter_lines(chunk_size=1)
        assert next(lines).startswith(b"data:")
        browser.post(f"{internal.https_url}/session", json={}, timeout=30)
        posted = time.monotonic()
        assert any(b"session.created" in line for line in lines)
        assert time.monotonic() - posted < 4


def test_programs_sign_in_by_basic_over_tls(internal: Running, trusted: Path):
    session = requests.Session()
    session.trust_env = False
    answer = session.get(
        f"{internal.https_url}/global/health", auth=BASIC, verify=str(trusted), timeout=30
    )
    assert answer.json()["healthy"] is True


def test_a_person_is_shown_what_the_browser_shows(internal: Running):
    known = shown(internal)
    table = internal.run("opencode-certificate")
    assert known["fingerprint_sha256"] in table
    assert known["authority_fingerprint_sha256"] in table
    assert "in 89 days" in table
    assert internal.run("opencode-certificate", user="certificates") == table
    internal.wait_printed(known["fingerprint_sha256"])
    assert "tls is internal" in internal.attempt("opencode-certificate", "retry").stderr


@pytest.mark.parametrize("file", KEYS)
def test_nobody_else_can_read_a_key(internal: Running, file: str):
    assert "PRIVATE KEY" in internal.run("cat", f"{VOLUME}/{file}")
    for user in OTHERS:
        assert internal.attempt("cat", f"{VOLUME}/{file}", user=user).returncode != 0, user


def test_only_the_gateway_and_its_owner_may_enter_the_volume(internal: Running):
    internal.run("test", "-r", f"{VOLUME}/serving.pem", user="gateway")
    for file in KEYS[1:]:
        assert internal.attempt("cat", f"{VOLUME}/{file}", user="gateway").returncode != 0
    for user in OTHERS:
        assert internal.attempt("ls", VOLUME, user=user).returncode != 0, user


def test_no_key_is_logged(internal: Running):
    assert "PRIVATE KEY" not in internal.logs()


def test_what_is_known_can_be_read_without_entering_the_volume(internal: Running):
    state = internal.run("cat", "/run/opencode-cloud/certificates/state.json", user="metrics")
    assert json.loads(state)["not_after"] == shown(internal)["not_after"]


def test_the_service_has_no_right_that_it_does_not_need(internal: Running):
    (service,) = internal.pids("^/bin/sh ./renew")
    status = internal.run("cat", f"/proc/{service}/status")
    told = dict(line.split(":", 1) for line in status.splitlines())
    assert told["Uid"].split() == ["803"] * 4
    assert told["Groups"].split() in ([], ["803"])
    assert told["NoNewPrivs"].strip() == "1"
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(told[kind], 16) == 0, kind


def test_the_service_takes_next_to_no_memory_while_it_waits(internal: Running):
    wait_until(lambda: bool(internal.pids("^timeout .*/retry")), 30)
    kib = 0
    for process in internal.run("pgrep", "--uid", "certificates").split():
        told = internal.run("cat", f"/proc/{process}/smaps_rollup", user="certificates")
        kib += int(re.findall(r"^Pss:\s+(\d+)", told, re.MULTILINE)[0])
    assert 0 < kib <= LARGEST_SERVICE


def test_the_agent_is_told_that_certificates_are_not_its_own(internal: Running):
    for command in ("show", "ca", "retry"):
        refused = internal.attempt("opencode-certificate", command, user="opencode")
        assert refused.returncode == 1
        assert "only root" in refused.stderr


def test_the_agents_files_are_never_run_as_root(internal: Running):
    trap = "mkdir -p /workspace/certificates && echo 'raise SystemExit(42)' > "
    internal.run("sh", "-c", f"{trap}/workspace/certificates/__init__.py", user="opencode")
    try:
        table = internal.run("sh", "-c", "cd /workspace && opencode-certificate")
        assert "authority" in table
    finally:
        internal.run("rm", "-r", "/workspace/certificates")


@pytest.mark.parametrize("arguments", [["revoke"], ["show", "--yaml"], ["ca", "x"], ["--x"]])
def test_a_wrong_argument_is_answered_with_the_usage(internal: Running, arguments: list[str]):
    refused = internal.attempt("opencode-certificate", *arguments)
    assert refused.returncode == 2
    assert refused.stderr.startswith("usage: opencode-certificate")


@pytest.mark.parametrize("command", ["show", "ca", "retry"])
def test_without_tls_it_is_said_that_there_is_none(opencode: Running, command: str):
    refused = opencode.attempt("opencode-certificate", command)
    assert refused.returncode == 1
    assert "TLS is off" in refused.stderr
    assert not opencode.pids("./renew")


def test_whom_people_trusted_outlives_the_container(docker_client: docker.DockerClient, image: str):
    with running(docker_client, image, INTERNAL) as container:
        authority = authority_of(container)
        container.remove_container()
        container.create()
        assert authority_of(container) == authority
        assert get(container, "localhost", authority, "/health").status == requests.codes.ok


# ---- A certificate of an ACME server.


@pytest.fixture(scope="module")
def network(docker_client: docker.DockerClient) -> Iterator[Network]:
    """Where pebble and the containers find each other."""
    with acme.network(docker_client) as made:
        yield made


@pytest.fixture(scope="module")
def server(docker_client: docker.DockerClient, image: str, network: Network) -> Iterator[Pebble]:
    """An ACME server whose certificates last 90 days."""
    with pebble(docker_client, image, network) as made:
        yield made


@pytest.fixture(scope="module")
def trusting(docker_client: docker.DockerClient, image: str, server: Pebble) -> Iterator[str]:
    """The image, trusting the ACME server's own HTTPS certificate."""
    with acme.trusting(docker_client, image, server.https_certificate) as derived:
        yield derived


def asking(server: Pebble, tls: str = DOMAIN, **more: str) -> dict[str, str]:
    """The environment of a container that asks `server` for a certificate."""
    asked = {"TLS": tls, "ACME_SERVER": server.url, "ACME_EMAIL": "ada@example.org"} | more
    return PATIENT | {f"OPENCODE_CLOUD_{name}": value for name, value in asked.items()}


@pytest.fixture(scope="module")
def named(
    docker_client: docker.DockerClient, trusting: str, server: Pebble, network: Network
) -> Iterator[Running]:
    """A container that has got a certificate for its domain."""
    container = Running(docker_client, trusting, asking(server), network=network.name)
    server.follow(DOMAIN, container.name)
    try:
        container.create()
        container.add_user()
        wait_until(lambda: has_issuer(container, "acme"), 60, container.logs)
        yield container
    finally:
        container.remove()


def test_a_domain_gets_a_certificate_that_is_served_at_once(named: Running, server: Pebble):
    answer = get(named, DOMAIN, server.root, "/health")
    assert answer.status == requests.codes.ok
    assert answer.fingerprint == shown(named)["fingerprint_sha256"]
    named.wait_printed(f"for {DOMAIN}, valid until")
    assert "could not get" not in named.logs()


def test_a_browser_is_told_to_stay_on_https_once_the_world_trusts_the_certificate(
    named: Running, server: Pebble
):
    for path in ("/_gateway/login", "/health", "/", "/global/health"):
        answer = get(named, DOMAIN, server.root, path)
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000", path


def test_a_person_is_told_whose_certificate_it_is_and_when_it_is_renewed(named: Running):
    table = named.run("opencode-certificate")
    for text in (DOMAIN, "Pebble", "in 89 days", "last error    none", "in 59 days"):
        assert text in table
    assert "nothing to do" in named.run("opencode-certificate", "retry")


def test_no_challenge_and_no_key_is_left_in_the_open(named: Running):
    assert named.run("ls", "-A", "/run/opencode-cloud/certificates/challenges") == ""
    assert "PRIVATE KEY" not in named.logs()
    keys = named.run("find", f"{VOLUME}/acme", "-name", "*key.pem").split()
    assert len(keys) == 2
    for file in (*keys, f"{VOLUME}/serving.pem"):
        for user in OTHERS:
            assert named.attempt("cat", file, user=user).returncode != 0, (file, user)


def test_the_account_is_asked_for_nothing_when_the_container_is_replaced(
    named: Running, server: Pebble
):
    before = shown(named)["fingerprint_sha256"]
    named.remove_container()
    named.create()
    assert get(named, DOMAIN, server.root, "/health").fingerprint == before
    assert "Strict-Transport-Security" in get(named, DOMAIN, server.root, "/health").headers


def test_a_certificate_is_renewed_before_it_ends_and_nobody_notices(
    docker_client: docker.DockerClient, image: str, network: Network
):
    # A third of it is left for the renewal, in which uacme may wait for five seconds a few times.
    with (
        pebble(docker_client, image, network, seconds=75) as server,
        acme.trusting(docker_client, image, server.https_certificate) as derived,
    ):
        container = Running(docker_client, derived, asking(server), network=network.name)
        server.follow(DOMAIN, container.name)
        try:
            container.create()
            wait_until(lambda: has_issuer(container, "acme"), 60, container.logs)
            root = server.root
            processes = nginx(container)
            first = get(container, DOMAIN, root, "/health").fingerprint
            # Each of these handshakes fails when the certificate has ended.
            wait_until(
                lambda: get(container, DOMAIN, root, "/health").fingerprint != first,
                75,
                container.logs,
            )
            assert nginx(container) == processes
            assert "could not get" not in container.logs()
        finally:
            container.remove()


def test_sslip_gives_an_address_a_name_and_that_name_a_certificate(
    docker_client: docker.DockerClient, trusting: str, server: Pebble, network: Network
):
    name = "203-0-113-7.sslip.io"
    environment = asking(server, "sslip", PUBLIC_ADDRESS="203.0.113.7")
    container = Running(docker_client, trusting, environment, network=network.name)
    server.follow(name, container.name)
    try:
        container.create()
        wait_until(lambda: has_issuer(container, "acme"), 60, container.logs)
        answer = get(container, name, server.root, "/health")
        assert answer.status == requests.codes.ok
        # Next year the address may be somebody else's.
        assert "Strict-Transport-Security" not in answer.headers
    finally:
        container.remove()


def test_a_name_that_leads_elsewhere_is_told_and_tried_again(
    docker_client: docker.DockerClient, trusting: str, server: Pebble, network: Network
):
    name = "elsewhere.example.org"
    server.point(name, "127.0.0.1")
    environment = asking(server, name)
    with running(docker_client, trusting, environment, network=network.name) as container:
        container.wait_printed("could not get", 60)
        said = next(line for line in container.logs().splitlines() if "could not get" in line)
        known = shown(container)
        for text in (
            f"could not get a certificate for {name}: urn:ietf:params:acme:error:connection: ",
            # What the authority asked for in vain; its word for why differs with the moment.
            f'Get "http://{name}',
            f"Serving the internal authority's (SHA-256 fingerprint {known['fingerprint_sha256']})",
            "next attempt in 1 minute",
            f"Port 80 of {name} must reach this machine",
        ):
            assert text in said
        assert f'Get "http://{name}' in known["last_error"]
        assert 0 < known["next_attempt"] - time.time() <= 67

        answer = get(container, name, authority_of(container), "/health")
        assert answer.status == requests.codes.ok
        assert "Strict-Transport-Security" not in answer.headers

        again = container.attempt("opencode-certificate", "retry")
        assert again.returncode == 1
        assert f'Get "http://{name}' in again.stdout
        assert "in 4 minutes" in again.stdout or "in 5 minutes" in again.stdout

        networks = container.container.attrs["NetworkSettings"]["Networks"]
        server.point(name, networks[network.name]["IPAddress"])
        container.run("opencode-certificate", "retry")
        assert "Strict-Transport-Security" in get(container, name, server.root, "/health").headers


def test_impatience_ends_where_the_server_would_stop_to_listen(
    docker_client: docker.DockerClient, trusting: str, server: Pebble, network: Network
):
    name = "impatient.example.org"
    server.point(name, "127.0.0.1")
    with running(docker_client, trusting, asking(server, name), network=network.name) as container:
        wait_until(lambda: bool(shown(container)["last_error"]), 60, container.logs)
        for _ in range(4):
            container.attempt("opencode-certificate", "retry")
        refused = container.attempt("opencode-certificate", "retry")
        assert refused.returncode == 1
        assert "5 attempts have failed within an hour" in refused.stderr
        container.run("s6-svc", "-r", "/run/service/certificates")
        time.sleep(3)
        assert container.logs().count("could not get") == 5


def test_an_acme_server_that_is_away_is_told_and_holds_nobody_up(
    docker_client: docker.DockerClient, image: str
):
    away = {
        "OPENCODE_CLOUD_TLS": DOMAIN,
        "OPENCODE_CLOUD_ACME_SERVER": "https://127.0.0.1:9/directory",
    }
    with running(docker_client, image, PATIENT | away) as container:
        assert get(container, DOMAIN, authority_of(container), "/health").status == 200
        container.wait_printed("could not get", 60)
        assert "GET https://127.0.0.1:9/directory failed" in shown(container)["last_error"]
        container.wait_printed("must be able to reach https://127.0.0.1:9/directory")
        answer = get(container, DOMAIN, authority_of(container), "/health")
        assert "Strict-Transport-Security" not in answer.headers
