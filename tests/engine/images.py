"""The images that a stack has built."""

import docker


def images_of(client: docker.DockerClient, stack: str) -> dict[str, str]:
    """Give the id of each image of a stack by its tag.

    By the list alone: the library's own asks about each image that is in it, of which another
    stack's may be gone by then.
    """
    prefix = f"opencode-cloud:{stack}-"
    return {
        tag: image["Id"]
        for image in client.api.images(name="opencode-cloud")
        for tag in image["RepoTags"] or ()
        if tag.startswith(prefix)
    }
