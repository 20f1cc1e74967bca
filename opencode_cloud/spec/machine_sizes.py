"""The kinds of machine that providers rent out, in their own words."""

import re
from collections.abc import Mapping

from opencode_cloud.cloud_settings import Target
from opencode_cloud.settings import Settings

DEFAULT_SIZES: Mapping[Target, str] = {
    Target.AWS: "t3.medium",
    Target.GCP: "e2-medium",
    Target.AZURE: "Standard_B2als_v2",
    Target.DIGITALOCEAN: "s-2vcpu-4gb",
}
"""Two processors and 4 GB, which is what opencode and a build of its image take. x86-64: it is what
the image is tested on; an arm64 machine costs less on AWS, and is taken when it is named."""

_ARM: Mapping[Target, str] = {
    # The letter after the generation: t4g, m7gd, c8gn, im4gn.
    Target.AWS: r"(?:[a-z]+\d+g[a-z]*|a1)\..+",
    Target.GCP: r"(?:t2a|c4a|n4a)-.+",
    # The letter p of the features: B2pls_v2, D2ps_v5, E4pds_v6.
    Target.AZURE: r"Standard_[A-Z]+\d+[a-z]*p[a-z]*_v\d+",
}


def size_of(settings: Settings) -> str:
    """Give the kind of machine of a cloud's settings."""
    return settings.size or DEFAULT_SIZES[settings.target]


def is_arm(provider: Target, size: str) -> bool:
    """Say whether machines of a size are arm64; else they are x86-64."""
    pattern = _ARM.get(provider)
    return bool(pattern and re.fullmatch(pattern, size))
