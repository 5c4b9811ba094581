"""What E2B's accounts may do, by tier, so that a swarm is planned within it rather than refused midway.

From https://e2b.dev/docs/billing and https://e2b.dev/pricing as of November 2026. An enterprise account has limits of
its own: give them as numbers. That creations by fork count towards the rate is not documented; count them.
"""

from dataclasses import dataclass
from enum import StrEnum

from sandboxes.rates import Rate


class Tier(StrEnum):
    """An account's plan. PRO_MAX is Pro with all its add-ons."""

    HOBBY = "hobby"
    PRO = "pro"
    PRO_MAX = "pro-max"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimits:
    """`sandboxes_max` at the same time; `creates` a second; `session_s_max` from a sandbox's start to its end."""

    sandboxes_max: int
    creates: Rate
    session_s_max: float


LIMITS = {
    Tier.HOBBY: AccountLimits(sandboxes_max=20, creates=Rate(per_s=1), session_s_max=3600),
    Tier.PRO: AccountLimits(sandboxes_max=100, creates=Rate(per_s=5), session_s_max=24 * 3600),
    Tier.PRO_MAX: AccountLimits(sandboxes_max=1100, creates=Rate(per_s=5), session_s_max=24 * 3600),
}
