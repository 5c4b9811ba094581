"""A sandbox's network settings: their shape on the wire, what is wrong with some, and which of them are enforced here.

All of E2B's settings are stored and shown. `network_enforcement` is the one place that says which of them this machine
keeps; a sandbox that asks for another is warned about once, or refused where the server is strict.
"""

import ipaddress
import re
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, Struct, UnsetType

from sandboxes.emulator.errors import ApiError

ALL_TRAFFIC = "0.0.0.0/0"
DNS_SERVERS_MAX = 10
DOMAIN_PATTERN = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.I)
PORT_PATTERN = re.compile(r"[0-9]{1,5}")
HOST_PATTERN = re.compile(r"[A-Za-z0-9.$_{}-]{1,253}(:(\d{1,5}|\$\{PORT\}))?")


class ProxyTls(Struct, rename="camel", omit_defaults=True, frozen=True):
    """How the server's own connection to an egress proxy is encrypted."""

    enabled: bool = False
    server_name: str | UnsetType = UNSET
    ca_cert: str | UnsetType = UNSET


class EgressProxy(Struct, rename="camel", omit_defaults=True, frozen=True):
    """A SOCKS5 proxy for what leaves a sandbox."""

    address: str
    username: str | UnsetType = UNSET
    password: str | UnsetType = UNSET
    tls: ProxyTls | UnsetType | None = UNSET


class Transform(Struct, omit_defaults=True, frozen=True):
    """Headers that are put into matching requests."""

    headers: dict[str, str] | UnsetType = UNSET


class NetworkRule(Struct, omit_defaults=True, frozen=True):
    """What is done to requests to one host."""

    transform: Transform | UnsetType = UNSET


class EgressSettings(Struct, rename="camel", omit_defaults=True, frozen=True):
    """What concerns traffic out of a sandbox; a running one may get others."""

    allow_out: list[str] | UnsetType = UNSET
    deny_out: list[str] | UnsetType = UNSET
    dns_servers: list[str] | UnsetType = UNSET
    egress_proxy: EgressProxy | UnsetType | None = UNSET
    rules: dict[str, list[NetworkRule]] | UnsetType = UNSET


class NetworkSettings(EgressSettings, rename="camel", omit_defaults=True, frozen=True):
    """All network settings of a sandbox."""

    allow_public_traffic: bool | None = None
    """`None` is E2B's default, which lets everybody in."""
    mask_request_host: str | UnsetType = UNSET
    https_ports: list[int] | UnsetType = UNSET

    @property
    def is_public(self) -> bool:
        """Whether the sandbox's ports answer without its traffic token."""
        return self.allow_public_traffic is not False


class NetworkUpdate(EgressSettings, rename="camel", frozen=True):
    """The body of a network update, which replaces all settings for traffic out."""

    allow_internet_access: bool | UnsetType = msgspec.field(name="allow_internet_access", default=UNSET)


@dataclass(frozen=True, slots=True)
class FieldEnforcement:
    """Whether one setting is kept on this machine, and what becomes of it."""

    name: str
    """As E2B's API calls it."""
    is_enforced: bool
    note: str


def network_enforcement(*, cuts_network: bool = False, filters_network: bool = False) -> tuple[FieldEnforcement, ...]:
    """Say of every setting whether it is enforced.

    `cuts_network` is whether the server makes network namespaces, `filters_network` whether it lets single connections
    out of them.
    """
    filtered = "the server makes a sandbox's TCP connections; UDP leaves for name servers; set before the first command"
    names = "; patterns such as *.example.com allow nothing"
    stored = "stored, not enforced on this machine"
    return (
        FieldEnforcement("allowPublicTraffic", True, "the proxy asks for the sandbox's traffic token"),
        FieldEnforcement("maskRequestHost", True, "the proxy sends it to the program as the Host header"),
        FieldEnforcement("httpsPorts", True, "the proxy speaks TLS to the program and does not verify it"),
        FieldEnforcement(
            "allowInternetAccess",
            cuts_network,
            "by a network namespace; set before the first command" if cuts_network else stored,
        ),
        FieldEnforcement("allowOut", filters_network, filtered + names if filters_network else stored),
        FieldEnforcement("denyOut", filters_network, filtered if filters_network else stored),
        FieldEnforcement("dnsServers", False, stored),
        FieldEnforcement("egressProxy", False, stored),
        FieldEnforcement("rules", False, stored),
    )


def find_egress_wishes(network: EgressSettings, *, allows_internet: bool | None) -> list[str]:
    """Return the names of the settings for traffic out that a sandbox has, in the order of the table above."""
    asked = {
        "allowInternetAccess": allows_internet is False,
        "allowOut": bool(network.allow_out),
        "denyOut": bool(network.deny_out),
        "dnsServers": network.dns_servers is not UNSET,
        "egressProxy": bool(network.egress_proxy),
        "rules": bool(network.rules),
    }
    return [name for name, is_asked in asked.items() if is_asked]


def replace_egress(network: NetworkSettings, update: NetworkUpdate) -> NetworkSettings:
    """Return settings with another treatment of traffic out: what the update leaves out is cleared, as at E2B."""
    return NetworkSettings(
        **{name: getattr(update, name) for name in EgressSettings.__struct_fields__},
        allow_public_traffic=network.allow_public_traffic,
        mask_request_host=network.mask_request_host,
        https_ports=network.https_ports,
    )


def hide_secrets(network: NetworkSettings) -> NetworkSettings:
    """Return the settings as they may be shown: without the proxy's password and certificate."""
    if not isinstance(network.egress_proxy, EgressProxy):
        return network
    proxy = msgspec.structs.replace(network.egress_proxy, password=UNSET)
    if isinstance(proxy.tls, ProxyTls):
        proxy = msgspec.structs.replace(proxy, tls=msgspec.structs.replace(proxy.tls, ca_cert=UNSET))
    return msgspec.structs.replace(network, egress_proxy=proxy)


def check_network(network: NetworkSettings) -> None:
    """Raise `ApiError` (400) for settings that mean nothing."""
    check_egress(network)
    if network.mask_request_host is not UNSET and not HOST_PATTERN.fullmatch(network.mask_request_host):
        raise ApiError(400, f"mask request host is not valid: {network.mask_request_host!r}: name an ASCII host")
    for port in network.https_ports or ():
        if not 1 <= port <= 65_535 or port == 49_983:
            raise ApiError(400, f"httpsPorts holds {port}: name ports from 1 to 65535, but not envd's (49983)")


def check_egress(network: EgressSettings) -> None:
    """Raise `ApiError` (400) for wrong addresses, domains among the denied, and domains without a general denial."""
    denied = network.deny_out or []
    allowed = network.allow_out or []
    for address in denied:
        if not is_network(address):
            raise ApiError(400, f"invalid denied CIDR {address}: name addresses or CIDR blocks, no domains")
    domains = [entry for entry in allowed if not is_network(entry)]
    for domain in domains:
        if not DOMAIN_PATTERN.fullmatch(domain) or domain.replace(".", "").replace("/", "").isdecimal():
            raise ApiError(400, f"invalid allowed address {domain}: name an address, a CIDR block or a domain")
    if domains and ALL_TRAFFIC not in denied:
        raise ApiError(400, f"allowOut names domains, but denyOut lacks {ALL_TRAFFIC}: deny the rest")
    check_dns_servers(network.dns_servers or [])
    if isinstance(network.egress_proxy, EgressProxy):
        _host, separator, port = network.egress_proxy.address.rpartition(":")
        if not separator or not PORT_PATTERN.fullmatch(port) or not 1 <= int(port) <= 65_535:
            raise ApiError(400, f"egressProxy address {network.egress_proxy.address!r} is malformed: use host:port")


def check_dns_servers(servers: list[str]) -> None:
    """Raise `ApiError` (400) for what is no IPv4 address, or too many of them."""
    if len(servers) > DNS_SERVERS_MAX:
        raise ApiError(400, f"dnsServers holds {len(servers)} entries: name {DNS_SERVERS_MAX} at most")
    for server in servers:
        try:
            ipaddress.IPv4Address(server)
        except ValueError as error:
            raise ApiError(400, f"dnsServers holds {server!r}: name IPv4 addresses") from error


def is_network(text: str) -> bool:
    """Whether a text is an address or a CIDR block."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
