"""`tls: alb` through the real provider: a load balancer with a certificate of one's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.aws.amazon import Aws, deployed
from tests.machine.provider import make_certificate

DOMAIN = "opencode.example.org"


@dataclass
class Balanced:
    """The stack, what AWS has of its load balancer, and the certificate."""

    aws: Aws
    certificate: str

    def __post_init__(self) -> None:
        self.elb = self.aws.client("elbv2")

    def balancer(self) -> dict[str, Any]:
        [found] = self.elb.describe_load_balancers()["LoadBalancers"]
        return found

    def listeners(self) -> dict[int, dict[str, Any]]:
        arn = self.balancer()["LoadBalancerArn"]
        found = self.elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
        return {listener["Port"]: listener for listener in found}

    def group(self) -> dict[str, Any]:
        [found] = self.elb.describe_target_groups()["TargetGroups"]
        return found

    def targets(self) -> list[tuple[str, int]]:
        health = self.elb.describe_target_health(TargetGroupArn=self.group()["TargetGroupArn"])
        found = [target["Target"] for target in health["TargetHealthDescriptions"]]
        return [(target["Id"], target["Port"]) for target in found]


@pytest.fixture(scope="module")
def balanced(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balanced]:
    folder = tmp_path_factory.mktemp("alb")
    with deployed(root, folder) as aws:
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        make_certificate(certificate, key, "192.0.2.1")
        arn = aws.client("acm").import_certificate(
            Certificate=certificate.read_bytes(), PrivateKey=key.read_bytes()
        )["CertificateArn"]
        aws.stack.configure({"tls": "alb", "alb_certificate": arn, "alb_domain": DOMAIN})
        aws.stack.up()
        yield Balanced(aws, arn)


def test_people_meet_the_certificate_and_their_http_is_sent_on(balanced: Balanced):
    listeners = balanced.listeners()
    assert set(listeners) == {80, 443}
    [certificate] = listeners[443]["Certificates"]
    assert certificate["CertificateArn"] == balanced.certificate
    assert listeners[443]["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    [redirect] = listeners[80]["DefaultActions"]
    assert redirect["RedirectConfig"]["Protocol"] == "HTTPS"
    outputs = balanced.aws.stack.outputs()
    assert outputs["url"] == f"https://{DOMAIN}"
    assert outputs["loadBalancer"] == balanced.balancer()["DNSName"]


def test_it_is_in_two_zones_and_leads_to_the_machine_by_https(balanced: Balanced):
    assert len(balanced.balancer()["AvailabilityZones"]) == 2
    assert balanced.group()["Protocol"] == "HTTPS"
    assert balanced.group()["HealthCheckPath"] == "/health"
    assert balanced.targets() == [(balanced.aws.instance()["PrivateIpAddress"], 443)]


def test_the_machine_is_reached_through_it_alone(balanced: Balanced):
    machine = balanced.aws.instance()["NetworkInterfaces"][0]["Groups"]
    groups = balanced.aws.ec2.describe_security_groups(GroupIds=[g["GroupId"] for g in machine])
    [group] = groups["SecurityGroups"]
    allowed = {
        (rule["FromPort"], network["CidrIp"])
        for rule in group["IpPermissions"]
        for network in rule["IpRanges"]
    }
    assert allowed == {(443, "10.20.0.0/22"), (22, "198.51.100.0/24")}


def test_silent_events_and_terminals_are_left_open(balanced: Balanced):
    arn = balanced.balancer()["LoadBalancerArn"]
    told = balanced.elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    attributes = {attribute["Key"]: attribute["Value"] for attribute in told}
    assert attributes["idle_timeout.timeout_seconds"] == "4000"
    assert attributes["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert attributes["routing.http.preserve_host_header.enabled"] == "true"


def test_up_again_changes_nothing(balanced: Balanced):
    balanced.aws.stack.preview("--expect-no-changes", "--refresh")


def test_another_machine_stands_at_the_same_place(balanced: Balanced):
    before, targets = balanced.aws.instance(), balanced.targets()
    balanced.aws.replace_machine()
    assert balanced.aws.instance()["InstanceId"] != before["InstanceId"]
    assert balanced.targets() == targets


def test_a_certificate_of_the_machines_own_takes_its_place_again(balanced: Balanced):
    balanced.aws.stack.unset("tls", "alb_certificate", "alb_domain")
    disk = balanced.aws.data()
    balanced.aws.stack.up()
    assert not balanced.elb.describe_load_balancers()["LoadBalancers"]
    assert not balanced.elb.describe_target_groups()["TargetGroups"]
    assert balanced.aws.data()["VolumeId"] == disk["VolumeId"]
    assert balanced.aws.stack.outputs()["url"].endswith(".sslip.io")
