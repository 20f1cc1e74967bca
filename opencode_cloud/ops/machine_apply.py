"""Bring a rented machine to what the stack says: ``python -m opencode_cloud.ops.machine_apply``.

The Pulumi program has it run after the machine is there, and whenever it shall be something else.
Standard input is the archive that the machine is given, secrets included: it is in no argument, no
file and no output. Standard output is one JSON document, of what is known of the machine then.

The machine's keys are those that it shows at the first connection ever; another machine under the
same name is refused from then on.
"""

import argparse
import base64
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from opencode_cloud.ops import rented
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.rented import Rented
from opencode_cloud.ops.ssh import Ssh
from opencode_cloud.spec.vm_bundle import COMMAND
from opencode_cloud.start.paths import Paths

REACHED_SECONDS = 900
"""How long a new machine may take until it lets us in."""
FIRST_BOOT_SECONDS = 1800
APPLY_SECONDS = 3600
"""A build of the image included."""
SECONDS_BETWEEN = 5
LINES = 15
WAITS = 75
"""The machine's own exit code where it waits for what comes over SSH."""

FIRST_BOOT = "cloud-init status --wait > /dev/null 2>&1; sudo opencode-cloud-status 2> /dev/null"


def main(arguments: list[str]) -> int:
    """Do it; gives the exit status."""
    asked = _parser().parse_args(arguments)
    archive = sys.stdin.read()
    data = Paths.of(Path(__file__).parents[2], os.environ).data
    try:
        found = apply(asked, archive, data, lambda line: print(line, file=sys.stderr, flush=True))
    except OperationError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(found))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="machine_apply")
    for name in ("stack", "machine", "address", "user"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("port", "identity-file", "jump"):
        parser.add_argument(f"--{name}", default="")
    return parser


def apply(
    asked: argparse.Namespace, archive: str, data: Path, say: Callable[[str], None]
) -> dict[str, object]:
    """Reach the machine, let its first boot end, and apply the archive.

    Raises:
        OperationError: it cannot be reached, is another one, or a step failed on it.
    """
    host = _reached(asked, data, say)
    say(f"{host.name} lets us in; waiting for its first boot to end")
    host.run(FIRST_BOOT, seconds=FIRST_BOOT_SECONDS)
    say("applying")
    before = rented.read(data, asked.stack)
    # Until it has ended well, and also if we are killed.
    rented.have_applied_again(data, asked.stack)
    done = host.run(COMMAND, stdin=archive, seconds=APPLY_SECONDS)
    if not done.ok:
        last = "\n".join(f"    {line}" for line in _lines(done.out + done.err)[-LINES:])
        raise OperationError(
            f"{host.name} could not be brought to what the stack says:\n{last}\n"
            f"Another run mends what can be mended. The whole log: {_log_command(host)}"
        )
    if before:
        rented.write(data, asked.stack, before)
    keys = host.address.host_keys
    return {"host_keys": list(keys), "fingerprints": [fingerprint(key) for key in keys]}


def _log_command(host: Ssh) -> str:
    """Give the command that shows the machine's own log."""
    return f"{host.address.command} sudo cat /var/log/opencode-cloud.log"


def _reached(asked: argparse.Namespace, data: Path, say: Callable[[str], None]) -> Ssh:
    """Connect, and write down where the machine is and what its keys are."""
    known = rented.read(data, asked.stack)
    keys = known.host_keys if known and known.machine == asked.machine else ()
    machine = Rented(
        machine=asked.machine,
        address=asked.address,
        user=asked.user,
        host_keys=keys,
        attempt=known.attempt if known else 0,
    )
    written = {
        "ssh_port": asked.port,
        "ssh_identity_file": asked.identity_file,
        "ssh_jump": asked.jump,
    }
    address = replace(machine.ssh(asked.stack, written), learns=not keys)
    host = Ssh.of(address, data)
    if not keys:
        # A shared connection to the machine before this one is not one to this machine.
        host.disconnect()
    _wait(host, say)
    if not keys:
        keys = rented.keys_in(host.files.known_hosts.read_text())
        host.disconnect()
        machine = replace(machine, host_keys=keys)
        host = Ssh.of(machine.ssh(asked.stack, written), data)
    rented.write(data, asked.stack, machine)
    return host


def _wait(host: Ssh, say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + REACHED_SECONDS
    said = ""
    while True:
        try:
            host.connect()
        except OperationError as error:
            # Until its first boot is far enough, nobody answers, or nobody is let in.
            if "not the machine that was pinned" in str(error) or time.monotonic() > deadline:
                raise
            if str(error) != said:
                said = str(error)
                say(f"not yet: {said.splitlines()[0]}")
            time.sleep(SECONDS_BETWEEN)
        else:
            return


def fingerprint(key: str) -> str:
    """Give the fingerprint of `TYPE BASE64` as ssh-keygen and consoles show it."""
    kind, blob = key.split()
    digest = base64.b64encode(hashlib.sha256(base64.b64decode(blob)).digest()).decode()
    return f"SHA256:{digest.rstrip('=')} ({kind})"


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
