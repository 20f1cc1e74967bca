"""What people are told about the certificates."""

from dataclasses import asdict

from certificates.acme import advice
from certificates.certificate import Certificate
from certificates.state import ACME, State
from certificates.words import distance, duration, moment


def serving(served: Certificate) -> str:
    """Which certificate is served, as a line of the log."""
    return (
        f"serving a certificate of {served.issuer} for {', '.join(served.names)}, "
        f"valid until {moment(served.not_after)} (SHA-256 fingerprint {served.fingerprint})"
    )


def made(authority: Certificate) -> str:
    """That there is a new internal authority."""
    return (
        f"made an authority, valid until {moment(authority.not_after)} (SHA-256 fingerprint "
        f"{authority.fingerprint}); `opencode-certificate ca` prints it for people to trust"
    )


def failed(known: State, served: Certificate, is_own: bool, now: float) -> str:
    """What went wrong at the ACME server, what is served all the same, and what comes next.

    `is_own` says that what is served is of the internal authority.
    """
    meanwhile = (
        f"the internal authority's (SHA-256 fingerprint {served.fingerprint}) meanwhile"
        if is_own
        else f"the one that it has, valid until {moment(served.not_after)}"
    )
    lines = [
        f"could not get a certificate for {known.name}: {known.last_error.rstrip('.')}.",
        f"Serving {meanwhile}; next attempt in {duration(known.next_attempt - now)}.",
        advice(known.last_error, known.name, known.server),
    ]
    return " ".join(line for line in lines if line)


def table(known: State, served: Certificate, now: float) -> str:
    """Everything about the certificate that is served, for a person."""
    rows = {
        "served for": ", ".join(served.names),
        "issuer": f"{served.issuer} ({_kind(known)})",
        "valid until": f"{moment(served.not_after)} ({distance(served.not_after, now)})",
        "SHA-256": served.fingerprint,
        "authority": known.authority_fingerprint_sha256,
    }
    if known.name:
        rows["last error"] = known.last_error or "none"
    is_content = not known.failures and (known.issuer == ACME or not known.name)
    attempt = "renewal" if is_content else "next attempt"
    rows[attempt] = f"{moment(known.next_attempt)} ({distance(known.next_attempt, now)})"
    return "\n".join(f"{name:<13} {value}" for name, value in rows.items())


def facts(known: State, served: Certificate) -> dict[str, object]:
    """The same for a program. Times are in seconds since 1970."""
    return {
        **asdict(known),
        "names": served.names,
        "issuer_name": served.issuer,
        "not_before": served.not_before,
        "not_after": served.not_after,
        "fingerprint_sha256": served.fingerprint,
    }


def _kind(known: State) -> str:
    if known.issuer == ACME:
        return f"by ACME, from {known.server}"
    if known.name:
        return f"the internal authority's, until there is one of {known.server}"
    return "the internal authority's"
