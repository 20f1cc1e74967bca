"""A machine of Amazon EC2."""

import json

import pulumi
import pulumi_aws as aws

from components.aws_network import AwsNetwork
from components.vm import (
    SNAPSHOTS_AT,
    SNAPSHOTS_KEPT,
    SSH_PORT,
    Vm,
    VmArgs,
    first_boot,
)
from opencode_cloud.spec.aws_network import MACHINES, NETWORK

DEBIAN = "136693071363"
"""Account in which Debian publishes its images (wiki.debian.org/Cloud/AmazonEC2Image)."""
SNAPSHOT_POLICY = "arn:aws:iam::aws:policy/service-role/AWSDataLifecycleManagerServiceRole"
_ALL_PROTOCOLS = "-1"


class AwsVm(Vm):
    """``opencode:index:AwsVm``: a Debian machine with a network, an address and a data disk.

    Makes a ``Vpc`` with one public ``Subnet``, ``InternetGateway`` and ``RouteTable``, a
    ``SecurityGroup``, a ``NetworkInterface`` with an ``Eip``, an encrypted ``ebs.Volume``, an
    ``Instance``, and daily snapshots with the role that they take. The machine itself has no role:
    it asks nothing of AWS. EC2 moves it away from broken hardware by itself.
    """

    network: AwsNetwork
    """Where it is."""

    def __init__(self, name: str, args: VmArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("opencode:index:AwsVm", name, args, opts)
        # Depends on nothing, so that it can stay when all else goes; the rest follows it.
        data = self._data_disk()
        interface, way_out = self._network(data.availability_zone)
        address = aws.ec2.Eip(f"{name}-address", domain="vpc", tags=self.tags, opts=self._child)
        # Of the interface, not of the machine: it is there before the machine asks for anything,
        # and after the machine was replaced.
        association = aws.ec2.EipAssociation(
            f"{name}-address",
            allocation_id=address.allocation_id,
            network_interface_id=interface.id,
            # AWS gives no address to a network without a gateway, and the machine needs the way.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[way_out]),
        )
        instance = self._instance(interface, address.public_ip, association)
        attachment = aws.ec2.VolumeAttachment(
            f"{name}-data",
            device_name="/dev/sdf",
            instance_id=instance.id,
            volume_id=data.id,
            # A disk that is written to is not pulled out.
            stop_instance_before_detaching=True,
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        self._snapshots()
        self._finish(address.public_ip, instance.id, attachment)

    @property
    def tags(self) -> dict[str, str]:
        """What everything of it is marked with."""
        return {"Name": self._args.name, **self._args.labels}

    def _network(
        self, zone: pulumi.Output[str]
    ) -> tuple[aws.ec2.NetworkInterface, pulumi.Resource]:
        """Make the network; give the machine's interface to it, and what completes its way out."""
        name, tags = self._name, self.tags
        vpc = aws.ec2.Vpc(
            f"{name}-network",
            cidr_block=NETWORK,
            enable_dns_hostnames=True,
            tags=tags,
            opts=self._child,
        )
        gateway = aws.ec2.InternetGateway(
            f"{name}-gateway", vpc_id=vpc.id, tags=tags, opts=self._child
        )
        subnet = aws.ec2.Subnet(
            f"{name}-subnet",
            vpc_id=vpc.id,
            cidr_block=MACHINES,
            availability_zone=zone,
            tags=tags,
            opts=self._child,
        )
        routes = aws.ec2.RouteTable(
            f"{name}-routes",
            vpc_id=vpc.id,
            routes=[aws.ec2.RouteTableRouteArgs(cidr_block="0.0.0.0/0", gateway_id=gateway.id)],
            tags=tags,
            opts=self._child,
        )
        way_out = aws.ec2.RouteTableAssociation(
            f"{name}-routes", route_table_id=routes.id, subnet_id=subnet.id, opts=self._child
        )
        interface = aws.ec2.NetworkInterface(
            f"{name}-interface",
            subnet_id=subnet.id,
            security_groups=[self._rules(vpc.id).id],
            tags=tags,
            opts=self._child,
        )
        self.network = AwsNetwork(
            vpc_id=vpc.id,
            subnet_id=subnet.id,
            route_table_id=routes.id,
            zone=zone,
            machine_address=interface.private_ip,
        )
        return interface, way_out

    def _zone(self) -> pulumi.Output[str]:
        """Give the region's first zone that has machines of the size; not every one does."""
        offers = aws.ec2.get_instance_type_offerings_output(
            location_type="availability-zone",
            filters=[
                aws.ec2.GetInstanceTypeOfferingsFilterArgs(
                    name="instance-type", values=[self._args.size]
                )
            ],
            opts=pulumi.InvokeOutputOptions(parent=self),
        )
        size, region = self._args.size, self._args.region
        return offers.locations.apply(lambda zones: first_zone(zones, size, region))

    def _rules(self, vpc_id: pulumi.Output[str]) -> aws.ec2.SecurityGroup:
        args = self._args
        rules = [_ingress(port, list(args.web_from)) for port in args.web_ports]
        rules.append(_ingress(SSH_PORT, list(args.ssh_from)))
        return aws.ec2.SecurityGroup(
            f"{self._name}-rules",
            description="opencode-cloud: HTTPS for everybody, SSH for its operators",
            vpc_id=vpc_id,
            ingress=rules,
            egress=[
                aws.ec2.SecurityGroupEgressArgs(
                    protocol=_ALL_PROTOCOLS, from_port=0, to_port=0, cidr_blocks=["0.0.0.0/0"]
                )
            ],
            tags=self.tags,
            opts=self._child,
        )

    def _data_disk(self) -> aws.ebs.Volume:
        kept = self._args.data_options(self)
        # Another answer of the lookup moves nothing.
        kept.ignore_changes = ["availabilityZone"]
        return aws.ebs.Volume(
            f"{self._name}-data",
            availability_zone=self._zone(),
            size=self._args.data_disk_gb,
            type="gp3",
            encrypted=True,
            # What snapshots are taken of is found by these.
            tags=self.tags | {"opencode-cloud-data": self._args.stack},
            # Outlives every machine. A larger size grows it in place; AWS refuses a smaller one.
            # Another zone or key would replace it, which the protection forbids: what is on it
            # moves by a snapshot or a backup.
            opts=kept,
        )

    def _instance(
        self,
        interface: aws.ec2.NetworkInterface,
        address: pulumi.Output[str],
        association: aws.ec2.EipAssociation,
    ) -> aws.ec2.Instance:
        args, tags = self._args, self.tags
        return aws.ec2.Instance(
            f"{self._name}-machine",
            ami=self._image(),
            instance_type=args.size,
            primary_network_interface=aws.ec2.InstancePrimaryNetworkInterfaceArgs(
                network_interface_id=interface.id
            ),
            user_data=first_boot(args, address),
            metadata_options=aws.ec2.InstanceMetadataOptionsArgs(
                http_endpoint="enabled",
                http_tokens="required",
                # Not from inside the container.
                http_put_response_hop_limit=1,
            ),
            # Bursting beyond the credits is slowed down, and not billed.
            credit_specification=(
                aws.ec2.InstanceCreditSpecificationArgs(cpu_credits="standard")
                if args.size.startswith("t")
                else None
            ),
            root_block_device=aws.ec2.InstanceRootBlockDeviceArgs(
                volume_size=args.system_disk_gb,
                volume_type="gp3",
                encrypted=True,
                delete_on_termination=True,
                tags=tags,
            ),
            tags=tags,
            # Replaced freely: nothing on it is worth keeping. The old one goes first, because the
            # disk and the interface can be at one machine alone. A newer image, or other
            # user-data, replaces nothing: changes go over SSH. Another size stops and starts it.
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[association],
                delete_before_replace=True,
                ignore_changes=["ami", "userData"],
                additional_secret_outputs=["userData"],
            ),
        )

    def _image(self) -> pulumi.Output[str]:
        architecture = "arm64" if self._args.is_arm else "amd64"
        return aws.ec2.get_ami_output(
            most_recent=True,
            owners=[DEBIAN],
            filters=[
                aws.ec2.GetAmiFilterArgs(name="name", values=[f"debian-13-{architecture}-*"]),
                aws.ec2.GetAmiFilterArgs(name="virtualization-type", values=["hvm"]),
            ],
            opts=pulumi.InvokeOutputOptions(parent=self),
        ).id

    def _snapshots(self) -> None:
        role = aws.iam.Role(
            f"{self._name}-snapshots",
            description="Takes and deletes the snapshots of opencode-cloud's data disks",
            assume_role_policy=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "dlm.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }
                    ],
                }
            ),
            tags=self.tags,
            opts=self._child,
        )
        granted = aws.iam.RolePolicyAttachment(
            f"{self._name}-snapshots", role=role.name, policy_arn=SNAPSHOT_POLICY, opts=self._child
        )
        aws.dlm.LifecyclePolicy(
            f"{self._name}-snapshots",
            description=f"Daily snapshots of the data of {self._args.name}",
            execution_role_arn=role.arn,
            state="ENABLED",
            policy_details=aws.dlm.LifecyclePolicyPolicyDetailsArgs(
                resource_types=["VOLUME"],
                target_tags={"opencode-cloud-data": self._args.stack},
                schedules=[
                    aws.dlm.LifecyclePolicyPolicyDetailsScheduleArgs(
                        name="daily",
                        create_rule=aws.dlm.LifecyclePolicyPolicyDetailsScheduleCreateRuleArgs(
                            interval=24, interval_unit="HOURS", times=SNAPSHOTS_AT
                        ),
                        retain_rule=aws.dlm.LifecyclePolicyPolicyDetailsScheduleRetainRuleArgs(
                            count=SNAPSHOTS_KEPT
                        ),
                        copy_tags=True,
                    )
                ],
            ),
            tags=self.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[granted]),
        )


def first_zone(zones: list[str], size: str, region: str) -> str:
    """Choose a zone.

    Raises:
        RunError: none has machines of this size.
    """
    if zones:
        return min(zones)
    raise pulumi.RunError(
        f"AWS has no machines of the size {size} in {region}. Choose another: pulumi config set "
        f"opencode:size SIZE (aws ec2 describe-instance-type-offerings --region {region} lists "
        "them)"
    )


def _ingress(port: int, networks: list[str]) -> aws.ec2.SecurityGroupIngressArgs:
    return aws.ec2.SecurityGroupIngressArgs(
        protocol="tcp", from_port=port, to_port=port, cidr_blocks=networks
    )
