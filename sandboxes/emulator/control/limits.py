"""What a plan allows, so that a program meets a plan's refusals here before it meets them at E2B.

The figures are those of E2B's documentation: how many sandboxes run at once, how many are created per second, how
long one may run without a pause. Not documented, and chosen here: the bucket of creations holds one second's worth, a
repeated call that is answered from its idempotency key takes nothing from it, and neither do forks and resumes.
"""

import math
from dataclasses import dataclass

from sandboxes.emulator.errors import ApiError


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """The limits of a plan; infinite where it has none."""

    sandboxes_max: float = math.inf
    """How many run at once."""
    creates_per_s: float = math.inf
    length_max_s: float = math.inf
    """How long a sandbox may run from its start, or from its last resume."""


UNLIMITED = Tier()
HOBBY = Tier(sandboxes_max=20, creates_per_s=1, length_max_s=3600)
PRO = Tier(sandboxes_max=100, creates_per_s=5, length_max_s=86_400)
TIERS = {"hobby": HOBBY, "pro": PRO, "none": UNLIMITED}


ROUNDING = 1e-6
"""Who comes exactly when a token is there again is let in."""


class RateLimited(ApiError):
    """A refusal (429) that says when to come again."""

    def __init__(self, tier: Tier, wait_s: float) -> None:
        super().__init__(
            429, f"rate limit exceeded: {tier.creates_per_s:g} sandboxes may be created per second; wait, and retry"
        )
        self._limit = max(1, int(tier.creates_per_s))
        self._wait_s = max(1, math.ceil(wait_s))

    def headers(self) -> dict[str, str]:
        wait = str(self._wait_s)
        return {
            "Retry-After": wait,
            "RateLimit-Limit": str(self._limit),
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": wait,
        }


class CreationBucket:
    """A token bucket: it fills at the plan's rate up to one second's worth, and each creation takes one token."""

    def __init__(self, tier: Tier) -> None:
        self._tier = tier
        self._capacity = max(1.0, tier.creates_per_s)
        self.refill()

    def refill(self) -> None:
        """Begin anew with a full bucket."""
        self._tokens = self._capacity
        self._filled_at_s = -math.inf

    def take(self, now_s: float) -> None:
        """Take a token. Raises `RateLimited` when there is none."""
        if math.isinf(self._tier.creates_per_s):
            return
        grown = (now_s - self._filled_at_s) * self._tier.creates_per_s
        self._tokens = min(self._capacity, self._tokens + grown)
        self._filled_at_s = now_s
        if self._tokens < 1 - ROUNDING:
            raise RateLimited(self._tier, (1 - self._tokens) / self._tier.creates_per_s)
        self._tokens -= 1


def clamp_length(timeout_s: float, *, ran_s: float, tier: Tier) -> float:
    """Return how long a sandbox may run from now on, silently less than asked for, as at E2B.

    Raises `ApiError` (400) when it has run for as long as the plan allows.
    """
    left_s = tier.length_max_s - ran_s
    if left_s <= 0:
        raise ApiError(400, "Max instance length exceeded")
    return min(timeout_s, left_s)
