"""A server for the tests that send it anything, one for each module."""

import asyncio

import pytest

from tests.property.fuzzed_server import FuzzedServer


@pytest.fixture(scope="module")
def fuzzed():
    with asyncio.Runner() as runner:
        service = FuzzedServer(runner)
        runner.run(service.start())
        yield service
        runner.run(service.stop())
