"""The template for `pulumi new`, from a wheel to a machine, through the real provider.

The package is not published: pip finds the wheel of this checkout in a folder.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.aws.amazon import REGION, Aws, folder_of, moto, snapshots, surroundings
from tests.engine.stack import Stack
from tests.engine.terminal import Terminal
from tests.engine.test_machine_apply import Machine, running
from tests.program.clouds import HASH, KEY

SECONDS = 900
STACK = "proof"
ANSWERS = {
    "opencode:ssh_public_key": KEY,
    "opencode:ssh_from": "198.51.100.0/24",
    "opencode:first_user_hash": HASH,
}


@dataclass(frozen=True)
class Deployed:
    """What `pulumi new` and `pulumi up` made."""

    aws: Aws
    machine: Machine

    @property
    def project(self) -> Path:
        return self.aws.stack.project


def wheel_in(folder: Path, root: Path) -> Path:
    """Build what a release would publish; gives the folder that it is in."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    subprocess.run(
        [*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(root)],
        check=True,
        timeout=SECONDS,
    )
    return folder


def answer_all(template: Path, project: Path, environment: dict[str, str]) -> None:
    """Run `pulumi new` at a terminal, and answer what it asks; what has a default keeps it."""
    asked = yaml.safe_load((template / "Pulumi.yaml").read_text())["template"]["config"]
    named = ("--name", "mine", "--description", "of mine", "--stack", STACK, "--dir", str(project))
    with Terminal(["pulumi", "new", str(template), "--force", *named], environment) as terminal:
        terminal.resize(50, 500)
        for key in sorted(asked):
            terminal.expect(f"({key})", SECONDS)
            terminal.press(ANSWERS.get(key, "") + "\r")
        shown = terminal.expect("Your new project is ready to go", SECONDS)
        assert HASH not in shown
        assert terminal.ends() == 0


@pytest.fixture(scope="module")
def deployed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("template")
    wheels = wheel_in(folder_of(folder, "wheels"), root)
    project = folder / "mine"
    with (
        snapshots() as (lifecycles, policies),
        moto(folder) as endpoint,
        running(folder_of(folder, "machine")) as machine,
    ):
        environment = {
            **surroundings(folder, project, machine, endpoint, lifecycles),
            "PIP_FIND_LINKS": str(wheels),
            "TERM": "xterm",
        }
        # Pulumi takes whoever has it for nobody who could be asked.
        environment.pop("CI", None)
        answer_all(root / "templates/aws", project, environment)
        stack = Stack(STACK, project, environment)
        yield Deployed(Aws(stack, endpoint, policies), machine)


def test_new_asks_and_encrypts_the_hash(deployed: Deployed):
    written = (deployed.project / f"Pulumi.{STACK}.yaml").read_text()
    config = yaml.safe_load(written)["config"]
    assert config["opencode:region"] == REGION
    assert config["opencode:target"] == "aws"
    assert set(config["opencode:first_user_hash"]) == {"secure"}
    assert HASH not in written


def test_a_preview_shows_the_machine_and_makes_nothing(deployed: Deployed):
    shown = json.loads(deployed.aws.stack.pulumi("preview", "--json", "--stack", STACK))
    kinds = {step["newState"]["type"] for step in shown["steps"]}
    assert {"aws:ec2/instance:Instance", "aws:ebs/volume:Volume", "aws:ec2/eip:Eip"} <= kinds
    assert not deployed.aws.ec2.describe_addresses()["Addresses"]


def test_up_makes_it_and_destroy_leaves_the_data(deployed: Deployed):
    aws = deployed.aws
    aws.stack.up()
    assert aws.stack.outputs()["machine"] == aws.instance()["InstanceId"]
    assert aws.stack.outputs()["address"] == aws.address()
    assert deployed.machine.given, "the machine was not told what it is to be"
    assert HASH not in aws.stack.pulumi("stack", "export", "--stack", STACK)
    disk = aws.data()
    aws.stack.operate("destroy", "--yes", "--skip-preview", "--exclude-protected")
    assert aws.data()["VolumeId"] == disk["VolumeId"]
    assert not aws.ec2.describe_addresses()["Addresses"]
    aws.stack.remove()
