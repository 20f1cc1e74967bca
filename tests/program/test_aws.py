"""What is particular to the stack of AWS."""

import json
from pathlib import Path

import pulumi
import pytest

from tests.program.clouds import run
from tests.program.recorder import Recorder

INSTANCE = ("aws:ec2/instance:Instance", "opencode-machine")
OFFERS = "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings"


@pytest.fixture(scope="module")
def aws(root: Path) -> Recorder:
    return run(root, "aws")


def test_the_metadata_service_asks_for_a_token_and_is_out_of_a_containers_reach(aws: Recorder):
    assert aws.inputs(*INSTANCE)["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
    }


def test_both_disks_are_encrypted(aws: Recorder):
    assert aws.inputs("aws:ebs/volume:Volume", "opencode-data")["encrypted"] is True
    assert aws.inputs(*INSTANCE)["rootBlockDevice"]["encrypted"] is True


def test_the_machine_has_no_rights_at_aws(aws: Recorder):
    inputs = aws.inputs(*INSTANCE)
    assert "iamInstanceProfile" not in inputs
    assert "keyName" not in inputs


def test_the_one_role_is_for_snapshots_alone(aws: Recorder):
    roles = [name for kind, name in aws.sent if kind == "aws:iam/role:Role"]
    assert roles == ["opencode-snapshots"]
    trusted = json.loads(aws.inputs("aws:iam/role:Role", roles[0])["assumeRolePolicy"])
    assert trusted["Statement"][0]["Principal"] == {"Service": "dlm.amazonaws.com"}


def test_snapshots_are_taken_of_the_disk_with_the_stacks_data(aws: Recorder):
    policy = aws.inputs("aws:dlm/lifecyclePolicy:LifecyclePolicy", "opencode-snapshots")
    wanted = policy["policyDetails"]["targetTags"]
    tags = aws.inputs("aws:ebs/volume:Volume", "opencode-data")["tags"]
    assert wanted.items() <= tags.items()
    assert policy["policyDetails"]["schedules"][0]["retainRule"] == {"count": 7}


def test_the_address_belongs_to_the_interface_that_outlives_the_machine(aws: Recorder):
    association = aws.inputs("aws:ec2/eipAssociation:EipAssociation", "opencode-address")
    interface = association["networkInterfaceId"]
    assert aws.inputs(*INSTANCE)["primaryNetworkInterface"] == {"networkInterfaceId": interface}
    assert "instanceId" not in association


def test_the_machine_starts_when_its_address_and_its_way_out_are_there(aws: Recorder):
    association = aws.sent["aws:ec2/eipAssociation:EipAssociation", "opencode-address"]
    assert [urn for urn in association.dependencies if "RouteTableAssociation::" in urn]
    routes = aws.sent["aws:ec2/routeTable:RouteTable", "opencode-routes"].dependencies
    assert [urn for urn in routes if urn.endswith("InternetGateway::opencode-gateway")]
    machine = aws.sent[INSTANCE].dependencies
    assert [urn for urn in machine if urn.endswith("EipAssociation::opencode-address")]


def test_everything_that_can_have_tags_says_whose_it_is(aws: Recorder):
    untagged = {
        kind.rpartition(":")[2]
        for kind, name in aws.sent
        if kind.startswith("aws:")
        and aws.inputs(kind, name).get("tags", {}).get("opencode-cloud-stack") != "prod"
    }
    assert untagged == {
        "EipAssociation",
        "RolePolicyAttachment",
        "RouteTableAssociation",
        "VolumeAttachment",
    }
    assert aws.inputs(*INSTANCE)["rootBlockDevice"]["tags"]["opencode-cloud-stack"] == "prod"


def test_bursting_costs_nothing_besides(aws: Recorder, root: Path):
    assert aws.inputs(*INSTANCE)["creditSpecification"] == {"cpuCredits": "standard"}
    assert "creditSpecification" not in run(root, "aws", size="m7i.large").inputs(*INSTANCE)


def test_debians_own_newest_image_is_looked_up_for_the_machines_architecture(
    aws: Recorder, root: Path
):
    def asked(recorder: Recorder) -> tuple[list[str], list[str]]:
        [lookup] = recorder.asked["aws:ec2/getAmi:getAmi"]
        return lookup["owners"], lookup["filters"][0]["values"]

    assert asked(aws) == (["136693071363"], ["debian-13-amd64-*"])
    arm = run(root, "aws", size="t4g.medium")
    assert asked(arm) == (["136693071363"], ["debian-13-arm64-*"])


def test_the_disk_is_in_a_zone_that_has_the_size_and_stays_there_and_the_machine_follows_it(
    aws: Recorder,
):
    disk = aws.sent["aws:ebs/volume:Volume", "opencode-data"]
    assert disk.object["availabilityZone"] == "eu-central-1a"
    assert list(disk.ignoreChanges) == ["availabilityZone"]
    assert not [urn for urn in disk.dependencies if "::opencode-" in urn]
    subnet = aws.sent["aws:ec2/subnet:Subnet", "opencode-subnet"]
    assert subnet.object["availabilityZone"] == "eu-central-1a"
    assert [urn for urn in subnet.dependencies if urn.endswith("Volume::opencode-data")]


def test_a_size_that_the_region_has_not_got_is_refused_in_words(root: Path):
    with pytest.raises(pulumi.RunError, match=r"no machines of the size m1\.rare in eu-central-1"):
        run(root, "aws", {OFFERS: {"locations": []}}, size="m1.rare")
