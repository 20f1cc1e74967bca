"""A machine of Google Compute Engine."""

from pathlib import Path

import pulumi
import pulumi_gcp as gcp

from components.vm import (
    SNAPSHOTS_AT,
    SNAPSHOTS_KEPT,
    SSH_PORT,
    Vm,
    VmArgs,
    first_boot,
)

NETWORK = "10.20.0.0/24"
DATA_DEVICE = "opencode-data"
"""The machine finds its data disk as ``/dev/disk/by-id/google-`` and this."""
STARTUP_SCRIPT = Path(__file__).parents[1] / "cloud-init" / "gcp-startup-script"
"""Brings cloud-init, which Google's Debian does not have, and which then reads the user-data."""


class GcpVm(Vm):
    """``opencode:index:GcpVm``: a Debian machine with a network, an address and a data disk.

    Makes a ``Network`` with one ``Subnetwork`` and two ``Firewall`` rules, an ``Address``, a
    ``Disk`` with daily snapshots, and an ``Instance``. Google encrypts every disk. The machine has
    no service account: it asks nothing of Google. It is moved away from broken hardware, and
    started again where that is too late.
    """

    def __init__(self, name: str, args: VmArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("opencode:index:GcpVm", name, args, opts)
        self._zone = args.region
        self._region = region_of(args.region)
        subnet, rules = self._network()
        address = gcp.compute.Address(
            f"{name}-address",
            name=args.name,
            region=self._region,
            labels=args.labels,
            opts=self._child,
        )
        data = self._data_disk()
        instance = self._instance(subnet, rules, address.address, data)
        self._finish(address.address, instance.instance_id, instance)

    def _network(self) -> tuple[gcp.compute.Subnetwork, list[pulumi.Resource]]:
        name, args = self._name, self._args
        network = gcp.compute.Network(
            f"{name}-network",
            name=args.name,
            auto_create_subnetworks=False,
            opts=self._child,
        )
        subnet = gcp.compute.Subnetwork(
            f"{name}-subnet",
            name=args.name,
            network=network.id,
            region=self._region,
            ip_cidr_range=NETWORK,
            opts=self._child,
        )
        web, ssh = (
            (list(map(str, args.web_ports)), list(args.web_from)),
            (
                [str(SSH_PORT)],
                list(args.ssh_from),
            ),
        )
        rules: list[pulumi.Resource] = [
            gcp.compute.Firewall(
                f"{name}-{kind}",
                name=f"{args.name}-{kind}",
                network=network.id,
                direction="INGRESS",
                allows=[gcp.compute.FirewallAllowArgs(protocol="tcp", ports=ports)],
                source_ranges=networks,
                opts=self._child,
            )
            for kind, (ports, networks) in {"web": web, "ssh": ssh}.items()
        ]
        return subnet, rules

    def _data_disk(self) -> gcp.compute.Disk:
        name, args = self._name, self._args
        disk = gcp.compute.Disk(
            f"{name}-data",
            name=f"{args.name}-data",
            zone=self._zone,
            type="pd-balanced",
            size=args.data_disk_gb,
            labels=args.labels,
            # Outlives every machine. A larger size grows it in place. A smaller one, or another
            # zone, type or name, would replace it, which the protection forbids: what is on it
            # moves by a snapshot or a backup.
            opts=args.data_options(self),
        )
        schedule = gcp.compute.ResourcePolicy(
            f"{name}-snapshots",
            name=args.name,
            region=self._region,
            snapshot_schedule_policy=gcp.compute.ResourcePolicySnapshotSchedulePolicyArgs(
                schedule=gcp.compute.ResourcePolicySnapshotSchedulePolicyScheduleArgs(
                    daily_schedule=gcp.compute.ResourcePolicySnapshotSchedulePolicyScheduleDailyScheduleArgs(
                        days_in_cycle=1, start_time=SNAPSHOTS_AT
                    )
                ),
                retention_policy=gcp.compute.ResourcePolicySnapshotSchedulePolicyRetentionPolicyArgs(
                    max_retention_days=SNAPSHOTS_KEPT,
                    # They are what is left when a disk is deleted by mistake.
                    on_source_disk_delete="KEEP_AUTO_SNAPSHOTS",
                ),
                snapshot_properties=gcp.compute.ResourcePolicySnapshotSchedulePolicySnapshotPropertiesArgs(
                    labels=args.labels
                ),
            ),
            opts=self._child,
        )
        gcp.compute.DiskResourcePolicyAttachment(
            f"{name}-snapshots",
            name=schedule.name,
            disk=disk.name,
            zone=self._zone,
            opts=self._child,
        )
        return disk

    def _instance(
        self,
        subnet: gcp.compute.Subnetwork,
        rules: list[pulumi.Resource],
        address: pulumi.Output[str],
        data: gcp.compute.Disk,
    ) -> gcp.compute.Instance:
        args = self._args
        family = "debian-13-arm64" if args.is_arm else "debian-13"
        return gcp.compute.Instance(
            f"{self._name}-machine",
            name=args.name,
            zone=self._zone,
            machine_type=args.size,
            # For another size, it is stopped and started.
            allow_stopping_for_update=True,
            boot_disk=gcp.compute.InstanceBootDiskArgs(
                initialize_params=gcp.compute.InstanceBootDiskInitializeParamsArgs(
                    # A family is its newest image at the moment that the disk is made.
                    image=f"projects/debian-cloud/global/images/family/{family}",
                    size=args.system_disk_gb,
                    type="pd-balanced",
                    labels=args.labels,
                )
            ),
            attached_disks=[
                gcp.compute.InstanceAttachedDiskArgs(source=data.id, device_name=DATA_DEVICE)
            ],
            network_interfaces=[
                gcp.compute.InstanceNetworkInterfaceArgs(
                    subnetwork=subnet.id,
                    access_configs=[
                        gcp.compute.InstanceNetworkInterfaceAccessConfigArgs(nat_ip=address)
                    ],
                )
            ],
            metadata={
                "user-data": first_boot(args, address),
                "startup-script": STARTUP_SCRIPT.read_text(),
                # Keys of the project, and logins by IAM, would be other ways in.
                "block-project-ssh-keys": "TRUE",
                "enable-oslogin": "FALSE",
                "serial-port-enable": "FALSE",
            },
            scheduling=gcp.compute.InstanceSchedulingArgs(
                automatic_restart=True, on_host_maintenance="MIGRATE"
            ),
            shielded_instance_config=gcp.compute.InstanceShieldedInstanceConfigArgs(
                enable_secure_boot=True, enable_vtpm=True, enable_integrity_monitoring=True
            ),
            labels=args.labels,
            # Replaced freely: nothing on its own disk is worth keeping. The old one goes first,
            # because the data disk and the address can be at one machine alone. A newer image, or
            # other user-data, replaces nothing: changes go over SSH.
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=rules,
                delete_before_replace=True,
                ignore_changes=["bootDisk.initializeParams.image", "metadata"],
                additional_secret_outputs=["metadata"],
            ),
        )


def region_of(zone: str) -> str:
    """Give the region of a zone.

    Raises:
        RunError: it is no zone.
    """
    region, _, letter = zone.rpartition("-")
    if len(letter) == 1 and "-" in region:
        return region
    raise pulumi.RunError(
        f"opencode:region is {zone!r}, and Google has machines in zones, such as europe-west3-a: "
        f"pulumi config set opencode:region {zone}-a (gcloud compute zones list shows them)"
    )
