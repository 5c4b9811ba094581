"""Faults by HTTP, for tests whose server is another process: `/_emulator/faults`, behind the API key.

    curl -H "X-API-KEY: $E2B_API_KEY" $E2B_API_URL/_emulator/faults \\
         -d '{"where": "create", "fault": {"kind": "reset", "after_work": true}, "times": 1}'

GET shows the rules and how often they struck, POST adds one, DELETE takes all away (or one, by its number).
"""

from collections.abc import Iterator

from aiohttp import web

from sandboxes.emulator.contracts import Contract
from sandboxes.emulator.control.routes import Call, Route, reply, reply_nothing
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.faults.plan import FaultPlan, FaultPlanShown, FaultRule, FaultWish, describe

PATH = "/_emulator/faults"


class FaultCalls:
    """Answers the calls about faults."""

    def __init__(self, faults: FaultPlan) -> None:
        self._faults = faults

    def routes(self) -> Iterator[Route]:
        """Yield this group's routes."""
        yield Route("GET", PATH, self.show, Contract(answers={200: FaultPlanShown}))
        yield Route("POST", PATH, self.add, Contract(takes=FaultWish, answers={201: FaultRule}))
        yield Route("DELETE", PATH, self.clear, Contract(answers={204: None}))
        removed = Contract(answers={204: None}, refuses=(404,))
        yield Route("DELETE", f"{PATH}/{{rule_id}}", self.remove, removed)

    async def show(self, _call: Call) -> web.Response:
        """Show the rules, and how often each kind struck."""
        return reply(describe(self._faults))

    async def add(self, call: Call) -> web.Response:
        """Add a rule."""
        return reply(self._faults.put(await call.decode(FaultWish)), 201)

    async def clear(self, _call: Call) -> web.Response:
        """Take all rules away."""
        self._faults.clear()
        return reply_nothing()

    async def remove(self, call: Call) -> web.Response:
        """Take one rule away."""
        text = call.path["rule_id"]
        found = next((rule for rule in self._faults.rules if str(rule.id) == text), None)
        if found is None or not self._faults.remove(found.id):
            raise ApiError(404, f"there is no fault {text}: list them")
        return reply_nothing()
