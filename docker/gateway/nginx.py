"""The parts of nginx's configuration that depend on the settings, as text."""

from collections.abc import Iterable

from gateway.settings import HTTPS_PORT, GatewaySettings, Network

CERTIFICATES = "/var/lib/opencode-cloud/certificates"
_KEEPALIVE = "so_keepalive=60s:30s:4"


def render(settings: GatewaySettings, gateways: Iterable[Network] = ()) -> dict[str, str]:
    """The files that nginx.conf includes, by name; `gateways` are the container's own."""
    return {
        "hosts.conf": _hosts(settings),
        "proxies.conf": _proxies(settings, list(gateways)),
        "listen.conf": _listen(settings),
        "redirect.conf": _redirect(settings),
        "metrics.conf": "include /etc/opencode-cloud/metrics.conf;\n" if settings.metrics else "",
    }


def _hosts(settings: GatewaySettings) -> str:
    """Entries of the map of names that are answered to."""
    names = {settings.certificate_name, settings.container, *settings.hostnames} - {"", "localhost"}
    return "".join(f"{name} 1;\n" for name in sorted(names))


def _proxies(settings: GatewaySettings, gateways: list[Network]) -> str:
    """Whose forwarded addresses count, and a variable that says if this connection is theirs."""
    networks = list(settings.trust_proxy)
    # A proxy on the container's host does not come from loopback here, but from the gateway of
    # the container's network: Docker forwards what reaches the published port.
    if any(network.is_loopback for network in networks):
        networks += gateways
    header = "proxy_protocol" if settings.proxy_protocol else "X-Forwarded-For"
    trusted = "".join(f"set_real_ip_from {network};\n" for network in networks)
    known = "".join(f"    {network} 1;\n" for network in networks)
    return (
        f"{trusted}real_ip_header {header};\nreal_ip_recursive on;\n"
        f"geo $realip_remote_addr $is_proxy {{\n    default 0;\n{known}}}\n"
    )


def _listen(settings: GatewaySettings) -> str:
    """Where the main server listens, in its own block."""
    protocol = " proxy_protocol" if settings.proxy_protocol else ""
    if not settings.has_tls:
        return f'listen 8080{protocol} {_KEEPALIVE};\nset $hsts "";\n'
    return (
        f"listen 8443 ssl{protocol} {_KEEPALIVE};\nhttp2 on;\n"
        "ssl_certificate $certificate;\nssl_certificate_key $certificate;\n"
        f"{_hsts(settings)}"
    )


def _hsts(settings: GatewaySettings) -> str:
    """The promise to stay on HTTPS: for a name of one's own, and while browsers trust it."""
    if settings.certificate_name != settings.tls:
        return 'set $hsts "";\n'
    return (
        f'set $hsts "";\nif (-f {CERTIFICATES}/trusted) {{\n    set $hsts max-age=31536000;\n}}\n'
    )


def _redirect(settings: GatewaySettings) -> str:
    """The server that sends people from HTTP to HTTPS."""
    if not settings.has_tls:
        return ""
    protocol = " proxy_protocol" if settings.proxy_protocol else ""
    port = "" if settings.published_port == HTTPS_PORT else f":{settings.published_port}"
    return (
        f'server {{\n    listen 8080{protocol};\n    set $https_port "{port}";\n'
        "    include /etc/opencode-cloud/redirect.conf;\n}\n"
    )
