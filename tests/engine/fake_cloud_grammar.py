"""How gcloud and doctl are called: the part of their references that the scripts in deploy/ use.

docs.cloud.google.com/sdk/gcloud/reference, docs.digitalocean.com/reference/doctl/reference, and the
source of doctl for what stands in a firewall's rules.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

BOOLEAN = ""
ANY = r".+"
NAME = r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
CIDR = r"\d+(\.\d+){3}/\d+"
ZONE = r"[a-z]+-[a-z]+\d-[a-z]"
REGION = r"[a-z]+-[a-z]+\d"
SLUG = r"[a-z]{3}\d"
ID = r"\d+"
SOURCES = r"(,address:[0-9a-f.:]+/\d+)+"
RULE = rf"protocol:((tcp|udp),ports:(\d+|\d+-\d+|all)|icmp){SOURCES}"


@dataclass(frozen=True)
class Command:
    """What one command takes."""

    beside: tuple[str, ...] = ()
    required: Mapping[str, str] = field(default_factory=dict)
    optional: Mapping[str, str] = field(default_factory=dict)


SHOWN = {"--format": r"[A-Za-z,]+", "--no-header": BOOLEAN}
PLACED: Mapping[str, Mapping[str, str]] = {
    "networks": {},
    "firewall-rules": {},
    "networks subnets": {"--region": REGION},
    "addresses": {"--region": REGION},
    "resource-policies": {"--region": REGION},
    "disks": {"--zone": ZONE},
    "instances": {"--zone": ZONE},
}
"""Kinds of Google's resources, and where one of them is."""
MADE: Mapping[str, Command] = {
    "networks create": Command((NAME,), {}, {"--subnet-mode": "auto|custom|legacy"}),
    "networks subnets create": Command((NAME,), {"--network": NAME, "--range": CIDR}),
    "firewall-rules create": Command(
        (NAME,),
        {"--allow": r"(tcp|udp|icmp)(:\d+)?(,(tcp|udp|icmp)(:\d+)?)*"},
        {"--network": NAME, "--source-ranges": rf"{CIDR}(,{CIDR})*"},
    ),
    "addresses create": Command((NAME,)),
    "disks create": Command(
        (NAME,), {}, {"--size": r"\d+(GB|TB)", "--type": "pd-standard|pd-balanced|pd-ssd"}
    ),
    "instances create": Command(
        (NAME,),
        {},
        {
            "--address": r"\d+(\.\d+){3}",
            "--boot-disk-size": r"\d+GB",
            "--boot-disk-type": "pd-standard|pd-balanced|pd-ssd",
            "--disk": r"(name|device-name|auto-delete|mode|boot)=[a-z0-9-]+"
            r"(,(name|device-name|auto-delete|mode|boot)=[a-z0-9-]+)*",
            "--image-family": NAME,
            "--image-project": NAME,
            "--machine-type": r"[a-z0-9]+-[a-z0-9-]+",
            "--metadata": r"[a-z-]+=[A-Z]+(,[a-z-]+=[A-Z]+)*",
            "--metadata-from-file": r"[a-z-]+=[^,]+(,[a-z-]+=[^,]+)*",
            "--no-scopes": BOOLEAN,
            "--no-service-account": BOOLEAN,
            "--shielded-integrity-monitoring": BOOLEAN,
            "--shielded-secure-boot": BOOLEAN,
            "--shielded-vtpm": BOOLEAN,
            "--subnet": NAME,
        },
    ),
}
GCLOUD: dict[str, Command] = {
    "config get-value": Command(("project",)),
    "compute resource-policies create snapshot-schedule": Command(
        (NAME,),
        {"--daily-schedule": BOOLEAN, "--start-time": r"\d\d:00"},
        {
            "--region": REGION,
            "--max-retention-days": ID,
            "--on-source-disk-delete": "apply-retention-policy|keep-auto-snapshots",
        },
    ),
    "compute disks add-resource-policies": Command(
        (NAME,), {"--resource-policies": NAME}, {"--zone": ZONE}
    ),
    **{
        f"compute {kind} describe": Command(
            (NAME,), place, {"--format": r"value\((address|resourcePolicies)\)"}
        )
        for kind, place in PLACED.items()
    },
    **{
        f"compute {words}": Command(
            known.beside, {**known.required, **PLACED[words.rpartition(" ")[0]]}, known.optional
        )
        for words, known in MADE.items()
    },
}
DOCTL: dict[str, Command] = {
    "compute ssh-key get": Command((r"[0-9a-f]{2}(:[0-9a-f]{2}){15}|\d+",)),
    "compute ssh-key import": Command((ANY,), {"--public-key-file": ANY}),
    "compute tag get": Command((r"[\w:-]+",)),
    "compute tag create": Command((r"[\w:-]+",)),
    "compute firewall list": Command((), {}, SHOWN),
    "compute firewall create": Command(
        (),
        {"--name": NAME},
        {
            "--tag-names": r"[\w:,-]+",
            "--inbound-rules": rf"{RULE}( {RULE})*",
            "--outbound-rules": rf"{RULE}( {RULE})*",
        },
    ),
    "compute volume list": Command((), {}, SHOWN),
    "compute volume create": Command(
        (NAME,), {"--size": r"\d+(GiB|TiB)", "--region": SLUG}, {"--tag": r"[\w:-]+", **SHOWN}
    ),
    "compute reserved-ip list": Command((), {}, SHOWN),
    "compute reserved-ip create": Command((), {"--region": SLUG}, SHOWN),
    "compute reserved-ip-action assign": Command((r"\d+(\.\d+){3}", ID)),
    "compute droplet list": Command((), {}, SHOWN),
    "compute droplet create": Command(
        (NAME,),
        {"--region": SLUG, "--size": r"[a-z0-9-]+", "--image": r"[a-z0-9-]+"},
        {
            "--ssh-keys": r"[0-9a-f:,]+",
            "--tag-names": r"[\w:,-]+",
            "--volumes": r"[0-9a-f-]+",
            "--user-data-file": ANY,
            "--wait": BOOLEAN,
            **SHOWN,
        },
    ),
}
GLOBAL: Mapping[str, Mapping[str, str]] = {
    "gcloud": {"--quiet": BOOLEAN, "--project": r"[a-z][a-z0-9.:-]+"},
    "doctl": {},
}
GRAMMAR = {"gcloud": GCLOUD, "doctl": DOCTL}


class UsageError(Exception):
    """A tool is called in a way that its reference does not have."""


def read(tool: str, arguments: list[str]) -> tuple[str, list[str], dict[str, str]]:
    """Read a call: its command, what stands beside it, and its flags.

    Raises:
        UsageError: the reference has no such command, flag or value, or wants more.
    """
    rest = list(arguments)
    flags = dict(_flags(rest, GLOBAL[tool]))
    words = next((w for n in (4, 3, 2) if (w := " ".join(rest[:n])) in GRAMMAR[tool]), None)
    if words is None:
        raise UsageError(f"{tool} has no command {' '.join(rest[:3])}")
    command = GRAMMAR[tool][words]
    del rest[: len(words.split())]
    beside: list[str] = []
    known = {**GLOBAL[tool], **command.required, **command.optional}
    while rest:
        flags.update(_flags(rest, known))
        beside += rest[:1]
        del rest[:1]
    for missing in command.required.keys() - flags.keys():
        raise UsageError(f"{tool} {words}: {missing} is missing")
    if len(beside) != len(command.beside):
        raise UsageError(f"{tool} {words}: {beside}")
    for pattern, value in zip(command.beside, beside, strict=True):
        _check(pattern, value, f"{tool} {words}")
    return words, beside, flags


def _flags(rest: list[str], known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Take the flags that come next, ``--name=value`` or ``--name value``."""
    while rest and rest[0].startswith("-"):
        name, equals, value = rest.pop(0).partition("=")
        if name not in known:
            raise UsageError(f"there is no flag {name} here")
        if known[name] != BOOLEAN and not equals:
            if not rest:
                raise UsageError(f"{name} is given no value")
            value = rest.pop(0)
        _check(known[name], value, name)
        yield name, value


def _check(pattern: str, value: str, what: str) -> None:
    if not re.fullmatch(pattern, value):
        raise UsageError(f"{what}: {value!r}")
