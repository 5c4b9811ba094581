"""The calls that read what happened to sandboxes, and those that say who is to be told of it."""

from collections.abc import Iterator
from dataclasses import replace

from aiohttp import web

from sandboxes.emulator.contracts import Contract
from sandboxes.emulator.control.routes import Call, Route, reply
from sandboxes.emulator.control.webhooks import Webhooks, WebhookShown, WebhookUpdate, WebhookWish
from sandboxes.emulator.fleet.lifecycle_events import EventQuery, EventType, LifecycleEvent, LifecycleEvents
from sandboxes.emulator.parameters import FlagParameter, ListParameter, NumberParameter

PAGE_SIZE_DEFAULT = 10
PAGE_SIZE_MAX = 100
OFFSET_MAX = 2**53

TYPES = ListParameter(name="types", meaning="Only events of these types.", choices=tuple(EventType))
OFFSET = NumberParameter(name="offset", meaning="How many to pass over.", bounds=(0, OFFSET_MAX), default=0)
LIMIT = NumberParameter(
    name="limit", meaning="How many events at most.", bounds=(1, PAGE_SIZE_MAX), default=PAGE_SIZE_DEFAULT
)
ORDER_ASC = FlagParameter(name="orderAsc", meaning="The first first, instead of the last first.")


class EventCalls:
    """Answers the calls about events and webhooks."""

    def __init__(self, events: LifecycleEvents, webhooks: Webhooks) -> None:
        self._events = events
        self._webhooks = webhooks

    def routes(self) -> Iterator[Route]:
        """Yield this group's routes."""
        listed = Contract(parameters=(TYPES, OFFSET, LIMIT, ORDER_ASC), answers={200: list[LifecycleEvent]})
        yield Route("GET", "/events/sandboxes", self.list_events, listed)
        yield Route("GET", "/events/sandboxes/{sandbox_id}", self.list_events, listed)
        hooks, one = "/events/webhooks", "/events/webhooks/{webhook_id}"
        yield Route("GET", hooks, self.list_webhooks, Contract(answers={200: list[WebhookShown]}))
        yield Route("POST", hooks, self.add_webhook, Contract(takes=WebhookWish, answers={201: WebhookShown}))
        shown = Contract(answers={200: WebhookShown}, refuses=(404,))
        yield Route("GET", one, self.get_webhook, shown)
        yield Route("PATCH", one, self.update_webhook, replace(shown, takes=WebhookUpdate))
        yield Route("DELETE", one, self.remove_webhook, shown)

    async def list_events(self, call: Call) -> web.Response:
        """List the events of one sandbox or of all, the last first unless asked otherwise."""
        query = EventQuery(
            sandbox_id=call.path.get("sandbox_id"),
            types=frozenset(map(EventType, TYPES.read(call.query))),
            offset=OFFSET.read(call.query),
            limit=LIMIT.read(call.query),
            is_ascending=ORDER_ASC.read(call.query),
        )
        return reply(self._events.select(query))

    async def list_webhooks(self, _call: Call) -> web.Response:
        """List all webhooks."""
        return reply([webhook.describe() for webhook in self._webhooks.list_all()])

    async def add_webhook(self, call: Call) -> web.Response:
        """Register a webhook."""
        return reply(self._webhooks.add(await call.decode(WebhookWish)).describe(), 201)

    async def get_webhook(self, call: Call) -> web.Response:
        """Describe a webhook, but for its secret."""
        return reply(self._webhooks.require(call.path["webhook_id"]).describe())

    async def update_webhook(self, call: Call) -> web.Response:
        """Replace the fields of a webhook that the body names."""
        update = await call.decode(WebhookUpdate)
        return reply(self._webhooks.update(call.path["webhook_id"], update).describe())

    async def remove_webhook(self, call: Call) -> web.Response:
        """Remove a webhook; what waits to be delivered is dropped."""
        webhook = self._webhooks.require(call.path["webhook_id"])
        self._webhooks.remove(webhook)
        return reply(webhook.describe())
