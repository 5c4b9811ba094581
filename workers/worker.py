"""The worker: anonymous at first, it listens and waits for a coordinator to tell it who it is.

The first control connection may assign it. From then on every connection must show the swarm's token: the
coordinator's on `/control`, a neighbour's on `/link`, and a link only from an agent that is a neighbour.
"""

import hmac
from collections.abc import Mapping

import anyio
from anyio.abc import TaskGroup

from strategies import StrategyError
from workers.agent import Agent
from workers.codec import (
    PROTOCOL_VERSION,
    Assign,
    Assigned,
    Bury,
    Connect,
    Failed,
    FinalAccount,
    Impair,
    Order,
    Rewire,
    Start,
    Stop,
    WireError,
    decode_order,
    encode,
)
from workers.host import Host
from workers.network import Network, Pipe, PipeClosed, Refusal
from workers.outbox import Outbox
from workers.revision import code_revision


class Worker:
    """One worker process, or one coroutine where processes are simulated. An Acceptor for its port."""

    def __init__(self, network: Network, host: Host) -> None:
        self._network = network
        self._host = host
        self._outbox = Outbox()
        self._agent: Agent | None = None
        self._has_control = False
        self._is_done = anyio.Event()
        self._tasks: TaskGroup | None = None

    async def run(self) -> None:
        """Live until stopped by the coordinator, or cancelled."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            await self._is_done.wait()
            tasks.cancel_scope.cancel()

    # ---- who may come in

    def admit(self, path: str, headers: Mapping[str, str]) -> Refusal | None:
        if path == "/control":
            return _refuse_control(headers, self._agent, has_control=self._has_control)
        if path == "/link":
            return _refuse_link(headers, self._agent)
        return Refusal(404, f"there is no {path} here; a worker has /health, /control and /link")

    def health(self) -> Mapping[str, str]:
        if self._agent is None:
            return {"state": "anonymous", "protocol": str(PROTOCOL_VERSION)}
        return {"state": self._agent.player.state, "agent": self._agent.name, "protocol": str(PROTOCOL_VERSION)}

    async def serve(self, path: str, headers: Mapping[str, str], *, pipe: Pipe) -> None:
        if path == "/control":
            await self._serve_control(pipe)
        elif self._agent is not None:
            await self._agent.links.accept(headers["x-swarm-agent"], pipe)

    # ---- the control connection

    async def _serve_control(self, pipe: Pipe) -> None:
        if self._has_control:  # two were admitted in one moment
            return
        self._has_control = True
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._send_accounts, pipe)
                await self._take_orders(pipe)
                tasks.cancel_scope.cancel()
        finally:
            self._has_control = False

    async def _send_accounts(self, pipe: Pipe) -> None:
        try:
            while True:
                account = await self._outbox.wait_next()
                await pipe.send(encode(account))
                if isinstance(account, FinalAccount):
                    self._is_done.set()
        except PipeClosed:
            await pipe.close()

    async def _take_orders(self, pipe: Pipe) -> None:
        try:
            while True:
                self._obey(decode_order(await pipe.receive()))
        except PipeClosed:
            return
        except WireError as error:
            self._outbox.post(Failed(self._agent.name if self._agent else "", str(error)))

    def _obey(self, order: Order) -> None:
        match order:
            case Assign():
                self._take_seat(order)
            case Connect():
                self._jobs().start_soon(self._assigned().run, self._network)
            case Start(tick=tick):
                self._assigned().player.on_tick(tick)
            case Bury(agent=agent, generation=generation):
                self._assigned().bury(agent, generation)
            case Rewire(neighbour=neighbour):
                self._assigned().rewire(neighbour)
            case Impair(neighbour=neighbour_name, kind=kind, seconds=seconds, amount=amount):
                impairments = self._assigned().links.impairments
                impairments.impair(neighbour_name, kind, seconds=seconds, amount=amount)
            case Stop():
                self._jobs().start_soon(self._assigned().leave)

    def _take_seat(self, assign: Assign) -> None:
        current = self._agent
        refusal = ""
        if assign.version != PROTOCOL_VERSION:
            refusal = f"the coordinator speaks protocol {assign.version}, this worker {PROTOCOL_VERSION}"
        elif current is not None and assign.generation <= current.assign.generation:
            refusal = f"this worker is {current.name} in generation {current.assign.generation}"
        if not refusal:
            try:
                self._agent = Agent(assign, host=self._host, outbox=self._outbox)
            except StrategyError as error:
                refusal = str(error)
        if current is not None and not refusal:
            current.abandon()
        if refusal:
            self._outbox.post(Failed(assign.seat.agent, refusal))
        else:
            self._outbox.post(Assigned(assign.seat.agent, code_revision()))

    def _jobs(self) -> TaskGroup:
        assert self._tasks is not None, "a worker serves connections only while it runs"
        return self._tasks

    def _assigned(self) -> Agent:
        if self._agent is None:
            raise WireError("an order came before an assignment")
        return self._agent


def _refuse_control(headers: Mapping[str, str], agent: Agent | None, *, has_control: bool) -> Refusal | None:
    if has_control:
        return Refusal(409, "this worker has a coordinator")
    if agent is not None and not _shows_token(headers, agent.assign.token):
        return Refusal(401, "the token of the swarm is missing or wrong")
    return None


def _refuse_link(headers: Mapping[str, str], agent: Agent | None) -> Refusal | None:
    if agent is None:
        return Refusal(409, "this worker has not been assigned yet")
    if not _shows_token(headers, agent.assign.token):
        return Refusal(401, "the token of the swarm is missing or wrong")
    caller = headers.get("x-swarm-agent", "")
    if caller not in agent.links.neighbours:
        return Refusal(403, f"{caller or 'an unnamed agent'} is no neighbour of {agent.name}")
    return None


def _shows_token(headers: Mapping[str, str], token: str) -> bool:
    shown = headers.get("authorization", "").encode("utf-8", "surrogateescape")
    return hmac.compare_digest(shown, f"Bearer {token}".encode())
