"""What Prometheus is told, by a real container."""

import threading
import time
from collections.abc import Iterator

import docker
import pytest
import requests

from tests.engine.container import (
    BASIC,
    BROWSER,
    LANDING,
    METRICS,
    PATIENT,
    Running,
    running,
    wait_until,
)
from tests.unit.metrics_parts import read_exposition

FLOOD = """
import socket
requests = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
requests.connect("/run/opencode-cloud/metrics/requests")
for number in range(200_000):
    requests.send(b"<190>Nov 22 23:07:01 g: made%d UP%d 200 0.001 1" % (number, number))
    requests.send(b"x" * 1000)
"""
"""Sends what no nginx would, from its user."""


@pytest.fixture(scope="module")
def watched(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container that was asked for metrics."""
    with running(docker_client, image, PATIENT | METRICS) as container:
        yield container


def samples(container: Running) -> dict[str, float]:
    """What is told now, without the prefix."""
    answer = requests.get(container.metrics_url, timeout=10)
    assert answer.status_code == requests.codes.ok
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    told = read_exposition(answer.text)
    return {name.removeprefix("opencode_cloud_"): value for name, value in told.items()}


def requests_of(container: Running, kind: str, method: str, code: str) -> float:
    labels = f'{{kind="{kind}",method="{method}",code="{code}"}}'
    return samples(container).get(f"requests_total{labels}", 0)


@pytest.mark.parametrize(
    ("method", "path", "headers", "counted"),
    [
        ("GET", LANDING, BROWSER, ("page", "GET", "2xx")),
        ("GET", "/session", {}, ("api", "GET", "2xx")),
        ("POST", "/session", {"Origin": "http://evil.example"}, ("api", "POST", "4xx")),
        ("GET", "/_gateway/account", BROWSER, ("gateway", "GET", "2xx")),
        ("BREW", "/session", {}, ("api", "other", "4xx")),
    ],
)
def test_each_request_is_counted_by_what_it_was(
    watched: Running,
    method: str,
    path: str,
    headers: dict[str, str],
    counted: tuple[str, str, str],
):
    before = requests_of(watched, *counted)
    for _ in range(3):
        requests.request(method, watched.url + path, headers=headers, auth=BASIC, timeout=30)
    wait_until(lambda: requests_of(watched, *counted) >= before + 3, 30)
    assert requests_of(watched, *counted) == before + 3


def test_no_request_of_a_rush_is_missed(watched: Running):
    def load() -> None:
        with requests.Session() as browser:
            for _ in range(250):
                browser.get(f"{watched.url}/_gateway/page.css", timeout=30)

    counted = ("gateway", "GET", "2xx")
    before = requests_of(watched, *counted)
    browsers = [threading.Thread(target=load) for _ in range(8)]
    for browser in browsers:
        browser.start()
    for browser in browsers:
        browser.join()
    wait_until(lambda: requests_of(watched, *counted) >= before + 2000, 30)
    assert requests_of(watched, *counted) == before + 2000


def test_durations_and_bytes_are_those_of_the_requests(watched: Running):
    before = samples(watched)
    for _ in range(5):
        requests.get(f"{watched.url}/session", auth=BASIC, timeout=30)
    after = samples(watched)
    more = {name: value - before.get(name, 0) for name, value in after.items()}
    assert more['request_duration_seconds_count{kind="api"}'] == 5
    assert more['request_duration_seconds_bucket{kind="api",le="+Inf"}'] == 5
    assert more['request_duration_seconds_sum{kind="api"}'] > 0
    assert more['response_bytes_total{kind="api"}'] > 5 * 2


def test_open_streams_are_told_while_they_are_open(watched: Running):
    before = samples(watched)["streams"]
    events = [
        requests.get(f"{watched.url}/event", auth=BASIC, stream=True, timeout=30) for _ in range(3)
    ]
    assert samples(watched)["streams"] == before + 3
    for each in events:
        each.close()
    wait_until(lambda: samples(watched)["streams"] == before, 30)


def test_the_container_tells_of_itself(watched: Running):
    told = samples(watched)
    version = watched.run("opencode", "--version").strip()
    assert told[f'opencode_info{{version="{version}"}}'] == 1
    assert told["opencode_healthy"] == 1
    assert told['up{part="session"}'] == told['up{part="streams"}'] == 1
    assert 100_000_000 < told["opencode_memory_bytes"] < 2_000_000_000
    assert 100_000_000 < told["container_memory_bytes"] <= 2**31
    assert not [name for name in told if name.startswith("certificate")]


def test_sign_ins_and_sessions_are_counted(watched: Running):
    before = samples(watched)
    watched.sign_in()
    watched.send_form(requests.Session(), password="a wrong one")
    after = samples(watched)
    assert after["sessions"] == before["sessions"] + 1
    for result in ("accepted", "refused"):
        name = f'sign_ins_total{{method="form",result="{result}"}}'
        assert after[name] == before[name] + 1


def test_an_opencode_that_is_stopped_is_not_healthy(watched: Running):
    watched.run("s6-svc", "-wD", "-d", "/run/service/opencode")
    try:
        wait_until(lambda: samples(watched)["opencode_healthy"] == 0, 30)
        assert "opencode_memory_bytes" not in samples(watched)
    finally:
        watched.run("s6-svc", "-u", "/run/service/opencode")
    watched.wait_healthy()
    assert samples(watched)["opencode_healthy"] == 1


def test_an_opencode_that_hangs_is_not_healthy_and_the_rest_is_told(watched: Running):
    pid = str(watched.pids("^opencode serve")[0])
    watched.run("kill", "-STOP", pid)
    try:
        wait_until(lambda: samples(watched)["opencode_healthy"] == 0, 30)
        assert samples(watched)['up{part="session"}'] == 1
    finally:
        watched.run("kill", "-CONT", pid)
    watched.wait_healthy()


@pytest.mark.parametrize("part", ["session", "streams"])
def test_a_part_that_is_away_is_told(watched: Running, part: str):
    watched.run("s6-svc", "-wD", "-d", f"/run/service/{part}")
    try:
        assert samples(watched)[f'up{{part="{part}"}}'] == 0
    finally:
        watched.run("s6-svc", "-u", f"/run/service/{part}")
    wait_until(lambda: samples(watched)[f'up{{part="{part}"}}'] == 1, 30)
    watched.wait_healthy()


def test_people_are_served_without_the_metrics_service_and_it_goes_on_counting(watched: Running):
    watched.run("s6-svc", "-wD", "-d", "/run/service/metrics")
    try:
        began = time.monotonic()
        assert requests.get(f"{watched.url}/session", auth=BASIC, timeout=10).ok
        assert time.monotonic() - began < 5
    finally:
        watched.run("s6-svc", "-u", "/run/service/metrics")
    wait_until(lambda: requests.get(watched.metrics_url, timeout=10).ok, 30)

    def is_counted() -> bool:
        requests.get(f"{watched.url}/session", auth=BASIC, timeout=10)
        return requests_of(watched, "api", "GET", "2xx") > 0

    wait_until(is_counted, 30)


def test_a_flood_of_made_up_requests_costs_no_memory(watched: Running):
    def memory() -> int:
        pid = watched.pids("^python3 .*-m metrics$")[0]
        return int(watched.run("cat", f"/proc/{pid}/statm").split()[1])

    before = memory()
    watched.run("python3", "-c", FLOOD, user="gateway")
    assert memory() - before < 500
    wait_until(lambda: requests_of(watched, "other", "other", "2xx") >= 200_000, 30)
    assert len(samples(watched)) < 300


def test_metrics_have_a_port_of_their_own_and_nothing_else_is_there(watched: Running):
    for auth in (None, BASIC):
        answer = requests.get(f"{watched.url}/metrics", auth=auth, timeout=10)
        assert "opencode_cloud_" not in answer.text
    base = watched.metrics_url.removesuffix("/metrics")
    for path in ("/", "/session", "/metrics/", "/grants", "/_gateway/login", "/health"):
        answer = requests.get(base + path, auth=BASIC, timeout=10)
        assert answer.status_code == requests.codes.not_found, path
    assert requests.post(watched.metrics_url, timeout=10).status_code == 405


def test_without_being_asked_for_there_are_no_metrics(opencode: Running):
    with pytest.raises(requests.ConnectionError):
        requests.get(opencode.metrics_url, timeout=10)
    assert opencode.attempt("curl", "--silent", "http://127.0.0.1:8081/metrics").returncode == 7


@pytest.mark.parametrize("user", ["opencode", "nobody"])
@pytest.mark.parametrize("path", ["metrics/socket", "streams/socket"])
def test_the_agent_reaches_neither_service(opencode: Running, user: str, path: str):
    refused = opencode.attempt(
        *("curl", "--silent", "--unix-socket", f"/run/opencode-cloud/{path}", "http://x/metrics"),
        user=user,
    )
    assert refused.returncode == 7
