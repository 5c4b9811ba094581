"""The state store, in a database: swarms, agents, sandboxes, intents, events, orders, and who may write.

Values, changes and errors are imported from here at once. The database is not: SQLAlchemy takes as long to import as
the whole command line, so `open_store` imports it when a store is opened.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.store.store import Store


@asynccontextmanager
async def open_store(state: str | Path | None = None) -> AsyncIterator["Store"]:
    """Open the store that `state` names: a path, a URL, ":memory:", or None for the user's own. Raises StoreError.

    What is there already is used, brought to the present schema, or refused and left as it is.
    """
    from orchestrator.store.database import open_database
    from orchestrator.store.location import locate
    from orchestrator.store.store import Store

    location = locate(state)
    async with open_database(location) as database:
        yield Store(database, str(location))
