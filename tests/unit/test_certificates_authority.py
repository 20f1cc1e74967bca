from certificates.authority import authority_request, certifiable, common_name, fits, leaf_request
from certificates.certificate import Certificate

DAY = 86400
LONG = ".".join(["a" * 60] * 4)
LEAF = Certificate(
    names=("localhost", "::1"), issuer="", not_before=0, not_after=90 * DAY, fingerprint=""
)


def test_a_leaf_serves_while_its_names_are_those_that_are_wanted():
    assert fits(LEAF, ["::1", "localhost"], now=0)
    assert not fits(LEAF, ["localhost"], now=0)
    assert not fits(LEAF, ["localhost", "::1", "opencode.example.org"], now=0)


def test_a_leaf_is_made_anew_when_a_third_of_its_life_is_left():
    assert fits(LEAF, LEAF.names, now=59 * DAY)
    assert not fits(LEAF, LEAF.names, now=60 * DAY)


def test_names_and_addresses_are_told_apart():
    request = leaf_request(["opencode.example.org", "127.0.0.1", "::1"])
    for line in ("DNS.0 = opencode.example.org", "IP.1 = 127.0.0.1", "IP.2 = ::1"):
        assert line in request.splitlines()


def test_a_name_that_no_certificate_can_hold_is_left_out():
    odd = ["a b", "a\nb", "$HOME", "a#b", "ä.example", "", "a..b", "-" * 64]
    assert certifiable([*odd, "my_box", "localhost", "::1"]) == ("my_box", "localhost", "::1")


def test_a_certificate_is_called_by_the_first_name_that_there_is_room_for():
    assert common_name([LONG, "localhost"]) == "localhost"
    assert common_name([LONG]) == "opencode-cloud"
    assert common_name(["opencode.example.org", "localhost"]) == "opencode.example.org"


def test_only_the_authority_can_sign():
    assert "basicConstraints = critical, CA:TRUE, pathlen:0" in authority_request("us").splitlines()
    leaf = leaf_request(["localhost"]).splitlines()
    assert "basicConstraints = critical, CA:FALSE" in leaf
    assert "extendedKeyUsage = serverAuth" in leaf
