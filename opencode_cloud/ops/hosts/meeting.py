"""Getting to know a host: the key that it shows before anything is told to it."""

import subprocess
import tempfile
from pathlib import Path

from opencode_cloud.ops.ssh import SshError, call_ssh, explained
from opencode_cloud.spec.host_key import HostKey
from opencode_cloud.spec.ssh import CONNECT_SECONDS, SshAddress, meeting

_SECONDS = CONNECT_SECONDS * 4
"""By several jump hosts, and a question of theirs."""


def offered_key(address: SshAddress) -> str:
    """Ask a host for its key, as `TYPE BASE64`; whose it is, is for a person to say.

    Raises:
        SshError: it cannot be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        known_hosts = Path(folder, "known_hosts")
        try:
            done = call_ssh(meeting(address, known_hosts), "", _SECONDS)
        except subprocess.TimeoutExpired:
            said = f"gave no answer within {_SECONDS} s"
            raise SshError(f"{address.destination} {said}.", said) from None
        lines = known_hosts.read_text().splitlines() if known_hosts.is_file() else []
    if not lines:
        raise SshError(explained(address, done.err), done.err)
    return " ".join(lines[0].split()[1:3])


def other_key(address: SshAddress) -> str:
    """Say that a host's key is not the one that was expected, with both fingerprints."""
    expected = ", ".join(str(HostKey.of(key)) for key in address.host_keys)
    return (
        f"{address.destination} has another host key than the one that was given, and nothing was "
        f"sent to it. Given: {expected}. It has: {HostKey.of(offered_key(address))}. Ask whoever "
        "set it up which one is right; if neither, somebody may be in between."
    )
