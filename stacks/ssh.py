"""A deployment on the Docker engine of a host that is reached over SSH."""

import os
import shlex
from pathlib import Path

import pulumi
import pulumi_docker as docker

from opencode_cloud.configuration import as_config
from opencode_cloud.ops.deployment import occ
from opencode_cloud.ops.docker_host import DEFAULT_SOCKET, DockerHost
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.ssh import Ssh
from opencode_cloud.settings import Settings
from opencode_cloud.spec.image import BuiltImage, image_spec
from opencode_cloud.spec.service_unit.host import commands_by
from opencode_cloud.spec.ssh import SshAddress, options
from opencode_cloud.start.paths import Paths
from stacks.deployment import Deployment
from stacks.service import deploy_service, require_room, require_unit, with_real_folders


def deploy(deployment: Deployment) -> None:
    """Register the resources of a deployment, and export its outputs.

    Raises:
        RunError: the host cannot be reached, or is another one.
    """
    settings, stack, project = deployment.settings, deployment.stack, deployment.project
    values = {name: as_config(value) for name, value in settings.model_dump().items()}
    address = SshAddress.of(values, stack)
    ssh = Ssh.of(address, Paths.of(project, os.environ).data)
    host = DockerHost(stack, settings.docker_host.removeprefix("unix://"), ssh)
    try:
        # The provider's calls then share this connection, and a host that is still booting, or has
        # another key, is told in words.
        ssh.connect()
        _require_sent(ssh, settings, stack, project)
    except OperationError as error:
        raise pulumi.RunError(str(error)) from None
    require_room(host)
    require_unit(settings, host)
    settings = with_real_folders(settings, host, project)
    provider = docker.Provider(
        "docker",
        host=f"ssh://{_in_url(address.destination)}{_socket(host)}",
        ssh_opts=list(options(address, ssh.files)),
    )
    deploy_service(deployment, settings, provider, lambda unit: commands_by(unit, ssh.words))


def _require_sent(host: Ssh, settings: Settings, stack: str, project: Path) -> None:
    """See that an image that is built here, and sent, is on the host: nothing here could send it.

    Raises:
        OperationError: it is not there, or the host cannot be asked.
    """
    spec = image_spec(settings, stack, project)
    if not isinstance(spec, BuiltImage) or not spec.is_sent:
        return
    socket = shlex.quote(settings.docker_host)
    asked = host.run(f"DOCKER_HOST={socket} docker image inspect --format x {spec.reference}")
    # Whatever else is wrong there, the provider is about to say.
    if "no such image" in asked.err.lower():
        raise OperationError(
            f"The image of these settings, {spec.reference}, is not on {host.name} yet. This "
            f"builds it here, sends it, and applies the settings: {occ(stack, 'start')}. To have "
            "it built there: pulumi config set opencode:image_built_on host"
        )


def _in_url(destination: str) -> str:
    user, at, host = destination.rpartition("@")
    return f"{user}{at}[{host}]" if ":" in host else destination


def _socket(host: DockerHost) -> str:
    """Give the path of the engine's socket on the host, where it is not the usual one."""
    return "" if host.socket == DEFAULT_SOCKET else host.socket
