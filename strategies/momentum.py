"""Time-series momentum: what rose over a year is held, what fell is sold short.

After Moskowitz, Ooi and Pedersen, "Time series momentum", Journal of Financial Economics 104 (2012) 228-250:
equation 1 for the volatility, equation 5 for the position. Where this differs from the paper: log returns of
one symbol without a T-bill rate, 252 sessions a year instead of 261 weekdays, weights cut off after a year,
and no borrowing (the position stops at the whole capital).
"""

import itertools
import math
from collections.abc import Sequence

from strategies.bar import Bar
from strategies.strategy import FLAT, Signal, Strategy

SESSIONS_PER_YEAR = 252
CENTRE_OF_MASS = 60.0
"""Mean age in sessions of the returns in the volatility, as in the paper: weights decay by 60/61 a session."""
VOLATILITY_TARGET = 0.40
"""Annual volatility each position is scaled to; the paper's, about that of one stock."""


class Momentum(Strategy):
    """The sign of the 12-month return, sized to 40 % annual volatility.

    With the log return R of 252 sessions and the annual volatility s: ``target = sign(R) * min(1, 0.40 / s)``
    and ``confidence = erf(t / sqrt(2))`` with ``t = |R| / s``, which is the t-statistic of the mean daily
    return; so confidence is the share of a normal distribution within t of zero.
    """

    name = "momentum"
    lookback = SESSIONS_PER_YEAR + 1

    def signal(self, bars: Sequence[Bar]) -> Signal:
        """Return FLAT until there are 253 bars, or when the year ended where it began."""
        if len(bars) < self.lookback:
            return FLAT
        closes = [bar.close for bar in bars[-self.lookback :]]
        first, last = closes[0], closes[-1]
        if first == last:
            return FLAT
        direction = 1.0 if last > first else -1.0
        volatility = annual_volatility(closes)
        if volatility == 0.0:  # every session moved alike: the limit of both formulas
            return Signal(direction, 1.0)
        t_statistic = abs(math.log(last) - math.log(first)) / volatility
        size = min(1.0, VOLATILITY_TARGET / volatility)
        return Signal(direction * size, math.erf(t_statistic / math.sqrt(2.0)))


def annual_volatility(closes: Sequence[float]) -> float:
    """Return the annual ex-ante volatility (0.2 is 20 %) of closes, oldest first, at least two.

    Equation 1 of the paper: ``s^2 = 252 * sum_i w_i * (r_i - mean)^2``, with the newest return weighted most,
    weights falling by 60/61 a session and summing to 1, and the mean weighted alike.
    """
    # Differences of logs, because the ratio of two extreme prices may not be a float.
    logs = [math.log(close) for close in closes]
    returns = [later - earlier for earlier, later in itertools.pairwise(logs)]
    decay = CENTRE_OF_MASS / (CENTRE_OF_MASS + 1.0)
    weights = [1.0]
    for _ in returns[1:]:
        weights.append(weights[-1] * decay)
    weights.reverse()
    total = math.fsum(weights)
    mean = math.fsum(weight * value for weight, value in zip(weights, returns, strict=True)) / total
    variance = math.fsum(weight * (value - mean) ** 2 for weight, value in zip(weights, returns, strict=True)) / total
    return math.sqrt(SESSIONS_PER_YEAR * variance)
