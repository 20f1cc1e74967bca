"""What the stacks of every provider have in common: the machine, and what is applied to it."""

import json
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TypeVar

import pulumi
import pulumi_command as command

from components.vm import EVERYWHERE, Vm, VmArgs
from opencode_cloud.ops import rented
from opencode_cloud.spec.aws_network import NETWORK as AWS_NETWORK
from opencode_cloud.spec.cloud_config import render
from opencode_cloud.spec.cost import SYSTEM_DISK_GB, estimate
from opencode_cloud.spec.image import BuiltImage, ImageSpec, image_spec
from opencode_cloud.spec.machine import SSH_USER, Machine, machine, shipped_files
from opencode_cloud.spec.machine_sizes import is_arm, size_of
from opencode_cloud.spec.vm_bundle import bundle, encoded
from opencode_cloud.start.paths import Paths
from stacks.deployment import Deployment

APPLY = (".venv/bin/python", "-m", "opencode_cloud.ops.machine_apply")
"""In the program's folder, by a path that is the same in every checkout."""

Rented = TypeVar("Rented", bound=Vm)


def rent(
    deployment: Deployment, kind: Callable[..., Rented], provider: pulumi.ProviderResource
) -> Rented:
    """Register a machine and what is applied to it, and export the outputs."""
    return _Rental(deployment).run(kind, provider)


@dataclass(frozen=True)
class _Rental:
    deployment: Deployment

    def run(self, kind: Callable[..., Rented], provider: pulumi.ProviderResource) -> Rented:
        """Register the machine and what is applied to it, and export the outputs."""
        vm = kind("opencode", self.vm_args(), pulumi.ResourceOptions(providers=[provider]))
        applied = self._applied(vm)
        found = applied.stdout.apply(lambda text: json.loads(text) if text else {})
        # What a machine shows to everybody who connects to it is no secret.
        known = pulumi.Output.unsecret(found)
        image = self._image
        for name in ("url", "address", "ssh", "user"):
            pulumi.export(name, getattr(vm, name))
        pulumi.export("machine", vm.machine_id)
        pulumi.export("monthlyCost", vm.monthly_cost)
        pulumi.export("hostKeys", known.apply(lambda of: of.get("host_keys", [])))
        pulumi.export("hostFingerprints", known.apply(lambda of: of.get("fingerprints", [])))
        pulumi.export("containerName", self._describe("").values["CONTAINER"])
        pulumi.export("imageDigest", image.reference)
        pulumi.export("provenance", image.provenance)
        return vm

    def vm_args(self) -> VmArgs:
        """Say what machine it is.

        Raises:
            RunError: nobody could reach it over SSH.
        """
        settings, size = self.deployment.settings, size_of(self.deployment.settings)
        return VmArgs(
            stack=self.deployment.stack,
            region=settings.region,
            size=size,
            is_arm=is_arm(settings.target, size),
            ssh_public_key=settings.ssh_public_key,
            ssh_user=SSH_USER,
            ssh_from=ipv4_networks(settings.ssh_from),
            web_ports=tuple(port for port in (settings.port, settings.redirect_port) if port),
            web_from=(AWS_NETWORK,) if settings.is_load_balanced else EVERYWHERE[:1],
            system_disk_gb=SYSTEM_DISK_GB[settings.target],
            data_disk_gb=settings.data_disk_gb,
            user_data=lambda address: render(self._describe(address)),
            url=lambda address: settings.at(address).url,
            monthly_cost=estimate(
                settings.target, size, settings.data_disk_gb, settings.is_load_balanced
            ).text,
            delete_data=settings.delete_data_on_destroy == self.deployment.stack,
        )

    def _describe(self, address: str) -> Machine:
        return machine(
            self.deployment.settings.at(address),
            self.deployment.stack,
            self._image.reference,
            shipped_files(self.deployment.project),
            environment=self.deployment.environment,
        )

    @property
    def _image(self) -> ImageSpec:
        return image_spec(self.deployment.settings, self.deployment.stack, self.deployment.project)

    def _applied(self, vm: Vm) -> command.local.Command:
        image = self._image
        built = image if isinstance(image, BuiltImage) else None
        data = Paths.of(self.deployment.project, os.environ).data
        archive = pulumi.Output.all(vm.address, dict(self.deployment.secrets)).apply(
            lambda known: encoded(bundle(self._describe(known[0]), known[1], built))
        )
        return command.local.Command(
            "apply",
            create=pulumi.Output.all(vm.machine_id, vm.address).apply(
                lambda known: shlex.join(self._words(*known))
            ),
            triggers=[rented.attempt(data, self.deployment.stack)],
            # In no argument, and encrypted in the state.
            stdin=pulumi.Output.secret(archive),
            logging=command.local.Logging.STDERR,
            opts=pulumi.ResourceOptions(
                depends_on=[vm.ready], additional_secret_outputs=["stdin", "stdout", "stderr"]
            ),
        )

    def _words(self, machine_id: str, address: str) -> tuple[str, ...]:
        settings = self.deployment.settings
        words = [*APPLY, "--stack", self.deployment.stack, "--machine", machine_id]
        words += ["--address", address, "--user", SSH_USER]
        ways = {
            "--port": str(settings.ssh_port or ""),
            "--identity-file": settings.ssh_identity_file,
            "--jump": settings.ssh_jump,
        }
        return (*words, *(word for way in ways.items() if way[1] for word in way))


def ipv4_networks(ssh_from: str) -> tuple[str, ...]:
    """Give those networks that can reach a machine, which has an IPv4 address alone.

    Raises:
        RunError: none can.
    """
    networks = [network for network in ssh_from.split(",") if network]
    found = tuple(network for network in networks if ip_network(network).version == 4)  # noqa: PLR2004
    if found:
        return found
    raise pulumi.RunError(
        f"opencode:ssh_from is {ssh_from}, and the machine has an IPv4 address alone, so that "
        "nobody could administer it: pulumi config set opencode:ssh_from <your IPv4 address>/32 "
        "(curl -4s https://icanhazip.com shows it)"
    )


def refuse_ambient(namespace: str, keys: Mapping[str, str]) -> None:
    """Refuse keys of Pulumi's own that would say again, and otherwise, what our settings say.

    Args:
        namespace: of the provider, such as `aws`.
        keys: each such key, with our setting that is used in its place.

    Raises:
        RunError: one of them is set.
    """
    config = pulumi.Config(namespace)
    for key, setting in keys.items():
        if config.get(key):
            raise pulumi.RunError(
                f"{namespace}:{key} is set, and is not used: the stack's {setting} decides. "
                f"Remove it: pulumi config rm {namespace}:{key}"
            )
