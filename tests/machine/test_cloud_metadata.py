"""A rented machine asks for its address, each provider's metadata service as that one answers.

What is under test is the step that a machine runs; a server that is as strict as the provider's
documentation says stands in for the service.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import docker
import pytest

from opencode_cloud.cloud_settings import Target
from opencode_cloud.spec.cloud_config import example
from opencode_cloud.spec.vm_bundle import packed as archive
from tests.engine.newcomer import Run
from tests.machine.cloud import cloud_image
from tests.machine.debian import REPOSITORY, Machine, create, packed

SERVER = Path(__file__).with_name("metadata.py")
STEP = "/usr/lib/opencode-cloud/steps/35-address"
ADDRESS = "203.0.113.7"
GCP = "/computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip"
AZURE = "/metadata/instance/network/interface/0/ipv4/ipAddress/0/publicIpAddress"
RULE = {"frontendIpAddress": "198.51.100.1", "privateIpAddress": "10.1.0.4"}


@dataclass(frozen=True)
class Asker(Machine):
    """A machine with the steps on it."""

    @property
    def checkout(self) -> str:
        """There is none."""
        return "/"

    def ask(
        self,
        root: Path,
        provider: Target,
        known: Mapping[str, object] | None,
        tls: str = "sslip",
        served: Target | None = None,
    ) -> Run:
        """Run the step.

        Args:
            root: of the checkout.
            provider: whose machine it is.
            known: to the metadata service; ``None`` when there is none.
            tls: the machine's setting.
            served: the provider whose service it is, when that is another.
        """
        made = example(provider, root)
        made = replace(made, values={**made.values, "TLS": tls})
        self.container.put_archive("/", archive(made.files))
        self.container.put_archive("/", packed({"root/known": json.dumps(known).encode()}))
        if known is None:
            return self.run(STEP)
        start = f"exec python3 /root/metadata.py {served or provider} < /root/known"
        self.container.exec_run(["sh", "-c", f"echo $$ > /root/pid; {start}"], detach=True)
        self.as_root("until curl -s -o /dev/null http://169.254.169.254/; do sleep 0.1; done")
        try:
            return self.run(STEP)
        finally:
            self.as_root("kill $(cat /root/pid); tail --pid $(cat /root/pid) -s 0.1 -f /dev/null")


@pytest.fixture(scope="module")
def asker(docker_client: docker.DockerClient) -> Iterator[Asker]:
    made = create(
        docker_client,
        f"{REPOSITORY}-metadata-{secrets.token_hex(4)}",
        cloud_image(docker_client, with_docker=True),
        systemd=False,
    )
    try:
        made.put_archive("/", packed({"root/metadata.py": SERVER.read_bytes()}))
        made.start()
        booted = Asker(made, "root")
        booted.as_root("ip address add 169.254.169.254/32 dev lo; mkdir /var/lib/opencode-cloud")
        yield booted
    finally:
        made.remove(force=True, v=True)


KNOWN: dict[str, tuple[Target, dict[str, object]]] = {
    "aws": (Target.AWS, {"/latest/meta-data/public-ipv4": ADDRESS}),
    "gcp": (Target.GCP, {GCP: ADDRESS}),
    "azure, a standard address": (
        Target.AZURE,
        {
            AZURE: "",
            "/metadata/loadbalancer": {
                "loadbalancer": {
                    "publicIpAddresses": [
                        {"frontendIpAddress": ADDRESS, "privateIpAddress": "10.1.0.4"}
                    ],
                    "inboundRules": [{**RULE, "protocol": "tcp", "frontendPort": 80}],
                    "outboundRules": [RULE],
                }
            },
        },
    ),
    "azure, a basic address": (Target.AZURE, {AZURE: ADDRESS}),
    "digitalocean, a reserved address": (
        Target.DIGITALOCEAN,
        {
            "/metadata/v1/reserved_ip/ipv4/ip_address": ADDRESS,
            "/metadata/v1/interfaces/public/0/ipv4/address": "198.51.100.1",
        },
    ),
    "digitalocean, the droplet's own": (
        Target.DIGITALOCEAN,
        {"/metadata/v1/interfaces/public/0/ipv4/address": ADDRESS},
    ),
}


@pytest.mark.parametrize("case", KNOWN)
def test_the_address_is_asked_for_as_the_provider_wants_to_be_asked(
    asker: Asker, root: Path, case: str
):
    provider, known = KNOWN[case]
    done = asker.ask(root, provider, known)
    assert done.code == 0, done.out
    assert asker.as_root("cat /var/lib/opencode-cloud/address") == f"{ADDRESS}\n"
    assert done.out.splitlines()[-1] == ADDRESS


@pytest.mark.parametrize("provider", [Target.AWS, Target.GCP, Target.AZURE, Target.DIGITALOCEAN])
def test_a_machine_without_a_public_address_is_told_what_to_do(
    asker: Asker, root: Path, provider: Target
):
    nothing: dict[Target, dict[str, object]] = {Target.GCP: {GCP: ""}, Target.AZURE: {AZURE: ""}}
    done = asker.ask(root, provider, nothing.get(provider, {}))
    assert done.code == 1
    assert "knows no public address of this machine" in done.out
    assert "pulumi config set opencode:tls" in done.out


@pytest.mark.parametrize("provider", [Target.AWS, Target.GCP, Target.AZURE, Target.DIGITALOCEAN])
def test_a_service_that_does_not_answer_is_named(asker: Asker, root: Path, provider: Target):
    done = asker.ask(root, provider, None)
    assert done.code == 1
    assert "169.254.169.254" in done.out
    assert "metadata service does not answer" in done.out
    assert "knows no public address" not in done.out


def test_a_machine_that_needs_no_public_address_goes_on_without(asker: Asker, root: Path):
    done = asker.ask(root, Target.AWS, {}, tls="internal")
    assert done.code == 0, done.out
    assert asker.as_root("cat /var/lib/opencode-cloud/address") == "\n"


def test_a_service_that_wants_to_be_asked_otherwise_is_heard(asker: Asker, root: Path):
    asked_as_another = {"/latest/meta-data/public-ipv4": ADDRESS}
    done = asker.ask(root, Target.GCP, asked_as_another, served=Target.AWS)
    assert done.code == 1
    assert "returned error: 401" in done.out
