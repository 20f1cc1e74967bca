"""Rented machines, booted for real from what a provider would be given.

What is not proved here: the providers' networks and disks' names. A loop device stands in for the
disk, and machines share the kernel of the one under the tests.
"""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.networks import Network

from opencode_cloud.cloud_settings import CLOUDS, Target
from opencode_cloud.spec.cloud_config import example, render
from opencode_cloud.spec.container import SECRETS_FOLDER
from opencode_cloud.spec.machine import Machine
from opencode_cloud.spec.vm_bundle import COMMAND, bundle, encoded
from tests.engine.deployment import PASSWORD, Deployment
from tests.machine.cloud import Cloud, rented
from tests.machine.debian import packed
from tests.machine.provider import STACK, Provider, provided

FIRST, SECOND = 21, 22
"""Last parts of the machines' addresses."""
CONTAINER = f"opencode-{STACK}"
SECRET = "of-nobody-else-7f3a"


@pytest.fixture(scope="module")
def provider(
    docker_client: docker.DockerClient,
    network: Network,
    root: Path,
    image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Provider]:
    folder = tmp_path_factory.mktemp("provider")
    with provided(
        docker_client, network, root, image, folder=folder, numbers=(FIRST, SECOND)
    ) as made:
        yield made


@pytest.fixture(scope="module")
def first(provider: Provider) -> Iterator[Cloud]:
    """A machine from nothing, as AWS is asked for it; with the time until it was healthy."""
    described = provider.described(provider.settings(Target.AWS, FIRST))
    with rented(
        provider.client,
        provider.network,
        render(described),
        provider.key,
        number=FIRST,
        device=provider.device,
        authority=provider.authority,
        with_docker=False,
    ) as booted:
        yield booted


def signs_in(there: Cloud, provider: Provider, port: int = 443) -> bool:
    """Whether the first user signs in, over HTTPS that is verified."""
    roots = there.key.with_name("roots.pem")
    roots.write_text(provider.pebble.root)
    name = there.address.replace(".", "-") + ".sslip.io"
    command = ["curl", "--silent", "--fail", "--cacert", str(roots), "--config", "-"]
    command += ["--resolve", f"{name}:{port}:{there.address}"]
    done = subprocess.run(
        [*command, f"https://{name}:{port}/global/health"],
        input=f'user = "admin:{PASSWORD}"\n',
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0 and json.loads(done.stdout)["healthy"]


def status(there: Cloud) -> dict:
    return json.loads(there.as_root("opencode-cloud-status"))


def test_a_blank_machine_comes_to_a_login_over_https(first: Cloud, provider: Provider):
    began = time.monotonic()
    on_the_way = first.wait_for(200)
    print(f"\nfrom nothing to healthy: {time.monotonic() - began:.0f} s")
    assert any('"state": "applying"' in said for said in on_the_way), on_the_way
    told = first.wait_for_cloud_init()
    assert "status: done" in told, told + first.journal()
    result = json.loads(first.as_root("cat /run/cloud-init/result.json"))
    assert result["v1"]["errors"] == []
    assert status(first)["state"] == "applied"
    print(status(first)["seconds"])
    deadline = time.monotonic() + 180
    while not signs_in(first, provider):
        assert time.monotonic() < deadline, first.as_root(f"docker logs {CONTAINER} 2>&1")
        time.sleep(1)
    plain = first.as_root(f"curl -si http://{first.address}/ | head -n 1")
    assert "308" in plain


def test_nothing_of_the_password_is_on_the_machine(first: Cloud):
    found = first.run(
        f"grep -rlF -- '{PASSWORD}' /var/lib/cloud /etc /var/log /var/lib/opencode-cloud"
    )
    assert found.out == ""
    assert first.as_root("stat -c %a /etc/opencode-cloud/machine.conf") == "600\n"


def test_a_second_boot_changes_nothing(first: Cloud, provider: Provider):
    identity = first.as_root(f"docker inspect -f {{{{.Id}}}} {CONTAINER}")
    first.container.restart(timeout=60)
    first.wait_for(200)
    assert "\nstatus: done" in f"\n{first.wait_for_cloud_init().lstrip('.')}"
    # It is what the boot ends with.
    first.as_root("systemctl is-active --quiet opencode-cloud || systemctl start opencode-cloud")
    assert status(first)["state"] == "applied"
    assert first.as_root(f"docker inspect -f {{{{.Id}}}} {CONTAINER}") == identity
    assert first.as_root("findmnt -no SOURCE /srv/opencode-cloud").strip() == provider.device
    assert first.as_root("systemctl --failed --no-legend") == ""
    assert signs_in(first, provider)


def test_only_ssh_and_the_web_can_be_reached(first: Cloud):
    first.as_root("systemd-run --quiet --unit other python3 -m http.server 8088")
    first.as_root("until curl -s -o /dev/null http://127.0.0.1:8088/; do sleep 0.2; done")
    reached = ["curl", "-s", "-m", "3", "-o", "/dev/null", f"http://{first.address}:8088/"]
    assert subprocess.run(reached, check=False).returncode == 28
    assert first.ssh("sudo id -u").stdout == "0\n"
    rules = first.as_root("nft list table inet opencode_cloud")
    assert "tcp dport 22 accept" in rules
    first.as_root("systemctl stop other")


METADATA = """
ip netns add metadata
ip link add near type veth peer name far netns metadata
ip address add 169.254.169.253/31 dev near
ip link set near up
ip -n metadata address add 169.254.169.254/31 dev far
ip -n metadata link set far up
ip -n metadata route add default via 169.254.169.253
for port in 80 8080; do
    systemd-run --quiet --unit "metadata-$port" \\
        ip netns exec metadata python3 -m http.server --bind 169.254.169.254 "$port"
    until curl -s -o /dev/null "http://169.254.169.254:$port/"; do sleep 0.2; done
done
"""


def test_the_agent_cannot_ask_the_metadata_service(first: Cloud):
    first.as_root(METADATA)
    ask = f"docker exec {CONTAINER} curl -s -m 5 -o /dev/null http://169.254.169.254"
    assert first.run(f"{ask}:8080/", user="root").code == 0
    assert first.run(f"{ask}:80/", user="root").code == 28
    first.as_root("systemctl stop metadata-80 metadata-8080; ip netns delete metadata")


def unordered(value: Any) -> Any:
    """Leave aside the order of a list, and the two spellings of one capability."""
    if not isinstance(value, list):
        return value
    return sorted(str(item).removeprefix("CAP_") for item in value)


def test_the_container_is_that_of_a_laptop(first: Cloud, deployment: Deployment):
    there = json.loads(first.as_root(f"docker inspect {CONTAINER}"))[0]
    here = deployment.container.attrs
    same = (
        *("CapAdd", "CapDrop", "Memory", "MemorySwap", "NanoCpus", "Privileged", "ReadonlyRootfs"),
        *("SecurityOpt", "Sysctls", "LogConfig", "PidsLimit", "IpcMode", "Devices", "UsernsMode"),
        *("RestartPolicy", "ExtraHosts", "GroupAdd", "Dns", "OomScoreAdj", "AutoRemove"),
    )
    for name in same:
        one, other = (found["HostConfig"].get(name) or None for found in (there, here))
        assert unordered(one) == unordered(other), name
    for name in ("User", "Entrypoint", "Cmd", "WorkingDir", "Healthcheck", "StopTimeout"):
        assert there["Config"].get(name) == here["Config"].get(name), name
    mounts = [
        {mount["Destination"]: mount["Type"] for mount in found["Mounts"]}
        for found in (there, here)
    ]
    # The values of secrets are files of the machine, where Pulumi uploads them into the container.
    assert mounts[0].pop(SECRETS_FOLDER) == "bind"
    assert mounts[0] == mounts[1]


def send(there: Cloud, described: Machine, secrets: Mapping[str, str]) -> str:
    """Send a change as `pulumi up` does; it must be applied."""
    done = there.ssh(COMMAND, encoded(bundle(described, secrets)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(value not in done.stdout + done.stderr for value in secrets.values())
    return done.stdout


def test_changes_go_over_ssh_by_the_same_steps(first: Cloud, provider: Provider):
    identity = first.as_root(f"docker inspect -f {{{{.Id}}}} {CONTAINER}")
    settings = provider.settings(Target.AWS, FIRST)
    send(first, provider.described(settings), {})
    assert first.as_root(f"docker inspect -f {{{{.Id}}}} {CONTAINER}") == identity

    secret = provider.described(settings, ("API_KEY",))
    send(first, secret, {"API_KEY": SECRET})
    assert first.as_root(f"docker exec {CONTAINER} cat {SECRETS_FOLDER}/API_KEY") == SECRET
    send(first, secret, {"API_KEY": f"{SECRET}-2"})
    first.wait_for(200)
    environment = (
        f"docker exec --user opencode {CONTAINER} sh -c 'cat /proc/$(pgrep -xo opencode)/environ'"
    )
    assert f"API_KEY={SECRET}-2\0" in first.as_root(environment)
    everywhere = (
        f"docker inspect {CONTAINER}; cat /var/log/opencode-cloud.log; opencode-cloud-status"
    )
    assert SECRET not in first.as_root(everywhere)
    assert first.as_root("stat -c %a /etc/opencode-cloud/secrets/API_KEY") == "600\n"

    moved = provider.settings(Target.AWS, FIRST, port="4443", prebuilt_image=provider.images[1])
    send(first, provider.described(moved), {})
    assert first.get(port=443) is None
    assert signs_in(first, provider, port=4443)
    running = first.as_root(f"docker inspect -f {{{{.Config.Image}}}} {CONTAINER}")
    assert running.strip() == provider.images[1]
    assert first.as_root("ls /etc/opencode-cloud/secrets") == ""


def test_images_that_are_needed_no_longer_go_and_nobody_elses_do(first: Cloud, provider: Provider):
    build = "DOCKER_BUILDKIT=0 docker build --quiet"
    others = [
        first.as_root(
            f"printf 'FROM scratch\\nLABEL {name}=1\\n' | {build} {tag} - 2> /dev/null"
        ).strip()
        for name, tag in (("named", "--tag somebody/else"), ("nameless", ""))
    ]
    oldest, before, newest = provider.images
    # As `occ update` does.
    kept = f"opencode-cloud:{STACK}-kept-000000000000"
    first.as_root(f"docker tag {oldest} {kept}")
    moved = provider.settings(Target.AWS, FIRST, port="4443", prebuilt_image=newest)
    send(first, provider.described(moved), {})
    for image in (before, newest, kept, *others):
        first.as_root(f"docker image inspect {image}")
    assert first.run(f"docker image inspect {oldest}", user="root").code == 1
    first.as_root(f"docker image rm {kept}")
    # Two of ours, and two of somebody else's.
    assert len(set(first.as_root("docker image ls --all --quiet").split())) == 4


def test_an_archive_that_is_cut_off_changes_nothing(first: Cloud, provider: Provider):
    before = first.as_root("cat /etc/opencode-cloud/machine.conf")
    settings = provider.settings(Target.AWS, FIRST, port="5555")
    text = encoded(bundle(provider.described(settings), {}))
    done = first.ssh(COMMAND, text[: len(text) // 8 * 4])
    assert done.returncode == 1
    assert "Nothing was changed" in done.stderr
    assert first.as_root("cat /etc/opencode-cloud/machine.conf") == before


@pytest.fixture(scope="module")
def second(provider: Provider, first: Cloud) -> Iterator[Cloud]:
    """The machine that takes the first one's place and disk, asked of another provider."""
    first.as_root(f"docker exec {CONTAINER} sh -c 'echo kept > /workspace/kept'")
    first.container.stop(timeout=120)
    first.container.remove(force=True, v=True)
    described = provider.described(provider.settings(Target.GCP, SECOND))
    values = {**described.values, "FIRST_USER": "another"}
    with rented(
        provider.client,
        provider.network,
        render(replace(described, values=values)),
        provider.key,
        number=SECOND,
        device=provider.device,
        authority=provider.authority,
        with_docker=True,
    ) as booted:
        yield booted


def test_the_data_outlives_the_machine(second: Cloud):
    second.wait_for(200)
    assert second.as_root(f"docker exec {CONTAINER} cat /workspace/kept") == "kept\n"
    # Nobody is made where there is somebody.
    assert second.as_root(f"docker exec {CONTAINER} opencode-user list") == "admin\tenabled\n"
    assert "formatting" not in second.as_root("cat /var/log/opencode-cloud.log")


def test_cloud_init_takes_what_each_provider_is_given(second: Cloud, root: Path):
    for target in CLOUDS:
        second.container.put_archive(
            "/root", packed({"data": render(example(target, root)).encode()})
        )
        checked = second.as_root("cloud-init schema --config-file /root/data 2>&1")
        assert "Valid schema" in checked, checked


@dataclass(frozen=True)
class Failure:
    """How a step fails, what is said of it from outside, and how it is mended."""

    step: str
    breaks: str
    said: str
    mends: str = "cp /root/machine.conf /etc/opencode-cloud/machine.conf"


def setting(name: str, value: str) -> str:
    return f"sed -i 's|^{name}=.*|{name}={value}|' /etc/opencode-cloud/machine.conf"


UMOUNT = "umount /var/lib/docker/volumes /srv/opencode-cloud"
IMPATIENT = "/run/systemd/system/opencode-cloud.service.d"
FAILURES = [
    Failure(
        "10-data-disk",
        f"systemctl stop docker.socket docker; {UMOUNT}; {setting('DATA_DISK', '/dev/missing')};"
        "e2label $(cat /root/disk) another",
        "no disk for the data",
        "e2label $(cat /root/disk) opencode-data; cp /root/machine.conf /etc/opencode-cloud/",
    ),
    Failure(
        "20-packages",
        "dpkg --remove unattended-upgrades; mv /etc/apt/sources.list /root/",
        "E: Package 'unattended-upgrades' has no installation candidate",
        "mv /root/sources.list /etc/apt/",
    ),
    Failure("30-firewall", setting("SSH_FROM", "300.1.1.1"), "300.1.1.1"),
    Failure("35-address", setting("ADDRESS", ""), "curl: ("),
    Failure("40-image", setting("IMAGE", "127.0.0.1:1/none@sha256:" + "0" * 64), "127.0.0.1:1"),
    Failure(
        "50-deployment",
        "cp /etc/opencode-cloud/compose.yaml /root/; echo 'more: [' >> "
        "/etc/opencode-cloud/compose.yaml",
        "yaml",
        "cp /root/compose.yaml /etc/opencode-cloud/",
    ),
]
"""Of the steps before there is a gateway, in their order."""
GATEWAY_FAILURES = [
    Failure(
        "60-first-user",
        f"docker exec {CONTAINER} opencode-user remove --force admin;"
        f"{setting('FIRST_USER', 'root')}",
        "belongs to the system",
    ),
    Failure(
        "90-health",
        f"docker exec {CONTAINER} sh -c 'mv /usr/local/bin/opencode /root/; pkill -xo opencode';"
        f"mkdir -p {IMPATIENT};"
        f"printf '[Service]\nEnvironment=OPENCODE_CLOUD_HEALTH_SECONDS=5\n' > {IMPATIENT}/t.conf;"
        "systemctl daemon-reload",
        "does not answer",
        f"docker rm --force {CONTAINER}; rm -r {IMPATIENT}; systemctl daemon-reload",
    ),
]


def test_a_step_that_fails_is_seen_from_outside_and_mended_by_another_run(
    second: Cloud, provider: Provider
):
    second.wait_for(200)
    second.wait_for_cloud_init()
    second.as_root("cp /etc/opencode-cloud/machine.conf /root/")
    second.as_root(f"echo {provider.device} > /root/disk; docker rm --force {CONTAINER}")
    for failure in FAILURES:
        fails(second, failure)
        second.wait_for(503, seconds=60)
        answer = second.get()
        assert answer is not None
        told = answer.json()
        assert (told["state"], told["step"]) == ("failed", failure.step)
        assert failure.said in "\n".join(told["lines"]), told
        plain = second.as_root(f"curl -s http://{second.address}/")
        assert failure.said in plain
        second.as_root(failure.mends)
    second.as_root("systemctl restart opencode-cloud")
    second.wait_for(200)
    for failure in GATEWAY_FAILURES:
        fails(second, failure)
        told = json.loads(second.ssh("opencode-cloud-status").stdout)
        assert (told["state"], told["step"]) == ("failed", failure.step)
        assert failure.said in "\n".join(told["lines"]), told
        second.as_root(failure.mends)
    second.as_root("opencode-cloud-apply")
    second.wait_for(200)
    assert status(second)["state"] == "applied"
    assert second.as_root(f"docker exec {CONTAINER} cat /workspace/kept") == "kept\n"
    assert second.as_root(f"docker exec {CONTAINER} opencode-user list") == "another\tenabled\n"


def fails(there: Cloud, failure: Failure) -> None:
    """Break a step, and have it fail."""
    there.run(failure.breaks, user="root")
    done = there.run("systemctl restart opencode-cloud", user="root")
    assert done.code == 1, f"{failure.step} did not fail\n{there.journal()}"


def test_a_disk_with_something_on_it_is_never_formatted(second: Cloud, provider: Provider):
    device = provider.device
    second.as_root(f"systemctl stop docker.socket docker; {UMOUNT}; e2label {device} precious")
    second.as_root(setting("DATA_DISK", device))
    refused = second.run("OPENCODE_CLOUD_DISK_SECONDS=1 opencode-cloud-apply", user="root")
    assert refused.code == 1
    assert f"none is blank or labelled opencode-data (looked at: {device}" in refused.out
    assert second.as_root(f"blkid -s LABEL -o value {device}") == "precious\n"
    second.as_root(f"e2label {device} opencode-data")
    assert second.run("opencode-cloud-apply", user="root").code == 0
    second.wait_for(200)
