"""A load balancer of AWS, for those who bring a certificate."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.aws_network import AwsNetwork
from opencode_cloud.spec.aws_network import NETWORK, OTHER_ZONE

IDLE_SECONDS = 4000
"""The most that AWS allows: events and terminals are silent for long
(docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html)."""
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""TLS 1.3 and 1.2 with forward secrecy, AWS's recommendation (…/create-https-listener.html)."""
_EVERYWHERE = "0.0.0.0/0"
_HTTP, _HTTPS = 80, 443


@dataclass(frozen=True, kw_only=True)
class LoadBalancerArgs:
    """Inputs of a load balancer."""

    network: AwsNetwork
    """In which it is, with the machine that it leads to."""
    port: int
    """Where that machine speaks HTTPS; by what certificate, it does not ask."""
    certificate: str
    """ARN, of AWS Certificate Manager."""
    tags: Mapping[str, str]


class AwsLoadBalancer(pulumi.ComponentResource):
    """``opencode:index:AwsLoadBalancer``: HTTPS with a certificate of yours, in front of a machine.

    Makes a ``LoadBalancer`` with its ``SecurityGroup``, a ``Subnet`` in a second zone, a
    ``TargetGroup`` with the machine's address in it, a ``Listener`` for HTTPS, and one that sends
    HTTP on to it. Holds no data: any of it may be replaced. A new ``LoadBalancer`` has another
    name, to which the domain then has to lead.
    """

    dns_name: pulumi.Output[str]
    """Where the domain's CNAME or alias record leads."""

    def __init__(
        self, name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode:index:AwsLoadBalancer", name, None, opts)
        self._name, self._args = name, args
        self._tags = dict(args.tags)
        self._child = pulumi.ResourceOptions(parent=self)
        balancer = aws.lb.LoadBalancer(
            f"{name}-alb",
            load_balancer_type="application",
            internal=False,
            security_groups=[self._rules().id],
            subnets=[args.network.subnet_id, self._other_subnet()],
            idle_timeout=IDLE_SECONDS,
            # What is no proper header could mean one thing here and another behind.
            drop_invalid_header_fields=True,
            # The gateway answers to names that it knows, and compares them with a page's origin.
            preserve_host_header=True,
            tags=self._tags,
            opts=self._child,
        )
        self._listen(balancer, self._targets())
        self.dns_name = balancer.dns_name
        self.register_outputs({"dns_name": self.dns_name})

    def _rules(self) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            f"{self._name}-alb",
            description="opencode-cloud: HTTPS for everybody, by the load balancer",
            vpc_id=self._args.network.vpc_id,
            ingress=[
                aws.ec2.SecurityGroupIngressArgs(
                    protocol="tcp", from_port=port, to_port=port, cidr_blocks=[_EVERYWHERE]
                )
                for port in (_HTTP, _HTTPS)
            ],
            egress=[
                aws.ec2.SecurityGroupEgressArgs(
                    protocol="tcp",
                    from_port=self._args.port,
                    to_port=self._args.port,
                    cidr_blocks=[NETWORK],
                )
            ],
            tags=self._tags,
            opts=self._child,
        )

    def _other_subnet(self) -> pulumi.Output[str]:
        """Make a subnet in another zone than the machine's: AWS asks for two of them."""
        network = self._args.network
        found = aws.get_availability_zones_output(
            state="available",
            filters=[
                aws.GetAvailabilityZonesFilterArgs(
                    name="opt-in-status", values=["opt-in-not-required"]
                )
            ],
            opts=pulumi.InvokeOutputOptions(parent=self),
        )
        subnet = aws.ec2.Subnet(
            f"{self._name}-alb",
            vpc_id=network.vpc_id,
            cidr_block=OTHER_ZONE,
            availability_zone=pulumi.Output.all(found.names, network.zone).apply(
                lambda known: other_zone(known[0], known[1])
            ),
            tags=self._tags,
            # Another answer of the lookup moves nothing.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["availabilityZone"]),
        )
        way_out = aws.ec2.RouteTableAssociation(
            f"{self._name}-alb",
            route_table_id=network.route_table_id,
            subnet_id=subnet.id,
            opts=self._child,
        )
        # AWS refuses a load balancer for the internet in a subnet that has no way there.
        return way_out.subnet_id.apply(lambda known: known or "")

    def _targets(self) -> aws.lb.TargetGroup:
        network, port = self._args.network, self._args.port
        group = aws.lb.TargetGroup(
            f"{self._name}-alb",
            vpc_id=network.vpc_id,
            # By address: it stays when the machine is replaced.
            target_type="ip",
            protocol="HTTPS",
            port=port,
            deregistration_delay=30,
            health_check=aws.lb.TargetGroupHealthCheckArgs(
                protocol="HTTPS",
                path="/health",
                matcher="200",
                interval=10,
                timeout=5,
                healthy_threshold=2,
                unhealthy_threshold=3,
            ),
            tags=self._tags,
            opts=self._child,
        )
        aws.lb.TargetGroupAttachment(
            f"{self._name}-alb",
            target_group_arn=group.arn,
            target_id=network.machine_address,
            port=port,
            opts=self._child,
        )
        return group

    def _listen(self, balancer: aws.lb.LoadBalancer, group: aws.lb.TargetGroup) -> None:
        aws.lb.Listener(
            f"{self._name}-https",
            load_balancer_arn=balancer.arn,
            protocol="HTTPS",
            port=_HTTPS,
            ssl_policy=TLS_POLICY,
            certificate_arn=self._args.certificate,
            default_actions=[
                aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=group.arn)
            ],
            tags=self._tags,
            opts=self._child,
        )
        aws.lb.Listener(
            f"{self._name}-http",
            load_balancer_arn=balancer.arn,
            protocol="HTTP",
            port=_HTTP,
            default_actions=[
                aws.lb.ListenerDefaultActionArgs(
                    type="redirect",
                    redirect=aws.lb.ListenerDefaultActionRedirectArgs(
                        protocol="HTTPS", port=str(_HTTPS), status_code="HTTP_301"
                    ),
                )
            ],
            tags=self._tags,
            opts=self._child,
        )


def other_zone(zones: list[str], zone: str) -> str:
    """Choose a zone besides `zone`.

    Raises:
        RunError: there is none.
    """
    others = [known for known in zones if known != zone]
    if others:
        return min(others)
    raise pulumi.RunError(
        f"AWS offers no second zone besides {zone}, and a load balancer needs two. Choose another "
        "opencode:region, or a domain as opencode:tls, which needs no load balancer"
    )
