"""A server that plays AWS, and a stack whose provider takes it for AWS.

What the server does not play: snapshots by schedule, which have a stand-in here that keeps what it
is sent, and machines: what goes over SSH meets a real SSH server with a machine's commands.
"""

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from tests.engine.stack import Stack, copy_program
from tests.engine.test_machine_apply import Machine, running
from tests.program.clouds import HASH, IMAGE, KEY

REGION = "eu-central-1"
IMAGES = [
    {
        "ami_id": f"ami-{number}",
        "name": f"debian-13-{architecture}-2026{number}-1",
        "owner_id": "136693071363",
        "architecture": {"amd64": "x86_64", "arm64": "arm64"}[architecture],
        "virtualization_type": "hvm",
        "creation_date": f"2026-{number}-01T00:00:00.000Z",
        "description": "Debian 13",
        "hypervisor": "xen",
        "image_location": "amazon/debian",
        "image_type": "machine",
        "platform": None,
        "public": True,
        "root_device_name": "/dev/xvda",
        "root_device_type": "ebs",
        "sriov": "simple",
        "state": "available",
    }
    for number, architecture in (("09", "amd64"), ("10", "amd64"), ("11", "arm64"))
]
SERVER = """
import json, sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(json.dumps(server.get_host_and_port()), flush=True)
sys.stdin.read()
server.stop()
"""
WRAPPER = """\
#!/bin/sh
# The address is one that the server made up: whoever is asked for is the test's own server.
exec /usr/bin/ssh -o HostName=127.0.0.1 -o Port={port} -o IdentityFile={key} -o User={user} "$@"
"""


class Snapshots(http.server.BaseHTTPRequestHandler):
    """Plays Data Lifecycle Manager for one policy."""

    policy: dict[str, Any]

    def do_POST(self) -> None:
        self.server.policies["policy-1"] = self._body()  # type: ignore[attr-defined]
        self._answer({"PolicyId": "policy-1"})

    def do_GET(self) -> None:
        found = self.server.policies.get("policy-1")  # type: ignore[attr-defined]
        if "policies" not in self.path or found is None:
            self._answer({"Tags": {}} if found else {"Code": "ResourceNotFoundException"}, 404)
            return
        arn = f"arn:aws:dlm:{REGION}:123456789012:policy/policy-1"
        self._answer({"Policy": {**found, "PolicyId": "policy-1", "PolicyArn": arn}})

    def do_DELETE(self) -> None:
        self.server.policies.clear()  # type: ignore[attr-defined]
        self._answer({})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        del format, args

    def _body(self) -> dict[str, Any]:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: dict[str, Any], code: int = 200) -> None:
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        if code == 404:
            self.send_header("x-amzn-ErrorType", "ResourceNotFoundException")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@contextmanager
def snapshots() -> Iterator[tuple[str, dict[str, Any]]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Snapshots)
    server.policies = {}  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.policies  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def moto(folder: Path) -> Iterator[str]:
    images = folder / "images.json"
    images.write_text(json.dumps(IMAGES))
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            "MOTO_AMIS_PATH": str(images),
            "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
        },
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    try:
        host, port = json.loads(process.stdout.readline())
        yield f"http://{host}:{port}"
    finally:
        process.communicate(timeout=60)


class Aws:
    """The stack, and what AWS has of it."""

    def __init__(self, stack: Stack, endpoint: str, policies: dict[str, Any]) -> None:
        self.stack, self.policies = stack, policies
        self._endpoint = endpoint
        self.ec2 = self.client("ec2")

    def client(self, service: str) -> Any:
        """Ask the server itself."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            region_name=REGION,
            endpoint_url=self._endpoint,
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )

    def instance(self) -> dict[str, Any]:
        alive = [{"Name": "instance-state-name", "Values": ["running"]}]
        [reservation] = self.ec2.describe_instances(Filters=alive)["Reservations"]
        [found] = reservation["Instances"]
        return found

    def data(self) -> dict[str, Any]:
        whose = [{"Name": "tag:opencode-cloud-data", "Values": ["proof"]}]
        [found] = self.ec2.describe_volumes(Filters=whose)["Volumes"]
        return found

    def replace_machine(self) -> None:
        """Have another machine in the place of this one."""
        urn = "urn:pulumi:proof::opencode::opencode:index:AwsVm$aws:ec2/instance:Instance"
        self.stack.operate("up", "--yes", "--skip-preview", "--replace", f"{urn}::opencode-machine")

    def address(self) -> str:
        [found] = self.ec2.describe_addresses()["Addresses"]
        return found["PublicIp"]


def folder_of(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def surroundings(
    folder: Path, project: Path, machine: Machine, endpoint: str, lifecycles: str
) -> Mapping[str, str]:
    commands = folder_of(folder, "commands")
    (commands / "ssh").write_text(
        WRAPPER.format(
            port=machine.server.port,
            key=machine.server.folder / "client",
            user=machine.server.connection["user"],
        )
    )
    (commands / "ssh").chmod(0o755)
    state = folder_of(folder, "state")
    return {
        **os.environ,
        "PATH": f"{commands}:{project / '.venv' / 'bin'}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(project / ".venv"),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "of the test",
        "XDG_DATA_HOME": str(folder / "data"),
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_REGION": "us-west-2",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_DLM": lifecycles,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def deployed(root: Path, folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Aws]:
    """Have the stack `proof` up, with the usual settings and these."""
    project = copy_program(root, folder_of(folder, "project"))
    shutil.copytree(root / "cloud-init", project / "cloud-init")
    # The program's own environment has no SDK of AWS.
    (project / ".venv").unlink()
    (project / ".venv").symlink_to(root / ".venv-dev")
    with (
        snapshots() as (lifecycles, policies),
        moto(folder) as endpoint,
        running(folder_of(folder, "machine")) as machine,
    ):
        environment = surroundings(folder, project, machine, endpoint, lifecycles)
        stack = Stack("proof", project, environment).create(
            {
                "target": "aws",
                "region": REGION,
                "ssh_public_key": KEY,
                "ssh_from": "198.51.100.0/24",
                "prebuilt_image": IMAGE,
                **(settings or {}),
            }
        )
        stack.pulumi(
            *("config", "set", "--secret", "--stack", "proof"),
            *("opencode:first_user_hash", HASH),
        )
        yield Aws(stack, endpoint, policies)
