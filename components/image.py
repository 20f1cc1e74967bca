"""The image on the Docker host."""

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from opencode_cloud.spec.image import BuiltImage, ImageSpec, PulledImage


@dataclass(frozen=True, kw_only=True)
class OpencodeImageArgs:
    """Inputs of ``OpencodeImage``."""

    spec: ImageSpec
    """What to build or to pull."""


class OpencodeImage(pulumi.ComponentResource):
    """``opencode:index:OpencodeImage``: the image, built or pulled.

    Makes one ``docker.RemoteImage``.
    """

    image_id: pulumi.Output[str]
    """Identifier on the host, ``sha256:...``; what a container is created from."""
    digest: pulumi.Output[str]
    """Repository and digest when pulled; else the identifier."""

    def __init__(
        self, name: str, args: OpencodeImageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode:index:OpencodeImage", name, None, opts)
        spec = args.spec
        built = isinstance(spec, BuiltImage)
        image = docker.RemoteImage(
            f"{name}-image",
            name=spec.reference,
            # One that is sent is there before: the step that sends it shows how far it is.
            build=_build(spec) if isinstance(spec, BuiltImage) and not spec.is_sent else None,
            # A registry's image is other people's too; one built here is ours
            # alone, and its layers stay in the build cache.
            keep_locally=not built,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.image_id = image.image_id
        # Not `repo_digest`: a host that has the same image from two registries
        # answers with either.
        pulled = isinstance(spec, PulledImage)
        self.digest = pulumi.Output.from_input(spec.reference) if pulled else image.image_id
        self.register_outputs({"image_id": self.image_id, "digest": self.digest})


def _build(spec: BuiltImage) -> docker.RemoteImageBuildArgs:
    return docker.RemoteImageBuildArgs(
        context=spec.context,
        build_args=spec.build_args,
        # A cancelled or failed build leaves no container behind.
        force_remove=True,
        remove=True,
        use_legacy_builder=True,
    )
