"""Loopback addresses: one for each sandbox, so that every worker may listen on the same port.

Linux answers on all of 127.0.0.0/8 without any set-up. The range 127.64.0.0/10 holds 4 million addresses; a server
starts at a random one, so that two servers on one machine (two test runs) do not meet.
"""

import ipaddress
import secrets

FIRST_ADDRESS = int(ipaddress.IPv4Address("127.64.0.1"))
ADDRESSES_MAX = 2**22 - 2


class AddressPool:
    """Hands out addresses in rising order and comes round, so that an address rests before it is used again."""

    def __init__(self) -> None:
        self._next = secrets.randbelow(ADDRESSES_MAX)
        self._taken: set[str] = set()

    def take(self) -> str:
        """Return an address that no living sandbox of this server has."""
        while True:
            address = str(ipaddress.IPv4Address(FIRST_ADDRESS + self._next))
            self._next = (self._next + 1) % ADDRESSES_MAX
            if address not in self._taken:
                self._taken.add(address)
                return address

    def give_back(self, address: str) -> None:
        """Free the address of a sandbox that is gone."""
        self._taken.discard(address)
