"""The image and the container that it makes: who may do what in it, how it starts and ends."""

import json
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import docker
import pytest
import requests

from opencode_cloud.spec.container import CAPABILITIES
from tests.engine.container import Running, running, wait_until
from tests.engine.deployment import PASSWORD, USER

SERVICES = {
    "opencode": "^opencode serve",
    "session": "^python3 .*-m session",
    "streams": "^python3 .*-m streams",
    "validators": "^python3 .*-m validators",
    "metrics": "^python3 .*-m metrics",
    "gateway": "^nginx: master",
    "watchdog": "^/bin/sh ./watch",
}
"""Each service's process, by its command line."""
EVERY_PROCESS = [
    *SERVICES.values(),
    "^nginx: worker",
    "^mawk .*name=opencode",
    "^mawk .*name=gateway",
    "^s6-supervise opencode$",
    "^s6-supervise session$",
    "^s6-supervise gateway$",
    "^s6-supervise gateway/log$",
]
LARGEST_IMAGE = 700_000_000
"""Bytes."""
LARGEST_OVERHEAD = 80 * 1024
"""KiB of memory for all that is not opencode."""
STOP_SECONDS = 10
DATABASE = "/home/opencode/.local/share/opencode/opencode.db"


@pytest.fixture
def fresh(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container that a test may end."""
    with running(docker_client, image) as container:
        yield container


def status(opencode: Running, pid: int) -> dict[str, str]:
    lines = opencode.run("cat", f"/proc/{pid}/status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def runs_times(opencode: Running, pattern: str, times: int) -> bool:
    return len(opencode.pids(pattern)) == times


def internal_password(opencode: Running) -> str:
    return opencode.run("cat", "/run/opencode-cloud/opencode/password").strip()


def test_the_image_is_small(docker_client: docker.DockerClient, image: str):
    assert docker_client.images.get(image).attrs["Size"] <= LARGEST_IMAGE


def test_the_labels_say_what_is_in_the_image(
    docker_client: docker.DockerClient, image: str, opencode: Running, root: Path
):
    labels = docker_client.images.get(image).labels
    pinned = json.loads((root / "docker/package.json").read_text())["optionalDependencies"]
    installed = opencode.run("opencode", "--version").strip()
    assert set(pinned.values()) == {installed}
    assert labels["org.opencode-cloud.opencode-version"] == installed
    assert labels["org.opencode-cloud.version"] == labels["org.opencontainers.image.version"]


def test_docker_finds_the_container_healthy(opencode: Running):
    wait_until(lambda: opencode.container.health == "healthy", 30, opencode.logs)


@pytest.mark.parametrize(
    ("service", "user"),
    [
        ("opencode", 1000),
        ("session", 800),
        ("gateway", 801),
        ("streams", 804),
        ("metrics", 805),
        ("validators", 807),
        ("watchdog", 808),
    ],
)
def test_no_service_is_root_or_has_a_capability(opencode: Running, service: str, user: int):
    told = status(opencode, opencode.pids(SERVICES[service])[0])
    assert told["Uid"].split() == [str(user)] * 4
    assert told["NoNewPrivs"] == "1"
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(told[kind], 16) == 0, kind


def test_only_the_session_service_may_read_hashes(opencode: Running):
    shadow = opencode.run("stat", "-c", "%g", "/etc/shadow").strip()
    for service, pattern in SERVICES.items():
        groups = status(opencode, opencode.pids(pattern)[0])["Groups"].split()
        assert (shadow in groups) == (service == "session"), service


@pytest.mark.parametrize(
    "file",
    [
        "/etc/shadow",
        "/run/opencode-cloud/opencode/password",
        "/run/opencode-cloud/session/password",
        "/run/opencode-cloud/gateway/authorization.conf",
        "/var/lib/opencode-cloud/users/accounts/shadow",
        "/var/lib/opencode-cloud/users/sessions/sessions.db",
    ],
)
def test_neither_the_agent_nor_a_user_can_read_what_is_secret(opencode: Running, file: str):
    assert opencode.run("cat", file)
    services = ("streams", "validators", "metrics", "certificates", "watchdog")
    for user in ("opencode", USER, "nobody", *services):
        assert opencode.attempt("cat", file, user=user).returncode != 0, user


@pytest.mark.parametrize(
    "service", ["session/socket", "streams/socket", "validators/socket", "gateway/assets.sock"]
)
def test_the_agent_cannot_talk_to_the_services_behind_the_gateway(opencode: Running, service: str):
    socket = f"/run/opencode-cloud/{service}"
    # Nothing comes back from some of them, but root can connect.
    refused = 7
    command = ("curl", "--silent", "--max-time", "2", "--unix-socket", socket, "http://x/")
    assert opencode.attempt(*command).returncode != refused
    for user in ("opencode", USER):
        assert opencode.attempt(*command, user=user).returncode == refused


def test_the_agent_cannot_become_root(opencode: Running):
    assert opencode.attempt("su", "-c", "id", user="opencode").returncode != 0
    assert opencode.attempt("useradd", "intruder", user="opencode").returncode != 0
    assert "only root" in opencode.attempt("opencode-user", "list", user="opencode").stderr


def test_nothing_listens_wide_but_the_gateway(opencode: Running):
    sockets = opencode.run("cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
    fields = [line.split() for line in sockets if re.match(r"\s*\d+:", line)]
    listening = {entry[1] for entry in fields if entry[3] == "0A"}
    assert listening == {"00000000:1F90", "0100007F:1000"}


def test_no_secret_is_in_logs_arguments_or_what_docker_shows(opencode: Running):
    browser = opencode.sign_in()
    opencode.send_form(requests.Session(), password="a wrong password")
    requests.get(f"{opencode.url}/x", auth=(USER, PASSWORD), timeout=10)
    requests.get(f"{opencode.url}/x?auth_token=sesame", auth=(USER, PASSWORD), timeout=10)
    token = next(cookie.value for cookie in browser.cookies if "session" in cookie.name)
    stored = opencode.run("grep", f"^{USER}:", "/etc/shadow").split(":")[1]
    secrets = [internal_password(opencode), PASSWORD, "a wrong password", token, stored, "sesame"]
    shown = {
        "logs": opencode.logs(),
        "inspect": json.dumps(opencode.container.attrs),
        "arguments": json.dumps(opencode.container.top(ps_args="-eo pid,args")),
    }
    for place, text in shown.items():
        for secret in secrets:
            assert secret
            assert secret not in text, f"{secret} in {place}"


def test_opencodes_environment_holds_only_what_it_needs(opencode: Running):
    pid = opencode.pids(SERVICES["opencode"])[0]
    environment = opencode.run("cat", f"/proc/{pid}/environ", user="opencode")
    names = {entry.partition("=")[0] for entry in environment.split("\0") if entry}
    assert names == {
        *("BASH_ENV", "HOME", "HOSTNAME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "USER"),
        *("NODE_EXTRA_CA_CERTS", "OPENCODE_DISABLE_AUTOUPDATE", "OPENCODE_SERVER_PASSWORD"),
    }


@pytest.mark.parametrize("options", [["-c"], ["-l", "-c"]])
def test_the_agents_shells_do_not_hand_on_the_password(opencode: Running, options: list[str]):
    body = {"command": "/bin/bash", "args": [*options, "env > /tmp/environment"]}
    opencode.attempt("rm", "/tmp/environment")
    answer = requests.post(f"{opencode.url}/pty", json=body, auth=(USER, PASSWORD), timeout=30)
    assert answer.status_code == requests.codes.ok, answer.text
    wait_until(lambda: "OPENCODE_PID" in opencode.attempt("cat", "/tmp/environment").stdout, 30)
    assert "PASSWORD" not in opencode.run("cat", "/tmp/environment")


def test_the_workspace_is_a_git_repository_in_which_the_agent_can_commit(opencode: Running):
    assert (
        opencode.run("stat", "-c", "%U", "/workspace", "/workspace/.git").split()
        == ["opencode"] * 2
    )
    git = ("git", "-C", "/workspace")
    assert opencode.run(*git, "symbolic-ref", "HEAD", user="opencode").strip() == "refs/heads/main"
    opencode.run(*git, "commit", "--allow-empty", "--message", "Try", user="opencode")
    assert opencode.run(*git, "status", "--porcelain", user="root") == ""


def test_the_logs_say_which_process_speaks(opencode: Running):
    requests.get(f"{opencode.url}/_gateway/login", timeout=10)
    for service in ("init", "opencode", "session", "gateway"):
        opencode.wait_printed(f"{service:<12} | ")
    text = opencode.logs()
    assert not [line for line in text.splitlines() if not re.match(r"\w+ +\| ", line)]


def test_what_the_supervision_says_has_a_name_too(fresh: Running):
    """An opencode that does not end when it is asked to is complained about by s6's own tools."""
    deaf = "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n"
    fresh.run("sh", "-c", "cat > /root/opencode && chmod +x /root/opencode", stdin=deaf)
    fresh.run("mv", "/root/opencode", "/usr/local/bin/opencode")
    fresh.run("pkill", "--full", SERVICES["opencode"])
    wait_until(lambda: bool(fresh.pids("^/bin/sh .*/opencode serve")), 10, fresh.logs)
    fresh.container.stop(timeout=2 * STOP_SECONDS)
    text = fresh.logs()
    assert re.search(r"^init +\| s6-svlisten1: ", text, re.MULTILINE), text
    assert not [line for line in text.splitlines() if not re.match(r"\w+ +\| ", line)]


def test_the_lines_of_two_processes_never_mix(opencode: Running):
    logger = "mawk -W interactive -v name=$name -f /usr/lib/opencode-cloud/prefix.awk"
    both = f"for name in one two; do seq 5000 | {logger} & done; wait"
    lines = opencode.run("sh", "-c", f"({both}) | cat").splitlines()
    wanted = [f"{name:<12} | {number}" for name in ("one", "two") for number in range(1, 5001)]
    assert sorted(lines) == sorted(wanted)


@pytest.mark.parametrize("pattern", EVERY_PROCESS)
def test_a_killed_process_comes_back_and_logins_stay_valid(opencode: Running, pattern: str):
    browser = opencode.sign_in()
    killed = opencode.pids(pattern)[0]
    opencode.run("kill", "-KILL", str(killed))
    wait_until(lambda: bool(set(opencode.pids(pattern)) - {killed}), 10, opencode.logs)
    opencode.wait_healthy()
    assert killed not in opencode.pids(pattern)
    assert opencode.lets_in(browser)
    for each in EVERY_PROCESS:
        expected = 2 if "worker" in each else 1
        wait_until(partial(runs_times, opencode, each, expected), 10, opencode.logs)


def test_a_service_that_cannot_start_is_seen_and_does_not_spin(fresh: Running):
    broken = "#!/bin/sh\nexit 7\n"
    fresh.run("sh", "-c", "cat > /root/opencode && chmod +x /root/opencode", stdin=broken)
    fresh.run("mv", "/root/opencode", "/usr/local/bin/opencode")
    began = time.monotonic()
    fresh.run("pkill", "--full", SERVICES["opencode"])
    said = "opencode     | ended with exit code 7"
    wait_until(lambda: fresh.logs().count(said) >= 2, 30, fresh.logs)
    time.sleep(5)
    assert fresh.logs().count(said) <= time.monotonic() - began + 1, "once a second at most"
    answer = requests.get(f"{fresh.url}/health", timeout=10)
    assert answer.status_code == requests.codes.unavailable
    assert "does not listen" in answer.json()["reason"]


def test_settings_that_cannot_be_used_stop_the_start_with_the_reason(
    docker_client: docker.DockerClient, image: str
):
    wrong = {"OPENCODE_CLOUD_TLS": "sslip"}
    container = docker_client.containers.run(
        image, environment=wrong, detach=True, cap_drop=["ALL"], cap_add=list(CAPABILITIES)
    )
    try:
        assert container.wait(timeout=30)["StatusCode"] == 2
        said = container.logs().decode()
        assert "OPENCODE_CLOUD_TLS is sslip, which needs OPENCODE_CLOUD_PUBLIC_ADDRESS" in said
        assert "Traceback" not in said
    finally:
        container.remove(force=True, v=True)


def test_stopping_takes_a_moment_and_closes_the_database(
    fresh: Running, docker_client: docker.DockerClient, image: str
):
    requests.post(f"{fresh.url}/session", json={}, auth=(USER, PASSWORD), timeout=30)
    stream = requests.get(f"{fresh.url}/event", auth=(USER, PASSWORD), timeout=30, stream=True)
    assert next(stream.iter_lines())
    began = time.monotonic()
    fresh.container.stop(timeout=STOP_SECONDS)
    assert time.monotonic() - began < STOP_SECONDS / 2
    assert fresh.container.attrs["State"]["ExitCode"] == 0
    order = r"gateway +\| ended with exit code 0.*opencode +\| ended.*session +\| ended"
    assert re.search(order, fresh.logs(), re.DOTALL)
    folder, _, file = DATABASE.rpartition("/")
    script = (
        "import os, sqlite3\n"
        f"print(*sorted(name for name in os.listdir('/data') if name.startswith('{file}')))\n"
        f"print(*sqlite3.connect('/data/{file}').execute('PRAGMA integrity_check').fetchone())"
    )
    output = docker_client.containers.run(
        image,
        ["-c", script],
        entrypoint="python3",
        volumes={f"{fresh.name}-data": {"bind": "/data", "mode": "rw"}},
        remove=True,
    )
    assert output.decode().splitlines() == [file, "ok"], folder


@pytest.mark.parametrize("how", ["restart", "kill", "replace"])
def test_users_logins_and_sessions_survive(fresh: Running, how: str):
    made = requests.post(f"{fresh.url}/session", json={}, auth=(USER, PASSWORD), timeout=30).json()
    fresh.add_user("eve")
    fresh.run("opencode-user", "disable", "eve")
    fresh.run("touch", "/workspace/kept", user="opencode")
    browser = fresh.sign_in()
    password = internal_password(fresh)
    if how == "restart":
        fresh.container.restart()
    elif how == "kill":
        fresh.container.kill()
        fresh.container.start()
    else:
        fresh.remove_container()
        fresh.create()
    fresh.wait_healthy()
    assert fresh.lets_in(browser)
    assert fresh.sign_in()
    assert fresh.run("opencode-user", "list") == "ada\tenabled\neve\tdisabled\n"
    assert browser.get(f"{fresh.url}/session/{made['id']}", timeout=30).json()["id"] == made["id"]
    assert fresh.run("id", "--name", "--groups", USER).split() == [
        USER,
        "opencode-users",
        "opencode",
    ]
    assert fresh.run("ls", "/workspace").split() == ["kept"]
    assert internal_password(fresh) != password


def test_an_unknown_major_version_stops_the_start_with_a_reason(
    docker_client: docker.DockerClient, image: str
):
    script = (
        "echo 9.1.0 > /usr/lib/opencode-cloud/opencode-version; exec /usr/lib/opencode-cloud/init"
    )
    container = docker_client.containers.run(image, ["-c", script], entrypoint="sh", detach=True)
    try:
        assert container.wait(timeout=30)["StatusCode"] == 1
        assert "opencode 9.1.0 cannot be run" in container.logs().decode()
    finally:
        container.remove(force=True, v=True)


def test_every_major_in_the_table_is_complete(root: Path):
    table = (root / "docker/rootfs/usr/lib/opencode-cloud/majors").read_text()
    rows = [line.split() for line in table.splitlines() if line and not line.startswith("#")]
    assert [row[0] for row in rows] == ["1", "2"]
    for _, port, path, *rest in rows:
        assert 0 < int(port) < 65536
        assert path.startswith("/")
        assert len(rest) == 3


def test_a_folder_of_the_hosts_becomes_the_agents_but_not_what_is_in_it(
    docker_client: docker.DockerClient, image: str, tmp_path: Path
):
    (tmp_path / "theirs").write_text("x")
    owner = tmp_path.stat().st_uid
    container = docker_client.containers.run(
        image, detach=True, volumes={str(tmp_path): {"bind": "/workspace", "mode": "rw"}}
    )
    try:
        wait_until((tmp_path / ".git").exists, 20, lambda: container.logs().decode())
        assert tmp_path.stat().st_uid == 1000
        assert (tmp_path / "theirs").stat().st_uid == owner
    finally:
        container.remove(force=True, v=True)


def test_all_that_is_not_opencode_is_small(
    docker_client: docker.DockerClient, image: str, opencode: Running
):
    script = (
        "import pathlib\n"
        "for process in pathlib.Path('/proc').glob('[0-9]*'):\n"
        "    name = process.joinpath('comm').read_text().strip()\n"
        "    lines = process.joinpath('smaps_rollup').read_text().splitlines()\n"
        "    print(name, *(line.split()[1] for line in lines if line.startswith('Pss:')))\n"
    )
    output = docker_client.containers.run(
        image,
        ["-c", script],
        entrypoint="python3",
        pid_mode=f"container:{opencode.container.id}",
        cap_add=["SYS_PTRACE"],
        remove=True,
    )
    sizes = [line.split() for line in output.decode().splitlines()]
    # The last python3 is the one that counts.
    ours = [int(size) for name, size in sizes[:-1] if name != "opencode"]
    assert len(ours) >= 14
    assert sum(ours) <= LARGEST_OVERHEAD, sizes


def test_extra_authorities_are_trusted_one_by_one(docker_client: docker.DockerClient, image: str):
    script = (
        "for name in one two; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
        "-nodes -subj /CN=$name -keyout /dev/null -out /tmp/$name.pem 2> /dev/null; done\n"
        'EXTRA_CA_CERTIFICATES="$(cat /tmp/one.pem /tmp/two.pem)" trust-authorities > /dev/null\n'
        "for name in one two; do openssl verify -CApath /etc/ssl/certs /tmp/$name.pem; done\n"
        "EXTRA_CA_CERTIFICATES=nonsense trust-authorities 2>&1 || echo refused\n"
    )
    output = docker_client.containers.run(image, ["-c", script], entrypoint="sh", remove=True)
    lines = output.decode().splitlines()
    assert lines[:2] == ["/tmp/one.pem: OK", "/tmp/two.pem: OK"]
    assert "no PEM certificate" in lines[2]
    assert lines[3] == "refused"
