"""What is true of the stack of every cloud."""

import base64
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.vm import EVERYWHERE
from opencode_cloud.ops import rented
from opencode_cloud.spec.vm_bundle import END
from opencode_cloud.start.paths import Paths
from tests.program.clouds import (
    ADDRESS,
    APPLY,
    COMPUTED,
    HASH,
    IMAGE,
    LOOKUPS,
    REGIONS,
    STACK,
    configuration,
    inputs,
    is_secret,
    raw,
    readable,
    run,
)
from tests.program.recorder import Recorder

MACHINES = {
    "aws": ("aws:ec2/instance:Instance", "opencode-machine"),
    "gcp": ("gcp:compute/instance:Instance", "opencode-machine"),
    "azure": ("azure-native:compute:VirtualMachine", "opencode-machine"),
    "digitalocean": ("digitalocean:index/droplet:Droplet", "opencode-machine"),
}
DISKS = {
    "aws": ("aws:ebs/volume:Volume", "opencode-data"),
    "gcp": ("gcp:compute/disk:Disk", "opencode-data"),
    "azure": ("azure-native:compute:Disk", "opencode-data"),
    "digitalocean": ("digitalocean:index/volume:Volume", "opencode-data"),
}
FIRST_BOOT = {
    "aws": "userData",
    "gcp": "metadata",
    "azure": "osProfile",
    "digitalocean": "userData",
}
"""Which of a machine's inputs has the user-data."""

each = pytest.mark.parametrize("provider", REGIONS)


@pytest.fixture(scope="module")
def runs(root: Path) -> dict[str, Recorder]:
    return {provider: run(root, provider) for provider in REGIONS}


@each
def test_the_identities_of_the_resources_are_kept(provider: str, runs: dict[str, Recorder]):
    golden = Path(__file__).parent / f"golden/{provider}.json"
    assert runs[provider].urns() == json.loads(golden.read_text())


@each
def test_every_stack_tells_the_same_of_its_machine(provider: str, runs: dict[str, Recorder]):
    exports = runs[provider].exports()
    assert exports["url"] == "https://203-0-113-7.sslip.io"
    assert exports["ssh"] == f"ssh opencode@{ADDRESS}"
    assert exports["hostFingerprints"] == ["SHA256:x (ssh-ed25519)"]
    assert exports["monthlyCost"].split()[1:4] == ["USD", "a", "month"]
    assert exports["imageDigest"] == IMAGE
    assert set(exports) == {
        *("url", "address", "ssh", "user", "machine", "monthlyCost"),
        *("hostKeys", "hostFingerprints", "containerName", "imageDigest", "provenance"),
    }
    assert not runs[provider].secret_exports()


@each
def test_no_password_hash_and_no_secret_is_readable_anywhere(
    provider: str, runs: dict[str, Recorder]
):
    for resource in runs[provider].sent:
        text = readable(raw(runs[provider], resource))
        assert HASH not in text, resource
        assert "planted" not in text, resource


@each
def test_the_first_boot_is_told_the_hash_of_a_password_and_no_secret(
    provider: str, runs: dict[str, Recorder]
):
    field = FIRST_BOOT[provider]
    assert field in runs[provider].sent[MACHINES[provider]].additionalSecretOutputs
    told = first_boot(inputs(runs[provider], MACHINES[provider])[field])
    assert f"FIRST_USER_HASH={HASH}" in told
    assert "planted" not in told


@each
def test_other_user_data_and_a_newer_image_do_not_replace_the_machine(
    provider: str, runs: dict[str, Recorder]
):
    ignored = runs[provider].sent[MACHINES[provider]].ignoreChanges
    assert FIRST_BOOT[provider] in ignored
    assert len([field for field in ignored if "image" in field.lower() or field == "ami"]) == 1


@each
def test_a_replaced_machine_lets_go_of_its_disk_first(provider: str, runs: dict[str, Recorder]):
    assert runs[provider].sent[MACHINES[provider]].deleteBeforeReplace


@each
def test_the_data_disk_is_protected_and_outlives_its_stack_unless_its_name_is_said(
    provider: str, runs: dict[str, Recorder], root: Path
):
    disk = runs[provider].sent[DISKS[provider]]
    assert disk.protect
    assert disk.retainOnDelete
    armed = run(root, provider, delete_data_on_destroy=STACK).sent[DISKS[provider]]
    assert not armed.protect
    assert not armed.retainOnDelete


@each
def test_everything_uses_the_provider_that_the_settings_name(
    provider: str, runs: dict[str, Recorder]
):
    known = {"azure": "azure-native"}.get(provider, provider)
    leaves = [(k, s) for k, s in runs[provider].sent.items() if k[0].startswith(f"{known}:")]
    assert leaves
    for key, sent in leaves:
        assert f"pulumi:providers:{known}::{provider}::" in sent.provider, key


@each
def test_nothing_but_https_and_its_redirect_is_open_to_everybody(
    provider: str, runs: dict[str, Recorder]
):
    assert opened(runs[provider], provider) == {
        443: {"everybody"},
        80: {"everybody"},
        22: {"198.51.100.0/24"},
    }


@each
def test_another_port_is_opened_in_its_place(provider: str, root: Path):
    ports = opened(run(root, provider, port="8443", http_port="8080"), provider)
    assert set(ports) == {8443, 8080, 22}


@each
def test_ssh_is_let_in_from_several_networks_or_from_everywhere_when_it_is_said(
    provider: str, root: Path
):
    several = run(root, provider, ssh_from="198.51.100.0/24,192.0.2.1/32,2001:db8::/32")
    assert opened(several, provider)[22] == {"198.51.100.0/24", "192.0.2.1/32"}
    everywhere = run(root, provider, ssh_from="0.0.0.0/0")
    assert opened(everywhere, provider)[22] & {"0.0.0.0/0", "everybody"}


@each
def test_a_machine_that_nobody_could_administer_is_refused(provider: str, root: Path):
    with pytest.raises(pulumi.RunError, match="IPv4 address alone"):
        run(root, provider, ssh_from="2001:db8::/32")


@each
@pytest.mark.parametrize("missing", ["region", "ssh_public_key", "ssh_from"])
def test_what_only_its_owner_can_say_is_asked_for(provider: str, missing: str, root: Path):
    recorder = Recorder()
    config = configuration(provider)
    del config[f"opencode:{missing}"]
    with pytest.raises(pulumi.RunError, match=f"opencode:{missing}"):
        recorder.run(root, STACK, config, ["opencode:first_user_hash", "secret:KEY"])
    assert not [kind for kind, _ in recorder.sent if kind.startswith(("opencode:", "pulumi:prov"))]


@each
def test_changes_go_over_ssh_with_all_that_is_secret_on_standard_input(
    provider: str, runs: dict[str, Recorder]
):
    sent = runs[provider].sent[APPLY]
    assert is_secret(raw(runs[provider], APPLY)["stdin"])
    assert sorted(sent.additionalSecretOutputs) == ["stderr", "stdin", "stdout"]
    command = runs[provider].inputs(*APPLY)["create"]
    assert command.startswith(".venv/bin/python -m opencode_cloud.ops.machine_apply --stack prod ")
    assert f"--address {ADDRESS} --user opencode" in command
    assert runs[provider].inputs(*APPLY)["triggers"] == [0], "nothing that changes by itself"


@each
def test_the_machine_is_complete_before_anything_is_applied_to_it(
    provider: str, runs: dict[str, Recorder]
):
    last = {
        "aws": "VolumeAttachment::opencode-data",
        "gcp": "Instance::opencode-machine",
        "azure": "VirtualMachine::opencode-machine",
        "digitalocean": "ReservedIpAssignment::opencode-address",
    }
    waits_for = runs[provider].sent[APPLY].dependencies
    assert [urn for urn in waits_for if urn.endswith(last[provider])]


def test_what_did_not_end_well_is_applied_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    data = Paths.of(root, os.environ).data
    rented.write(data, STACK, rented.Rented(machine="4711", address=ADDRESS, user="opencode"))
    rented.have_applied_again(data, STACK)
    assert run(root, "aws").inputs(*APPLY)["triggers"] == [1]


@each
def test_what_is_applied_holds_the_secrets_and_is_whole(provider: str, runs: dict[str, Recorder]):
    files = unpacked(runs[provider])
    assert files["etc/opencode-cloud/secrets/KEY"] == "planted"
    assert f"IMAGE={IMAGE}\n" in files["etc/opencode-cloud/machine.conf"]
    assert f"ADDRESS={ADDRESS}\n" in files["etc/opencode-cloud/machine.conf"]
    assert END.path.lstrip("/") in files


def test_a_stack_without_secrets_is_applied_too(root: Path):
    recorder = Recorder(LOOKUPS, COMPUTED)
    config = configuration("aws")
    del config["secret:KEY"]
    recorder.run(root, STACK, config, ["opencode:first_user_hash"])
    assert not [name for name in unpacked(recorder) if "/secrets/" in name]


@each
def test_an_image_that_is_built_there_is_sent_with_its_folder(provider: str, root: Path):
    recorder = run(root, provider, image_source="build", prebuilt_image="")
    assert [name for name in unpacked(recorder) if name.endswith("context/Dockerfile")]


@each
def test_two_stacks_name_nothing_alike(provider: str, runs: dict[str, Recorder], root: Path):
    other = Recorder(*_answers(runs[provider])).run(
        root, "other", configuration(provider), ["opencode:first_user_hash", "secret:KEY"]
    )
    assert not names(runs[provider]) & names(other)


@each
def test_a_stack_loads_the_sdk_of_its_own_cloud_alone(provider: str, root: Path):
    probe = (
        f"import sys, stacks.{provider}; print(sorted({{m for m in sys.modules if m in ("
        "'pulumi_aws', 'pulumi_gcp', 'pulumi_azure_native', 'pulumi_digitalocean', 'boto3')}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", probe], cwd=root, capture_output=True, text=True, check=True
    )
    own = {"azure": "pulumi_azure_native"}.get(provider, f"pulumi_{provider}")
    assert result.stdout.strip() == repr([own])


@each
def test_no_input_is_the_text_of_an_unresolved_output(provider: str, runs: dict[str, Recorder]):
    assert "Calling __str__" not in json.dumps(runs[provider].all_inputs(), default=str)


@pytest.mark.parametrize(
    ("provider", "key"),
    [
        ("aws", "aws:region"),
        ("gcp", "gcp:project"),
        ("gcp", "gcp:zone"),
        ("azure", "azure-native:subscriptionId"),
    ],
)
def test_a_place_that_pulumis_own_configuration_names_besides_is_an_error(
    provider: str, key: str, root: Path
):
    recorder = Recorder()
    config = configuration(provider) | {key: "elsewhere"}
    with pytest.raises(pulumi.RunError, match=f"{key} is set, and is not used"):
        recorder.run(root, STACK, config, ["opencode:first_user_hash", "secret:KEY"])


def first_boot(field: Any) -> str:
    """User-data in a machine's input."""
    if isinstance(field, str):
        return field
    if "customData" in field:
        return base64.b64decode(field["customData"]).decode()
    return field["user-data"]


def names(recorder: Recorder) -> set[str]:
    """Names that the provider is given."""
    fields = ("name", "vmName", "diskName", "networkInterfaceName", "resourceGroupName")
    return {
        given[field]
        for given in recorder.all_inputs()
        for field in fields
        if isinstance(given.get(field), str)
    }


def unpacked(recorder: Recorder) -> dict[str, str]:
    """Files of the archive that the machine is given."""
    packed = raw(recorder, APPLY)["stdin"]["value"]
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed))) as archive:
        return {
            member.name: (archive.extractfile(member) or io.BytesIO()).read().decode()
            for member in archive
        }


def _answers(recorder: Recorder) -> tuple[Any, Any]:
    echo: Any = recorder.mocks
    return echo.lookups, echo.computed


def opened(recorder: Recorder, provider: str) -> dict[int, set[str]]:
    """Ports that other machines reach, and from where."""
    found: dict[int, set[str]] = {}
    for port, networks in _rules(recorder, provider):
        everybody = set(networks) & {*EVERYWHERE, "*"} and port != 22
        found.setdefault(port, set()).update({"everybody"} if everybody else networks)
    return found


def _rules(recorder: Recorder, provider: str) -> list[tuple[int, list[str]]]:
    if provider == "aws":
        rules = recorder.inputs("aws:ec2/securityGroup:SecurityGroup", "opencode-rules")["ingress"]
        return [(int(rule["fromPort"]), rule["cidrBlocks"]) for rule in rules]
    if provider == "digitalocean":
        firewall = recorder.inputs("digitalocean:index/firewall:Firewall", "opencode-rules")
        return [(int(r["portRange"]), r["sourceAddresses"]) for r in firewall["inboundRules"]]
    if provider == "azure":
        kind = "azure-native:network:NetworkSecurityGroup"
        rules = recorder.inputs(kind, "opencode-rules")["securityRules"]
        return [
            (
                int(rule["destinationPortRange"]),
                rule.get("sourceAddressPrefixes") or [rule["sourceAddressPrefix"]],
            )
            for rule in rules
        ]
    firewalls = [
        recorder.inputs("gcp:compute/firewall:Firewall", f"opencode-{kind}")
        for kind in ("web", "ssh")
    ]
    return [
        (int(port), rule["sourceRanges"])
        for rule in firewalls
        for port in rule["allows"][0]["ports"]
    ]


@each
def test_an_sdk_that_is_not_installed_is_said_in_words(
    provider: str, root: Path, monkeypatch: pytest.MonkeyPatch
):
    sdk = {"azure": "pulumi_azure_native"}.get(provider, f"pulumi_{provider}")
    monkeypatch.setitem(sys.modules, sdk, None)
    for name in (f"stacks.{provider}", f"components.vm_{provider}"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(pulumi.RunError, match=f"-r requirements-{provider}.txt"):
        run(root, provider)


@each
def test_the_template_for_pulumi_new_is_the_same_program(
    provider: str, runs: dict[str, Recorder], root: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert run(root / "templates" / provider, provider).urns() == runs[provider].urns()
