"""Trees of finished build steps, kept for builds that begin with the same steps.

A tree is found by the key of its step, in which everything before the step is contained. The least recently used
trees are removed. Trees are copied in and out, so that no build ever works in a tree that others begin from.
"""

import secrets
import shutil
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from sandboxes.emulator.fleet.file_tree import copy_tree

LAYERS_MAX = 32


class LayerCache:
    """The kept trees, in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._layers: OrderedDict[str, Path] = OrderedDict()
        self._borrowed: Counter[Path] = Counter()
        self._unused: list[Path] = []

    def has(self, key: str) -> bool:
        """Whether the tree of a step is here."""
        return key in self._layers

    @asynccontextmanager
    async def borrowed(self, key: str | None) -> AsyncIterator[Path | None]:
        """Yield where a step's tree lies, which stays there meanwhile; `None` if it is not here, or for no key."""
        layer = self._layers.get(key or "")
        if layer is None or key is None:
            yield None
            return
        self._layers.move_to_end(key)
        self._borrowed[layer] += 1
        try:
            yield layer
        finally:
            self._borrowed[layer] -= 1

    async def keep(self, key: str, tree: Path) -> None:
        """Keep a copy of a tree as the outcome of a step, in the place of an older one. Raises `OSError`."""
        place = self._directory / secrets.token_hex(16)
        await anyio.to_thread.run_sync(copy_tree, tree, place)
        replaced = self._layers.pop(key, None)
        self._layers[key] = place
        surplus = list(self._layers)[: max(0, len(self._layers) - LAYERS_MAX)]
        removed = [self._layers.pop(old) for old in surplus]
        self._unused += [layer for layer in (replaced, *removed) if layer is not None]
        for layer in [layer for layer in self._unused if not self._borrowed[layer]]:
            self._unused.remove(layer)
            await anyio.to_thread.run_sync(shutil.rmtree, layer, True)
