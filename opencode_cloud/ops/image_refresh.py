"""Getting a deployment's image once more, and running what came."""

from pathlib import Path

from opencode_cloud.ops.deployment import engine_of, find
from opencode_cloud.ops.docker_engine import Engine
from opencode_cloud.ops.errors import EngineError, NoDeploymentError
from opencode_cloud.ops.program import Program, Progress
from opencode_cloud.start.steps.image import Anew


def refresh(
    program: Program, how: Anew, progress: Progress, config_file: Path | None = None
) -> int:
    """Pull or build the image once more, and have the container run it.

    Until the new image is there, nothing that runs is touched. Gives how many resources changed:
    none where the same image came.

    Args:
        program: the stack.
        how: where the image comes from.
        progress: gets what is done.
        config_file: settings for this time alone; the image is that of the stack's own.

    Raises:
        OpencodeCloudError: it cannot be pulled, built or run; with the lines that matter.
    """
    engine = engine_of(program.stack, program.paths.root)
    before = _run_by(program.stack, engine)
    program.image_again(how, progress)
    # It has the same name as before: without looking, Pulumi would see no difference.
    changed = program.up(progress, config_file=config_file, refresh=True)
    if before and before != _run_by(program.stack, engine):
        _forget(engine, before)
    return changed


def _run_by(stack: str, engine: Engine) -> str:
    """Give the image that a stack's container runs; empty when there is none."""
    try:
        return find(stack, engine).facts["Image"]
    except NoDeploymentError:
        return ""


def _forget(engine: Engine, identity: str) -> None:
    """Remove an image that has no name any more, and that nothing runs."""
    try:
        if not engine.get(f"/images/{identity}/json")["RepoTags"]:
            engine.delete(f"/images/{identity}")
    except EngineError:
        # Something else holds it: it is not ours to force.
        return
