"""`occ` on a rented machine: as on any host, with changes that go over SSH.

The machine is booted for real from what its provider would be given. What the provider itself does
is left out of the program: here it stands there already.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.models.networks import Network

from opencode_cloud.cloud_settings import Target
from opencode_cloud.spec.cloud_config import render
from tests.engine.operator import Operator, OperatorOcc
from tests.machine.cloud import Cloud, rented
from tests.machine.provider import STACK, Provider, provided

NUMBER = 31
"""Last part of the machine's address."""
STANDING = """
import pulumi
import pulumi_command as command

from components.vm import Vm
from stacks.cloud import rent


class Standing(Vm):
    def __init__(self, name, args, opts=None):
        super().__init__("opencode:index:Standing", name, args, opts)
        address = pulumi.Output.from_input("{address}")
        self._finish(address, pulumi.Output.from_input("machine-1"), self)


def deploy(deployment):
    rent(deployment, Standing, command.Provider("command"))
"""
BROKEN = "RUN rm -f /usr/local/bin/opencode"
SESSION = "/home/opencode/.local/share/opencode/kept.txt"


@dataclass(frozen=True)
class Renter:
    """Somebody who looks after a rented machine, and the machine."""

    by: Operator
    there: Cloud
    provider: Provider

    @property
    def occ(self) -> OperatorOcc:
        return self.by.occ

    def status(self) -> dict:
        return json.loads(self.occ("status", "--json"))

    def runs(self) -> str:
        """Give the image that the machine's container was made of."""
        shown = self.there.as_root(f"docker inspect -f {{{{.Config.Image}}}} opencode-{STACK}")
        return shown.strip()

    def identity(self) -> str:
        return self.there.as_root(f"docker inspect -f {{{{.Image}}}} opencode-{STACK}").strip()

    def conf(self) -> str:
        return self.there.as_root("cat /etc/opencode-cloud/machine.conf")

    def inside(self, *words: str) -> str:
        return self.occ("shell", *words)


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    """What is broken is waited for, and what is put back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.engine.occ.SECONDS", 600)
        yield


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
        *(docker_client, network, root, image), folder=folder, numbers=(), others=(BROKEN,)
    ) as made:
        yield made


@pytest.fixture(scope="module")
def renter(
    root: Path, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Renter]:
    values = provider.values(Target.DIGITALOCEAN, NUMBER, tls="internal")
    settings = provider.settings(Target.DIGITALOCEAN, NUMBER, tls="internal")
    by = Operator(tmp_path_factory.mktemp("renter"), STACK, 443, provider.client)
    by.prepare(root)
    (by.data / "state").mkdir()
    (by.data / "passphrase").write_text("for this run alone")
    with rented(
        provider.client,
        provider.network,
        render(provider.described(settings)),
        provider.key,
        number=NUMBER,
        device=provider.device,
        authority=provider.authority,
        with_docker=True,
    ) as there:
        standing = by.checkout / "stacks" / "digitalocean.py"
        standing.write_text(STANDING.format(address=there.address))
        stack = by.deployment.stack
        first_hash = values.pop("first_user_hash")
        stack.create({**values, "ssh_identity_file": str(provider.key)})
        secret = ("config", "set", "--secret", "--stack", STACK)
        stack.pulumi(*secret, "opencode:first_user_hash", first_hash)
        stack.up()
        yield Renter(by, there, provider)


def test_it_is_looked_at_from_here(renter: Renter):
    seen = renter.status()
    assert (seen["state"], seen["health"]) == ("running", "healthy"), seen
    assert seen["url"] == f"https://{renter.there.address}:443"
    assert json.loads(renter.occ("user", "list", "--json"))[0]["name"] == "admin"
    assert "opencode" in renter.occ("logs", "-n", "50")


def test_a_setting_and_a_secret_go_over_ssh(renter: Renter):
    machine = renter.there.as_root("cat /etc/machine-id")
    renter.occ("secret", "set", "PLANTED", "--stdin", stdin=b"of-nobody-else\n")
    renter.occ("config", "set", "memory_mb", "1536", "--apply")
    assert renter.there.as_root("cat /etc/machine-id") == machine
    limit = renter.there.as_root(f"docker inspect -f {{{{.HostConfig.Memory}}}} opencode-{STACK}")
    assert int(limit) == 1536 << 20
    shown = renter.there.as_root(f"docker inspect opencode-{STACK}")
    assert "of-nobody-else" not in shown
    assert "of-nobody-else" in renter.there.as_root(
        f"docker exec opencode-{STACK} cat /etc/opencode-cloud/secrets/PLANTED"
    )


def test_an_update_takes_a_backup_and_keeps_what_people_made(renter: Renter):
    renter.inside("sh", "-c", f"echo mine > {SESSION}")
    before, other = renter.identity(), renter.provider.images[1]
    renter.occ("update", "--to", other)
    assert renter.runs() == other
    assert renter.identity() != before
    assert f"IMAGE={other}\n" in renter.conf()
    assert renter.inside("cat", SESSION) == "mine\n"
    assert renter.status()["health"] == "healthy"


def test_what_is_broken_is_put_back_on_the_machine_too(renter: Renter):
    before = renter.identity()
    done = renter.occ.attempt("update", "--to", renter.provider.images[3])
    assert done.returncode == 1, done
    assert b"All is as it was" in done.stderr, done
    assert renter.identity() == before
    assert renter.status()["health"] == "healthy"
    assert renter.inside("cat", SESSION) == "mine\n"
    # So that the next boot does not bring what is broken either.
    assert renter.conf().partition("IMAGE=")[2].partition("\n")[0] != renter.provider.images[3]


def test_an_update_is_undone(renter: Renter):
    renter.occ("update", "--rollback", "--yes")
    assert renter.status()["health"] == "healthy"
    first = renter.there.as_root(f"docker image inspect -f {{{{.Id}}}} {renter.provider.images[0]}")
    assert renter.identity() == first.strip()


def test_an_update_to_an_image_that_is_built_builds_it_there(
    renter: Renter, build_settings: dict[str, str]
):
    if "base_image" in build_settings:
        renter.there.give(build_settings["base_image"])
    settings, before = renter.by.stack_file.read_text(), renter.identity()
    renter.inside("sh", "-c", f"echo before > {SESSION}")
    for name, value in build_settings.items():
        renter.occ("config", "set", name, value)
    renter.occ("config", "unset", "kept_image")
    renter.occ("update", "--yes")
    assert renter.runs().startswith(f"opencode-cloud:{STACK}-")
    assert renter.inside("cat", SESSION) == "before\n"
    # So that the next boot builds nothing else.
    assert f"IMAGE={renter.runs()}\n" in renter.conf()
    assert renter.status()["health"] == "healthy"
    renter.occ("update", "--rollback", "--yes")
    assert renter.status()["health"] == "healthy"
    assert renter.identity() == before
    renter.by.stack_file.write_text(settings)
    renter.occ("start")


def test_a_container_that_was_removed_is_made_again(renter: Renter):
    renter.there.as_root(f"docker rm --force opencode-{STACK}")
    renter.occ("start")
    assert renter.status()["health"] == "healthy"
    assert json.loads(renter.occ("user", "list", "--json"))[0]["name"] == "admin"


def test_the_image_is_pulled_again_on_the_machine(renter: Renter):
    renter.occ("config", "unset", "kept_image")
    renter.occ("start", "--pull-sandbox-image")
    assert renter.runs() == renter.provider.images[0]
    assert renter.status()["health"] == "healthy"


def test_a_backup_comes_back(renter: Renter):
    renter.inside("sh", "-c", f"echo saved > {SESSION}")
    file = renter.occ("backup", "create", "--quiet").strip()
    renter.inside("sh", "-c", f"echo lost > {SESSION}")
    renter.occ("backup", "restore", file, "--yes")
    assert renter.inside("cat", SESSION) == "saved\n"


def test_a_restart_of_the_machine_brings_the_same_back(renter: Renter):
    before = renter.identity()
    renter.there.container.restart(timeout=60)
    renter.there.wait_for(200)
    assert renter.identity() == before
    assert renter.status()["health"] == "healthy"


def test_another_operator_finds_it_by_the_stacks_outputs(renter: Renter):
    record = renter.by.data / "ssh" / f"{STACK}.machine.json"
    record.unlink()
    assert renter.status()["health"] == "healthy"
    assert record.is_file()
