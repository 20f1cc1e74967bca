"""The stack of AWS with a load balancer in front."""

import json
from pathlib import Path

import pulumi
import pytest

from tests.program.clouds import run
from tests.program.recorder import Recorder

ARN = "arn:aws:acm:eu-central-1:123456789012:certificate/1f0c"
ZONES = "aws:index/getAvailabilityZones:getAvailabilityZones"
THREE = {ZONES: {"names": ["eu-central-1c", "eu-central-1b", "eu-central-1a"]}}
BALANCED = {"tls": "alb", "alb_certificate": ARN, "alb_domain": "opencode.example.org"}
LISTENER = "aws:lb/listener:Listener"


@pytest.fixture(scope="module")
def balanced(root: Path) -> Recorder:
    return run(root, "aws", THREE, **BALANCED)


def test_the_identities_of_the_resources_are_kept(balanced: Recorder):
    golden = Path(__file__).parent / "golden/aws_load_balancer.json"
    assert balanced.urns() == json.loads(golden.read_text())


def test_people_meet_the_certificate(balanced: Recorder):
    https = balanced.inputs(LISTENER, "opencode-https")
    assert (https["port"], https["protocol"], https["certificateArn"]) == (443, "HTTPS", ARN)
    http = balanced.inputs(LISTENER, "opencode-http")["defaultActions"]
    assert http == [
        {
            "type": "redirect",
            "redirect": {"protocol": "HTTPS", "port": "443", "statusCode": "HTTP_301"},
        }
    ]
    assert balanced.exports()["url"] == "https://opencode.example.org"
    assert "loadBalancer" in balanced.exports()


def test_nobody_else_reaches_the_machine(balanced: Recorder):
    rules = balanced.inputs("aws:ec2/securityGroup:SecurityGroup", "opencode-rules")["ingress"]
    assert [(rule["fromPort"], rule["cidrBlocks"]) for rule in rules] == [
        (443, ["10.20.0.0/22"]),
        (22, ["198.51.100.0/24"]),
    ]


def test_it_reaches_the_machine_and_nothing_else(balanced: Recorder):
    [rule] = balanced.inputs("aws:ec2/securityGroup:SecurityGroup", "opencode-alb")["egress"]
    assert (rule["fromPort"], rule["toPort"], rule["cidrBlocks"]) == (443, 443, ["10.20.0.0/22"])


def test_its_second_zone_is_another_than_the_machines_and_stays(balanced: Recorder):
    subnet = balanced.sent["aws:ec2/subnet:Subnet", "opencode-alb"]
    assert subnet.object["availabilityZone"] == "eu-central-1b"
    assert list(subnet.ignoreChanges) == ["availabilityZone"]


def test_it_costs_what_is_said(balanced: Recorder, root: Path):
    def monthly(recorder: Recorder) -> float:
        return float(recorder.exports()["monthlyCost"].split()[0])

    assert monthly(balanced) > monthly(run(root, "aws")) + 20


def test_everything_that_can_have_tags_says_whose_it_is(balanced: Recorder):
    for kind, name in balanced.sent:
        if kind.startswith("aws:lb/") and "Attachment" not in kind:
            assert balanced.inputs(kind, name)["tags"]["opencode-cloud-stack"] == "prod", kind


def test_a_region_with_one_zone_alone_is_refused_in_words(root: Path):
    one = {ZONES: {"names": ["eu-central-1a"]}}
    with pytest.raises(pulumi.RunError, match="no second zone besides eu-central-1a"):
        run(root, "aws", one, **BALANCED)


def test_without_it_nothing_of_it_is_made(root: Path):
    assert not [kind for kind, _ in run(root, "aws").sent if kind.startswith("aws:lb/")]
