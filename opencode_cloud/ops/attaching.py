"""opencode's own terminal interface on this machine, at a deployment."""

import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opencode_cloud.ops.deployment import Deployment
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.execution import run

PASSWORD, USERNAME = "OPENCODE_SERVER_PASSWORD", "OPENCODE_SERVER_USERNAME"
WORKSPACE = "/workspace"

_AUTHORITIES = "NODE_EXTRA_CA_CERTS"
_VERSION_LABEL = "org.opencode-cloud.opencode-version"
_SECONDS = 30


@dataclass(frozen=True)
class Credentials:
    """Of one user of the deployment."""

    user: str
    password: str

    @property
    def environment(self) -> dict[str, str]:
        """As opencode takes them: a command line is seen by everybody."""
        return {USERNAME: self.user, PASSWORD: self.password}


def command(program: str, url: str, words: Sequence[str]) -> list[str]:
    """Give the command line: in the deployment's workspace, unless `words` name a folder."""
    has_folder = any(word == "--dir" or word.startswith("--dir=") for word in words)
    return [program, "attach", url, *(() if has_folder else ("--dir", WORKSPACE)), *words]


def find_program(deployment: Deployment, url: str) -> str:
    """Give the opencode of this machine.

    Raises:
        OperationError: there is none; with how to get it, and what would be run.
    """
    if program := shutil.which("opencode"):
        return program
    version = deployment.labels.get(_VERSION_LABEL, "")
    package = f"opencode-ai@{version}" if version else "opencode-ai"
    line = " ".join(command("opencode", url, ()))
    raise OperationError(
        f"There is no opencode on this machine's PATH. Get it: npm install -g {package}, or see "
        f"https://opencode.ai/docs. This would be run: {line}, with {USERNAME} and {PASSWORD} in "
        "its environment."
    )


@contextmanager
def authorities(deployment: Deployment, ours: Mapping[str, str]) -> Iterator[str]:
    """Give a file of the authorities to trust besides the system's; empty where there are none."""
    if deployment.tls != "internal":
        yield ours.get(_AUTHORITIES, "")
        return
    shown = run(deployment, "opencode-certificate", "ca")
    if not shown.ok:
        raise OperationError(f"The deployment's certificate authority: {shown.err.strip()}")
    others = ours.get(_AUTHORITIES, "")
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        if others:
            file.write(Path(others).read_text() + "\n")
        file.write(shown.out)
        file.flush()
        yield file.name


def check(url: str, who: Credentials, trusted: str) -> None:
    """See that the deployment lets the user in, before a whole screen says nothing of why not.

    Raises:
        OperationError: it does not.
    """
    context = ssl.create_default_context()
    if trusted:
        context.load_verify_locations(trusted)
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    given = b64encode(f"{who.user}:{who.password}".encode()).decode()
    asked = urllib.request.Request(f"{url}/path", headers={"Authorization": f"Basic {given}"})  # noqa: S310 - ours
    try:
        with urllib.request.build_opener(*handlers).open(asked, timeout=_SECONDS):
            return
    except urllib.error.HTTPError as error:
        raise OperationError(_refusal(error.code, who.user)) from None
    except OSError as error:
        why = getattr(error, "reason", None) or error
        raise OperationError(f"{url} does not answer: {why}") from None


def _refusal(status: int, user: str) -> str:
    if status == 401:  # noqa: PLR2004 - HTTP's word for it
        return f"The deployment does not let {user} in: no such user, or another password."
    if status == 429:  # noqa: PLR2004 - likewise
        return "Too many wrong passwords were tried. Wait a minute, and try again."
    return f"The deployment answers {status}, and lets nobody in now."


def attach(line: Sequence[str], who: Credentials, trusted: str) -> int:
    """Run opencode until it ends; gives its exit code."""
    environment = {**os.environ, **who.environment}
    if trusted:
        environment[_AUTHORITIES] = trusted
    # A terminal's Ctrl-C is opencode's; we stay, and so does the tunnel, until it ends.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with subprocess.Popen(line, env=environment) as process:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # Somebody ends us by another signal.
                process.terminate()
                raise
    finally:
        signal.signal(signal.SIGINT, before)
