"""The scripts of the buttons, with a gcloud and a doctl that take what their references have."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.fake_cloud_grammar import UsageError, read
from tests.program.clouds import HASH, IMAGE
from tests.unit.arm_parts import conf

SAID = {
    "SSH_FROM": "198.51.100.0/24",
    "FIRST_USER": "ada",
    "FIRST_USER_HASH": HASH,
    "IMAGE": IMAGE,
}
MAKING = {
    "gcp": (
        "compute networks create",
        "compute networks subnets create",
        "compute firewall-rules create",
        "compute addresses create",
        "compute disks create",
        "compute resource-policies create snapshot-schedule",
        "compute disks add-resource-policies",
        "compute instances create",
    ),
    "digitalocean": (
        "compute ssh-key import",
        "compute tag create",
        "compute firewall create",
        "compute volume create",
        "compute reserved-ip create",
        "compute droplet create",
        "compute reserved-ip-action assign",
    ),
}
TOOLS = {"gcp": "gcloud", "digitalocean": "doctl"}


@dataclass
class Cloud:
    """An account at a provider, and a shell that is signed in."""

    provider: str
    root: Path
    home: Path
    environment: dict[str, str]

    @property
    def command(self) -> list[str]:
        return [str(self.root / "deploy" / self.provider / "create")]

    @property
    def scratch(self) -> list[Path]:
        """What the scripts have left of what was theirs alone."""
        return list((self.home / "tmp").iterdir())

    @property
    def _state(self) -> dict[str, Any]:
        path = self.home / "cloud.json"
        return json.loads(path.read_text()) if path.exists() else {"made": {}, "calls": []}

    @property
    def made(self) -> dict[str, Any]:
        return self._state["made"]

    @property
    def calls(self) -> list[str]:
        return [shlex.join(call) for call in self._state["calls"]]

    def create(self, typed: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command,
            env={**self.environment, **more},
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture(params=TOOLS)
def cloud(request: pytest.FixtureRequest, root: Path, tmp_path: Path) -> Cloud:
    for folder in ("bin", "tmp", ".ssh"):
        (tmp_path / folder).mkdir()
    for tool in TOOLS.values():
        program = tmp_path / "bin" / tool
        program.write_text(
            f'#!/bin/sh\nexec {sys.executable} -m tests.engine.fake_cloud {tool} "$@"\n'
        )
        program.chmod(0o755)
    key = tmp_path / ".ssh/id_ed25519"
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", key], check=True)
    shown = subprocess.run(
        ["ssh-keygen", "-E", "md5", "-lf", key], check=True, capture_output=True, text=True
    )
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path / "tmp"),
        "PYTHONPATH": str(root),
        "FAKE_CLOUD": str(tmp_path / "cloud.json"),
        "FAKE_FINGERPRINT": shown.stdout.split()[1].removeprefix("MD5:"),
        "PROJECT": "example-project",
        "ZONE": "europe-west3-a",
        "REGION": "fra1",
        "SSH_PUBLIC_KEY": (tmp_path / ".ssh/id_ed25519.pub").read_text().strip(),
        **SAID,
    }
    return Cloud(request.param, root, tmp_path, environment)


def user_data(made: Mapping[str, Any]) -> str:
    if "instances" in made:
        return made["instances"]["opencode"]["files"]["user-data"]
    return made["droplet"]["opencode"]["user-data"]


def test_what_was_said_makes_a_machine_and_a_second_run_nothing(cloud: Cloud):
    done = cloud.create()
    assert done.returncode == 0, done.stderr
    assert "https://203-0-113-7.sslip.io" in done.stdout
    assert "ssh opencode@203.0.113.7" in done.stdout
    told = user_data(cloud.made)
    assert yaml.safe_load(told)["users"][0]["ssh_authorized_keys"] == [
        cloud.environment["SSH_PUBLIC_KEY"]
    ]
    assert conf(told)["ADDRESS"] == "203.0.113.7"
    first = cloud.made
    again = cloud.create()
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-2:] == done.stdout.splitlines()[-2:]
    assert cloud.made == first


def test_ssh_is_open_to_the_own_network_alone(cloud: Cloud):
    assert cloud.create().returncode == 0
    made = cloud.made
    if cloud.provider == "gcp":
        rules = made["firewall-rules"].values()
        opened = {rule["--allow"]: rule["--source-ranges"] for rule in rules}
        assert opened == {"tcp:443,tcp:80": "0.0.0.0/0", "tcp:22": "198.51.100.0/24"}
    else:
        rules = made["firewall"]["opencode"]["--inbound-rules"].split()
        assert "protocol:tcp,ports:22,address:198.51.100.0/24" in rules
        assert len([rule for rule in rules if "ports:22," in rule]) == 1


def test_the_data_has_a_disk_of_its_own(cloud: Cloud):
    assert cloud.create(DATA_DISK_GB="50").returncode == 0
    made = cloud.made
    if cloud.provider == "gcp":
        disk = made["disks"]["opencode-data"]
        assert (disk["--size"], disk["resourcePolicies"]) == ("50GB", "opencode")
        assert "auto-delete=no" in made["instances"]["opencode"]["--disk"]
    else:
        assert made["volume"]["opencode"]["--size"] == "50GiB"
        assert made["droplet"]["opencode"]["--volumes"] == made["volume"]["opencode"]["ID"]


def test_no_secret_is_in_a_call_or_left_behind(cloud: Cloud):
    done = cloud.create()
    assert done.returncode == 0
    assert HASH not in "\n".join(cloud.calls) + done.stdout + done.stderr
    assert cloud.scratch == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SSH_PUBLIC_KEY", "no key"),
        ("SSH_FROM", "everybody"),
        ("SSH_FROM", "300.0.0.0/8"),
        ("FIRST_USER", "Root User"),
        ("FIRST_USER", "ada\nTLS=off"),
        ("FIRST_USER_HASH", "a password"),
        ("IMAGE", "opencode-cloud:latest"),
        ("DOMAIN", "https://a.example.org"),
        ("DATA_DISK_GB", "5"),
        ("NAME", "Open Code"),
        ("SIZE", "big; true"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(cloud: Cloud, name: str, value: str):
    done = cloud.create(**{name: value})
    assert done.returncode == 1
    assert name in done.stderr
    assert "Traceback" not in done.stderr
    assert cloud.made == {}
    assert cloud.scratch == []


def test_who_answers_wrongly_is_asked_again(cloud: Cloud):
    typed = "everybody\n198.51.100.0/24\n"
    done = cloud.create(typed, SSH_FROM="")
    assert done.returncode == 0, done.stderr
    assert "SSH_FROM cannot be 'everybody'" in done.stderr
    assert conf(user_data(cloud.made))["SSH_FROM"] == "198.51.100.0/24"


def test_what_is_usual_is_taken_by_return(cloud: Cloud):
    done = cloud.create("\n" * 3, PROJECT="", ZONE="", REGION="", SSH_PUBLIC_KEY="", FIRST_USER="")
    if cloud.provider == "gcp":
        done = cloud.create("\n" * 4, PROJECT="", ZONE="", SSH_PUBLIC_KEY="", FIRST_USER="")
    assert done.returncode == 0, done.stderr
    told = user_data(cloud.made)
    assert conf(told)["FIRST_USER"] == "admin"
    assert cloud.environment["SSH_PUBLIC_KEY"] in told


def test_without_a_key_and_somebody_to_ask_nothing_is_made(cloud: Cloud):
    (cloud.home / ".ssh/id_ed25519.pub").unlink()
    done = cloud.create(SSH_PUBLIC_KEY="")
    assert done.returncode == 1
    assert "SSH_PUBLIC_KEY is not said" in done.stderr
    assert cloud.made == {}


def test_a_missing_program_is_named(cloud: Cloud):
    alone = cloud.home / "alone"
    alone.mkdir()
    for name in ("dirname", "mktemp", "rm"):
        found = shutil.which(name)
        assert found
        (alone / name).symlink_to(found)
    done = cloud.create(PATH=str(alone))
    assert done.returncode == 1
    assert f"{TOOLS[cloud.provider]} is not here" in done.stderr


STEPS = [(provider, step) for provider, steps in MAKING.items() for step in steps]


def again(cloud: Cloud, stderr: str) -> subprocess.CompletedProcess[str]:
    """Run the script again as it said when it failed."""
    said = [line.strip() for line in stderr.splitlines() if line.strip().startswith("ADDRESS=")]
    more = dict(line.split()[0].split("=") for line in said)
    return cloud.create(**more)


@pytest.mark.parametrize(("cloud", "step"), STEPS, indirect=["cloud"])
def test_after_a_failure_another_run_makes_the_same(cloud: Cloud, step: str):
    failed = cloud.create(FAKE_FAILS=step)
    assert failed.returncode != 0
    assert "a bad day" in failed.stderr or step == "compute tag create"
    assert cloud.scratch == []
    done = again(cloud, failed.stderr)
    assert done.returncode == 0, done.stderr
    broken = cloud.made
    (cloud.home / "cloud.json").unlink()
    assert cloud.create().returncode == 0
    assert broken == cloud.made


@pytest.mark.parametrize(("cloud", "step"), STEPS, indirect=["cloud"])
def test_an_interruption_ends_it_and_leaves_nothing_of_the_user_alone(cloud: Cloud, step: str):
    process = subprocess.Popen(
        cloud.command,
        env={**cloud.environment, "FAKE_HANGS": step},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    hangs = Path(f"{cloud.environment['FAKE_CLOUD']}.hangs")
    try:
        deadline = time.monotonic() + 60
        while not hangs.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, f"{step} was not reached"
            time.sleep(0.05)
        # As a terminal does it: to the script and to what it waits for.
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    assert cloud.scratch == []
    calls = len(cloud.calls)
    done = again(cloud, stderr)
    assert done.returncode == 0, done.stderr
    assert len(cloud.calls) > calls


@pytest.mark.parametrize("cloud", ["digitalocean"], indirect=True)
def test_an_address_that_is_in_no_use_is_never_forgotten(cloud: Cloud):
    failed = cloud.create(FAKE_FAILS="compute droplet create")
    assert "The address 203.0.113.7 is reserved" in failed.stderr
    failed = cloud.create(ADDRESS="203.0.113.7", FAKE_FAILS="compute reserved-ip-action assign")
    assert "203.0.113.7" in failed.stderr
    unsaid = cloud.create()
    assert unsaid.returncode == 1
    assert "has no reserved address" in unsaid.stderr
    assert cloud.create(ADDRESS="203.0.113.7").returncode == 0
    assert list(cloud.made["reserved-ip"]) == ["203.0.113.7"]


@pytest.mark.parametrize(
    "line",
    [
        "gcloud compute network create opencode",
        "gcloud compute networks create Open_Code",
        "gcloud compute networks create opencode --subnet-modes=custom",
        "gcloud compute networks create opencode --subnet-mode=own",
        "gcloud compute disks create opencode-data --size=20GB",
        "gcloud compute instances describe opencode --zone=europe-west3",
        "doctl compute volume create opencode --region fra1",
        "doctl compute volume create opencode --region fra1 --size 20",
        "doctl compute firewall create --name opencode --inbound-rules ports:22",
        "doctl compute droplet create opencode --image debian-13-x64 --region fra1",
        "doctl compute reserved-ip-action assign 203.0.113.7",
    ],
)
def test_a_call_that_the_references_have_not_is_found(line: str):
    tool, *arguments = shlex.split(line)
    with pytest.raises(UsageError):
        read(tool, arguments)
