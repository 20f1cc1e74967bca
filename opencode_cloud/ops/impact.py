"""What a change of settings does to a deployment that is up."""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from opencode_cloud.image_settings import ImageSource
from opencode_cloud.settings import Settings
from opencode_cloud.spec.container import container_spec
from opencode_cloud.spec.image import image_spec
from opencode_cloud.spec.service_unit.spec import service_unit_spec


class Need(StrEnum):
    """What has to be done to a deployment for a change of its settings; the worst is last."""

    NOTHING = "nothing"
    UPDATE = "update"
    """The container goes on running."""
    REPLACE = "replace"
    """Another container takes the place of the one that is there; data stays."""
    DATA = "data"
    """What people made may not be there afterwards: it is left elsewhere, or loses its guard."""


@dataclass(frozen=True)
class Impact:
    """What the next ``pulumi up`` does to a deployment because of a change."""

    need: Need
    meaning: tuple[str, ...]
    """Whole sentences, for people."""


_STAYS = "Users, sessions and data stay."
_MEANING = {
    Need.NOTHING: "Nothing changes in the running deployment.",
    Need.UPDATE: "The running container gets it without an interruption.",
    Need.REPLACE: f"The container is replaced, and away for some seconds. {_STAYS}",
}
REPLACED = Impact(Need.REPLACE, (_MEANING[Need.REPLACE],))
"""What another variable or secret comes to."""


def impact(old: Settings, new: Settings) -> Impact:
    """Say what going from ``old`` to ``new`` does to a deployment that is up."""
    if old.docker_host != new.docker_host:
        return Impact(Need.DATA, (_left_behind(old.docker_host, new.docker_host),))
    # The answer is the same for any name and folder.
    old_image, new_image = (image_spec(settings, "any", Path()) for settings in (old, new))
    old_spec, new_spec = (container_spec(settings, "any") for settings in (old, new))
    # All that the provider changes in a running container.
    resized = replace(
        old_spec,
        memory_mb=new_spec.memory_mb,
        restart=new_spec.restart,
        most_restarts=new_spec.most_restarts,
    )
    old_unit, new_unit = (service_unit_spec(settings, "any") for settings in (old, new))
    need = Need.NOTHING if (old_spec, old_unit) == (new_spec, new_unit) else Need.UPDATE
    if old_image != new_image or resized != new_spec:
        need = Need.REPLACE
    meaning = [_MEANING[need]]
    if old_image != new_image:
        built = new.image_source is ImageSource.BUILD
        meaning.append(f"The image is {'built' if built else 'pulled'} first: that takes minutes.")
    if old.url != new.url:
        meaning.append(f"It then answers at {new.url}, instead of {old.url}.")
    if old.delete_data_on_destroy == new.delete_data_on_destroy:
        return Impact(need, tuple(meaning))
    if new.delete_data_on_destroy:
        meaning.append("`pulumi destroy` deletes users, sessions and data from then on.")
        return Impact(Need.DATA, tuple(meaning))
    meaning.append("`pulumi destroy` keeps users, sessions and data from then on.")
    # Pulumi has to note it, whatever else there is to do.
    return Impact(Need.UPDATE if need is Need.NOTHING else need, tuple(meaning))


def _left_behind(old: str, new: str) -> str:
    return (
        f"Pulumi then looks for the deployment at {new}. Unless that is the same Docker engine, "
        f"it begins there without users and data, and what is at {old} runs on, out of Pulumi's "
        "sight: run `pulumi destroy` before this to take it down (its data stays there)."
    )
