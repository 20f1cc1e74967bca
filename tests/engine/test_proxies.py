"""The gateway behind other proxies, on a real container: whose word is taken about a client."""

import os
import signal
import socket
import subprocess
import sysconfig
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
import requests
from docker.types import IPAMConfig, IPAMPool

from opencode_cloud.configuration import load
from opencode_cloud.spec.aws_network import MACHINES
from opencode_cloud.spec.container import container_spec
from tests.engine.container import BASIC, PATIENT, Running, running, wait_until
from tests.engine.deployment import PASSWORD, USER, free_port
from tests.program.clouds import IMAGE, KEY

CLIENT = "203.0.113.9"
ALB = {"X-Forwarded-For": CLIENT, "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443"}
"""What an AWS load balancer adds (docs.aws.amazon.com, "HTTP headers and Application Load
Balancers")."""
DOMAIN = "opencode.example.org"
ARN = "arn:aws:acm:eu-central-1:123456789012:certificate/1f0c"
AWS = {
    "target": "aws",
    "region": "eu-central-1",
    "ssh_public_key": KEY,
    "ssh_from": "198.51.100.0/24",
    "prebuilt_image": IMAGE,
}

CADDY = Path(sysconfig.get_path("scripts"), "caddy")
NAMED = {"OPENCODE_CLOUD_TRUST_PROXY": "127.0.0.1"}
"""A proxy on the Docker host."""
ANOTHER = {"OPENCODE_CLOUD_TRUST_PROXY": "10.99.0.0/16"}
PROXY_PROTOCOL = {"OPENCODE_CLOUD_PROXY_PROTOCOL": "true"}


@pytest.fixture(scope="module")
def trusting(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container that believes this machine."""
    with running(docker_client, image, PATIENT | NAMED) as container:
        yield container


@pytest.fixture(scope="module")
def distrusting(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container that believes another proxy."""
    with running(docker_client, image, PATIENT | ANOTHER) as container:
        yield container


@pytest.fixture(scope="module")
def speaking(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container that speaks the PROXY protocol with this machine."""
    with running(docker_client, image, PATIENT | NAMED | PROXY_PROTOCOL) as container:
        yield container


@contextmanager
def caddy(folder: Path, upstream: str, *options: str) -> Iterator[str]:
    """A real Caddy on this machine in front of `upstream`; gives its URL."""
    port, admin = free_port(), free_port()
    config = folder / "Caddyfile"
    directives = "\n".join(options)
    config.write_text(
        f"{{\nadmin 127.0.0.1:{admin}\n}}\nhttp://127.0.0.1:{port} {{\n"
        f"reverse_proxy {upstream} {{\n{directives}\n}}\n}}\n"
    )
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    process = subprocess.Popen(
        [str(CADDY), "run", "--config", str(config), "--adapter", "caddyfile"],
        env=os.environ | home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: answers(port), 20)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def address_of_a_request(container: Running, url: str, headers: Mapping[str, str]) -> str:
    """The client's address as the gateway's own log has it."""
    marker = f"/address-{time.monotonic_ns()}"
    requests.get(url + marker, headers=headers, auth=BASIC, timeout=10)
    logged = f' {USER} "GET {marker}"'
    container.wait_printed(logged)
    (line,) = [line for line in container.logs().splitlines() if logged in line]
    return line.split("|")[1].split()[0]


def is_cookie_secure(url: str, headers: Mapping[str, str]) -> bool:
    page = requests.get(f"{url}/_gateway/login", headers=headers, timeout=10)
    assert page.ok
    return "; Secure" in page.headers["Set-Cookie"]


def test_what_strangers_say_about_address_and_scheme_is_ignored(distrusting: Running):
    claims = ALB | {"Forwarded": f"for={CLIENT};proto=https", "X-Real-IP": CLIENT}
    assert address_of_a_request(distrusting, distrusting.url, claims) != CLIENT
    assert not is_cookie_secure(distrusting.url, claims)


def test_a_load_balancers_word_about_address_and_scheme_is_taken(trusting: Running):
    assert address_of_a_request(trusting, trusting.url, ALB) == CLIENT
    assert is_cookie_secure(trusting.url, ALB)
    assert not is_cookie_secure(trusting.url, ALB | {"X-Forwarded-Proto": "http"})


def test_what_a_client_put_before_the_load_balancers_word_is_not_taken(trusting: Running):
    forged = ALB | {"X-Forwarded-For": f"198.51.100.1, {CLIENT}"}
    assert address_of_a_request(trusting, trusting.url, forged) == CLIENT


def test_people_sign_in_behind_a_load_balancer_that_encrypts(trusting: Running):
    url, seen = f"{trusting.url}/_gateway/login", ALB | {"Host": "203.0.113.1"}
    page = requests.get(url, headers=seen, timeout=10)
    csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    answer = requests.post(
        url,
        data={"csrf": csrf, "username": USER, "password": PASSWORD},
        headers=seen | {"Origin": "https://203.0.113.1", "Cookie": cookie},
        allow_redirects=False,
        timeout=10,
    )
    assert answer.status_code == requests.codes.see_other
    assert "__Host-opencode-session" in answer.headers["Set-Cookie"]


@pytest.fixture
def balanced(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container as `tls: alb` has it, in AWS's network; the balancer's part is this machine's."""
    settings = load(AWS | {"tls": "alb", "alb_certificate": ARN, "alb_domain": DOMAIN}, "cloud")
    environment = dict(container_spec(settings, "cloud").environment)
    pool = IPAMConfig(pool_configs=[IPAMPool(subnet=MACHINES)])
    network = docker_client.networks.create(f"opencode-alb-{uuid.uuid4().hex[:12]}", ipam=pool)
    try:
        with running(
            docker_client, image, PATIENT | environment, network=network.name
        ) as container:
            yield container
    finally:
        network.remove()


def test_behind_a_load_balancer_of_aws_people_sign_in_by_its_domain_alone(balanced: Running):
    facts = balanced.container.attrs["NetworkSettings"]["Networks"]
    [address] = [of["IPAddress"] for of in facts.values() if of["IPAddress"].startswith("10.20.")]
    url = f"https://{address}:8443"
    # A load balancer does not ask for the certificate's name either.
    session = requests.Session()
    session.trust_env, session.verify = False, False
    assert session.get(f"{url}/health", timeout=10).ok, "as its health check asks"
    seen = ALB | {"Host": DOMAIN}
    page = session.get(f"{url}/_gateway/login", headers=seen, timeout=10)
    csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    answer = session.post(
        f"{url}/_gateway/login",
        data={"csrf": csrf, "username": USER, "password": PASSWORD},
        headers=seen | {"Origin": f"https://{DOMAIN}", "Cookie": cookie},
        allow_redirects=False,
        timeout=10,
    )
    assert answer.status_code == requests.codes.see_other
    balanced.wait_printed(f'"address": "{CLIENT}"')
    other = session.get(f"{url}/_gateway/login", headers=ALB | {"Host": "evil.example"}, timeout=10)
    assert other.status_code == requests.codes.misdirected_request


def test_a_real_caddy_in_front_passes_the_clients_address_on(trusting: Running, tmp_path: Path):
    with caddy(tmp_path, trusting.url.removeprefix("http://")) as url:
        assert address_of_a_request(trusting, url, {}) == "127.0.0.1"
        # Caddy believes no stranger either, and says what it saw itself.
        assert address_of_a_request(trusting, url, ALB) == "127.0.0.1"
        with requests.get(f"{url}/event", auth=BASIC, stream=True, timeout=10) as events:
            assert next(events.iter_lines()).startswith(b"data:")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_proxy_protocol_of_a_real_caddy_carries_the_address(
    speaking: Running, tmp_path: Path, version: str
):
    transport = f"transport http {{\nproxy_protocol {version}\n}}"
    with caddy(tmp_path, speaking.url.removeprefix("http://"), transport) as url:
        assert address_of_a_request(speaking, url, {}) == "127.0.0.1"
        answer = requests.get(f"{url}/global/health", auth=BASIC, timeout=10)
        assert answer.json()["healthy"]


def test_without_its_header_nobody_gets_through_where_the_proxy_protocol_is_spoken(
    speaking: Running,
):
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{speaking.url}/health", timeout=5)


def test_a_proxy_protocol_header_of_a_stranger_changes_no_address(
    docker_client: docker.DockerClient, image: str
):
    environment = PATIENT | ANOTHER | PROXY_PROTOCOL
    with running(docker_client, image, environment) as container:
        answer = container.send_raw(
            f"PROXY TCP4 {CLIENT} 127.0.0.1 4000 8080\nGET /claimed HTTP/1.1\n"
            "Host: localhost\nConnection: close\n\n"
        )
        assert answer.startswith("HTTP/1.1 401")
        container.wait_printed("/claimed")
        assert CLIENT not in container.logs()
