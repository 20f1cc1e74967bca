"""What a rented machine is told at its first boot: cloud-init's user-data.

``python -m opencode_cloud.spec.cloud_config PROVIDER`` prints an example of a provider's.
"""

import base64
import lzma
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from opencode_cloud.cloud_settings import Target
from opencode_cloud.configuration import load
from opencode_cloud.spec.machine import SSH_USER, Machine, machine, shipped_files
from opencode_cloud.spec.vm_bundle import packed

LIMITS: Mapping[Target, int] = {
    # docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html: before it is encoded.
    Target.AWS: 16 * 1024,
    # cloud.google.com/compute/docs/metadata/setting-custom-metadata: one value.
    Target.GCP: 256 * 1024,
    # learn.microsoft.com/azure/virtual-machines/custom-data: as base64, 87380 characters.
    Target.AZURE: 64 * 1024,
    # docs.digitalocean.com/products/droplets/how-to/provide-user-data
    Target.DIGITALOCEAN: 64 * 1024,
}
"""Bytes of user-data that each provider takes."""

ARCHIVE = "/var/lib/opencode-cloud/first.tar.xz"
"""Where all files but ``machine.conf`` are, which is legible because templates fill it in."""
UNPACK = f"import tarfile; tarfile.open('{ARCHIVE}').extractall('/', filter='data')"
UNITS = ("opencode-cloud.service", "opencode-cloud-data.service")
# In base64, the bytes that every file of xz begins with.
_ARCHIVE_IN_TEXT = re.compile(r"/Td6WFo[A-Za-z0-9+/]+=*")


class _Literal(str):
    """A text that is written line for line, so that a template's parameter can stand in it."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes literal texts as such."""


_FOR_TEXT = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "pb": 0}]
"""Text has no words of four bytes, which xz expects."""

_Dumper.add_representer(
    _Literal,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|"),
)


def render(described: Machine) -> str:
    """Write the user-data of a machine; the same machine gives the same text."""
    conf, *others = described.files
    # Not gzip, which cloud-init would undo by itself: the tenth that it is larger does not fit.
    archive = lzma.compress(packed(others), check=lzma.CHECK_CRC32, filters=_FOR_TEXT)
    document = {
        "users": [
            {
                "name": SSH_USER,
                "gecos": "Operator of opencode-cloud",
                # As powerful as root, which it may become anyway. From the first login on, and so
                # before Docker is there: a connection keeps the groups that it began with.
                "groups": "docker",
                "shell": "/bin/bash",
                "sudo": "ALL=(ALL) NOPASSWD:ALL",
                "lock_passwd": True,
                "ssh_authorized_keys": [_Literal(described.ssh_public_key)],
            }
        ],
        "ssh_pwauth": False,
        "disable_root": True,
        "write_files": [
            {"path": conf.path, "permissions": "0600", "content": _Literal(conf.content)},
            {
                "path": ARCHIVE,
                "permissions": "0600",
                "encoding": "b64",
                "content": base64.b64encode(archive).decode(),
            },
        ],
        "runcmd": [
            ["python3", "-c", UNPACK],
            ["systemctl", "daemon-reload"],
            ["systemctl", "enable", *UNITS],
            # Until it is done, so that `cloud-init status` says how it went.
            ["systemctl", "start", UNITS[0]],
        ],
    }
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=2**16)
    return f"#cloud-config\n{text}"


def unpacked(text: str) -> str:
    """Give a text with each archive in it unpacked, to compare what two of them say.

    Versions of liblzma pack the same files into different bytes.

    Raises:
        lzma.LZMAError: an archive is damaged.
    """

    def content(packed_one: re.Match[str]) -> str:
        return lzma.decompress(base64.b64decode(packed_one[0])).decode("latin-1")

    return _ARCHIVE_IN_TEXT.sub(content, text)


EXAMPLE = {
    "region": "example-1",
    "ssh_from": "192.0.2.0/24",
    "ssh_public_key": f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA{'0' * 44} me",
    "prebuilt_image": f"ghcr.io/example/opencode-cloud@sha256:{'0' * 64}",
    "gcp_project": "example",
    "azure_subscription": "00000000-0000-0000-0000-000000000000",
}
"""Settings of a machine that nobody has."""


def example(provider: Target, project: Path) -> Machine:
    """Describe a machine of a provider's, for people to read."""
    settings = load({**EXAMPLE, "target": provider}, "example")
    return machine(settings, "example", settings.prebuilt_image, shipped_files(project))


def main() -> None:
    """Print the user-data of the provider that is named."""
    try:
        provider = Target(sys.argv[1])
        limit = LIMITS[provider]
    except (IndexError, KeyError, ValueError):
        sys.exit(f"usage: python -m opencode_cloud.spec.cloud_config {'|'.join(LIMITS)}")
    text = render(example(provider, Path.cwd()))
    print(text, end="")
    print(f"{len(text.encode())} of {limit} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
