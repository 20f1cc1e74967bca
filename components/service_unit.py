"""What keeps the container running, where that is not Docker itself."""

from dataclasses import dataclass

import pulumi
import pulumi_command as command

from opencode_cloud.spec.service_unit.host import UnitCommands
from opencode_cloud.spec.service_unit.spec import ServiceUnitSpec


@dataclass(frozen=True, kw_only=True)
class ServiceUnitArgs:
    """Inputs of ``ServiceUnit``."""

    spec: ServiceUnitSpec
    commands: UnitCommands
    """What puts it on its host, and removes it."""
    container_id: pulumi.Input[str]
    """Of the container that it keeps running."""


class ServiceUnit(pulumi.ComponentResource):
    """``opencode:index:ServiceUnit``: the host's service manager keeps the container running.

    Makes one ``command.local.Command``, which has the host's own shell read what is to be done:
    nothing secret is in it. A unit is written anew in its place. With another container it
    is replaced, and removed before: while one container goes and the other comes, nobody starts
    either.
    """

    name: pulumi.Output[str]
    """Of the unit, where the container is kept running by it."""

    def __init__(
        self, name: str, args: ServiceUnitArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode:index:ServiceUnit", name, None, opts)
        spec, commands = args.spec, args.commands
        unit = command.local.Command(
            f"{name}-unit",
            create=commands.install,
            update=commands.install,
            delete=commands.remove,
            stdin=commands.stdin,
            triggers=[args.container_id, spec.mode.value],
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        # Known when it is there.
        self.name = unit.id.apply(lambda _: spec.name)
        self.register_outputs({"name": self.name})
