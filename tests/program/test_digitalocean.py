"""What is particular to the stack of DigitalOcean."""

from pathlib import Path

import pytest

from components.vm_digitalocean import fingerprint
from tests.program.clouds import KEY, run
from tests.program.recorder import Recorder

DROPLET = ("digitalocean:index/droplet:Droplet", "opencode-machine")
KEYS = "digitalocean:index/getSshKeys:getSshKeys"
SSH_KEY = ("digitalocean:index/sshKey:SshKey", "opencode-key")


@pytest.fixture(scope="module")
def digitalocean(root: Path) -> Recorder:
    return run(root, "digitalocean")


def found(name: str) -> dict[str, dict[str, list[dict[str, object]]]]:
    key = {"name": name, "fingerprint": fingerprint(KEY), "id": 1, "publicKey": KEY}
    return {KEYS: {"sshKeys": [key]}}


def test_the_firewall_is_there_before_what_it_protects(digitalocean: Recorder):
    waits_for = digitalocean.sent[DROPLET].dependencies
    assert [urn for urn in waits_for if urn.endswith("firewall:Firewall::opencode-rules")]
    firewall = digitalocean.inputs("digitalocean:index/firewall:Firewall", "opencode-rules")
    assert firewall["tags"] == digitalocean.inputs(*DROPLET)["tags"]


def test_a_key_that_the_account_has_under_another_name_is_not_made_again(root: Path):
    recorder = run(root, "digitalocean", found("ada's laptop"))
    assert SSH_KEY not in recorder.sent
    assert recorder.inputs(*DROPLET)["sshKeys"] == [fingerprint(KEY)]


def test_the_stacks_own_key_stays_its_own(root: Path):
    recorder = run(root, "digitalocean", found("opencode-prod"))
    assert recorder.inputs(*SSH_KEY) == {"name": "opencode-prod", "publicKey": KEY}


def test_a_keys_fingerprint_is_the_one_that_ssh_keygen_shows():
    # ssh-keygen -E md5 -lf
    assert fingerprint(KEY) == "4a:c4:51:f9:67:f4:b0:06:e1:f7:71:91:a4:cb:09:b2"


def test_another_size_leaves_the_disk_as_it_is_so_that_there_is_a_way_back(digitalocean: Recorder):
    assert digitalocean.inputs(*DROPLET)["resizeDisk"] is False


def test_the_image_is_debians_newest_by_name(digitalocean: Recorder):
    assert digitalocean.inputs(*DROPLET)["image"] == "debian-13-x64"
