"""The calls that read what happened to sandboxes, and those that say who is to be told of it."""

from collections.abc import Iterator, Mapping

from aiohttp import web
from multidict import MultiMapping

from sandboxes.emulator.control.pages import read_number
from sandboxes.emulator.control.routes import Call, Route, reply
from sandboxes.emulator.control.webhooks import Webhooks, WebhookUpdate, WebhookWish
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.lifecycle_events import EventQuery, EventType, LifecycleEvents

PAGE_SIZE_DEFAULT = 10
PAGE_SIZE_MAX = 100
OFFSET_MAX = 2**53


class EventCalls:
    """Answers the calls about events and webhooks."""

    def __init__(self, events: LifecycleEvents, webhooks: Webhooks) -> None:
        self._events = events
        self._webhooks = webhooks

    def routes(self) -> Iterator[Route]:
        """Yield this group's routes."""
        yield Route("GET", "/events/sandboxes", self.list_events)
        yield Route("GET", "/events/sandboxes/{sandbox_id}", self.list_events)
        yield Route("GET", "/events/webhooks", self.list_webhooks)
        yield Route("POST", "/events/webhooks", self.add_webhook)
        one = "/events/webhooks/{webhook_id}"
        yield Route("GET", one, self.get_webhook)
        yield Route("PATCH", one, self.update_webhook)
        yield Route("DELETE", one, self.remove_webhook)

    async def list_events(self, call: Call) -> web.Response:
        """List the events of one sandbox or of all, the last first unless asked otherwise."""
        query = EventQuery(
            sandbox_id=call.path.get("sandbox_id"),
            types=read_types(call.request.query),
            offset=read_number(call.query, "offset", default=0, bounds=(0, OFFSET_MAX)),
            limit=read_number(call.query, "limit", default=PAGE_SIZE_DEFAULT, bounds=(1, PAGE_SIZE_MAX)),
            is_ascending=read_flag(call.query, "orderAsc"),
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


def read_types(query: MultiMapping[str]) -> frozenset[EventType]:
    """Return the types to show, given several times or with commas. Raises `ApiError` (400) for an unknown one."""
    texts = [text for value in query.getall("types", []) for text in value.split(",")]
    try:
        return frozenset(EventType(text) for text in texts)
    except ValueError as error:
        raise ApiError(400, f"types holds an unknown one: {error}; there are {', '.join(EventType)}") from error


def read_flag(query: Mapping[str, str], name: str) -> bool:
    """Return a flag of the query, false if it is absent. Raises `ApiError` (400)."""
    text = query.get(name, "false")
    if text not in ("true", "false"):
        raise ApiError(400, f"{name} is {text!r}: it must be true or false")
    return text == "true"
