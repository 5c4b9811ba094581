"""What can go wrong with the state store; each class says what its reader should do.

StoreError
+-- StoreUnavailable     it may work later: busy, out of reach, or no room; what was asked may or may not have been done
+-- StoreUnusable        it will not work as it stands: refused, damaged, or not ours; it has not been touched
|   +-- StoreCorrupted   damaged
|   +-- StoreForeign     something else's database or file
|   +-- StoreNewer       written by a newer version
+-- LeaseHeld            another coordinator has the swarm until `until`
+-- LeaseLost            another coordinator has taken the swarm over: stop at once, write nothing more
+-- StoreConflict        what was to be written contradicts what is recorded: a defect of the writer
+-- SwarmExists          a swarm of this name has not been stopped
+-- SwarmUnknown         no swarm of this name was ever recorded
+-- SlotsTaken           the account has fewer free slots than were asked for
"""

from datetime import datetime


class StoreError(Exception):
    """The root of what can go wrong with the state store."""


class StoreUnavailable(StoreError):
    """It may work later. A change that may have been written can be written again: all but events tell repeats."""


class StoreUnusable(StoreError):
    """It will not work as it stands, and was left as it was found."""


class StoreCorrupted(StoreUnusable):
    """The store is damaged."""


class StoreForeign(StoreUnusable):
    """What was found is not a state store of ours."""


class StoreNewer(StoreUnusable):
    """The store was written by a newer version."""


class LeaseHeld(StoreError):
    """Another coordinator runs this swarm, at least until `until` unless it renews."""

    def __init__(self, message: str, *, holder: str, until: datetime) -> None:
        super().__init__(message)
        self.holder = holder
        self.until = until


class LeaseLost(StoreError):
    """Another coordinator has taken this swarm over."""


class StoreConflict(StoreError):
    """What was to be written contradicts what is recorded."""


class SwarmExists(StoreError):
    """A swarm of this name has not been stopped."""


class SwarmUnknown(StoreError):
    """No swarm of this name was ever recorded."""


class SlotsTaken(StoreError):
    """The account has fewer free slots than were asked for."""
