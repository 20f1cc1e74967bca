"""opencode-certificate: what the gateway proves its name with. Without a COMMAND: show."""

import argparse
import errno
import json
import os
import sys
import time

from gateway.settings import SettingsError, load

from certificates import RUN, UMASK, VOLUME, CertificatesError, report, schedule, state
from certificates.acme import PATIENCE
from certificates.certificate import Certificate, read
from certificates.keeper import Keeper
from certificates.state import ACME, State
from certificates.words import distance, moment

DONE, REFUSED = 0, 1


def show(as_json: bool) -> int:
    """Print which certificate is served, until when, and what comes next."""
    known, served = _known()
    if as_json:
        print(json.dumps(report.facts(known, served), indent=2))
    else:
        print(report.table(known, served, time.time()))
    return DONE


def ca() -> int:
    """Print the internal authority's certificate as PEM, for people to trust."""
    _check_tls()
    print((VOLUME / "authority/ca.pem").read_text(encoding="ascii"), end="")
    return DONE


def retry() -> int:
    """Ask the ACME server for a certificate now, and say how it went."""
    known, served = _known()
    now = time.time()
    if not known.name:
        raise CertificatesError(
            "no ACME server is asked for a certificate, because tls is internal: "
            "set it to sslip or to a domain name"
        )
    if known.issuer == ACME and not served.is_due(now):
        print(f"nothing to do: renewal is {distance(known.next_attempt, now)}")
        return DONE
    earliest = schedule.earliest_attempt(known.failures, now)
    if earliest > now:
        raise CertificatesError(
            f"{schedule.FAILURES_AN_HOUR} attempts have failed within an hour, which is as many as "
            f"ACME servers put up with: try again {distance(earliest, now)} ({moment(earliest)})"
        )
    _wake_and_wait()
    known, served = _known()
    print(report.table(known, served, time.time()))
    return REFUSED if known.last_error else DONE


def ensure() -> int:
    """Have something to serve, at the container's start."""
    _keeper().ensure()
    return DONE


def renew(now: bool) -> int:
    """Renew what is due, and print for how many seconds the service may sleep then."""
    print(_keeper().renew(at_once=now))
    return DONE


def _keeper() -> Keeper:
    return Keeper(load(os.environ), VOLUME, RUN, _say)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _check_tls() -> None:
    if not RUN.exists():
        raise CertificatesError(
            "TLS is off: the gateway speaks plain HTTP and has no certificate; "
            "set tls to internal, to sslip or to a domain name"
        )


def _known() -> tuple[State, Certificate]:
    _check_tls()
    return state.load(VOLUME / state.FILE), read(VOLUME / "serving.pem")


def _wake_and_wait() -> None:
    """Have the service look at what is due now, and wait until it has."""
    news = RUN / state.FILE
    before = news.stat().st_mtime_ns
    try:
        # The service reads this pipe while it sleeps.
        os.close(os.open(RUN / "retry", os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        if error.errno not in (errno.ENXIO, errno.ENOENT):
            raise
        # It does not sleep: it is asking already.
    deadline = time.monotonic() + PATIENCE
    while news.stat().st_mtime_ns == before:
        if time.monotonic() > deadline:
            raise CertificatesError(f"the service has not answered in {PATIENCE} seconds")
        time.sleep(0.2)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="opencode-certificate", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for function in (show, ca, retry, ensure, renew):
        command = commands.add_parser(function.__name__, help=function.__doc__)
        command.set_defaults(function=function)
    commands.choices["show"].add_argument(
        "--json", dest="as_json", action="store_true", help="the same for programs"
    )
    commands.choices["renew"].add_argument(
        "--now", action="store_true", help="also when an ACME server refused a moment ago"
    )
    showing = not arguments or arguments == ["--json"]
    return parser.parse_args(["show", *arguments] if showing else arguments)


def main(arguments: list[str]) -> int:
    """Run one command; gives the exit code: 0 done, 1 refused, 2 not understood."""
    os.umask(UMASK)
    options = vars(_parse(arguments))
    try:
        return options.pop("function")(**options)
    except PermissionError:
        print("opencode-certificate: only root may do this, as `docker exec` does", file=sys.stderr)
        return REFUSED
    except (CertificatesError, SettingsError, OSError) as error:
        print(f"opencode-certificate: {error}", file=sys.stderr)
        return REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
