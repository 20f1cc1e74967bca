import ipaddress

import pytest
from gateway.networks import gateways
from gateway.settings import LETS_ENCRYPT, GatewaySettings, SettingsError, load
from hypothesis import given
from hypothesis import strategies as st

from opencode_cloud import configuration as deployment
from opencode_cloud.spec.container import container_spec

ROUTE = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000
eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF
"""
ROUTE_IPV6 = (
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "fd000000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n"
    "fd000000000000000000000000000000 40 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n"
)


def test_a_container_that_is_told_nothing_serves_http_and_believes_nobody():
    settings = load({}, container="box")
    assert settings == GatewaySettings(container="box")
    assert (settings.has_tls, settings.trust_proxy, settings.certificate_name) == (False, (), "")
    assert settings.published_port == 80


def test_variables_are_read_and_empty_ones_are_unset():
    settings = load(
        {
            "OPENCODE_CLOUD_TLS": "Opencode.Example.org",
            "OPENCODE_CLOUD_HOSTNAMES": " a.example.org, b.example.org ,",
            "OPENCODE_CLOUD_TRUST_PROXY": "10.0.0.0/8,2001:db8::1",
            "OPENCODE_CLOUD_PROXY_PROTOCOL": "true",
            "OPENCODE_CLOUD_RATE_LIMIT_ATTEMPTS": "",
            "OPENCODE_CLOUD_ACME_SERVER": "https://ca.example.org/directory",
        },
        container="box",
    )
    assert settings.tls == settings.certificate_name == "opencode.example.org"
    assert settings.hostnames == ("a.example.org", "b.example.org")
    assert ipaddress.ip_network("10.0.0.0/8") in settings.trust_proxy
    assert settings.proxy_protocol
    assert settings.rate_limit_attempts == 5
    assert settings.published_port == 443
    assert settings.acme_server != LETS_ENCRYPT


@pytest.mark.parametrize(
    ("address", "name"),
    [("203.0.113.7", "203-0-113-7.sslip.io"), ("2001:db8::1", "2001-db8--1.sslip.io")],
)
def test_an_sslip_name_is_made_of_the_address(address: str, name: str):
    variables = {"OPENCODE_CLOUD_TLS": "sslip", "OPENCODE_CLOUD_PUBLIC_ADDRESS": address}
    assert load(variables).certificate_name == name
    configured = deployment.load(
        {"image_source": "build", "tls": "sslip", "public_address": address}, "x"
    )
    assert configured.certificate_name == name


def test_an_own_certificate_holds_every_name_once():
    settings = GatewaySettings(tls="internal", hostnames=("a.example",), container="localhost")
    assert settings.names == ("a.example", "localhost", "127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TLS", "yes"),
        ("TLS", "exa mple.org"),
        ("TLS", "sslip"),
        ("HOSTNAMES", "a.example; return 200"),
        ("HOSTNAMES", "*.example.org"),
        ("HOSTNAMES", "~.*"),
        ("PUBLIC_ADDRESS", "here"),
        ("PUBLISHED_PORT", "0"),
        ("PUBLISHED_PORT", "65536"),
        ("TRUST_PROXY", "10.0.0.1/8"),
        ("TRUST_PROXY", "proxy"),
        ("PROXY_PROTOCOL", "yes"),
        ("RATE_LIMIT_ATTEMPTS", "0"),
        ("RATE_LIMIT_WINDOW_SECONDS", "-1"),
        ("ACME_SERVER", "http://ca.example.org"),
        ("ACME_EMAIL", "me"),
    ],
)
def test_what_cannot_be_used_is_named(name: str, value: str):
    with pytest.raises(SettingsError, match=f"OPENCODE_CLOUD_{name}"):
        load({f"OPENCODE_CLOUD_{name}": value})


NAMES = st.from_regex(r"[a-z]{1,9}(\.[a-z]{2,9}){1,2}", fullmatch=True)
ADDRESSES = st.ip_addresses().map(str)


@given(
    tls=st.sampled_from(["off", "internal", "sslip"]) | NAMES,
    address=ADDRESSES,
    names=st.lists(NAMES, max_size=3),
    proxies=st.lists(ADDRESSES, max_size=3),
    attempts=st.integers(1, 999),
)
def test_the_container_understands_whatever_a_stack_can_be_told(
    tls: str, address: str, names: list[str], proxies: list[str], attempts: int
):
    configured = deployment.load(
        {
            "image_source": "build",
            "tls": tls,
            "public_address": address,
            "hostnames": ", ".join(names),
            "trust_proxy": ",".join(proxies),
            "rate_limit_attempts": attempts,
        },
        "x",
    )
    told = load(container_spec(configured, "x").environment)
    assert told.tls == configured.tls
    assert told.certificate_name == configured.certificate_name
    assert told.hostnames == tuple(names)
    assert told.trust_proxy == tuple(map(ipaddress.ip_network, proxies))
    assert told.rate_limit_attempts == attempts
    assert not told.has_tls or told.published_port == configured.port


def test_the_gateways_of_the_containers_networks_are_found(tmp_path):
    (tmp_path / "route").write_text(ROUTE)
    (tmp_path / "ipv6_route").write_text(ROUTE_IPV6)
    assert [str(network) for network in gateways(tmp_path)] == ["172.17.0.1/32", "fd00::1/128"]


def test_a_container_without_a_network_has_no_gateway(tmp_path):
    (tmp_path / "route").write_text(ROUTE.splitlines()[0])
    assert gateways(tmp_path) == []
