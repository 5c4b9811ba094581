"""A server with one sandbox for the tests that send it anything, on an event loop that runs while they ask."""

import asyncio

import aiohttp
import anyio

from sandboxes.emulator import EmulatorServer

ANSWER_DEADLINE_S = 5.0
API_KEY = "key"


class FuzzedServer:
    """A server with one sandbox, in a task that lives as long as a module's tests."""

    def __init__(self, runner):
        self._runner = runner
        self._ready, self._stopped = asyncio.Event(), asyncio.Event()

    def ask(self, method, path, **options):
        """Send a request to the sandbox's daemon; return the status and the body."""
        return self._runner.run(self._ask(method, path, **options))

    def ask_raw(self, head, body=b""):
        """Send a request byte by byte as it is, and return the status."""
        return self._runner.run(self._ask_raw(head, body))

    def run(self, scenario):
        """Run a coroutine function with the session of the server's client."""
        return self._runner.run(self._within_deadline(scenario))

    async def start(self):
        self._task = asyncio.create_task(self._serve())
        with anyio.fail_after(ANSWER_DEADLINE_S):
            await self._ready.wait()

    async def stop(self):
        self._stopped.set()
        await self._task

    async def _within_deadline(self, scenario):
        with anyio.fail_after(ANSWER_DEADLINE_S):
            return await scenario(self._http, self.headers)

    async def _ask(self, method, path, headers=(), **options):
        with anyio.fail_after(ANSWER_DEADLINE_S):
            async with self._http.request(method, path, headers={**self.headers, **dict(headers)}, **options) as answer:
                return answer.status, await answer.read()

    async def _ask_raw(self, head, body):
        with anyio.fail_after(ANSWER_DEADLINE_S):
            reader, writer = await asyncio.open_connection(*self._address)
            try:
                writer.write(head + b"Connection: close\r\n\r\n" + body)
                answer = await reader.read()
            finally:
                writer.close()
                await writer.wait_closed()
        return int(answer.split(b" ", 2)[1])

    async def _serve(self):
        async with EmulatorServer(API_KEY) as server, aiohttp.ClientSession(server.url) as self._http:
            body = {"templateID": "base", "timeout": 600}
            async with self._http.post("/v2/sandboxes", json=body, headers={"X-API-KEY": API_KEY}) as answer:
                created = await answer.json()
            self._address = server.url.removeprefix("http://").split(":")
            self.headers = {"E2b-Sandbox-Id": created["sandboxID"], "X-Access-Token": created["envdAccessToken"]}
            self._ready.set()
            await self._stopped.wait()
