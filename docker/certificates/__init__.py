"""What the gateway proves its name with: certificates of an own authority, or of an ACME one."""

from pathlib import Path

VOLUME = Path("/var/lib/opencode-cloud/certificates")
"""Keys, certificates and what is known about them, from one container to the next."""
RUN = Path("/run/opencode-cloud/certificates")
"""What lives as long as the container; not there while TLS is off."""
UMASK = 0o077
"""Of everything here: a file is private unless it is opened on purpose."""


class CertificatesError(Exception):
    """A certificate could not be had; the message says why."""
