"""Work that goes to its end also when the client that asked for it has hung up.

The web server cancels a call whose client leaves. A sandbox half paused or half copied would be nobody's, so such
work runs as a task of the server, and the call only waits for it.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from sandboxes.emulator.errors import ApiError, EmulatorError

log = logging.getLogger(__name__)

Result = TypeVar("Result")


async def run_to_completion(tasks: TaskGroup, operation: Callable[[], Awaitable[Result]]) -> Result:
    """Run an operation as the server's own, and return its result.

    Raises the `EmulatorError` that it raised, and `ApiError` (500) for what the system refused it.
    """
    results: list[Result] = []
    refusals: list[EmulatorError] = []
    done = anyio.Event()

    async def run() -> None:
        try:
            results.append(await operation())
        except EmulatorError as refusal:
            refusals.append(refusal)
        except OSError as error:
            log.exception("the server's file system or processes failed")
            refusals.append(ApiError(500, f"the system refused: {error.strerror}"))
        finally:
            done.set()

    tasks.start_soon(run)
    await done.wait()
    for refusal in refusals:
        raise refusal
    if not results:
        raise ApiError(503, "the server is stopping: start it again")
    return results[0]
