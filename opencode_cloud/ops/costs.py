"""What a machine would cost, or the one that a stack has."""

from opencode_cloud.cloud_settings import Target
from opencode_cloud.configuration import default
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.program import program_of
from opencode_cloud.spec.cost import Estimate, estimate
from opencode_cloud.spec.machine_sizes import DEFAULT_SIZES, size_of


def estimate_for(provider: Target, size: str | None, disk_gb: int | None) -> Estimate:
    """Estimate a provider's machine, the usual one where nothing is said."""
    usual = int(default("data_disk_gb", provider))
    return estimate(provider, size or DEFAULT_SIZES[provider], disk_gb or usual)


def of_stack(stack: str, size: str | None, disk_gb: int | None) -> Estimate:
    """Estimate the machine of a stack, or what it would be with another size.

    Raises:
        OperationError: the stack rents none.
        SettingsError: its settings cannot be used; with every problem.
    """
    settings = program_of(stack).settings()
    if not settings.target.is_cloud:
        raise OperationError(
            f"The stack {stack!r} rents no machine: its target is {settings.target}. What one of a "
            "provider would cost: occ cost aws|gcp|azure|digitalocean"
        )
    return estimate(
        settings.target,
        size or size_of(settings),
        disk_gb or settings.data_disk_gb,
        settings.is_load_balanced,
    )
