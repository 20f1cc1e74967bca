from certificates import report
from certificates.certificate import Certificate
from certificates.state import ACME, INTERNAL, State
from certificates.words import distance, duration, moment

DAY = 86400
SERVED = Certificate(
    names=("opencode.example.org",),
    issuer="CN=E7",
    not_before=0,
    not_after=90 * DAY,
    fingerprint="AA:BB",
)
KNOWN = State(
    issuer=INTERNAL,
    name="opencode.example.org",
    server="https://acme.example.org/directory",
    authority_fingerprint_sha256="CC:DD",
)
SAID = "urn:ietf:params:acme:error:connection: Fetching http://opencode.example.org/x: refused"
FAILED = State(**{**vars(KNOWN), "last_error": SAID, "failures": (0,), "next_attempt": 300})


def test_a_failure_says_what_went_wrong_what_is_served_and_what_to_do():
    assert report.failed(FAILED, SERVED, is_own=True, now=0) == (
        f"could not get a certificate for opencode.example.org: {SAID}. "
        "Serving the internal authority's (SHA-256 fingerprint AA:BB) meanwhile; "
        "next attempt in 5 minutes. "
        "Port 80 of opencode.example.org must reach this machine from the internet."
    )


def test_a_failed_renewal_says_for_how_long_the_present_one_lasts():
    told = report.failed(FAILED, SERVED, is_own=False, now=0)
    assert "Serving the one that it has, valid until 1970-04-01 00:00 UTC;" in told


def test_a_person_sees_what_the_browser_shows():
    shown = report.table(State(**{**vars(KNOWN), "issuer": ACME}), SERVED, now=0)
    for text in ("opencode.example.org", "CN=E7", "(in 90 days)", "AA:BB", "CC:DD", "none"):
        assert text in shown


def test_a_person_sees_what_went_wrong_and_when_it_is_tried_again():
    shown = report.table(FAILED, SERVED, now=0)
    assert SAID in shown
    assert "next attempt  1970-01-01 00:05 UTC (in 5 minutes)" in shown


def test_without_an_acme_server_nothing_is_said_of_it():
    shown = report.table(State(next_attempt=60 * DAY), SERVED, now=0)
    assert "last error" not in shown
    assert "renewal       1970-03-02 00:00 UTC (in 60 days)" in shown


def test_a_program_is_told_all_of_it():
    facts = report.facts(FAILED, SERVED)
    assert facts["names"] == SERVED.names
    assert facts["fingerprint_sha256"] == "AA:BB"
    assert facts["last_error"] == SAID
    assert facts["issuer"] == INTERNAL


def test_times_are_said_in_words():
    assert moment(0) == "1970-01-01 00:00 UTC"
    words = [duration(s) for s in (0.5, 1, 59, 60, 7199, 7200, 86400, 90 * 86400)]
    assert words == [
        "0 seconds",
        "1 second",
        "59 seconds",
        "1 minute",
        "1 hour",
        "2 hours",
        "1 day",
        "90 days",
    ]
    assert (distance(60, 0), distance(0, 60)) == ("in 1 minute", "1 minute ago")
