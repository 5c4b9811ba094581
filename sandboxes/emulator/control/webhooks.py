"""Webhooks: whoever asked for it is told of events by HTTP, signed, a few times until it is heard.

Each webhook has a queue and a task of its own, so that a slow or dead receiver holds up neither the control plane nor
the others; its events arrive in order. A full queue drops the newest and says so in the server's log.
Receivers must be on this machine while the server itself is only for this machine: a local test server must not
send requests into the world on behalf of whoever holds its key. Redirects are not followed.
"""

import base64
import hashlib
import ipaddress
import logging
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

import aiohttp
import anyio
import msgspec
from anyio.abc import TaskGroup
from msgspec import UNSET, Meta, Struct, UnsetType

from sandboxes.emulator.clock import read_clock
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.lifecycle_events import TEAM_ID, EventType, LifecycleEvent, make_event_id

log = logging.getLogger(__name__)

WEBHOOKS_MAX = 100
EVENTS_WAITING_MAX = 1000
RETRY_DELAYS_S = (0.2, 1.0, 5.0)
"""How long to wait before each retry. E2B waits 10 s each; on one machine a receiver is back sooner."""
ANSWER_TIMEOUT_S = 5.0
SIGNATURE_VERSION = "v1"
Filled = Annotated[str, Meta(min_length=1)]


class WebhookWish(Struct, rename="camel"):
    """The body of a registration."""

    name: Filled
    url: Filled
    events: Annotated[list[EventType], Meta(min_length=1)]
    signature_secret: Filled
    enabled: bool = True


class WebhookUpdate(Struct, rename="camel"):
    """The body of an update; what is absent stays."""

    name: Filled | UnsetType = UNSET
    url: Filled | UnsetType = UNSET
    events: Annotated[list[EventType], Meta(min_length=1)] | UnsetType = UNSET
    signature_secret: Filled | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class WebhookShown(Struct, rename="camel"):
    """A webhook as it is shown: without its secret."""

    id: str
    team_id: str
    name: str
    created_at: datetime
    enabled: bool
    url: str
    events: list[EventType]


class Webhook:
    """One receiver, and the events that wait for it."""

    def __init__(self, wish: WebhookWish) -> None:
        self.id = make_event_id()
        self.wish = wish
        self._created_at = read_clock()
        self._send, self._waiting = anyio.create_memory_object_stream[LifecycleEvent](EVENTS_WAITING_MAX)

    def describe(self) -> WebhookShown:
        """Return what may be shown."""
        wish = self.wish
        return WebhookShown(self.id, TEAM_ID, wish.name, self._created_at, wish.enabled, wish.url, wish.events)

    def offer(self, event: LifecycleEvent) -> None:
        """Put an event into the queue if the receiver wants it."""
        if not self.wish.enabled or event.type not in self.wish.events:
            return
        try:
            self._send.send_nowait(event)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return  # the server is stopping
        except anyio.WouldBlock:
            log.warning("webhook %s (%s) is too slow: event %s is dropped", self.id, self.wish.name, event.id)

    def close(self) -> None:
        """Let the queue end at once, with what is in it."""
        self._send.close()
        self._waiting.close()

    async def deliver_all(self, http: aiohttp.ClientSession) -> None:
        """Deliver events as they come, until the webhook is closed. Called once, as a task."""
        with self._send, self._waiting:
            while True:
                try:
                    event = await self._waiting.receive()
                except (anyio.EndOfStream, anyio.ClosedResourceError):
                    return
                await self._deliver(event, http)

    async def _deliver(self, event: LifecycleEvent, http: aiohttp.ClientSession) -> None:
        body = msgspec.json.encode(event)
        for delay_s in (0.0, *RETRY_DELAYS_S):
            await anyio.sleep(delay_s)
            problem = await self._post(body, http)
            if problem is None:
                return
            log.debug("webhook %s: event %s was not delivered: %s", self.id, event.id, problem)
        log.warning("webhook %s (%s): event %s is given up: %s", self.id, self.wish.name, event.id, problem)

    async def _post(self, body: bytes, http: aiohttp.ClientSession) -> str | None:
        """Send one request; return what went wrong."""
        headers = {
            "Content-Type": "application/json",
            "e2b-webhook-id": self.id,
            "e2b-delivery-id": make_event_id(),
            "e2b-signature-version": SIGNATURE_VERSION,
            "e2b-signature": sign(self.wish.signature_secret, body),
        }
        try:
            async with http.post(self.wish.url, data=body, headers=headers, allow_redirects=False) as answer:
                return None if answer.status < 300 else f"it answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"


class Webhooks:
    """All webhooks."""

    def __init__(self, http: aiohttp.ClientSession, *, tasks: TaskGroup, reaches_beyond_loopback: bool) -> None:
        self._http = http
        self._tasks = tasks
        self._reaches_beyond_loopback = reaches_beyond_loopback
        self._webhooks: dict[str, Webhook] = {}

    def add(self, wish: WebhookWish) -> Webhook:
        """Register a webhook. Raises `ApiError` (400)."""
        self._check(wish)
        if len(self._webhooks) >= WEBHOOKS_MAX:
            raise ApiError(400, f"there are {WEBHOOKS_MAX} webhooks already: remove one")
        webhook = Webhook(wish)
        self._webhooks[webhook.id] = webhook
        self._tasks.start_soon(webhook.deliver_all, self._http)
        return webhook

    def update(self, webhook_id: str, update: WebhookUpdate) -> Webhook:
        """Change a webhook. Raises `ApiError` (400, 404)."""
        webhook = self.require(webhook_id)
        given = {name: value for name, value in msgspec.structs.asdict(update).items() if value is not UNSET}
        wish = msgspec.structs.replace(webhook.wish, **given)
        self._check(wish)
        webhook.wish = wish
        return webhook

    def require(self, webhook_id: str) -> Webhook:
        """Return a webhook. Raises `ApiError` (404)."""
        webhook = self._webhooks.get(webhook_id)
        if webhook is None:
            raise ApiError(404, f"webhook {webhook_id!r} not found: list them")
        return webhook

    def list_all(self) -> list[Webhook]:
        """Return all webhooks in the order of their registration."""
        return list(self._webhooks.values())

    def remove(self, webhook: Webhook) -> None:
        """Forget a webhook."""
        del self._webhooks[webhook.id]
        webhook.close()

    def offer(self, event: LifecycleEvent) -> None:
        """Hand an event to all that want it, without waiting."""
        for webhook in self._webhooks.values():
            webhook.offer(event)

    def _check(self, wish: WebhookWish) -> None:
        host = read_host(wish.url)
        if not self._reaches_beyond_loopback and not is_loopback(host):
            raise ApiError(
                400,
                f"url leads to {host!r}, beyond this machine: name 127.0.0.1, or let the server listen beyond loopback",
            )


def sign(secret: str, body: bytes) -> str:
    """Return the signature: the SHA-256 of the secret and the body, base64 for URLs without padding."""
    digest = hashlib.sha256(secret.encode() + body).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def read_host(url: str) -> str:
    """Return the host of an HTTP address. Raises `ApiError` (400) for anything else."""
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError as error:
        raise ApiError(400, f"url {url!r} is malformed: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_port:
        raise ApiError(400, f"url {url!r} is not an HTTP address")
    return parts.hostname


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name; other names may lead anywhere."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
