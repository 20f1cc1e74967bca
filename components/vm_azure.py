"""A machine of Microsoft Azure."""

import base64

import pulumi
from pulumi_azure_native import compute, network, resources

from components.vm import SSH_PORT, Vm, VmArgs, first_boot

NETWORK = "10.20.0.0/24"


class AzureVm(Vm):
    """``opencode:index:AzureVm``: a Debian machine with a network, an address and a data disk.

    Makes a ``ResourceGroup`` with a ``VirtualNetwork``, a ``NetworkSecurityGroup``, a
    ``PublicIPAddress``, a ``NetworkInterface`` and a ``VirtualMachine``; and another
    ``ResourceGroup`` with the data ``Disk``, because a group that is deleted takes all that is in
    it along. Azure encrypts every disk, and moves the machine away from broken hardware. The
    machine has no identity: it asks nothing of Azure. Not there: snapshots by schedule, which need
    a backup vault with rights over the subscription.
    """

    def __init__(self, name: str, args: VmArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("opencode:index:AzureVm", name, args, opts)
        group = resources.ResourceGroup(
            f"{name}-group",
            resource_group_name=args.name,
            location=args.region,
            tags=args.labels,
            opts=self._child,
        )
        address = network.PublicIPAddress(
            f"{name}-address",
            public_ip_address_name=args.name,
            resource_group_name=group.name,
            location=args.region,
            public_ip_allocation_method="Static",
            public_ip_address_version="IPv4",
            sku=network.PublicIPAddressSkuArgs(name="Standard"),
            tags=args.labels,
            opts=self._child,
        )
        public_ip = address.ip_address.apply(lambda found: found or "")
        interface = self._interface(group, address)
        machine = self._machine(group, interface, self._data_disk(), public_ip)
        self._finish(public_ip, machine.vm_id, machine)

    def _interface(
        self, group: resources.ResourceGroup, address: network.PublicIPAddress
    ) -> network.NetworkInterface:
        name, args = self._name, self._args
        web = {f"web-{port}": (port, list(args.web_from)) for port in args.web_ports}
        opened = web | {"ssh": (SSH_PORT, list(args.ssh_from))}
        rules = network.NetworkSecurityGroup(
            f"{name}-rules",
            network_security_group_name=args.name,
            resource_group_name=group.name,
            location=args.region,
            # What no rule lets in, Azure keeps out.
            security_rules=[
                _inbound(rule, 100 + number, port, networks)
                for number, (rule, (port, networks)) in enumerate(opened.items())
            ],
            tags=args.labels,
            opts=self._child,
        )
        net = network.VirtualNetwork(
            f"{name}-network",
            virtual_network_name=args.name,
            resource_group_name=group.name,
            location=args.region,
            address_space=network.AddressSpaceArgs(address_prefixes=[NETWORK]),
            tags=args.labels,
            # Subnets are resources of their own; left here, they show as a change.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["subnets"]),
        )
        subnet = network.Subnet(
            f"{name}-subnet",
            subnet_name="machines",
            resource_group_name=group.name,
            virtual_network_name=net.name,
            address_prefix=NETWORK,
            network_security_group=network.NetworkSecurityGroupArgs(id=rules.id),
            opts=self._child,
        )
        return network.NetworkInterface(
            f"{name}-interface",
            network_interface_name=args.name,
            resource_group_name=group.name,
            location=args.region,
            network_security_group=network.NetworkSecurityGroupArgs(id=rules.id),
            ip_configurations=[
                network.NetworkInterfaceIPConfigurationArgs(
                    name="public",
                    primary=True,
                    private_ip_allocation_method="Dynamic",
                    subnet=network.SubnetArgs(id=subnet.id),
                    public_ip_address=network.PublicIPAddressArgs(id=address.id),
                )
            ],
            tags=args.labels,
            opts=self._child,
        )

    def _data_disk(self) -> compute.Disk:
        name, args = self._name, self._args
        # Kept as the disk in it is.
        kept = args.data_options(self)
        group = resources.ResourceGroup(
            f"{name}-data",
            resource_group_name=f"{args.name}-data",
            location=args.region,
            tags=args.labels,
            opts=kept,
        )
        return compute.Disk(
            f"{name}-data",
            disk_name=f"{args.name}-data",
            resource_group_name=group.name,
            location=args.region,
            disk_size_gb=args.data_disk_gb,
            sku=compute.DiskSkuArgs(name="StandardSSD_LRS"),
            creation_data=compute.CreationDataArgs(create_option="Empty"),
            encryption=compute.EncryptionArgs(type="EncryptionAtRestWithPlatformKey"),
            # Nobody downloads it by a link.
            network_access_policy="DenyAll",
            public_network_access="Disabled",
            tags=args.labels,
            # Outlives every machine. A larger size grows it in place; Azure refuses a smaller one.
            # Another region or name would replace it, which the protection forbids: what is on it
            # moves by a snapshot or a backup.
            opts=kept,
        )

    def _machine(
        self,
        group: resources.ResourceGroup,
        interface: network.NetworkInterface,
        data: compute.Disk,
        address: pulumi.Output[str],
    ) -> compute.VirtualMachine:
        args = self._args
        user_data = first_boot(args, address)
        key = compute.SshPublicKeyArgs(
            path=f"/home/{args.ssh_user}/.ssh/authorized_keys", key_data=args.ssh_public_key
        )
        return compute.VirtualMachine(
            f"{self._name}-machine",
            vm_name=args.name,
            resource_group_name=group.name,
            location=args.region,
            hardware_profile=compute.HardwareProfileArgs(vm_size=args.size),
            storage_profile=compute.StorageProfileArgs(
                image_reference=compute.ImageReferenceArgs(
                    publisher="Debian",
                    offer="debian-13",
                    sku="13-arm64" if args.is_arm else "13-gen2",
                    # At the moment that the machine is made.
                    version="latest",
                ),
                os_disk=compute.OSDiskArgs(
                    create_option="FromImage",
                    delete_option="Delete",
                    disk_size_gb=args.system_disk_gb,
                    managed_disk=compute.ManagedDiskParametersArgs(
                        storage_account_type="StandardSSD_LRS"
                    ),
                ),
                data_disks=[
                    compute.DataDiskArgs(
                        lun=0,
                        create_option="Attach",
                        delete_option="Detach",
                        managed_disk=compute.ManagedDiskParametersArgs(id=data.id),
                    )
                ],
            ),
            os_profile=compute.OSProfileArgs(
                computer_name=args.name,
                # The same that the user-data makes: nobody besides.
                admin_username=args.ssh_user,
                custom_data=user_data.apply(lambda text: base64.b64encode(text.encode()).decode()),
                linux_configuration=compute.LinuxConfigurationArgs(
                    disable_password_authentication=True,
                    ssh=compute.SshConfigurationArgs(public_keys=[key]),
                ),
            ),
            network_profile=compute.NetworkProfileArgs(
                network_interfaces=[
                    compute.NetworkInterfaceReferenceArgs(id=interface.id, primary=True)
                ]
            ),
            diagnostics_profile=compute.DiagnosticsProfileArgs(
                boot_diagnostics=compute.BootDiagnosticsArgs(enabled=True)
            ),
            tags=args.labels,
            # Replaced freely: nothing on its own disk is worth keeping. The old one goes first,
            # because the data disk and the interface can be at one machine alone. A newer image,
            # another key or other user-data replaces nothing: changes go over SSH. Another size
            # restarts it.
            opts=pulumi.ResourceOptions(
                parent=self,
                delete_before_replace=True,
                ignore_changes=["osProfile", "storageProfile.imageReference"],
                additional_secret_outputs=["osProfile"],
            ),
        )


def _inbound(name: str, priority: int, port: int, networks: list[str]) -> network.SecurityRuleArgs:
    return network.SecurityRuleArgs(
        name=name,
        priority=priority,
        direction="Inbound",
        access="Allow",
        protocol="Tcp",
        source_address_prefixes=networks,
        source_port_range="*",
        destination_address_prefix="*",
        destination_port_range=str(port),
    )
