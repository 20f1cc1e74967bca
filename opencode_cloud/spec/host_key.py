"""A host's public key, as people compare it."""

import hashlib
from base64 import b64decode, b64encode
from dataclasses import dataclass

_NAMES = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa", "ssh-dss": "dsa"}


@dataclass(frozen=True)
class HostKey:
    """One public key."""

    type: str
    """Its algorithm, such as `ssh-ed25519`."""
    fingerprint: str
    """As `ssh-keygen -l` writes it: `SHA256:…`."""

    @classmethod
    def of(cls, key: str) -> "HostKey":
        """Take it from `TYPE BASE64`."""
        kind, _, content = key.partition(" ")
        digest = hashlib.sha256(b64decode(content)).digest()
        return cls(kind, "SHA256:" + b64encode(digest).decode().rstrip("="))

    @property
    def file(self) -> str:
        """Where the host itself has it."""
        name = _NAMES.get(self.type, "ecdsa" if self.type.startswith("ecdsa") else "*")
        return f"/etc/ssh/ssh_host_{name}_key.pub"

    def __str__(self) -> str:
        return f"{self.type} {self.fingerprint}"
