import pytest
from certificates import CertificatesError
from certificates.certificate import Certificate, parse
from hypothesis import given
from hypothesis import strategies as st

DAY = 86400
PRINTED = """issuer=C=US, O=Let's Encrypt, CN=E7
notBefore=2026-11-22 22:05:25Z
notAfter=2027-02-20 22:05:24Z
sha256 Fingerprint=7B:4C:D2:76
X509v3 Subject Alternative Name:\x20
    DNS:opencode.example.org, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1
"""


def lasting(seconds: int) -> Certificate:
    return Certificate(names=(), issuer="", not_before=0, not_after=seconds, fingerprint="")


def test_what_openssl_prints_is_understood():
    found = parse(PRINTED)
    assert found == Certificate(
        names=("opencode.example.org", "localhost", "127.0.0.1", "::1"),
        issuer="C=US, O=Let's Encrypt, CN=E7",
        not_before=1795385125,
        not_after=1803161124,
        fingerprint="7B:4C:D2:76",
    )


def test_a_certificate_without_names_is_for_nobody():
    without = PRINTED[: PRINTED.index("X509v3")] + "No extensions in certificate\n"
    assert parse(without).names == ()


@given(st.text())
def test_what_is_no_certificate_is_an_error_and_nothing_else(text: str):
    with pytest.raises(CertificatesError):
        parse(text)


@pytest.mark.parametrize(("days", "left"), [(90, 30), (47, 15), (6, 2)])
def test_a_certificate_is_renewed_when_a_third_of_its_life_is_left(days: int, left: int):
    certificate = lasting(days * DAY)
    assert not certificate.is_due((days - left - 1) * DAY)
    assert certificate.is_due((days - left) * DAY)


def test_a_certificate_is_valid_from_its_first_second_to_the_one_before_its_end():
    certificate = lasting(DAY)
    assert [certificate.is_valid(now) for now in (-1, 0, DAY - 1, DAY)] == [
        False,
        True,
        True,
        False,
    ]


def test_a_certificate_from_the_future_is_due():
    assert lasting(DAY).is_due(-1)
