"""What sandboxes cost, so that a run can say it before and after, and a budget can stop one.

Pure arithmetic on E2B's published usage prices; it knows nothing of the monthly fee, the free credit or a
contract.
"""

import dataclasses
import math


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SandboxPrice:
    """The price of a running sandbox by what is allocated to it, in US dollars.

    Paused and killed ones are free. The defaults are E2B's usage prices as of November 2026, the same on every plan
    (https://e2b.dev/pricing). They agree with E2B's own example, 8 vCPU and 4 GiB at $0.468 an hour
    (https://e2b.dev/docs/billing).
    """

    vcpu_second_usd: float = 0.000014
    """Dollars for one virtual CPU for one second."""
    gib_second_usd: float = 0.0000045
    """Dollars for one GiB of memory for one second."""

    def per_second_usd(self, *, vcpus: float, memory_gib: float) -> float:
        """Return the dollars for one second of one such sandbox. Raises ValueError on a negative size."""
        _check_not_negative(vcpus=vcpus, memory_gib=memory_gib)
        return vcpus * self.vcpu_second_usd + memory_gib * self.gib_second_usd


E2B_PRICE = SandboxPrice()
"""E2B's usage price of November 2026."""


def cost_usd(
    seconds_total: float, *, vcpus: float = 2, memory_gib: float = 0.5, price: SandboxPrice = E2B_PRICE
) -> float:
    """Return the dollars for `seconds_total` of running, summed over all sandboxes of one size.

    The default size is that of E2B's base template, at $0.109 an hour. Raises ValueError on a negative or
    non-finite number.
    """
    _check_not_negative(seconds_total=seconds_total)
    return seconds_total * price.per_second_usd(vcpus=vcpus, memory_gib=memory_gib)


def _check_not_negative(**amounts: float) -> None:
    for name, amount in amounts.items():
        if not (math.isfinite(amount) and amount >= 0):
            raise ValueError(f"{name} is {amount!r}; it must be a finite number of at least 0")
