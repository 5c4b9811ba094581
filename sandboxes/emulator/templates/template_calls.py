"""The calls about templates that were built: finding them, their names and their tags.

`DELETE /templates/{id}` is among the calls about snapshots, which are templates too.
"""

from collections.abc import Iterator

from aiohttp import web

from sandboxes.emulator.contracts import Contract
from sandboxes.emulator.control.routes import Call, Route, both_versions, reply, reply_nothing
from sandboxes.emulator.control.sandbox_wishes import require_template
from sandboxes.emulator.fleet.snapshots import parse_name
from sandboxes.emulator.templates.template_catalog import TemplateCatalog
from sandboxes.emulator.templates.template_descriptions import describe_template, list_template
from sandboxes.emulator.templates.template_messages import (
    AliasShown,
    NamesShown,
    TagsAssigned,
    TagShown,
    TagsRefusal,
    TagsWish,
    TemplateListed,
    TemplateShown,
    TemplateUpdate,
)
from sandboxes.emulator.templates.template_records import TemplateRecords


class TemplateCalls:
    """Answers the calls about templates."""

    def __init__(self, records: TemplateRecords, *, catalog: TemplateCatalog) -> None:
        self._records = records
        self._catalog = catalog

    def routes(self) -> Iterator[Route]:
        """Yield this group's routes."""
        yield from both_versions(Route("GET", "/templates", self.list, Contract(answers={200: list[TemplateListed]})))
        found = Contract(answers={200: AliasShown}, refuses=(404,))
        yield Route("GET", "/templates/aliases/{alias}", self.find_alias, found)
        assigned = Contract(takes=TagsWish, answers={201: TagsAssigned}, refuses=(404,))
        yield Route("POST", "/templates/tags", self.assign_tags, assigned)
        removed = Contract(takes=TagsRefusal, answers={204: None}, refuses=(404,))
        yield Route("DELETE", "/templates/tags", self.remove_tags, removed)
        one = "/templates/{template_id}"
        yield Route("GET", one, self.get, Contract(answers={200: TemplateShown}, refuses=(404,)))
        updated = Contract(takes=TemplateUpdate, answers={200: NamesShown}, refuses=(404,))
        yield from both_versions(Route("PATCH", one, self.update, updated))
        yield Route("GET", f"{one}/tags", self.get_tags, Contract(answers={200: list[TagShown]}, refuses=(404,)))

    async def list(self, call: Call) -> web.Response:
        """List the templates that have been built."""
        return reply([list_template(record) for record in self._records.list_all() if record.current is not None])

    async def get(self, call: Call) -> web.Response:
        """Describe a template and its builds."""
        return reply(describe_template(self._records.require(call.path["template_id"])))

    async def update(self, call: Call) -> web.Response:
        """Accept that a template is public or not: here, everybody with the key sees all of them."""
        await call.decode(TemplateUpdate)
        record = self._records.require(call.path["template_id"])
        return reply(NamesShown([parse_name(record.name).full]))

    async def find_alias(self, call: Call) -> web.Response:
        """Tell whether there is a template of a name."""
        return reply(AliasShown(require_template(self._catalog, call.path["alias"]).id, False))

    async def assign_tags(self, call: Call) -> web.Response:
        """Give a build further tags."""
        wish = await call.decode(TagsWish)
        build = await self._records.assign_tags(wish.target, wish.tags)
        return reply(TagsAssigned(wish.tags, build.id), 201)

    async def remove_tags(self, call: Call) -> web.Response:
        """Take tags away."""
        wish = await call.decode(TagsRefusal)
        await self._records.remove_tags(wish.name, wish.tags)
        return reply_nothing()

    async def get_tags(self, call: Call) -> web.Response:
        """List a template's tags."""
        tags = self._records.require(call.path["template_id"]).tags
        return reply([TagShown(tag, place.build.id, place.assigned_at) for tag, place in tags.items()])
