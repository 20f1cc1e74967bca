"""What `occ setup` makes of answers: which settings, and words for what will be done.

Pure: nothing here asks, looks or writes.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from opencode_cloud.configuration import SettingsError, as_config, load
from opencode_cloud.image_settings import BuiltOn, ImageSource
from opencode_cloud.ops import setting_names
from opencode_cloud.ops.stack_document import Document
from opencode_cloud.setting_types import Tls
from opencode_cloud.settings import Settings
from opencode_cloud.start.command import SHORTEST_PASSWORD

ASKED = (
    *("image_source", "prebuilt_image", "port", "bind_address", "allow_network_exposure"),
    *("tls", "mounts", "restart_policy"),
)
"""The settings that are asked for; each is an option of `occ setup` too."""

NEW = "config:\n  opencode:image_source: build\n"
"""The file of a stack that has none. No image is published yet that could be pulled."""

TRADE_OFF = (
    "Build: from sources that you can read and change, with the certificate authorities of the "
    "machine that it is set up from, where that is the one it runs on; takes about 5 minutes and "
    "a way to package registries. Prebuilt: the same for everybody who pulls it, in about 2 "
    "minutes. No release is published yet, so you would name an image of your own by its digest."
)
IMAGE_SOURCES = {
    ImageSource.BUILD.value: "made there, about 5 minutes",
    ImageSource.PREBUILT.value: "pulled, about 2 minutes",
}
ADDRESSES = {
    "127.0.0.1": "that machine alone",
    "0.0.0.0": "every network it is in",  # noqa: S104 - words about it
}
ENCRYPTION = {
    Tls.INTERNAL.value: "HTTPS, by an authority of its own",
    "domain": "HTTPS, publicly certified for a domain",
    Tls.OFF.value: "a TLS proxy or a VPN is in front",
}
RESTARTS = {
    "unless-stopped": "always, unless you stopped it",
    "always": "even if you stopped it",
    "on-failure:5": "after failures, five times",
    "no": "never",
}


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who gets a login, and where the password comes from. The password itself is not here."""

    name: str
    source: str
    """`given`; `generated`; `made`: generated if nobody can log in yet; or `kept`: somebody can."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """All answers. Passwords and keys are here, and in no object that could print them."""

    answers: dict[str, str]
    person: Person
    password: str | None = field(repr=False)
    """``None``: it is generated where it is needed."""
    keys: dict[str, str] = field(repr=False)


def password_problem(text: str) -> str:
    """Say why a password is too short; empty when it is not."""
    return "" if len(text) >= SHORTEST_PASSWORD else f"at least {SHORTEST_PASSWORD} characters"


def proposals(document: Document) -> dict[str, str]:
    """Give an answer to every question: what the file says, else the default."""
    named = document.values
    defaults = {name: as_config(Settings.model_fields[name].default) for name in ASKED}
    if not named.keys() & {"image_source", "prebuilt_image"}:
        defaults["image_source"] = ImageSource.BUILD.value
    return {name: named.get(name, defaults[name]) for name in ASKED}


def problem(document: Document, stack: str, answers: Mapping[str, str], name: str) -> str:
    """Say why the answer to one question cannot be used, in view of the others; empty if it can."""
    raw = {**document.values, **_normalised(answers)}
    try:
        load(raw, stack)
    except SettingsError as error:
        found = [each for each in error.problems if each.key == name]
        return f"{found[0].why}; {found[0].fix}" if found else ""
    return ""


def written(document: Document, stack: str, answers: Mapping[str, str]) -> Document:
    """Give the file with the answers: those that are its defaults are not written.

    Raises:
        SettingsError: the settings cannot be used, with every problem.
        StackConfigError: the file's layout does not allow it.
    """
    for name, value in _normalised(answers).items():
        # Said outright, as nothing else says that there is no image to pull.
        default = None if name == "image_source" else setting_names.default(name)
        if value == default:
            document = document.without(name)
        elif document.said(name) != value:
            document = document.with_value(name, value)
    load(document.values, stack)
    return document


def _normalised(answers: Mapping[str, str]) -> dict[str, str]:
    return {name: setting_names.normalised(name, value) for name, value in answers.items()}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that `occ setup` is about to do."""

    stack: str
    where: str
    """For people: which machine."""
    file: str
    settings: Settings
    person: Person
    keys: tuple[str, ...]
    """Names of the API keys; their values are nowhere here."""
    missing: tuple[str, ...]
    """What has to be brought to the machine first."""
    replaces: str
    """What it means for the container that is there; empty when there is none."""

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Name and words of each thing that will be done."""
        settings = self.settings
        container = f"opencode-{self.stack}"
        rows = [
            ("Settings", f"written to {self.file}"),
            ("Bring first", ", ".join(self.missing)),
            ("Image", _image_words(settings, self.where)),
            ("Container", f"{container}; restarted: {settings.restart_policy}"),
            ("", self.replaces),
            ("Volumes", f"{container}-data and others, which stay whatever happens to the rest"),
            ("URL", settings.url),
            ("", exposure_words(settings)),
            ("User", _person_words(self.person)),
            ("Mounts", settings.mounts.replace(",", ", ")),
            ("API keys", ", ".join(self.keys) + " (encrypted)" if self.keys else ""),
        ]
        return [(name, words) for name, words in rows if words]


def exposure_words(settings: Settings) -> str:
    """Warn of an address that others reach; empty for loopback."""
    if not settings.exposed:
        return ""
    if settings.has_tls:
        return "other machines can reach it; the connection is encrypted"
    return (
        "OTHER MACHINES CAN REACH IT, AND THE CONNECTION IS NOT ENCRYPTED: passwords and sessions "
        "can be read on the way"
    )


def _image_words(settings: Settings, where: str) -> str:
    if settings.image_source is ImageSource.PREBUILT:
        return f"pulled: {settings.prebuilt_image}"
    if settings.kept_image:
        return f"kept from before: {settings.kept_image}"
    if settings.image_built_on is BuiltOn.HERE:
        return f"built on this machine from docker/Dockerfile, and sent to {where}"
    return f"built on {where} from docker/Dockerfile, unless it is there already"


def _person_words(person: Person) -> str:
    how = {
        "given": ", with the password that was given",
        "generated": ", with a generated password that is shown once, at the end",
        "made": ", with a generated password that is shown once, at the end, if nobody can log in",
        "kept": " can log in already; nothing is changed",
    }
    return person.name + how[person.source]


FLAGS = {
    "image_source": "--image-source",
    "prebuilt_image": "--prebuilt-image",
    "port": "--port",
    "bind_address": "--bind-address",
    "allow_network_exposure": "--allow-network-exposure",
    "tls": "--tls",
    "mounts": "--mount",
    "restart_policy": "--restart-policy",
}


def command(prefix: str, answers: Mapping[str, str], others: Iterable[str] = ()) -> str:
    """Write the command that says these answers, and asks nothing."""
    words = [prefix]
    for name, value in answers.items():
        match name:
            case "allow_network_exposure":
                words += [FLAGS[name]] if value == "true" else []
            case "mounts":
                words += [f"{FLAGS[name]} {shlex.quote(item)}" for item in value.split(",") if item]
            case _:
                words += [f"{FLAGS[name]} {shlex.quote(value)}"]
    return " ".join([*words, *others, "--yes"])
