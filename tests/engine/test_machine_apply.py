"""What `pulumi up` does to a rented machine: a real SSH server with its commands behind it."""

import argparse
import getpass
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from opencode_cloud.ops import machine_apply, rented
from opencode_cloud.ops.errors import OperationError
from tests.engine.ssh_server import SshServer, make_key, ssh_server

APPLY = """\
#!/bin/sh
echo "== 50-deployment"
cat > {folder}/given
exit "$(cat {folder}/code 2> /dev/null || echo 0)"
"""


@dataclass
class Machine:
    """A rented machine, as far as SSH tells."""

    folder: Path
    server: SshServer
    said: list[str] = field(default_factory=list)

    def apply(self, archive: str = "YXJjaGl2ZQ==", machine: str = "i-1") -> dict[str, object]:
        asked = argparse.Namespace(
            stack="prod",
            machine=machine,
            address="127.0.0.1",
            user=getpass.getuser(),
            port=str(self.server.port),
            identity_file=str(self.server.folder / "client"),
            jump="",
        )
        return machine_apply.apply(asked, archive, self.data, self.said.append)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def given(self) -> str:
        return (self.folder / "given").read_text()


@contextmanager
def running(folder: Path) -> Iterator[Machine]:
    commands = folder / "bin"
    commands.mkdir(exist_ok=True)
    texts = {
        "sudo": '#!/bin/sh\nexec "$@"\n',
        "cloud-init": f"#!/bin/sh\necho waited >> {folder}/cloud-init\n",
        "opencode-cloud-status": "#!/bin/sh\necho '{}'\n",
        "opencode-cloud-apply": APPLY.format(folder=folder),
    }
    for name, text in texts.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    keys = folder / "keys"
    keys.mkdir(exist_ok=True)
    for old in ("host", "client", "locked"):
        for file in (keys / old, keys / f"{old}.pub"):
            file.unlink(missing_ok=True)
    with ssh_server(keys, f"SetEnv PATH={commands}:/usr/bin:/bin") as server:
        yield Machine(folder, server)


@pytest.fixture(autouse=True)
def sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder for ssh's sockets, whose paths may not be long."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with running(tmp_path) as made:
        yield made


def test_the_archive_is_applied_after_the_first_boot_and_the_keys_are_told(machine: Machine):
    told = machine.apply()
    assert machine.given == "archive"
    assert (machine.folder / "cloud-init").read_text() == "waited\n"
    key = " ".join((machine.server.folder / "host.pub").read_text().split()[:2])
    assert told == {"host_keys": [key], "fingerprints": [machine_apply.fingerprint(key)]}
    known = rented.read(machine.data, "prod")
    assert known
    assert known.host_keys == (key,)
    assert known.machine == "i-1"


def test_the_same_machine_with_other__and_gets_nothing(tmp_path: Path):
    with running(tmp_path) as first:
        first.apply()
    (tmp_path / "given").unlink()
    with running(tmp_path) as other:
        with pytest.raises(OperationError, match="is not the machine that was pinned"):
            other.apply()
        assert not (tmp_path / "given").exists()
        # Another machine, as the provider says, has other keys by right.
        other.apply(machine="i-2")
        assert other.given == "archive"


def test_a_machine_that_is_still_booting_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(machine_apply, "SECONDS_BETWEEN", 0.2)
    with running(tmp_path) as machine:
        allowed = machine.server.folder / "authorized_keys"
        keys = allowed.read_text()
        # The user is made late in the boot.
        allowed.write_text("")
        later = threading.Timer(2, allowed.write_text, [keys])
        later.start()
        machine.apply()
        later.join()
    assert machine.given == "archive"
    assert [line for line in machine.said if line.startswith("not yet: ")]


def test_a_machine_that_never_lets_us_in_is_given_up_with_the_reason(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(machine_apply, "SECONDS_BETWEEN", 0.1)
    monkeypatch.setattr(machine_apply, "REACHED_SECONDS", 1)
    (machine.server.folder / "authorized_keys").write_text("")
    began = time.monotonic()
    with pytest.raises(OperationError, match="lets none of your keys in"):
        machine.apply()
    assert time.monotonic() - began < 30


def test_a_step_that_fails_is_told_with_its_last_lines_and_where_the_log_is(machine: Machine):
    (machine.folder / "code").write_text("1")
    with pytest.raises(OperationError) as caught:
        machine.apply()
    said = str(caught.value)
    assert "== 50-deployment" in said
    assert "sudo cat /var/log/opencode-cloud.log" in said
    (machine.folder / "code").write_text("0")
    machine.apply()


def test_nothing_that_is_secret_is_printed(machine: Machine, capfd: pytest.CaptureFixture[str]):
    told = machine.apply("cGxhbnRlZA==")
    assert machine.given == "planted"
    out, err = capfd.readouterr()
    everything = json.dumps(told) + "".join(machine.said) + out + err
    assert "planted" not in everything
    assert "cGxhbnRlZA" not in everything


def test_a_key_that_was_made_elsewhere_is_no_way_in(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(machine_apply, "REACHED_SECONDS", 0)
    (machine.server.folder / "client").unlink()
    (machine.server.folder / "client.pub").unlink()
    make_key(machine.server.folder / "client")
    with pytest.raises(OperationError, match="lets none of your keys in"):
        machine.apply()
