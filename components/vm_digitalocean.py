"""A Droplet of DigitalOcean."""

import base64
import hashlib

import pulumi
import pulumi_digitalocean as digitalocean

from components.vm import EVERYWHERE, SSH_PORT, Vm, VmArgs, first_boot

DEBIAN = "debian-13-x64"
"""DigitalOcean's name of its newest image of Debian 13."""
_ALL_PORTS = "1-65535"


class DigitalOceanVm(Vm):
    """``opencode:index:DigitalOceanVm``: a Droplet with an address, a firewall and a volume.

    Makes a ``Tag``, a ``Firewall`` for whatever has it, a ``ReservedIp``, a ``Volume``, which
    DigitalOcean encrypts, a ``Droplet``, and an ``SshKey`` where the account has not got it yet.
    Not there, because the provider has no such thing: snapshots of volumes by schedule, a version
    of the metadata service that asks for a token, and encryption of the Droplet's own disk.
    """

    def __init__(self, name: str, args: VmArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("opencode:index:DigitalOceanVm", name, args, opts)
        tag = digitalocean.Tag(f"{name}-tag", name=f"opencode-cloud:{args.stack}", opts=self._child)
        firewall = self._firewall(tag.name)
        address = digitalocean.ReservedIp(f"{name}-address", region=args.region, opts=self._child)
        data = digitalocean.Volume(
            f"{name}-data",
            name=args.name,
            region=args.region,
            size=args.data_disk_gb,
            description=f"Data of opencode-cloud's stack {args.stack}",
            tags=[tag.name],
            # Outlives every Droplet. A larger size grows it in place; DigitalOcean refuses a
            # smaller one. Another region or name would replace it, which the protection forbids.
            opts=args.data_options(self),
        )
        droplet = digitalocean.Droplet(
            f"{name}-machine",
            name=args.name,
            region=args.region,
            size=args.size,
            image=DEBIAN,
            user_data=first_boot(args, address.ip_address),
            # Without one, DigitalOcean sends a password for root by e-mail.
            ssh_keys=[self._ssh_key()],
            tags=[tag.name],
            graceful_shutdown=True,
            # The disk as it is, so that a smaller size is a way back.
            resize_disk=False,
            # Replaced freely: nothing on it is worth keeping. The old one goes first, because the
            # volume can be at one Droplet alone. A newer image, another key or other user-data
            # replaces nothing: changes go over SSH. Another size stops and starts it.
            opts=pulumi.ResourceOptions(
                parent=self,
                # The firewall is there before what it protects.
                depends_on=[firewall],
                delete_before_replace=True,
                ignore_changes=["image", "sshKeys", "userData"],
                additional_secret_outputs=["userData"],
            ),
        )
        droplet_id = droplet.id.apply(int)
        attachment = digitalocean.VolumeAttachment(
            f"{name}-data",
            droplet_id=droplet_id,
            volume_id=data.id,
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        assigned = digitalocean.ReservedIpAssignment(
            f"{name}-address",
            ip_address=address.ip_address,
            droplet_id=droplet_id,
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[attachment], delete_before_replace=True
            ),
        )
        self._finish(address.ip_address, droplet.id, assigned)

    def _firewall(self, tag: pulumi.Output[str]) -> digitalocean.Firewall:
        rules = [_inbound(port, list(self._args.web_from)) for port in self._args.web_ports]
        rules.append(_inbound(SSH_PORT, list(self._args.ssh_from)))
        return digitalocean.Firewall(
            f"{self._name}-rules",
            name=self._args.name,
            tags=[tag],
            inbound_rules=rules,
            outbound_rules=[
                digitalocean.FirewallOutboundRuleArgs(
                    protocol=protocol,
                    port_range=None if protocol == "icmp" else _ALL_PORTS,
                    destination_addresses=list(EVERYWHERE),
                )
                for protocol in ("tcp", "udp", "icmp")
            ],
            opts=self._child,
        )

    def _ssh_key(self) -> pulumi.Input[str]:
        """Give the account's key, or make it: DigitalOcean refuses to have one twice."""
        print_ = fingerprint(self._args.ssh_public_key)
        found = digitalocean.get_ssh_keys(
            filters=[digitalocean.GetSshKeysFilterArgs(key="fingerprint", values=[print_])],
            opts=pulumi.InvokeOptions(parent=self),
        )
        if any(key.name != self._args.name for key in found.ssh_keys):
            return print_
        key = digitalocean.SshKey(
            f"{self._name}-key",
            name=self._args.name,
            public_key=self._args.ssh_public_key,
            opts=self._child,
        )
        return key.fingerprint


def fingerprint(public_key: str) -> str:
    """Give a public key's MD5 fingerprint, by which DigitalOcean knows it."""
    blob = base64.b64decode(public_key.split()[1])
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def _inbound(port: int, networks: list[str]) -> digitalocean.FirewallInboundRuleArgs:
    return digitalocean.FirewallInboundRuleArgs(
        protocol="tcp", port_range=str(port), source_addresses=networks
    )
