"""What an error of the file system means to a client, in one table for calls and for transfers."""

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from sandboxes.emulator.errors import ApiError

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What an error of the operating system means to a client."""

    code: str
    status: int


UNEXPLAINED = Explanation(code="invalid_argument", status=400)
EXPLANATIONS = {
    errno.ENOENT: Explanation(code="not_found", status=404),
    errno.EEXIST: Explanation(code="already_exists", status=400),
    errno.ENOTEMPTY: Explanation(code="failed_precondition", status=409),
    errno.EACCES: Explanation(code="permission_denied", status=403),
    errno.EPERM: Explanation(code="permission_denied", status=403),
    errno.ENOSPC: Explanation(code="resource_exhausted", status=507),
    errno.EDQUOT: Explanation(code="resource_exhausted", status=507),
}


def explain_os_error(error: OSError) -> Explanation:
    """Translate an error of the file system; what is not in the table is the caller's argument's fault."""
    return EXPLANATIONS.get(error.errno or 0, UNEXPLAINED)


async def translate_errors(operation: Callable[[], Awaitable[Result]]) -> Result:
    """Run an operation on files. Raises `ApiError` for each `OSError`, 507 if the disk is full."""
    try:
        return await operation()
    except ConnectionError:
        raise  # the client is gone, and no file is at fault
    except OSError as error:
        raise ApiError(explain_os_error(error).status, f"the file system refused: {error.strerror}") from error
