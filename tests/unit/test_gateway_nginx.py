import ipaddress

from gateway.nginx import render
from gateway.settings import GatewaySettings

HOST = ipaddress.ip_network("172.17.0.1/32")


def test_without_tls_there_is_one_server_and_no_promise_of_https():
    files = render(GatewaySettings())
    assert "listen 8080 " in files["listen.conf"]
    assert "ssl" not in files["listen.conf"]
    assert "max-age" not in files["listen.conf"]
    assert files["redirect.conf"] == ""


def test_with_tls_plain_http_leads_to_the_published_port():
    files = render(GatewaySettings(tls="internal", published_port=4096))
    assert "listen 8443 ssl " in files["listen.conf"]
    assert 'set $https_port ":4096";' in files["redirect.conf"]
    assert (
        'set $https_port "";'
        in render(GatewaySettings(tls="internal", published_port=443))["redirect.conf"]
    )


def test_only_a_domain_of_ones_own_promises_https_and_only_while_browsers_trust_it():
    owned = render(GatewaySettings(tls="opencode.example.org"))["listen.conf"]
    assert "if (-f /var/lib/opencode-cloud/certificates/trusted)" in owned
    assert "max-age=31536000" in owned
    borrowed = GatewaySettings(tls="sslip", public_address="203.0.113.7")
    assert "max-age" not in render(borrowed)["listen.conf"]


def test_metrics_have_a_port_only_when_they_are_asked_for():
    assert render(GatewaySettings())["metrics.conf"] == ""
    assert "metrics.conf" in render(GatewaySettings(metrics=True))["metrics.conf"]


def test_names_that_are_answered_to_are_those_that_were_given():
    settings = GatewaySettings(tls="a.example", hostnames=("b.example",), container="box")
    assert render(settings)["hosts.conf"] == "a.example 1;\nb.example 1;\nbox 1;\n"


def test_nobody_is_believed_unless_named():
    assert "set_real_ip_from" not in render(GatewaySettings(), [HOST])["proxies.conf"]


def test_a_proxy_is_believed_about_addresses_and_scheme():
    settings = GatewaySettings(trust_proxy=(ipaddress.ip_network("10.0.0.0/8"),))
    proxies = render(settings, [HOST])["proxies.conf"]
    assert "set_real_ip_from 10.0.0.0/8;" in proxies
    assert "    10.0.0.0/8 1;" in proxies
    assert "172.17.0.1" not in proxies
    assert "real_ip_header X-Forwarded-For;" in proxies


def test_loopback_stands_for_the_host_whose_proxies_come_through_dockers_gateway():
    settings = GatewaySettings(trust_proxy=(ipaddress.ip_network("127.0.0.1"),))
    assert "set_real_ip_from 172.17.0.1/32;" in render(settings, [HOST])["proxies.conf"]


def test_the_proxy_protocol_is_spoken_on_every_port_that_is_published():
    settings = GatewaySettings(tls="internal", proxy_protocol=True)
    files = render(settings)
    assert "listen 8443 ssl proxy_protocol" in files["listen.conf"]
    assert "listen 8080 proxy_protocol" in files["redirect.conf"]
    assert "real_ip_header proxy_protocol;" in files["proxies.conf"]
