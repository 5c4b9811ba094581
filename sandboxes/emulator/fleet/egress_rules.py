"""Which addresses a sandbox may reach: its settings for traffic out as a pure decision, which others carry out.

The rules are E2B's: what is allowed comes before what is denied, no internet access is the denial of everything, and
names of hosts are allowed on the ports of HTTP and TLS alone. What is a loopback address is the sandbox's own, unless
the settings allow it by a block of loopback addresses: then it is this machine's.
"""

import enum
import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandboxes.emulator.fleet.network_settings import ALL_TRAFFIC, EgressSettings, is_network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NAMED_PORTS = (80, 443)
"""Where names of hosts may be allowed: elsewhere E2B does not look for a name either."""
NAME_SERVER_PORT = 53
RESOLVER_FILE = Path("/etc/resolv.conf")


class Verdict(enum.StrEnum):
    """What becomes of a connection."""

    INSIDE = "inside"
    """It stays in the sandbox's own network."""
    OUT = "out"
    NAMED = "named"
    """Out if the address is one of an allowed host, else denied."""
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRules:
    """What a sandbox may reach."""

    allowed: Sequence[Network] = ()
    denied: Sequence[Network] = ()
    denies_all: bool = False
    hosts: Sequence[str] = ()
    """Names of allowed hosts that can be looked up."""
    has_patterns: bool = False
    """Whether there are names such as `*.example.com`, which cannot be looked up: they allow nothing."""
    name_servers: Collection[Address] = ()
    """Those of this machine, one of which may have a loopback address."""

    @property
    def are_restrictive(self) -> bool:
        """Whether there is anything that a sandbox in the machine's own network would not keep."""
        return self.denies_all or bool(self.denied)

    @property
    def let_nothing_out(self) -> bool:
        """Whether a network that leads nowhere keeps them."""
        return self.denies_all and not self.allowed and not self.hosts

    def judge(self, address: Address, port: int) -> Verdict:
        """Say what becomes of a connection to an address."""
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        is_question = port == NAME_SERVER_PORT and address in self.name_servers
        if address.is_loopback or address.is_unspecified:
            is_named = any(address in network for network in self.allowed if network.is_loopback)
            if not is_named and not is_question:
                return Verdict.INSIDE
        if any(address in network for network in self.allowed) or (is_question and self.hosts):
            return Verdict.OUT
        if not self.denies_all and not any(address in network for network in self.denied):
            return Verdict.OUT
        return Verdict.NAMED if self.hosts and port in NAMED_PORTS else Verdict.DENIED


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressMeans:
    """What a server can do about rules on this machine."""

    cuts_network: bool = False
    """Whether it gives sandboxes a network that leads nowhere."""
    filters_network: bool = False
    """Whether it lets single connections out of it."""

    def suffice_for(self, rules: EgressRules) -> bool:
        """Whether a new sandbox can be made to keep these rules."""
        return not rules.are_restrictive or (self.cuts_network and (self.filters_network or rules.let_nothing_out))


def make_rules(network: EgressSettings, *, allows_internet: bool | None) -> EgressRules:
    """Return the rules of settings that have been checked."""
    denied = network.deny_out or []
    allowed = network.allow_out or []
    return EgressRules(
        allowed=[ipaddress.ip_network(entry, strict=False) for entry in allowed if is_network(entry)],
        denied=[ipaddress.ip_network(entry, strict=False) for entry in denied],
        denies_all=allows_internet is False or ALL_TRAFFIC in denied,
        hosts=[entry for entry in allowed if not is_network(entry) and not entry.startswith("*.")],
        has_patterns=any(entry.startswith("*.") for entry in allowed),
        name_servers=frozenset(read_name_servers(RESOLVER_FILE)),
    )


def read_name_servers(file: Path) -> list[Address]:
    """Return the addresses that this machine asks for names; none if it does not say."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return []
    servers = [line.split()[1].partition("%")[0] for line in lines if line.startswith("nameserver ")]
    return [ipaddress.ip_address(server) for server in servers if is_network(server)]
