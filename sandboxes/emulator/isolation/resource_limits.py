"""Limits of the system for every command, however it was started.

No core files, which would fill a sandbox's directory, and the number of open files that E2B's sandboxes have in effect
rather than the server's own, which may be a million (programs that close them one by one then take seconds). The
number of processes is not limited: the kernel counts it for a user, so all sandboxes together. Address space is not
limited either: runtimes such as Go's and V8 reserve far more than they use.
"""

import resource
from contextlib import suppress

FILES_MAX = 20_000


def limit_resources(pid: int) -> None:
    """Set the limits of a command that has just been started; one that is over already needs none."""
    with suppress(ProcessLookupError, PermissionError):
        _soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        files_max = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (files_max, files_max))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
