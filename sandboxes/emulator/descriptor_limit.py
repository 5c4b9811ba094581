"""How many files the server may have open: a followed command takes four, and 1024 is a usual limit."""

import resource


def raise_descriptor_limit() -> None:
    """Allow this process as many as the system does."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
