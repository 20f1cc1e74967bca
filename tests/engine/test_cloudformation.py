"""The button of AWS: linted, and created with a server that plays AWS."""

import base64
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from tests.program.clouds import HASH, IMAGE, KEY

REGION = "eu-central-1"
DEBIAN = "/aws/service/debian/release/13/latest/amd64"
PARAMETERS = {
    "SshPublicKey": KEY,
    "SshFrom": "198.51.100.0/24",
    "PasswordHash": HASH,
    "Image": IMAGE,
}

SERVER = """
import json, sys
from moto.server import ThreadedMotoServer
from moto.ssm.models import Parameter, ssm_backends
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
# Debian writes it; the API lets nobody else write below /aws.
name, image, region = sys.argv[1:]
backend = ssm_backends["123456789012"][region]
backend._parameters[name] = [Parameter(
    account_id="123456789012", name=name, value=image, parameter_type="String", description="",
    allowed_pattern=None, keyid=None, last_modified_date=0, version=1, data_type="text",
)]
print(json.dumps(server.get_host_and_port()), flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server of its own, so that what it plays does not reach other tests."""
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, DEBIAN, "ami-0debian13", REGION],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert process.stdout
    try:
        host, port = json.loads(process.stdout.readline())
        yield f"http://{host}:{port}"
    finally:
        process.communicate(timeout=30)


def client(endpoint: str, service: str) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]
        region_name=REGION,
        endpoint_url=endpoint,
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )


@pytest.fixture(scope="module")
def template(root: Path) -> str:
    return (root / "deploy/aws/cloudformation.yaml").read_text()


def create(endpoint: str, template: str, name: str, **more: str) -> dict[str, str]:
    """Create a stack; gives its outputs."""
    cloudformation = client(endpoint, "cloudformation")
    given = {**PARAMETERS, **more}
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=template,
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


@pytest.fixture(scope="module")
def outputs(endpoint: str, template: str) -> dict[str, str]:
    return create(endpoint, template, "mine")


def machine(endpoint: str, stack: str = "mine") -> dict[str, Any]:
    whose = [{"Name": "tag:opencode-cloud-stack", "Values": [stack]}]
    [reservation] = client(endpoint, "ec2").describe_instances(Filters=whose)["Reservations"]
    [found] = reservation["Instances"]
    return found


def user_data(endpoint: str, stack: str = "mine") -> str:
    attribute = client(endpoint, "ec2").describe_instance_attribute(
        InstanceId=machine(endpoint, stack)["InstanceId"], Attribute="userData"
    )
    return base64.b64decode(attribute["UserData"]["Value"]).decode()


def test_the_template_is_as_its_linter_wants_it(root: Path):
    done = subprocess.run(
        ["cfn-lint", "deploy/aws/cloudformation.yaml"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_command_in_the_documentation_gives_what_the_template_asks(root: Path, template: str):
    page = (root / "docs/deploy/aws.md").read_text()
    [command] = re.findall(r"^aws cloudformation deploy .*?[^\\]$", page, re.DOTALL | re.MULTILINE)
    words = shlex.split(command.replace("\\\n", " "))
    start = words.index("--parameter-overrides") + 1
    given = {word.partition("=")[0] for word in words[start:]}
    parameters = yaml.safe_load(template)["Parameters"]
    required = {name for name, about in parameters.items() if "Default" not in about}
    assert required <= given <= set(parameters)
    assert words[words.index("--template-file") + 1] == "deploy/aws/cloudformation.yaml"
    # What it takes without a bucket (docs.aws.amazon.com, AWS CloudFormation quotas).
    assert len(template.encode()) <= 51200


def test_the_outputs_lead_to_the_machine(outputs: dict[str, str]):
    address = outputs["Address"]
    assert outputs["Url"] == f"https://{address.replace('.', '-')}.sslip.io"
    assert outputs["Ssh"] == f"ssh opencode@{address}"


def test_a_domain_is_where_it_answers(endpoint: str, template: str):
    outputs = create(endpoint, template, "named", Domain="opencode.example.org")
    assert outputs["Url"] == "https://opencode.example.org"
    assert "TLS=opencode.example.org\n" in user_data(endpoint, "named")


def test_the_machine_is_told_what_was_typed(endpoint: str, outputs: dict[str, str]):
    told = yaml.safe_load(user_data(endpoint))
    [user] = told["users"]
    assert user["ssh_authorized_keys"] == [KEY]
    conf = dict(
        line.split("=", 1) for line in told["write_files"][0]["content"].strip().splitlines()
    )
    assert conf["IMAGE"] == IMAGE
    assert conf["ADDRESS"] == outputs["Address"]
    assert conf["TLS"] == "sslip"
    assert conf["SSH_FROM"] == "198.51.100.0/24"
    assert conf["FIRST_USER"] == "admin"
    assert conf["FIRST_USER_HASH"] == HASH
    assert len(user_data(endpoint).encode()) <= 16 * 1024


def test_the_machine_is_debians_image_of_the_usual_size(endpoint: str, outputs: dict[str, str]):
    found = machine(endpoint)
    assert found["ImageId"] == "ami-0debian13"
    assert found["InstanceType"] == "t3.medium"


def test_nothing_but_https_and_its_redirect_is_open_to_everybody(
    endpoint: str, outputs: dict[str, str]
):
    whose = [{"Name": "tag:opencode-cloud-stack", "Values": ["mine"]}]
    [found] = client(endpoint, "ec2").describe_security_groups(Filters=whose)["SecurityGroups"]
    opened = {
        rule["FromPort"]: [network["CidrIp"] for network in rule["IpRanges"]]
        for rule in found["IpPermissions"]
    }
    assert opened == {443: ["0.0.0.0/0"], 80: ["0.0.0.0/0"], 22: ["198.51.100.0/24"]}


def test_the_data_have_a_disk_of_their_own_that_is_kept_when_the_stack_goes(
    endpoint: str, template: str, outputs: dict[str, str]
):
    resource = yaml.safe_load(template)["Resources"]["Data"]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
    assert resource["Properties"]["Encrypted"] is True
    ec2, instance = client(endpoint, "ec2"), machine(endpoint)["InstanceId"]
    attached = ec2.describe_volumes(
        Filters=[{"Name": "attachment.instance-id", "Values": [instance]}]
    )["Volumes"]
    assert {volume["Attachments"][0]["Device"]: volume["Size"] for volume in attached}[
        "/dev/sdf"
    ] == 20


def test_the_machine_waits_for_its_address_and_the_stack_for_its_first_boot(template: str):
    resources = yaml.safe_load(template)["Resources"]
    assert "AddressOfInterface" in resources["Machine"]["DependsOn"]
    assert resources["Ready"]["Type"] == "AWS::CloudFormation::WaitCondition"
    text = resources["Machine"]["Properties"]["UserData"]["Fn::Base64"]["Fn::Sub"][0]
    assert "COMPLETION_URL=${Told}" in text
    assert set(re.findall(r"\$\{(\w+)\}", text)) <= {*resources, *PARAMETERS, "Tls", "FirstUser"}


def test_the_metadata_service_asks_for_a_token_and_the_machine_has_no_rights(template: str):
    properties = yaml.safe_load(template)["Resources"]["Machine"]["Properties"]
    assert properties["MetadataOptions"]["HttpTokens"] == "required"
    assert properties["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert "IamInstanceProfile" not in properties


@pytest.mark.parametrize(
    ("parameter", "wrong"),
    [
        ("SshPublicKey", "no key"),
        ("SshFrom", "everybody"),
        ("PasswordHash", "a password"),
        ("Image", "opencode-cloud:latest"),
        ("FirstUser", "Root User"),
        ("Domain", "https://opencode.example.org"),
    ],
)
def test_what_cannot_be_is_refused_by_the_form(template: str, parameter: str, wrong: str):
    pattern = yaml.safe_load(template)["Parameters"][parameter]["AllowedPattern"]
    assert not re.search(pattern, wrong)
    right = {**PARAMETERS, "FirstUser": "ada", "Domain": "opencode.example.org"}[parameter]
    assert re.search(pattern, right)


def test_the_hash_is_shown_to_nobody_and_ssh_is_open_to_nobody_by_silence(template: str):
    parameters = yaml.safe_load(template)["Parameters"]
    assert parameters["PasswordHash"]["NoEcho"] is True
    without_default = {name for name, field in parameters.items() if "Default" not in field}
    assert without_default == {"SshPublicKey", "SshFrom", "PasswordHash", "Image"}
