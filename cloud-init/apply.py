#!/usr/bin/python3 -I
"""opencode-cloud-apply [-]: bring this machine to what /etc/opencode-cloud says.

Runs each of /usr/lib/opencode-cloud/steps in its order; whatever was cut off or has failed is
mended by another run. With `-`, a tar archive on standard input is put into place before: all
that the machine is to be, with the values of the secrets.

Exit status: 0 done, 1 a step failed, 75 waits for what is to come over SSH.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from pathlib import Path
from typing import Any, TextIO

CONF = Path("/etc/opencode-cloud")
STATE = Path("/var/lib/opencode-cloud")
LIB = Path("/usr/lib/opencode-cloud")
LOG = Path("/var/log/opencode-cloud.log")
LOCK = Path("/run/opencode-cloud.lock")
COMMAND = Path("/usr/sbin/opencode-cloud-apply")
BEACON = "opencode-cloud-beacon.service"

DONE, FAILED, WAITS = 0, 1, 75
LINES = 15
STEP_SECONDS = 1800
"""Slow mirrors and registries included."""
DISKS = ("/", "/srv/opencode-cloud")
FULL = 16 << 20
"""Bytes: a disk that has less for others than root is to blame for whatever fails."""

REPLACED = ("etc/opencode-cloud/secrets", "usr/lib/opencode-cloud", "var/lib/opencode-cloud/build")
"""Folders of which an archive holds all that is to be there."""
PLACES = (*REPLACED, "etc/opencode-cloud", "etc/systemd/system", "usr/bin", "usr/sbin")
END = "end"
"""The last entry of every archive: one that was cut off changes nothing."""


def main() -> int:
    """Do what was asked for."""
    if sys.argv[1:] not in ([], ["-"]):
        print(__doc__, file=sys.stderr)
        return 2
    os.umask(0o022)
    try:
        STATE.mkdir(mode=0o711, parents=True, exist_ok=True)
        with LOCK.open("w") as lock:
            take(lock)
            if not sys.argv[1:]:
                return apply(lock)
            put_into_place()
    except OSError as error:
        sys.exit(f"cannot go on: {error}")
    # What came may have another version of this program.
    return subprocess.run([COMMAND], check=False).returncode


def take(lock: TextIO) -> None:
    """Let another run end before. Its steps have the lock as well, should they outlive it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = read_json(STATE / "status.json") or {}
        at = f"{other.get('step', '')} since {other.get('since', '')}"
        print(f"another run is at work ({at}); waiting until it ends", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def put_into_place() -> None:
    """Unpack an archive beside everything else, and exchange what it replaces."""
    with tempfile.TemporaryDirectory(dir=STATE, prefix=".incoming-") as made:
        incoming = Path(made)
        try:
            with tarfile.open(fileobj=sys.stdin.buffer, mode="r|*") as archive:
                archive.extractall(incoming, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            sys.exit(f"the archive on standard input cannot be read: {error}. Nothing was changed.")
        if not (incoming / END).is_file():
            sys.exit("the archive on standard input ends too early. Nothing was changed.")
        (incoming / END).unlink()
        files = [path.relative_to(incoming) for path in incoming.rglob("*") if path.is_file()]
        for path in files:
            if not any(path.is_relative_to(place) for place in PLACES):
                sys.exit(f"the archive holds /{path}, no place of ours. Nothing was changed.")
        for path in files:
            move(incoming / path, Path("/", path))
    for folder in REPLACED:
        for path in Path("/", folder).rglob("*"):
            if path.is_file() and path.relative_to("/") not in files:
                path.unlink()
    run("systemctl", "daemon-reload")


def move(source: Path, target: Path) -> None:
    """Put a file in the place of another at once: this program, too, is replaced while it runs."""
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.new")
    shutil.move(source, new)
    os.chown(new, 0, 0)
    new.rename(target)


def apply(lock: TextIO) -> int:
    """Run the steps until one does not end well."""
    report = Report()
    if not gateway_answers():
        run("systemctl", "start", BEACON)
    code = DONE
    for step in sorted((LIB / "steps").iterdir()):
        report.begin(step.name)
        code = run_step(step, report, lock)
        if code != DONE:
            break
    report.end(code)
    if code != DONE:
        speak_up()
    else:
        (STATE / "applied").write_text(f"{now()}\n")
    complete(report)
    return code if code in (DONE, WAITS) else FAILED


class Report:
    """What is said of a run: in the log, on standard output, and in status.json."""

    def __init__(self) -> None:
        self.status = {"state": "applying", "step": "", "since": now(), "seconds": {}, "lines": []}
        self.status["ports"] = {"https": number("PORT"), "http": number("HTTP_PORT")}
        self._lines: deque[str] = deque(maxlen=LINES)
        self._began = time.monotonic()
        self._write()

    def begin(self, step: str) -> None:
        """Go on to a step."""
        self._lines.clear()
        self._began = time.monotonic()
        self.status |= {"step": step, "since": now(), "lines": []}
        self.say(f"== {step}")
        self._lines.clear()
        self._write()

    def say(self, line: str) -> None:
        """Add a line."""
        self._lines.append(line)
        with LOG.open("a") as log:
            log.write(f"{now()} {line}\n")
        try:
            print(line, flush=True)
        except OSError:
            # Whoever asked for it has gone, such as a connection that was lost; the run goes on.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def finish(self) -> None:
        """Note how long the step took."""
        seconds = round(time.monotonic() - self._began, 1)
        self.status["seconds"][self.status["step"]] = seconds
        self.status["lines"] = list(self._lines)
        self.say(f"== {self.status['step']}: {seconds} s")

    def end(self, code: int) -> None:
        """Say how the run ended."""
        state = {DONE: "applied", WAITS: "waiting"}.get(code, "failed")
        self.status |= {"state": state, "since": now()}
        if code == DONE:
            self.status |= {"step": "", "lines": []}
            self.status["certificate"] = read_json(STATE / "certificate.json")
        self.say(f"== {state}")
        self._write()

    def _write(self) -> None:
        path = STATE / "status.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps(self.status, indent=2) + "\n")
        new.rename(path)


def run_step(step: Path, report: Report, lock: TextIO) -> int:
    """Run one step; what it prints is reported as it comes."""
    process = subprocess.Popen(
        [step],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        pass_fds=[lock.fileno()],
    )
    stopper = threading.Timer(STEP_SECONDS, stop, [process, report])
    stopper.start()
    assert process.stdout  # noqa: S101 - it is a pipe
    for line in process.stdout:
        report.say(line.rstrip())
    code = process.wait()
    stopper.cancel()
    if code < 0:
        report.say(f"was ended by signal {-code}, {signal.strsignal(-code)}")
    if code not in (DONE, WAITS):
        for disk in filter(is_full, DISKS):
            report.say(f"the disk at {disk} is full")
    report.finish()
    return code


def is_full(disk: str) -> bool:
    """Whether nothing more can be written on a disk, for want of blocks or of inodes."""
    found = os.statvfs(disk) if os.path.ismount(disk) else None
    if not found:
        return False
    return found.f_bavail * found.f_frsize < FULL or (found.f_files > 0 and not found.f_favail)


def stop(process: subprocess.Popen[str], report: Report) -> None:
    """End a step that takes too long, with all that it has started."""
    report.say(f"took longer than {STEP_SECONDS} s, and was ended")
    os.killpg(process.pid, signal.SIGKILL)


def speak_up() -> None:
    """Have the reason said at the deployment's ports, where no gateway says anything."""
    if gateway_answers():
        return
    # One that starts again and again would take the ports now and then. Another run starts it.
    if shutil.which("docker"):
        run("docker", "stop", value("CONTAINER"))
    run("systemctl", "start", BEACON)


def gateway_answers() -> bool:
    """Whether something else than the beacon listens at the HTTPS port."""
    if subprocess.run(["systemctl", "is-active", "--quiet", BEACON], check=False).returncode == 0:
        return False
    try:
        with socket.create_connection(("127.0.0.1", number("PORT")), timeout=5):
            return True
    except OSError:
        return False


def complete(report: Report) -> None:
    """Tell whoever waits for the machine, such as CloudFormation, how it went; a success once."""
    url, told = value("COMPLETION_URL"), STATE / "completion-told"
    state = report.status["state"]
    if not url or told.exists() or state == "waiting":
        return
    success = state == "applied"
    reason = "applied" if success else "\n".join([report.status["step"], *report.status["lines"]])
    body = {
        "Status": "SUCCESS" if success else "FAILURE",
        "Reason": reason[-2000:],
        "UniqueId": socket.gethostname(),
        "Data": state,
    }
    # The address is signed, with no content type.
    headers = {"Content-Type": ""}
    request = urllib.request.Request(  # noqa: S310 - https, as whoever made the machine gave it
        url, json.dumps(body).encode(), headers, method="PUT"
    )
    try:
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - likewise
    except (OSError, urllib.error.URLError) as error:
        report.say(f"could not tell how it went: {error}")
        return
    if success:
        told.touch()


def value(name: str) -> str:
    """Give a value of machine.conf; empty when it has none."""
    for line in (CONF / "machine.conf").read_text().splitlines():
        key, _, found = line.partition("=")
        if key == name:
            return found
    return ""


def number(name: str) -> int:
    """Give a value that is a number; 0 when it has none."""
    return int(value(name) or 0)


def read_json(path: Path) -> Any:
    """Read what a step has written."""
    return json.loads(path.read_text()) if path.exists() else None


def now() -> str:
    """Write the time, as UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def run(*command: str) -> None:
    """Run a command of which nothing depends but what is seen afterwards."""
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
