"""Short-term reversal: a close far from its recent mean is expected to come back.

The z-score of the close in a 20-session window is the position within Bollinger bands (Bollinger, "Bollinger
on Bollinger Bands", 2001: 20 sessions, population standard deviation, bands at 2). Trading against short
moves is the reversal of Jegadeesh, "Evidence of predictable behavior of security returns", Journal of Finance
45 (1990) 881-898, and Lehmann, Quarterly Journal of Economics 105 (1990) 1-28. It earns little after costs;
docs/STRATEGIES.md says how little.
"""

import math
from collections.abc import Sequence

from strategies.bar import Bar
from strategies.strategy import FLAT, Signal, Strategy

WINDOW = 20
ENTRY_Z = 1.0
"""Within one standard deviation of the mean there is nothing to trade."""
FULL_Z = 2.0
"""At the Bollinger band the position is full."""
RELATIVE_DEVIATION_MIN = 1e-12
"""Below this share of the price a standard deviation is rounding, not movement: a halted or pegged symbol."""


class MeanReversion(Strategy):
    """Against the move, growing from nothing at one standard deviation to everything at two.

    With the z-score z of the last close in the last 20 closes (itself included): ``target = -sign(z) *
    clip(|z| - 1, 0, 1)`` and ``confidence = P(|Z| < |z| given |Z| > 1)`` for a normal Z, which is 0 at the
    entry, 0.86 at two and 0.99 at three standard deviations.
    """

    name = "mean_reversion"
    lookback = WINDOW

    def signal(self, bars: Sequence[Bar]) -> Signal:
        """Return FLAT until there are 20 bars, while prices stand still, and within one deviation."""
        if len(bars) < self.lookback:
            return FLAT
        z = z_score([bar.close for bar in bars[-self.lookback :]])
        if abs(z) <= ENTRY_Z:
            return FLAT
        size = min(1.0, (abs(z) - ENTRY_Z) / (FULL_Z - ENTRY_Z))
        inside = math.erf(ENTRY_Z / math.sqrt(2.0))
        confidence = (math.erf(abs(z) / math.sqrt(2.0)) - inside) / (1.0 - inside)
        return Signal(-math.copysign(size, z), confidence)


def z_score(closes: Sequence[float]) -> float:
    """Return how many population standard deviations the last close is above the mean; 0 at a standstill."""
    highest = max(closes)
    relative = [close / highest for close in closes]  # so that no sum overflows and the guard has a scale
    mean = math.fsum(relative) / len(relative)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in relative) / len(relative))
    if deviation < RELATIVE_DEVIATION_MIN:
        return 0.0
    return (relative[-1] - mean) / deviation
