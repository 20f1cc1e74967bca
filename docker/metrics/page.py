"""The page that Prometheus collects."""

from metrics.container import Container
from metrics.counts import Counts
from metrics.entry import OTHER
from metrics.exposition import GAUGE, family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ISSUERS = ("internal", "acme")


def page(counts: Counts, container: Container, session: str | None) -> str:
    """All of it; `session` is the session service's own part, None when it did not answer."""
    streams = container.streams()
    up = {
        '{part="session"}': int(session is not None),
        '{part="streams"}': int(streams is not None),
    }
    parts = [
        family("up", GAUGE, "Whether a part of the gateway answers.", up),
        counts.exposition(),
        _gauge("streams", "Events, terminals and other long answers, open now.", streams),
        _gauge(
            "opencode_memory_bytes",
            "Resident memory of all processes of opencode's user.",
            container.opencode_memory(),
        ),
        _gauge(
            "container_memory_bytes",
            "Memory of the container as the kernel counts it, with the files that it keeps.",
            container.memory(),
        ),
        _expiry(container.certificate()),
        session or "",
    ]
    return "".join(parts)


def _gauge(name: str, text: str, value: int | None) -> str:
    return family(name, GAUGE, text, {} if value is None else {"": value})


def _expiry(certificate: tuple[str, float] | None) -> str:
    if certificate is None:
        return ""
    issuer, not_after = certificate
    issuer = issuer if issuer in _ISSUERS else OTHER
    samples = {f'{{issuer="{issuer}"}}': not_after}
    text = "When the certificate that is served expires."
    return family("certificate_expiry_timestamp_seconds", GAUGE, text, samples)
