"""How people reach a deployment: its ports and names, HTTPS, proxies and limits."""

import ipaddress
import re
from typing import Self

from pydantic import Field, ValidationInfo, field_validator

from opencode_cloud.cloud_settings import CLOUDS, Target
from opencode_cloud.setting_error import NAMESPACE, wrong
from opencode_cloud.setting_types import (
    LETS_ENCRYPT,
    AcmeServer,
    CertificateArn,
    Email,
    Hostnames,
    IpAddress,
    Networks,
    OptionalAddress,
    OptionalHostname,
    Tls,
    TlsChoice,
)
from opencode_cloud.spec.aws_network import NETWORK as AWS_NETWORK
from opencode_cloud.ssh_settings import SshSettings

_HTTPS_PORT = 443
_REACHABLE = "can be reached by other machines"
_EXPOSED = f"{_REACHABLE}, and the connection is not encrypted"


class AccessSettings(SshSettings):
    """The settings of how people reach a deployment, and of who is kept out."""

    port: int = Field(
        default=4096,
        ge=1,
        le=65535,
        description="Port on the host at which the login page and opencode answer.",
    )
    public_address: OptionalAddress = Field(
        default="",
        description="IP address by which the world reaches this deployment. "
        "`tls: sslip` makes its name of it.",
    )
    tls: TlsChoice = Field(
        default=Tls.OFF.value,
        description="`off`: plain HTTP, for loopback or behind a proxy. `internal`: HTTPS by an "
        "authority of its own. `sslip`: a public certificate for `public_address`'s sslip.io "
        "name. `alb`: on AWS, a load balancer with `alb_certificate`. Or the domain to get a "
        "public certificate for.",
    )
    alb_certificate: CertificateArn = Field(
        default="",
        validate_default=True,
        description="ARN of the certificate in AWS Certificate Manager that the load balancer of "
        "`tls: alb` has; it is in the stack's region.",
    )
    alb_domain: OptionalHostname = Field(
        default="",
        validate_default=True,
        description="Domain that this certificate is for, and that leads people to the load "
        "balancer by a CNAME or alias record.",
    )
    http_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port on the host that sends HTTP on to HTTPS. 0: 80 where a public "
        "certificate is got (the authority asks there), otherwise none.",
    )
    acme_server: AcmeServer = Field(
        default=LETS_ENCRYPT,
        description="ACME directory of the authority that gives public certificates. Using it "
        "means that you agree to its terms.",
    )
    acme_email: Email = Field(
        default="",
        description="Where that authority writes to when something is wrong. May be empty.",
    )
    hostnames: Hostnames = Field(
        default="",
        description="Names, with commas between, by which the deployment may be reached besides "
        "localhost and `tls`'s. Requests for other names are refused.",
    )
    trust_proxy: Networks = Field(
        default="",
        description="Addresses and networks, with commas between, of the proxies whose "
        "X-Forwarded-For and X-Forwarded-Proto are believed. 127.0.0.1 stands for a proxy on "
        "the Docker host.",
    )
    proxy_protocol: bool = Field(
        default=False,
        description="Connections begin with the PROXY protocol's header, and those from "
        "`trust_proxy` are believed. Nothing else can connect then.",
    )
    rate_limit_attempts: int = Field(
        default=5,
        ge=1,
        description="Wrong passwords that one address, or one account, has in "
        "`rate_limit_window_seconds`.",
    )
    rate_limit_window_seconds: int = Field(
        default=60,
        ge=1,
        description="Length of the window in which `rate_limit_attempts` are counted.",
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port on the host's loopback at which `/metrics` answers Prometheus. 0: none.",
    )
    allow_network_exposure: bool = Field(
        default=False,
        description="Allows a `bind_address` that other machines can reach. Without `tls`, put a "
        "TLS proxy or a VPN in front: the connection is not encrypted.",
    )
    bind_address: IpAddress = Field(
        default="127.0.0.1",
        description="Address on the host to listen on. Beyond loopback it needs "
        "`allow_network_exposure`.",
    )

    @field_validator("bind_address")
    @classmethod
    def _exposure_is_asked_for(cls, value: str, info: ValidationInfo) -> str:
        if _is_loopback(value) or info.data.get("allow_network_exposure", True):
            return value
        # It is rented to be reached, and speaks HTTPS alone.
        if info.data.get("target") in CLOUDS:
            return value
        raise wrong(
            _EXPOSED if info.data.get("tls", Tls.OFF) == Tls.OFF else _REACHABLE,
            "keep 127.0.0.1 and tunnel to it (ssh -L), or ask for it in so many words: "
            f"pulumi config set {NAMESPACE}:allow_network_exposure true",
        )

    @field_validator("tls")
    @classmethod
    def _clouds_speak_https(cls, value: str, info: ValidationInfo) -> str:
        target = info.data.get("target")
        if value != Tls.OFF or target not in CLOUDS:
            return value
        raise wrong(
            f"is off, and target is {target}, whose passwords would cross the internet readable",
            f"pulumi config rm {NAMESPACE}:tls, which gives it a certificate, or set a domain",
        )

    @field_validator("tls")
    @classmethod
    def _sslip_has_an_address(cls, value: str, info: ValidationInfo) -> str:
        if value != Tls.SSLIP or info.data.get("public_address", "?"):
            return value
        # A rented machine has its address when it is there.
        if info.data.get("target") in CLOUDS:
            return value
        raise wrong(
            "needs the address that its name is made of",
            f"pulumi config set {NAMESPACE}:public_address <this host's public IP address>",
        )

    @field_validator("tls")
    @classmethod
    def _load_balancers_are_of_aws(cls, value: str, info: ValidationInfo) -> str:
        target = info.data.get("target")
        if value != Tls.ALB or target in (None, Target.AWS):
            return value
        raise wrong(
            f"is alb, which is a load balancer of AWS, and target is {target}",
            f"pulumi config set {NAMESPACE}:tls <domain>, which gets a certificate for it",
        )

    @field_validator("alb_certificate", "alb_domain")
    @classmethod
    def _load_balancers_are_told(cls, value: str, info: ValidationInfo) -> str:
        # Without `tls: alb` they wait for it: whoever sets one after the other begins somewhere.
        if value or info.data.get("tls") != Tls.ALB:
            return value
        raise wrong(
            "is empty, and tls is alb, which needs it",
            f"pulumi config set {NAMESPACE}:{info.field_name} ...",
        )

    @field_validator("alb_certificate")
    @classmethod
    def _certificate_is_in_the_region(cls, value: str, info: ValidationInfo) -> str:
        region = info.data.get("region")
        if not value or not region or value.split(":")[3] == region:
            return value
        raise wrong(
            f"is not in {region}, where the load balancer is",
            f"request or import the certificate there: aws acm request-certificate --region "
            f"{region} --domain-name <domain>",
        )

    @field_validator("http_port")
    @classmethod
    def _load_balancers_redirect(cls, value: int, info: ValidationInfo) -> int:
        if not value or info.data.get("tls") != Tls.ALB:
            return value
        raise wrong(
            "is set, and tls is alb: the load balancer itself sends HTTP on to HTTPS",
            f"pulumi config rm {NAMESPACE}:http_port",
        )

    @field_validator("proxy_protocol")
    @classmethod
    def _load_balancers_send_no_header(cls, value: bool, info: ValidationInfo) -> bool:
        if not value or info.data.get("tls") != Tls.ALB:
            return value
        raise wrong(
            "is on, and tls is alb: a load balancer of AWS's application kind does not speak it",
            f"pulumi config rm {NAMESPACE}:proxy_protocol",
        )

    @field_validator("http_port")
    @classmethod
    def _redirect_has_a_destination(cls, value: int, info: ValidationInfo) -> int:
        if not value or info.data.get("tls") != Tls.OFF:
            return value
        raise wrong(
            "has no HTTPS to send people to: tls is off",
            f"pulumi config rm {NAMESPACE}:http_port, or set {NAMESPACE}:tls",
        )

    @field_validator("proxy_protocol")
    @classmethod
    def _proxies_are_named(cls, value: bool, info: ValidationInfo) -> bool:
        if not value or info.data.get("trust_proxy", "?"):
            return value
        raise wrong(
            "is on, and trust_proxy names nobody whose header is believed",
            f"pulumi config set {NAMESPACE}:trust_proxy <your proxy's address>",
        )

    @field_validator("http_port", "metrics_port")
    @classmethod
    def _ports_differ(cls, value: int, info: ValidationInfo) -> int:
        others = [info.data.get(name) for name in ("port", "http_port")]
        if not value or value not in others:
            return value
        raise wrong("is used by another setting already", "give each port one use")

    @property
    def exposed(self) -> bool:
        """Whether other machines can reach ``bind_address``."""
        return not _is_loopback(self.bind_address)

    @property
    def has_tls(self) -> bool:
        """Whether the deployment itself speaks HTTPS."""
        return self.tls != Tls.OFF

    @property
    def is_load_balanced(self) -> bool:
        """Whether people meet a load balancer, which has the certificate."""
        return self.tls == Tls.ALB

    @property
    def gateway_tls(self) -> str:
        """What the gateway itself does: load balancers speak HTTPS to it, and ask for no name."""
        return Tls.INTERNAL.value if self.is_load_balanced else self.tls

    @property
    def gateway_hostnames(self) -> str:
        """Names, with commas between, that the gateway answers to besides those of `tls`."""
        balancers = self.alb_domain if self.is_load_balanced else ""
        return ",".join(filter(None, (balancers, self.hostnames)))

    @property
    def trusted_proxies(self) -> str:
        """`trust_proxy`, and the network that a load balancer is in."""
        balancer = AWS_NETWORK if self.is_load_balanced else ""
        return ",".join(filter(None, (balancer, self.trust_proxy)))

    @property
    def has_public_certificate(self) -> bool:
        """Whether the gateway gets a certificate that everybody trusts."""
        return self.tls not in (Tls.OFF, Tls.INTERNAL, Tls.ALB)

    @property
    def certificate_name(self) -> str:
        """The public name of that certificate; empty when there is none, or it is not known."""
        if not self.has_public_certificate:
            return ""
        if self.tls != Tls.SSLIP:
            return self.tls
        if not self.public_address:
            return ""
        # sslip.io answers with the address in the name, with dashes for dots and colons.
        return re.sub(r"[.:]", "-", self.public_address) + ".sslip.io"

    @property
    def redirect_port(self) -> int:
        """Port on the host that sends HTTP on to HTTPS; 0 for none."""
        if not self.has_tls or self.is_load_balanced:
            return 0
        wanted = self.has_public_certificate or self.target.is_cloud
        return self.http_port or (80 if wanted else 0)

    @property
    def url(self) -> str:
        """Where the deployment answers: by its public name, or else seen from its own host."""
        if self.is_load_balanced:
            return f"https://{self.alb_domain}"
        if self.certificate_name:
            port = "" if self.port == _HTTPS_PORT else f":{self.port}"
            return f"https://{self.certificate_name}{port}"
        cloud_address = self.public_address if self.target.is_cloud else ""
        address = ipaddress.ip_address(cloud_address or self.bind_address)
        ipv6 = isinstance(address, ipaddress.IPv6Address)
        host = f"[{address}]" if ipv6 else str(address)
        if address.is_unspecified:
            host = "[::1]" if ipv6 else "127.0.0.1"
        return f"{'https' if self.has_tls else 'http'}://{host}:{self.port}"

    def at(self, address: str) -> Self:
        """Give the settings of a rented machine whose address is known by now."""
        return self.model_copy(update={"public_address": self.public_address or address})


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback
