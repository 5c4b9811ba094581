"""The strategies that come with the project, by name. The command line and the workers look them up here."""

from collections.abc import Mapping
from types import MappingProxyType

from strategies.errors import UnknownStrategyError
from strategies.mean_reversion import MeanReversion
from strategies.momentum import Momentum
from strategies.strategy import Strategy

BUILT_IN: Mapping[str, type[Strategy]] = MappingProxyType(
    {kind.name: kind for kind in (MeanReversion, Momentum)},
)
"""Name to class, in alphabetical order."""


def create(name: str) -> Strategy:
    """Return a new built-in strategy. Raises UnknownStrategyError listing the names there are."""
    try:
        return BUILT_IN[name]()
    except KeyError:
        raise UnknownStrategyError(
            f"there is no strategy {name!r}; choose {', '.join(BUILT_IN)}, "
            "or a path to a .py file with one Strategy class"
        ) from None
