"""Who owns what: rendezvous hashing (highest random weight), so that when an agent goes only its symbols move."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b


def ranking(key: str, agents: Sequence[str]) -> list[str]:
    """Order agents by their claim on `key`, strongest first; the same in every process."""
    return sorted(agents, key=lambda agent: _weight(key, agent), reverse=True)


def owners(
    symbol: str, capabilities: Mapping[str, tuple[str, ...]], *, replicas: int, spares: int = 0
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Choose the owners of a symbol and their spares, each with the strongest claim first.

    First the strongest claim for each strategy, then the strongest of the rest. `capabilities` maps an agent to the
    strategies it runs. At least one owner per strategy is chosen, even where that is more than `replicas`.
    """
    ranked = ranking(symbol, sorted(capabilities))
    chosen: set[str] = set()
    for strategy in sorted({name for names in capabilities.values() for name in names}):
        if not any(strategy in capabilities[agent] for agent in chosen):
            chosen.add(next(agent for agent in ranked if strategy in capabilities[agent]))
    for agent in ranked:
        if len(chosen) >= replicas:
            break
        chosen.add(agent)
    rest = [agent for agent in ranked if agent not in chosen]
    return tuple(agent for agent in ranked if agent in chosen), tuple(rest[:spares])


def _weight(key: str, agent: str) -> bytes:
    return blake2b(f"{key}\x00{agent}".encode(), digest_size=8).digest()
