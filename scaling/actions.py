"""What can be done to a fleet, and how a fleet's health alone calls for it."""

import enum
from collections.abc import Sequence

from scaling.health import HealthStatus

FAILED_SHARE_MAX = 0.30
"""Above this share of failed agents the fleet is shut down; the value of the first design."""
CRITICAL_SHARE_MAX = 0.50
"""Above this share of critical agents the work goes to another fleet; the value of the first design."""


class ScalingAction(enum.StrEnum):
    """What to do with a fleet. Whoever says one says why."""

    SCALE_UP = "SCALE_UP"
    SCALE_DOWN = "SCALE_DOWN"
    MAINTAIN = "MAINTAIN"
    FAILOVER = "FAILOVER"
    EMERGENCY_SHUTDOWN = "EMERGENCY_SHUTDOWN"


def act_on_health(statuses: Sequence[HealthStatus]) -> tuple[ScalingAction, str]:
    """Say what the health of a fleet calls for, apart from its load, and why.

    Agents nothing is known of count neither way: losing the monitor must not shut a fleet down. A fleet of which
    nothing is known at all is left alone.
    """
    known = [status for status in statuses if status is not HealthStatus.UNKNOWN]
    if not known:
        return ScalingAction.MAINTAIN, f"nothing is known of the health of {len(statuses)} agents"
    failed, critical = known.count(HealthStatus.FAILED), known.count(HealthStatus.CRITICAL)
    if failed / len(known) > FAILED_SHARE_MAX:
        return ScalingAction.EMERGENCY_SHUTDOWN, f"{failed} of {len(known)} agents failed, over {FAILED_SHARE_MAX:.0%}"
    if critical / len(known) > CRITICAL_SHARE_MAX:
        return ScalingAction.FAILOVER, f"{critical} of {len(known)} agents are critical, over {CRITICAL_SHARE_MAX:.0%}"
    return ScalingAction.MAINTAIN, f"{failed} failed and {critical} critical of {len(known)} agents"
