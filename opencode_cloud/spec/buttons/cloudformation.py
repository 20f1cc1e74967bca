"""The button of AWS: a CloudFormation template."""

from pathlib import Path
from typing import Any

import yaml

from opencode_cloud.cloud_settings import Target
from opencode_cloud.spec.aws_network import MACHINES, NETWORK
from opencode_cloud.spec.buttons import described
from opencode_cloud.spec.buttons.described import DATA_DISK_GB, FORM
from opencode_cloud.spec.cost import SYSTEM_DISK_GB
from opencode_cloud.spec.machine import SSH_USER
from opencode_cloud.spec.machine_sizes import DEFAULT_SIZES

SNAPSHOT_POLICY = (
    "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSDataLifecycleManagerServiceRole"
)
FIRST_BOOT_SECONDS = 1800
TLS = {"Fn::If": ["HasDomain", {"Ref": "Domain"}, "sslip"]}

_HEAD = """\
# Made by `python -m opencode_cloud.derive` from opencode_cloud/spec/buttons/cloudformation.py.
# yamllint disable rule:line-length
"""


class _Dumper(yaml.SafeDumper):
    """Indents lists, and writes texts of several lines line for line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent always."""
        del indentless
        super().increase_indent(flow, False)


def _scalar(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _scalar)


def template(project: Path) -> str:
    """Write the template; ``project`` is the folder of ``Pulumi.yaml``."""
    return text(document(project))


def text(made: dict[str, Any]) -> str:
    """Write a template that was made."""
    return _HEAD + yaml.dump(made, Dumper=_Dumper, sort_keys=False, width=100, explicit_start=True)


def document(project: Path) -> dict[str, Any]:
    """Make the template, as values."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "opencode as a service of your own: one machine, HTTPS, a login, and a "
        "disk that outlives it",
        "Metadata": {"AWS::CloudFormation::Interface": _form()},
        "Parameters": _parameters(),
        "Conditions": {"HasDomain": {"Fn::Not": [{"Fn::Equals": [_ref("Domain"), ""]}]}},
        "Resources": {**_network(), **_disk(), **_machine(project), **_snapshots()},
        "Outputs": _outputs(),
    }


def _ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def _get(name: str, attribute: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [name, attribute]}


def _sub(text: str) -> dict[str, str]:
    return {"Fn::Sub": text}


def _tags(**more: str) -> list[dict[str, Any]]:
    tags = [{"Key": "Name", "Value": _sub("opencode-${AWS::StackName}")}]
    tags.append({"Key": "opencode-cloud-stack", "Value": _ref("AWS::StackName")})
    return tags + [{"Key": key, "Value": _sub(value)} for key, value in more.items()]


def _form() -> dict[str, Any]:
    def group(label: str, *names: str) -> dict[str, Any]:
        return {"Label": {"default": label}, "Parameters": list(names)}

    return {
        "ParameterGroups": [
            group("Who may come in", "SshPublicKey", "SshFrom", "FirstUser", "PasswordHash"),
            group("The machine", "Size", "DataDiskGb", "Domain", "Image", "DebianImage"),
        ]
    }


def _parameters() -> dict[str, Any]:
    def field(name: str, pattern: str, **more: Any) -> dict[str, Any]:
        about = {"Type": "String", "Description": FORM[name], "AllowedPattern": pattern}
        return {**about, **more}

    return {
        "SshPublicKey": field("ssh_public_key", described.KEY_PATTERN),
        "SshFrom": field("ssh_from", described.CIDR_PATTERN),
        "FirstUser": field("first_user", described.USER_PATTERN, Default="admin"),
        "PasswordHash": field("password_hash", described.HASH_PATTERN, NoEcho=True),
        "Size": field("size", r"^[a-z0-9-]+\.[a-z0-9-]+$", Default=DEFAULT_SIZES[Target.AWS]),
        "DataDiskGb": {
            "Type": "Number",
            "Description": FORM["data_disk_gb"],
            "Default": DATA_DISK_GB,
            "MinValue": 10,
            "MaxValue": 16384,
        },
        "Domain": field("domain", described.DOMAIN_PATTERN, Default=""),
        "Image": field("image", described.IMAGE_PATTERN),
        "DebianImage": {
            "Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
            "Description": "Where Debian writes its newest image. With arm64 at its end for an "
            "arm64 kind of machine.",
            "Default": "/aws/service/debian/release/13/latest/amd64",
        },
    }


def _network() -> dict[str, Any]:
    ports = [(443, "0.0.0.0/0"), (80, "0.0.0.0/0"), (22, _ref("SshFrom"))]
    return {
        "Network": _resource("EC2::VPC", CidrBlock=NETWORK, EnableDnsHostnames=True, Tags=_tags()),
        "Gateway": _resource("EC2::InternetGateway", Tags=_tags()),
        "GatewayAttachment": _resource(
            "EC2::VPCGatewayAttachment",
            VpcId=_ref("Network"),
            InternetGatewayId=_ref("Gateway"),
        ),
        "Subnet": _resource(
            "EC2::Subnet",
            VpcId=_ref("Network"),
            CidrBlock=MACHINES,
            AvailabilityZone={"Fn::Select": [0, {"Fn::GetAZs": ""}]},
            Tags=_tags(),
        ),
        "Routes": _resource("EC2::RouteTable", VpcId=_ref("Network"), Tags=_tags()),
        "DefaultRoute": _resource(
            "EC2::Route",
            RouteTableId=_ref("Routes"),
            DestinationCidrBlock="0.0.0.0/0",
            GatewayId=_ref("Gateway"),
        )
        | {"DependsOn": "GatewayAttachment"},
        "RoutesOfSubnet": _resource(
            "EC2::SubnetRouteTableAssociation",
            RouteTableId=_ref("Routes"),
            SubnetId=_ref("Subnet"),
        ),
        "Rules": _resource(
            "EC2::SecurityGroup",
            GroupDescription="opencode-cloud: HTTPS for everybody, SSH for its operators",
            VpcId=_ref("Network"),
            SecurityGroupIngress=[
                {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIp": network}
                for port, network in ports
            ],
            Tags=_tags(),
        ),
        "Interface": _resource(
            "EC2::NetworkInterface",
            SubnetId=_ref("Subnet"),
            GroupSet=[_ref("Rules")],
            Tags=_tags(),
        ),
        "Address": _resource("EC2::EIP", Domain="vpc", Tags=_tags())
        | {"DependsOn": "GatewayAttachment"},
        # Of the interface: there before the machine asks for anything, and after another one.
        "AddressOfInterface": _resource(
            "EC2::EIPAssociation",
            AllocationId=_get("Address", "AllocationId"),
            NetworkInterfaceId=_ref("Interface"),
        ),
    }


def _disk() -> dict[str, Any]:
    disk = _resource(
        "EC2::Volume",
        AvailabilityZone=_get("Subnet", "AvailabilityZone"),
        Size=_ref("DataDiskGb"),
        VolumeType="gp3",
        Encrypted=True,
        Tags=_tags(**{"opencode-cloud-data": "${AWS::StackName}"}),
    )
    # A stack that is deleted, and a disk that would be replaced, leave it in the account.
    kept = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    return {
        "Data": disk | kept,
        "DataOfMachine": _resource(
            "EC2::VolumeAttachment",
            Device="/dev/sdf",
            InstanceId=_ref("Machine"),
            VolumeId=_ref("Data"),
        ),
    }


def _machine(project: Path) -> dict[str, Any]:
    return {
        # What the machine tells how its first boot ended; the address is a secret between the two.
        "Told": _resource("CloudFormation::WaitConditionHandle"),
        "Machine": _resource(
            "EC2::Instance",
            ImageId=_ref("DebianImage"),
            InstanceType=_ref("Size"),
            MetadataOptions={
                "HttpEndpoint": "enabled",
                "HttpTokens": "required",
                # Not from inside the container.
                "HttpPutResponseHopLimit": 1,
            },
            NetworkInterfaces=[{"DeviceIndex": "0", "NetworkInterfaceId": _ref("Interface")}],
            BlockDeviceMappings=[
                {
                    "DeviceName": "/dev/xvda",
                    "Ebs": {
                        "VolumeSize": SYSTEM_DISK_GB[Target.AWS],
                        "VolumeType": "gp3",
                        "Encrypted": True,
                        "DeleteOnTermination": True,
                    },
                }
            ],
            UserData={"Fn::Base64": {"Fn::Sub": [_user_data(project), {"Tls": TLS}]}},
            Tags=_tags(),
        )
        | {"DependsOn": ["AddressOfInterface", "DefaultRoute", "RoutesOfSubnet"]},
        "Ready": _resource(
            "CloudFormation::WaitCondition",
            Handle=_ref("Told"),
            Timeout=str(FIRST_BOOT_SECONDS),
            Count=1,
        )
        | {"DependsOn": "DataOfMachine"},
    }


def _user_data(project: Path) -> str:
    return described.user_data(
        Target.AWS,
        project,
        "${SshPublicKey}",
        {
            "IMAGE": "${Image}",
            "TLS": "${Tls}",
            "ADDRESS": "${Address}",
            "SSH_FROM": "${SshFrom}",
            "FIRST_USER": "${FirstUser}",
            "FIRST_USER_HASH": "${PasswordHash}",
            "COMPLETION_URL": "${Told}",
        },
    )


def _snapshots() -> dict[str, Any]:
    return {
        "SnapshotRole": _resource(
            "IAM::Role",
            AssumeRolePolicyDocument={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "dlm.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            },
            ManagedPolicyArns=[_sub(SNAPSHOT_POLICY)],
            Tags=_tags(),
        ),
        "Snapshots": _resource(
            "DLM::LifecyclePolicy",
            Description=_sub("Daily snapshots of the data of opencode-${AWS::StackName}"),
            State="ENABLED",
            ExecutionRoleArn=_get("SnapshotRole", "Arn"),
            PolicyDetails={
                "ResourceTypes": ["VOLUME"],
                "TargetTags": [{"Key": "opencode-cloud-data", "Value": _ref("AWS::StackName")}],
                "Schedules": [
                    {
                        "Name": "daily",
                        "CreateRule": {"Interval": 24, "IntervalUnit": "HOURS", "Times": ["03:00"]},
                        "RetainRule": {"Count": 7},
                        "CopyTags": True,
                    }
                ],
            },
            Tags=_tags(),
        ),
    }


def _outputs() -> dict[str, Any]:
    dashed = {"Fn::Join": ["-", {"Fn::Split": [".", _ref("Address")]}]}
    sslip = {"Fn::Join": ["", ["https://", dashed, ".sslip.io"]]}
    return {
        "Url": {
            "Description": "Where opencode answers",
            "Value": {"Fn::If": ["HasDomain", _sub("https://${Domain}"), sslip]},
        },
        "Address": {
            "Description": "Where your domain is to lead",
            "Value": _ref("Address"),
        },
        "Ssh": {
            "Description": "How to administer it",
            "Value": _sub(f"ssh {SSH_USER}@${{Address}}"),
        },
    }


def _resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}"} | ({"Properties": properties} if properties else {})
