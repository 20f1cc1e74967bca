"""A machine of Google's, whose Debian has no cloud-init: its startup script brings it.

What is Google's is stood in for: its agent by a unit that fetches the script and runs it at every
boot, its metadata service by ``metadata.py``, its network by dnsmasq, and the name that a virtual
machine's firmware says by a program that says it. cloud-init and its data source are Debian's.
"""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from docker.models.networks import Network

from opencode_cloud.cloud_settings import Target
from opencode_cloud.configuration import load
from opencode_cloud.spec.cloud_config import render
from opencode_cloud.spec.image import image_spec
from opencode_cloud.spec.machine import machine, shipped_files
from tests.engine.execution import execute
from tests.engine.ssh_server import make_key
from tests.machine.cloud import BOOT_SECONDS, Cloud, address_of, cloud_image
from tests.machine.debian import REPOSITORY, company_authorities, create, packed

SERVICE, NUMBER = 41, 42
"""Last parts of the addresses of the metadata service and the machine."""
STACK = "google"
ADDRESS = "203.0.113.7"
"""What the service says; nobody has it."""
UNITS = "etc/systemd/system"
AGENT = {
    f"{UNITS}/google-machine.service": "[Unit]\nDefaultDependencies=no\n"
    "[Service]\nType=oneshot\nExecStart=/usr/local/sbin/google-machine\n",
    f"{UNITS}/sysinit.target.d/google.conf": "[Unit]\nWants=google-machine.service\n"
    "After=google-machine.service\n",
    f"{UNITS}/google-startup-scripts.service": "[Unit]\nAfter=network-online.target\n"
    "[Service]\nType=oneshot\nExecStart=/usr/local/sbin/startup\n",
    f"{UNITS}/multi-user.target.d/google.conf": "[Unit]\nWants=google-startup-scripts.service\n",
}
PROGRAMS = {
    "google-machine": """\
#!/bin/sh
set -eu
ip route replace 169.254.169.254/32 dev eth0
name=/sys/class/dmi/id/product_name
if [ -e $name ]; then
    dmidecode > /run/product_name
    mount --bind /run/product_name $name
fi
""",
    "dmidecode": "#!/bin/sh\necho Google Compute Engine\n",
    # A container's firmware is asked by nobody.
    "systemd-detect-virt": "#!/bin/sh\nexit 1\n",
    "startup": """\
#!/bin/sh
set -eu
cd /root
if [ ! -e cut-off ]; then
    touch cut-off
    # A power failure has cut off the script before, and now Debian's own update is at work as well.
    apt-get update && apt-get download cloud-init && dpkg --unpack cloud-init_*.deb
    python3 -c 'import fcntl, time
lists = open("/var/lib/apt/lists/lock", "w")
fcntl.lockf(lists, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(8)' > locked &
    until grep -q locked locked; do sleep 0.1; done
fi
curl --fail --silent --header 'Metadata-Flavor: Google' --output /run/startup-script \\
    http://169.254.169.254/computeMetadata/v1/instance/attributes/startup-script
exec sh /run/startup-script
""",
}


def known(user_data: str, startup_script: str) -> dict[str, str]:
    """Give what the metadata service knows of the machine."""
    instance = "/computeMetadata/v1/instance"
    return {
        f"{instance}/id": "4711",
        f"{instance}/zone": "projects/1/zones/here-1-a",
        f"{instance}/hostname": "opencode.here-1-a.c.example.internal",
        f"{instance}/network-interfaces/0/access-configs/0/external-ip": ADDRESS,
        f"{instance}/attributes/user-data": user_data,
        f"{instance}/attributes/startup-script": startup_script,
        f"{instance}/attributes/block-project-ssh-keys": "TRUE",
        "/computeMetadata/v1/project/attributes/enable-oslogin": "FALSE",
    }


@dataclass(frozen=True)
class Google(Cloud):
    """The machine, and the keys that Google's agent made before its first user came."""

    first_keys: str = ""


def services(client: docker.DockerClient, network: Network, answers: dict[str, str]) -> Container:
    """Have a container answer for the whole network: metadata, and addresses by DHCP."""
    made = create(
        client,
        f"{REPOSITORY}-service-{secrets.token_hex(4)}",
        cloud_image(client, with_docker=False, stage="service"),
        *("--network", str(network.name), "--ip", address_of(network, SERVICE)),
        systemd=False,
    )
    server = Path(__file__).with_name("metadata.py").read_bytes()
    files = {"root/metadata.py": server, "root/known": json.dumps(answers).encode()}
    made.put_archive("/", packed(files))
    made.start()
    address = address_of(network, NUMBER)
    script = (
        "set -e; ip address add 169.254.169.254/32 dev eth0;"
        f"dnsmasq --user=root --port=0 --no-ping --dhcp-range={address},{address}"
        f" --dhcp-option=option:router,{address_of(network, 1)}"
    )
    done = execute(made.id, "sh", "-c", script)
    assert done.returncode == 0, done.stdout
    made.exec_run(["sh", "-c", "python3 /root/metadata.py gcp < /root/known"], detach=True)
    return made


@pytest.fixture(scope="module")
def google(
    docker_client: docker.DockerClient,
    network: Network,
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Google]:
    key = tmp_path_factory.mktemp("google") / "id"
    make_key(key)
    raw = {
        "target": Target.GCP.value,
        "region": "here-1",
        "gcp_project": "example",
        "ssh_public_key": key.with_suffix(".pub").read_text(),
        "ssh_from": address_of(network, 0) + "/24",
        "image_source": "build",
    }
    settings = load(raw, STACK)
    image = image_spec(settings, STACK, root).reference
    described = machine(settings, STACK, image, shipped_files(root), data_disk="")
    script = (root / "cloud-init" / "gcp-startup-script").read_text()
    with ExitStack() as stack:
        service = services(docker_client, network, known(render(described), script))
        stack.callback(service.remove, force=True, v=True)
        made = create(
            docker_client,
            f"{REPOSITORY}-google-{secrets.token_hex(4)}",
            cloud_image(docker_client, with_docker=True, stage="google"),
            *("--network", str(network.name), "--ip", address_of(network, NUMBER)),
            # Who restarts a machine gets it back.
            *("--restart", "always", "--add-host", "metadata.google.internal:169.254.169.254"),
        )
        stack.callback(made.remove, force=True, v=True)
        made.put_archive("/", company_authorities())
        made.put_archive("/", packed({name: text.encode() for name, text in AGENT.items()}))
        programs = {f"usr/local/sbin/{name}": text.encode() for name, text in PROGRAMS.items()}
        made.put_archive("/", packed(programs, mode=0o755))
        made.start()
        address = address_of(network, NUMBER)
        there = Cloud(made, "root", address, key)
        keys = there.as_root("ssh-keygen -A > /dev/null && cat /etc/ssh/ssh_host_*_key.pub")
        yield Google(made, "root", address, key, first_keys=keys)


def test_the_startup_script_brings_cloud_init_which_reads_our_user_data(google: Google):
    began = time.monotonic()
    google.wait_for(503)
    deadline = began + BOOT_SECONDS
    while google.run("opencode-cloud-status | grep -q waiting", user="root").code:
        assert time.monotonic() < deadline, google.journal()
        time.sleep(0.5)
    print(f"\nfrom nothing to waiting: {time.monotonic() - began:.0f} s")
    answer = google.get()
    assert answer is not None
    assert (answer.json()["state"], answer.json()["step"]) == ("waiting", "40-image")
    assert "status: done" in google.wait_for_cloud_init()
    assert google.as_root("cloud-id") == "gce\n"
    assert google.as_root("cat /var/lib/opencode-cloud/address") == f"{ADDRESS}\n"


def test_its_keys_stay_and_the_operator_is_let_in(google: Google):
    assert google.as_root("cat /etc/ssh/ssh_host_*_key.pub") == google.first_keys
    assert google.ssh("sudo id -u").stdout == "0\n"


def test_the_startup_script_does_nothing_at_later_boots(google: Google):
    result = "systemctl show --property ActiveState,Result google-startup-scripts"
    assert google.as_root(result) == "Result=success\nActiveState=inactive\n"
    google.container.reload()
    assert google.container.attrs["RestartCount"] == 1
