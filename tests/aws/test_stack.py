"""The stack of AWS through the real provider: up, another size, another machine, and away."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws.amazon import REGION, Aws, deployed
from tests.program.clouds import HASH


@pytest.fixture(scope="module")
def aws(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with deployed(root, tmp_path_factory.mktemp("aws")) as made:
        made.stack.up()
        yield made


def test_up_makes_the_machine_where_the_settings_say(aws: Aws):
    found = aws.instance()
    assert found["ImageId"] == "ami-10", "Debian's newest for x86-64"
    assert found["InstanceType"] == "t3.medium"
    assert found["Placement"]["AvailabilityZone"].startswith(REGION)
    assert found["MetadataOptions"]["HttpTokens"] == "required"
    outputs = aws.stack.outputs()
    assert outputs["address"] == aws.address()
    assert outputs["machine"] == found["InstanceId"]
    assert outputs["url"] == f"https://{aws.address().replace('.', '-')}.sslip.io"
    [fingerprint] = outputs["hostFingerprints"]
    assert fingerprint.startswith("SHA256:")


def test_the_data_disk_is_encrypted_at_the_machine_and_has_snapshots(aws: Aws):
    disk = aws.data()
    assert disk["Encrypted"] is True
    assert disk["Attachments"][0]["InstanceId"] == aws.instance()["InstanceId"]
    [policy] = aws.policies.values()
    assert policy["PolicyDetails"]["TargetTags"] == [
        {"Key": "opencode-cloud-data", "Value": "proof"}
    ]


def test_what_is_secret_is_not_in_the_state(aws: Aws):
    state = aws.stack.pulumi("stack", "export", "--stack", "proof")
    assert HASH not in state


def test_up_again_changes_nothing(aws: Aws):
    aws.stack.preview("--expect-no-changes", "--refresh")


def test_another_size_keeps_the_machine_its_disk_and_its_address(aws: Aws):
    before, disk, address = aws.instance(), aws.data(), aws.address()
    aws.stack.configure({"size": "t3.large"})
    aws.stack.up()
    after = aws.instance()
    assert after["InstanceType"] == "t3.large"
    assert after["InstanceId"] == before["InstanceId"]
    assert aws.data()["VolumeId"] == disk["VolumeId"]
    assert aws.address() == address


def test_a_replaced_machine_has_the_same_disk_and_address(aws: Aws):
    before, disk, address = aws.instance(), aws.data(), aws.address()
    aws.replace_machine()
    after = aws.instance()
    assert after["InstanceId"] != before["InstanceId"]
    assert aws.data()["VolumeId"] == disk["VolumeId"]
    assert aws.data()["Attachments"][0]["InstanceId"] == after["InstanceId"]
    assert aws.address() == address == after["PublicIpAddress"]


def test_destroy_leaves_the_data_and_nothing_else(aws: Aws):
    disk = aws.data()
    aws.stack.operate("destroy", "--yes", "--skip-preview", "--exclude-protected")
    assert aws.data()["VolumeId"] == disk["VolumeId"]
    assert aws.data()["Attachments"] == []
    assert not aws.ec2.describe_addresses()["Addresses"]
    own = [{"Name": "tag:opencode-cloud-stack", "Values": ["proof"]}]
    assert not aws.ec2.describe_vpcs(Filters=own)["Vpcs"]


def test_data_that_are_to_go_go(aws: Aws):
    aws.stack.remove()
    whose = [{"Name": "tag:opencode-cloud-data", "Values": ["proof"]}]
    assert not aws.ec2.describe_volumes(Filters=whose)["Volumes"]
