"""What the rented machines of every provider have in common. No provider's SDK is imported here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pulumi

SNAPSHOTS_KEPT = 7
"""Daily ones of the data disk."""
SNAPSHOTS_AT = "03:00"
"""UTC, each day."""
EVERYWHERE: tuple[str, str] = ("0.0.0.0/0", "::/0")
SSH_PORT = 22


@dataclass(frozen=True, kw_only=True)
class VmArgs:
    """Inputs of a rented machine. Plain values decide which resources there are."""

    stack: str
    """Name that sets this deployment apart from others of the account."""
    region: str
    """Where it is, in the provider's own words."""
    size: str
    """Kind of machine, likewise."""
    is_arm: bool = False
    """Whether that kind is arm64; else it is x86-64."""
    ssh_public_key: str
    """A line of ``authorized_keys``."""
    ssh_user: str
    """Who it lets in."""
    ssh_from: tuple[str, ...]
    """IPv4 networks that reach port 22."""
    web_ports: tuple[int, ...]
    """TCP ports of the deployment."""
    web_from: tuple[str, ...] = EVERYWHERE[:1]
    """IPv4 networks that reach them."""
    system_disk_gb: int
    """Of the disk that goes with the machine."""
    data_disk_gb: int
    user_data: Callable[[str], str]
    """Gives cloud-init's text for a machine with an address. Read at the first boot alone."""
    url: Callable[[str], str]
    """Gives where the deployment answers at an address."""
    monthly_cost: str
    """Estimate, for people."""
    delete_data: bool = False
    """Whether removing the stack removes what people made in it."""

    @property
    def name(self) -> str:
        """Physical name of what can have one: no provider takes an underscore everywhere."""
        return f"opencode-{self.stack}".replace("_", "-")

    @property
    def labels(self) -> Mapping[str, str]:
        """What everything is marked with that can be."""
        return {"opencode-cloud-stack": self.stack}

    def data_options(self, parent: pulumi.Resource) -> pulumi.ResourceOptions:
        """Say how the data disk is kept.

        Protected: no change, of whatever cause, replaces or deletes it, but an error says that it
        would. Retained: where it is taken out of the stack on purpose, it stays with the provider.
        """
        kept = not self.delete_data
        return pulumi.ResourceOptions(parent=parent, protect=kept, retain_on_delete=kept)


class Vm(pulumi.ComponentResource):
    """What a program can do with a rented machine, whoever rents it out."""

    address: pulumi.Output[str]
    """Its public IPv4 address, which stays."""
    machine_id: pulumi.Output[str]
    """The provider's identifier of the machine: another one is another machine."""
    url: pulumi.Output[str]
    """Where the deployment answers."""
    ssh: pulumi.Output[str]
    """Command that reaches it."""
    user: pulumi.Output[str]
    """Who SSH lets in."""
    monthly_cost: pulumi.Output[str]
    """Estimate, for people."""
    ready: pulumi.Resource
    """What is there last: the data disk is at the machine, and the address too."""

    def __init__(
        self, token: str, name: str, args: VmArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(token, name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)

    def _finish(
        self,
        address: pulumi.Output[str],
        machine_id: pulumi.Output[str],
        ready: pulumi.Resource,
    ) -> None:
        args = self._args
        self.address = address
        self.machine_id = machine_id
        self.url = address.apply(args.url)
        self.ssh = pulumi.Output.concat("ssh ", args.ssh_user, "@", address)
        self.user = pulumi.Output.from_input(args.ssh_user)
        self.monthly_cost = pulumi.Output.from_input(args.monthly_cost)
        self.ready = ready
        names = ("address", "machine_id", "url", "ssh", "user", "monthly_cost")
        self.register_outputs({name: getattr(self, name) for name in names})


def first_boot(args: VmArgs, address: pulumi.Output[str]) -> pulumi.Output[str]:
    """Give the user-data, which has the hash of a password in it."""
    return pulumi.Output.secret(address.apply(args.user_data))
