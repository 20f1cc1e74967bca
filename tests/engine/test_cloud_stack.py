"""What is the same in the stack of every cloud, with the real engine and a real SSH server.

Whose machine it is makes no difference to it: here the machine is there already.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.stack import PulumiFailedError, Stack, copy_program
from tests.engine.test_machine_apply import Machine, running
from tests.program.clouds import HASH, IMAGE, KEY

PROGRAM = """
import pulumi
import pulumi_command as command
from pathlib import Path
from components.vm import Vm
from opencode_cloud.environment import Environment
from opencode_cloud.configuration import load, own
from pulumi.runtime.config import CONFIG, get_config_env
from stacks.cloud import rent
from stacks.deployment import Deployment


class Standing(Vm):
    def __init__(self, name, args, opts=None):
        super().__init__("opencode:index:Standing", name, args, opts)
        address = pulumi.Output.from_input("127.0.0.1")
        self.told = args.user_data("127.0.0.1")
        self._finish(address, pulumi.Output.from_input("machine-1"), self)


configuration = {**get_config_env(), **CONFIG.get()}
deployment = Deployment(
    settings=load(own(configuration), pulumi.get_stack()),
    stack=pulumi.get_stack(),
    project=Path(__file__).parent,
    environment=Environment(secrets=("API_KEY",)),
    secrets={"API_KEY": pulumi.Config("secret").require_secret("API_KEY")},
)
rent(deployment, Standing, command.Provider("command"))
"""
WRAPPER = """\
#!/bin/sh
exec /usr/bin/ssh -o User={user} "$@"
"""
SECRET = "of-nobody-else-5c1d"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with running(tmp_path_factory.mktemp("machine")) as made:
        yield made


@pytest.fixture(scope="module")
def stack(root: Path, machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    folder = tmp_path_factory.mktemp("stack")
    project = copy_program(root, folder)
    shutil.copytree(root / "cloud-init", project / "cloud-init", dirs_exist_ok=True)
    (project / "__main__.py").write_text(PROGRAM)
    commands = folder / "commands"
    commands.mkdir()
    (commands / "ssh").write_text(WRAPPER.format(user=machine.server.connection["user"]))
    (commands / "ssh").chmod(0o755)
    (folder / "state").mkdir()
    environment = {
        **os.environ,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "of the test",
        "XDG_DATA_HOME": str(folder / "data"),
    }
    made = Stack("prod", project, environment).create(
        {
            "target": "digitalocean",
            "region": "fra1",
            "ssh_public_key": KEY,
            "ssh_from": "198.51.100.0/24",
            "ssh_port": str(machine.server.port),
            "ssh_identity_file": str(machine.server.folder / "client"),
            "prebuilt_image": IMAGE,
        }
    )
    secrets = {"opencode:first_user_hash": HASH, "secret:API_KEY": SECRET}
    for key, value in secrets.items():
        made.pulumi("config", "set", "--secret", "--stack", "prod", key, value)
    made.up()
    return made


def test_up_applies_to_the_machine_what_it_is_to_be(stack: Stack, machine: Machine):
    given = (machine.folder / "given").read_bytes()
    assert SECRET.encode() in given
    assert f"IMAGE={IMAGE}\n".encode() in given
    assert f"FIRST_USER_HASH={HASH}\n".encode() in given


def test_the_outputs_say_where_it_is_and_by_which_keys(stack: Stack, machine: Machine):
    outputs = stack.outputs()
    assert outputs["ssh"] == "ssh opencode@127.0.0.1"
    assert outputs["url"] == "https://127-0-0-1.sslip.io"
    key = " ".join((machine.server.folder / "host.pub").read_text().split()[:2])
    assert outputs["hostKeys"] == [key]
    assert outputs["hostFingerprints"][0].startswith("SHA256:")


def test_nothing_secret_is_readable_in_the_state_and_what_up_prints(stack: Stack):
    state = stack.pulumi("stack", "export", "--stack", "prod")
    printed = stack.operate("up", "--yes", "--skip-preview", "--diff")
    for secret in (SECRET, HASH):
        assert secret not in state
        assert secret not in printed


def test_up_again_changes_nothing(stack: Stack):
    stack.preview("--expect-no-changes")


def test_a_changed_setting_is_applied_to_the_same_machine(stack: Stack, machine: Machine):
    stack.configure({"memory_mb": "1024"})
    stack.up()
    assert b"1024" in (machine.folder / "given").read_bytes()


def test_a_step_that_fails_fails_up_in_its_own_words_and_another_up_mends_it(
    stack: Stack, machine: Machine
):
    (machine.folder / "code").write_text("1")
    stack.configure({"memory_mb": "1536"})
    with pytest.raises(PulumiFailedError, match="== 50-deployment") as caught:
        stack.up()
    assert SECRET not in str(caught.value)
    (machine.folder / "code").write_text("0")
    stack.up()
    assert b"1536" in (machine.folder / "given").read_bytes()
    stack.preview("--expect-no-changes")


def test_going_back_after_a_step_that_failed_brings_the_machine_back_too(
    stack: Stack, machine: Machine
):
    (machine.folder / "code").write_text("1")
    stack.configure({"memory_mb": "1792"})
    with pytest.raises(PulumiFailedError):
        stack.up()
    assert b"1792" in (machine.folder / "given").read_bytes()
    (machine.folder / "code").write_text("0")
    stack.configure({"memory_mb": "1536"})
    stack.up()
    assert b"1536" in (machine.folder / "given").read_bytes()
    stack.preview("--expect-no-changes")
