"""What else has to know of a network of Amazon EC2."""

from dataclasses import dataclass

import pulumi


@dataclass(frozen=True, kw_only=True)
class AwsNetwork:
    """A network with one machine in it."""

    vpc_id: pulumi.Output[str]
    subnet_id: pulumi.Output[str]
    """The machine's, in `zone`."""
    route_table_id: pulumi.Output[str]
    """The way to the internet."""
    zone: pulumi.Output[str]
    machine_address: pulumi.Output[str]
    """Its own, in the network; that of the next machine, too."""
