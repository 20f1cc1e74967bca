"""A rented machine that builds its image from what comes over SSH, and is cut off while it does."""

import argparse
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.models.networks import Network

from opencode_cloud.cloud_settings import Target
from opencode_cloud.configuration import load
from opencode_cloud.ops import machine_apply
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.settings import Settings
from opencode_cloud.spec.cloud_config import render
from opencode_cloud.spec.image import BuiltImage, image_spec
from opencode_cloud.spec.machine import SSH_USER, Machine, machine, shipped_files
from opencode_cloud.spec.vm_bundle import COMMAND, bundle, encoded
from tests.engine.deployment import PASSWORD
from tests.engine.ssh_server import make_key
from tests.machine.cloud import Cloud, address_of, disk, hashed, rented
from tests.machine.debian import packed

NUMBER = 31
"""Last part of the machine's address."""
STACK = "built"
CONTAINER = f"opencode-{STACK}"
BUILD_SECONDS = 900
"""Debian's packages and opencode over the network, on a machine that does other work as well."""


@dataclass
class Builder:
    """The machine, and the checkout that it is brought to by `pulumi up`."""

    there: Cloud
    root: Path
    data: Path
    settings: dict[str, str]
    device: str

    def load(self, **changes: str) -> Settings:
        """Give its settings."""
        return load({**self.settings, **changes}, STACK)

    def apply(self, **changes: str) -> str:
        """Send a change as `pulumi up` does; gives what was said of it.

        Raises:
            OperationError: it was not applied.
        """
        settings = self.load(**changes)
        image = image_spec(settings, STACK, self.root)
        assert isinstance(image, BuiltImage)
        described = describe(settings, self.root, self.device)
        asked = argparse.Namespace(
            stack=STACK,
            machine="i-1",
            address=self.there.address,
            user=SSH_USER,
            port="",
            identity_file=str(self.there.key),
            jump="",
        )
        said: list[str] = []
        machine_apply.apply(asked, encoded(bundle(described, {}, image)), self.data, said.append)
        return "\n".join(said)

    def status(self) -> dict:
        """Say how the last run got on."""
        # Of a command that ends at once the engine loses the output now and then.
        texts = (self.there.as_root("opencode-cloud-status") for _ in range(5))
        return json.loads(next(filter(None, texts)))

    def wait_until(self, is_so: Callable[[dict], bool], seconds: float = 60) -> dict:
        """Wait until a run is as far as that."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.status()
            if is_so(status):
                return status
            assert time.monotonic() < deadline, f"{status}\n{self.there.journal()}"
            time.sleep(0.2)


def describe(settings: Settings, root: Path, device: str) -> Machine:
    reference = image_spec(settings, STACK, root).reference
    return machine(settings, STACK, reference, shipped_files(root), data_disk=device)


@pytest.fixture(scope="module")
def builder(
    docker_client: docker.DockerClient,
    network: Network,
    root: Path,
    build_settings: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Builder]:
    folder = tmp_path_factory.mktemp("builder")
    key = folder / "id"
    make_key(key)
    raw = {
        **build_settings,
        "target": Target.AZURE.value,
        "region": "here-1",
        "azure_subscription": "00000000-0000-0000-0000-000000000000",
        "ssh_public_key": key.with_suffix(".pub").read_text(),
        "ssh_from": address_of(network, 0) + "/24",
        "public_address": address_of(network, NUMBER),
        "tls": "internal",
        "first_user_hash": hashed(PASSWORD),
    }
    with disk(folder) as device:
        first = describe(load(raw, STACK), root, device)
        with rented(
            docker_client,
            network,
            render(first),
            key,
            number=NUMBER,
            device=device,
            authority={},
            with_docker=True,
        ) as booted:
            yield Builder(booted, root, folder / "data", raw, device)


@pytest.fixture(autouse=True)
def sockets(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A folder for ssh's sockets."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))


def signs_in(there: Cloud) -> bool:
    command = ["curl", "--silent", "--fail", "--insecure", "--config", "-"]
    done = subprocess.run(
        [*command, f"https://{there.address}/global/health"],
        input=f'user = "admin:{PASSWORD}"\n',
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0 and json.loads(done.stdout)["healthy"]


def test_a_machine_says_that_it_waits_for_what_its_image_is_built_from(builder: Builder):
    builder.there.wait_for(503)
    builder.wait_until(lambda status: status["state"] == "waiting", seconds=120)
    answer = builder.there.get()
    assert answer is not None
    told = answer.json()
    assert (told["state"], told["step"]) == ("waiting", "40-image")
    assert "is built from what `pulumi up` sends over SSH" in told["lines"][-1]
    # Nothing is wrong with it.
    assert "status: done" in builder.there.wait_for_cloud_init()
    assert builder.there.as_root("systemctl --failed --no-legend") == ""


def test_a_build_that_fails_shows_its_last_lines_from_outside(builder: Builder):
    with pytest.raises(OperationError, match=r"127\.0\.0\.1:1"):
        builder.apply(base_image="127.0.0.1:1/mistyped:trixie")
    answer = builder.there.get()
    assert answer is not None
    told = answer.json()
    assert (told["state"], told["step"]) == ("failed", "40-image")
    assert "127.0.0.1:1" in "\n".join(told["lines"])


def test_another_change_mends_it_and_a_power_failure_in_the_build_is_made_good_at_boot(
    builder: Builder,
):
    there = builder.there
    if "base_image" in builder.settings:
        there.give(builder.settings["base_image"])
    lost: list[OperationError] = []

    def change() -> None:
        try:
            builder.apply()
        except OperationError as error:
            lost.append(error)

    changing = threading.Thread(target=change)
    changing.start()
    there.wait_until_logged("Running in")
    began = time.monotonic()
    there.power_off()
    # Its boot is not over before the build is.
    there.container.start()
    there.wait_for(200, seconds=BUILD_SECONDS)
    print(f"\nfrom the power failure to healthy: {time.monotonic() - began:.0f} s")
    changing.join()
    assert lost
    status = builder.wait_until(lambda status: status["state"] == "applied")
    print(status["seconds"])
    assert signs_in(there)
    running = there.as_root(f"docker inspect -f {{{{.Config.Image}}}} {CONTAINER}").strip()
    assert running == image_spec(builder.load(), STACK, builder.root).reference
    # The next `up` finds everything as it is to be.
    builder.apply()
    left = "docker image ls --quiet --filter dangling=true --filter label=org.opencode-cloud.stage"
    assert there.as_root(left) == ""


STEP = "/usr/lib/opencode-cloud/steps/05-slow"
SLOW = "#!/bin/sh\necho $$ > /run/slow\nuntil [ -e /run/go ]; do sleep 0.2; done\n"
APPLY = "sudo opencode-cloud-apply"
BEGIN = "systemctl restart --no-block opencode-cloud"


@pytest.fixture
def slow(builder: Builder) -> Iterator[None]:
    """A first step that does not end until `/run/go` is there."""
    there = builder.there
    there.as_root("rm -f /run/go /run/slow")
    there.container.put_archive("/", packed({STEP.lstrip("/"): SLOW.encode()}, mode=0o755))
    yield
    there.as_root("touch /run/go; flock /run/opencode-cloud.lock true")
    there.as_root(f"rm {STEP}; opencode-cloud-apply")
    assert builder.status()["state"] == "applied"


def is_slow(status: dict) -> bool:
    return (status["state"], status["step"]) == ("applying", "05-slow")


def go(builder: Builder) -> None:
    builder.there.as_root("touch /run/go")


@pytest.mark.usefixtures("slow")
def test_of_two_runs_at_once_the_second_says_who_runs_and_waits(builder: Builder):
    builder.there.as_root(BEGIN)
    builder.wait_until(is_slow)
    with builder.there.ssh_begun(APPLY) as second:
        assert second.stdout
        assert "another run is at work (05-slow since 2" in second.stdout.readline()
        go(builder)
        said = second.communicate(timeout=120)[0]
    assert second.returncode == 0, said
    assert "== applied" in said


@pytest.mark.usefixtures("slow")
def test_a_run_that_is_killed_leaves_its_step_to_the_next_one(builder: Builder):
    there = builder.there
    with there.ssh_begun(APPLY) as first:
        builder.wait_until(is_slow)
        there.as_root("kill -9 $(pgrep -fo '^/usr/bin/python3 -I /usr/sbin/opencode-cloud-apply')")
        assert first.wait(timeout=30) != 0
    assert builder.status()["state"] == "applying"  # its step is
    with there.ssh_begun(APPLY) as second:
        assert second.stdout
        # Two steps at once would be in each other's way.
        assert "another run is at work (05-slow" in second.stdout.readline()
        go(builder)
        said = second.communicate(timeout=120)[0]
    assert second.returncode == 0, said


@pytest.mark.usefixtures("slow")
def test_a_run_that_is_killed_with_its_step_is_seen_as_interrupted_until_another_one(
    builder: Builder,
):
    there = builder.there
    with there.ssh_begun(APPLY) as first:
        builder.wait_until(is_slow)
        there.as_root(
            "kill -9 $(pgrep -fo '^/usr/bin/python3 -I /usr/sbin/opencode-cloud-apply') "
            "$(cat /run/slow)"
        )
        assert first.wait(timeout=30) != 0
    status = builder.wait_until(lambda status: status["state"] == "interrupted")
    assert status["step"] == "05-slow"
    go(builder)
    there.as_root("systemctl restart opencode-cloud")
    assert builder.status()["state"] == "applied"


@pytest.mark.usefixtures("slow")
def test_a_step_that_is_killed_says_so_and_another_run_mends_it(builder: Builder):
    there = builder.there
    there.as_root(BEGIN)
    builder.wait_until(is_slow)
    there.as_root("kill -9 $(cat /run/slow)")
    status = builder.wait_until(lambda status: status["state"] == "failed")
    assert "was ended by signal 9, Killed" in "\n".join(status["lines"])
    # What runs is not stopped by it.
    there.wait_for(200, seconds=30)
    go(builder)
    there.as_root("systemctl restart opencode-cloud")
    assert builder.status()["state"] == "applied"


@pytest.mark.usefixtures("slow")
def test_a_connection_that_is_lost_does_not_end_the_run(builder: Builder):
    with builder.there.ssh_begun(APPLY) as lost:
        builder.wait_until(is_slow)
        lost.kill()
    go(builder)
    builder.wait_until(lambda status: status["state"] == "applied")


CUT_OFF = """
set -e
dpkg --force-depends --remove nftables libnftables1
apt-get update
cd /root
apt-get download nftables
dpkg --unpack nftables_*.deb
"""


def test_packages_that_a_power_failure_has_cut_off_are_completed(builder: Builder):
    builder.there.as_root(CUT_OFF)
    done = builder.there.ssh(APPLY)
    assert done.returncode == 0, done.stdout
    assert builder.there.as_root("dpkg --audit") == ""


def test_a_firewall_that_is_started_again_leaves_docker_its_own(builder: Builder):
    there = builder.there
    there.as_root("systemctl restart nftables")
    assert "tcp dport 22 accept" in there.as_root("nft list table inet opencode_cloud")
    there.as_root(f"docker restart {CONTAINER}")
    there.wait_for(200, seconds=60)


def test_a_full_data_disk_is_named(builder: Builder):
    there = builder.there
    filler = "/srv/opencode-cloud/filler"
    free = "$(($(stat -f -c '%f * %S' /srv/opencode-cloud) - (48 << 20)))"
    there.as_root(f"docker rm --force {CONTAINER}; fallocate -l {free} {filler}")
    there.run(f"cat /dev/zero > {filler}-2", user="root")
    done = there.ssh("sudo OPENCODE_CLOUD_HEALTH_SECONDS=5 opencode-cloud-apply")
    assert done.returncode == 1
    assert builder.status()["lines"][-1] == "the disk at /srv/opencode-cloud is full"
    there.as_root(f"rm {filler} {filler}-2")
    builder.apply()
    there.wait_for(200)


def test_a_full_system_disk_is_named_and_changes_nothing(builder: Builder):
    there = builder.there
    state = "/var/lib/opencode-cloud"
    there.as_root(f"mount -t tmpfs -o size=4k tmpfs {state}; echo > {state}/full")
    described = describe(builder.load(), builder.root, builder.device)
    try:
        for command, stdin in ((APPLY, ""), (COMMAND, encoded(bundle(described, {})))):
            done = there.ssh(command, stdin)
            assert done.returncode == 1
            assert "No space left on device" in done.stderr
            assert "Traceback" not in done.stderr
    finally:
        there.as_root(f"umount {state}")
    assert there.ssh(APPLY).returncode == 0
