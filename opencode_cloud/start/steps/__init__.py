"""The steps of ``./start``, one file each."""

from opencode_cloud.start.plan import Context, Step
from opencode_cloud.start.steps.base_image import BaseImage
from opencode_cloud.start.steps.deployment import Deployment
from opencode_cloud.start.steps.docker_engine import DockerEngine
from opencode_cloud.start.steps.first_user import FirstUser
from opencode_cloud.start.steps.health import Health
from opencode_cloud.start.steps.host_docker import HostDocker
from opencode_cloud.start.steps.image import Image
from opencode_cloud.start.steps.pulumi_engine import PulumiEngine
from opencode_cloud.start.steps.python_environment import PythonEnvironment
from opencode_cloud.start.steps.stack import Stack
from opencode_cloud.start.steps.state import State

ORDER = (
    PythonEnvironment,
    DockerEngine,
    PulumiEngine,
    State,
    BaseImage,
    Stack,
    Image,
    Deployment,
    Health,
    FirstUser,
)


def all_steps(context: Context) -> list[Step]:
    """Make the steps, in the order in which each finds what it needs."""
    return [
        HostDocker(context, context.host)
        if step is DockerEngine and context.host
        else step(context)
        for step in ORDER
    ]
