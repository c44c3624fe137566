"""Handlers that do what they are told, one thing after another, and know what becomes of them."""

from __future__ import annotations

import asyncio
import math
import threading
import weakref
from collections.abc import AsyncIterator  # noqa: TC003  the server reads it
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from pydantic import BaseModel

from trimcp import (
    AnswerRefused,
    ConnectionLost,
    Context,
    Limits,
    RequestError,
    RequestTimeout,
    Server,
    Session,
    ToolError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "BLOCKS",
    "ENDS",
    "EXTRAS",
    "LIMITS",
    "LINGER",
    "NOTICE",
    "UNEXPECTED",
    "URIS",
    "Kept",
    "Outcome",
    "Puppet",
    "Puppets",
    "Thought",
    "thought_of",
]

#: Small, so that a machine comes to each bound.
LIMITS: Final = Limits(
    in_flight=5,
    parked=3,
    parked_seconds=300,
    subscribers=7,
    subscribed_uris=2,
    abandoned_threads=3,
    http_sessions=3,
    session_seconds=1_000_000,
)

#: Real seconds in which a thread has to begin, and to be let go.
_PATIENCE: Final = 60.0

#: Seconds that a handler takes to clean up, if it was told to.
LINGER: Final = 2.0

#: Seconds after which the blocks end that have a time limit.
BLOCK_SECONDS: Final = 2.0

URIS: Final = ("thing://one", "thing://two")
EXTRAS: Final = ("extra0", "extra1")
NOTICE: Final = "notifications/com.example/notice"

#: What a client is told of a failure that is not meant for it.
UNEXPECTED: Final = "The tool failed unexpectedly."

#: The error code of a handler's own error.
_CODE: Final = 77

#: What a client is told at the end: a text, or an error code.
Outcome = str | int


class Text(BaseModel):
    """What every question asks for."""

    text: str


class Kept:
    """Something that a frame holds, and that has to be gone with it."""


def _raising(make: Callable[[], BaseException]) -> Callable[[], Any]:
    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise make()

    return fail


def _raising_in_a_nursery(make: Callable[[], BaseException]) -> Callable[[], Any]:
    async def fail() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.lowlevel.checkpoint()
            raise make()

    return fail


async def _make_unwritable() -> Any:
    await trio.lowlevel.checkpoint()
    return object()


def _both(label: str) -> BaseException:
    inner = ExceptionGroup("inner", [_coded(label)])
    return BaseExceptionGroup("outer", [ToolError("no"), inner])


def _failed(label: str) -> str:
    return f"{label} failed"


def _coded(label: str) -> RequestError:
    return RequestError(_CODE, _failed(label))


#: The ways in which a handler can end: what its client is told, and how it does that.
ENDS: Final[dict[str, tuple[Callable[[str], Outcome], Callable[[str], Callable[[], Any]]]]] = {
    "tool error": (_failed, lambda label: _raising(lambda: ToolError(_failed(label)))),
    "tool error in a nursery": (
        _failed,
        lambda label: _raising_in_a_nursery(lambda: ToolError(_failed(label))),
    ),
    "request error": (lambda label: _CODE, lambda label: _raising(lambda: _coded(label))),
    "errors in groups": (lambda label: _CODE, lambda label: _raising(lambda: _both(label))),
    "unexpected": (lambda label: UNEXPECTED, lambda label: _raising(ValueError)),
    "exit": (lambda label: UNEXPECTED, lambda label: _raising(SystemExit)),
    "foreign cancellation": (
        lambda label: UNEXPECTED,
        lambda label: _raising(asyncio.CancelledError),
    ),
    "unwritable": (lambda label: UNEXPECTED, lambda label: _make_unwritable),
}


@asynccontextmanager
async def _nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery with a task that waits, and with what is asked aside; all end with the block."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        try:
            yield nursery
        finally:
            nursery.cancel_scope.cancel()


@contextmanager
def _scope(*, shield: bool = False, seconds: float = math.inf) -> Iterator[trio.CancelScope]:
    with trio.CancelScope(shield=shield, relative_deadline=seconds) as scope:
        yield scope


#: What a handler may enter, by name.
BLOCKS: Final[dict[str, Callable[[], Any]]] = {
    "nursery": _nursery,
    "scope": _scope,
    "time limit": lambda: _scope(seconds=BLOCK_SECONDS),
    "shield": lambda: _scope(shield=True, seconds=BLOCK_SECONDS),
}


class Blocks:
    """The nurseries and cancel scopes in which a puppet is.

    They are entered and left in the frame of the puppet, as if it had written `with` for each.
    """

    def __init__(self) -> None:
        self._all = AsyncExitStack()
        self._open: list[tuple[AsyncExitStack, trio.CancelScope | trio.Nursery]] = []

    async def __aenter__(self) -> Blocks:
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        try:
            return await self._all.__aexit__(*error)
        finally:
            self._open.clear()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def nursery(self) -> trio.Nursery | None:
        """The innermost nursery."""
        found = [each for _, each in self._open if isinstance(each, trio.Nursery)]
        return found[-1] if found else None

    @property
    def shielded_until(self) -> float:
        """Until when no cancellation from outside reaches the puppet, at most."""
        scopes = [each for _, each in self._open if isinstance(each, trio.CancelScope)]
        return max((each.deadline for each in scopes if each.shield), default=-math.inf)

    async def enter(self, name: str) -> None:
        """Enter one more."""
        block, manager = AsyncExitStack(), BLOCKS[name]()
        if hasattr(manager, "__aenter__"):
            entered = await block.enter_async_context(manager)
        else:
            entered = block.enter_context(manager)
        self._all.push_async_exit(block)
        self._open.append((block, entered))

    async def leave(self) -> None:
        """Leave the innermost one."""
        block, _ = self._open.pop()
        await block.aclose()

    def cancel(self) -> None:
        """Cancel the innermost one; then all are left."""
        entered = self._open[-1][1]
        scope = entered if isinstance(entered, trio.CancelScope) else entered.cancel_scope
        scope.cancel()


@attrs.define(eq=False)
class Puppet:
    """One run of a tool.

    Attributes:
        label: The call that it handles.
        is_stateless: Whether the call is of the stateless era.
        told: The orders that it has not begun with yet.
        outcome: What its client is to be told, once it has ended by itself.
        asking: Its questions that are not answered.
        leaving_since: When its `finally` began.
        has_ended: Whether its `finally` has run.
        lingers: Whether its `finally` takes a while.
        defies: Whether it answers although it is cancelled.
        done: How many orders it has begun with.
        chunks: How many chunks it has yielded.
        unsure: Those of them that may not have been sent, since a scope of its own was cancelled.
        blocks: The nurseries and scopes in which it is.
    """

    label: str
    is_stateless: bool
    give: trio.MemorySendChannel[str]
    orders: trio.MemoryReceiveChannel[str]
    told: int = 0
    outcome: Outcome | None = None
    asking: set[str] = attrs.field(factory=set)
    leaving_since: float | None = None
    has_ended: bool = False
    lingers: bool = False
    defies: bool = False
    done: int = 0
    chunks: int = 0
    unsure: set[int] = attrs.field(factory=set)
    blocks: Blocks = attrs.field(factory=Blocks)

    @property
    def is_leaving(self) -> bool:
        return self.leaving_since is not None and not self.has_ended

    def is_shielded(self, now: float) -> bool:
        """Whether it may go on for a while after it has been cancelled."""
        return not self.has_ended and now < self.blocks.shielded_until

    def has_sent(self, chunks: list[str]) -> bool:
        """Whether these are the chunks that it has yielded first, in this order."""
        numbers = [int(each.removeprefix(f"{self.label} chunk ")) for each in chunks]
        expected = [
            each
            for each in range(1, max(numbers, default=0) + 1)
            if each in numbers or each not in self.unsure
        ]
        return numbers == expected

    def tell(self, order: str) -> None:
        """Give it an order, for when it is done with those before."""
        self.give.send_nowait(order)


def thought_of(label: str) -> str:
    """What a call of `think` is told."""
    return f"{label} thought"


class Thought:
    """One run of a tool in a worker thread, which lasts until it is let go.

    Attributes:
        going: Lets it go.
        is_counted: Whether the server that runs counts its thread.
    """

    def __init__(self) -> None:
        self.going = threading.Event()
        self.is_counted = True


class Puppets:
    """A server whose handlers are puppets.

    Attributes:
        server: The server.
        running: The puppets that have begun, by the label of the call.
        alive: The objects that are held in frames of handlers.
        notices: The handlers of notifications that run, by label.
        thoughts: The tools in threads that have not been let go, by label.
        lifespans: How many lifespans are open: of the server and of sessions.
        parked: When the handlers of calls were asked to wait for the next round, by label. They may
            go on meanwhile, and even end.
        flaws: What must not be.
    """

    def __init__(self) -> None:
        self.server: Server[None] = Server(
            "puppets",
            limits=LIMITS,
            lifespan=self._lifespan,
            session_lifespan=self._session_lifespan,
        )
        self.running: dict[str, Puppet] = {}
        self.alive: weakref.WeakKeyDictionary[Kept, Puppet] = weakref.WeakKeyDictionary()
        self.notices: dict[str, trio.Event] = {}
        self.thoughts: dict[str, Thought] = {}
        self.thought = threading.Condition()
        self.lifespans = {"server": 0, "session": 0}
        self.parked: dict[str | None, float] = {}
        self.flaws: list[str] = []
        self.server.tool(self.work)
        self.server.tool(self.stream)
        self.server.tool(self.think)
        for uri in URIS:
            self.server.resource(uri, name=uri)(lambda: "a thing")
        self.server.notification(NOTICE)(self.notice)

    # -- what is open ---------------------------------------------------------------------------

    @asynccontextmanager
    async def _lifespan(self, _: Server[Any]) -> AsyncIterator[None]:
        self.lifespans["server"] += 1
        try:
            yield
        finally:
            self.lifespans["server"] -= 1

    @asynccontextmanager
    async def _session_lifespan(self, _: Session[Any]) -> AsyncIterator[None]:
        self.lifespans["session"] += 1
        try:
            yield
        finally:
            self.lifespans["session"] -= 1

    @property
    def living(self) -> list[Puppet]:
        """Those that have not ended."""
        return [each for each in self.running.values() if not each.has_ended]

    @property
    def working(self) -> list[Puppet]:
        """Those that have not come to their `finally`."""
        return [each for each in self.living if each.leaving_since is None]

    def between_rounds(self, now: float) -> set[str | None]:
        """The labels of calls whose client may still come back with another round."""
        seconds = LIMITS.parked_seconds
        return {label for label, since in self.parked.items() if now < since + seconds}

    # -- tools ----------------------------------------------------------------------------------

    def _enter(self, label: str, ctx: Context) -> Puppet:
        if label in self.running:
            self.flaws.append(f"{label} is handled twice")
        orders = trio.open_memory_channel[str](1000)
        stateless = ctx.revision >= "2026"
        puppet = self.running[label] = Puppet(label, stateless, *orders)
        return puppet

    def _keep(self, puppet: Puppet) -> Kept:
        kept = Kept()
        self.alive[kept] = puppet
        return kept

    async def _leave(self, puppet: Puppet) -> None:
        puppet.leaving_since = trio.current_time()
        if puppet.lingers:
            with trio.CancelScope(shield=True, relative_deadline=LINGER):
                await trio.sleep_forever()
        puppet.has_ended = True

    async def work(self, label: str, ctx: Context) -> Any:
        """Obey orders until one is to end."""
        puppet = self._enter(label, ctx)
        kept = self._keep(puppet)
        try:
            while True:
                # When the blocks end because one of them is cancelled, it goes on without them.
                async with Blocks() as puppet.blocks:
                    while (order := await puppet.orders.receive()) not in ("finish", *ENDS):
                        await self._obey(puppet, order, ctx)
                    return await self._end(puppet, order)
        except trio.Cancelled:
            if puppet.defies:
                return "in spite of it"
            raise
        finally:
            await self._leave(puppet)
            del kept

    async def stream(self, label: str, ctx: Context) -> AsyncIterator[str]:
        """The same, in chunks."""
        puppet = self._enter(label, ctx)
        kept = self._keep(puppet)
        try:
            while puppet.outcome is None:
                async with Blocks() as puppet.blocks:
                    while (order := await puppet.orders.receive()) not in ("finish", *ENDS):
                        if order == "chunk":
                            puppet.chunks += 1
                            try:
                                yield f"{label} chunk {puppet.chunks}"
                            except trio.Cancelled:
                                puppet.unsure.add(puppet.chunks)
                                raise
                        else:
                            await self._obey(puppet, order, ctx)
                    result = await self._end(puppet, order)
            yield result
        finally:
            await self._leave(puppet)
            del kept

    async def _end(self, puppet: Puppet, order: str) -> Any:
        if order == "finish":
            puppet.outcome = f"{puppet.label} done"
            return puppet.outcome
        told, fail = ENDS[order]
        puppet.outcome = told(puppet.label)
        return await fail(puppet.label)()

    async def _obey(self, puppet: Puppet, order: str, ctx: Context) -> None:
        puppet.done += 1
        name = f"{puppet.label}/{puppet.done}"
        if order == "report":
            await ctx.report_progress(puppet.done)
        elif order == "ask":
            await self._ask(puppet, name, ctx)
        elif order == "ask twice":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ask, puppet, f"{name}a", ctx)
                nursery.start_soon(self._ask, puppet, f"{name}b", ctx)
        elif order == "ask aside":
            if puppet.blocks.nursery is None:
                await puppet.blocks.enter("nursery")
            assert puppet.blocks.nursery is not None
            puppet.blocks.nursery.start_soon(self._ask, puppet, name, ctx)
        elif order == "leave":
            if puppet.blocks:
                await puppet.blocks.leave()
        elif order in BLOCKS:
            await puppet.blocks.enter(order)
        elif order == "linger":
            puppet.lingers = True
        elif order == "defy":
            puppet.defies = True

    async def _ask(self, puppet: Puppet, question: str, ctx: Context) -> None:
        puppet.asking.add(question)
        try:
            answer = await ctx.elicit(question, Text)
        except (AnswerRefused, RequestTimeout):
            return
        except ConnectionLost:
            if puppet.is_stateless and not puppet.is_shielded(trio.current_time()):
                self.flaws.append(f"{question} fails although it can be cancelled")
            raise
        finally:
            puppet.asking.discard(question)
        if answer.text != question:
            self.flaws.append(f"{question} was answered with {answer.text}")

    # -- threads --------------------------------------------------------------------------------

    @property
    def counted(self) -> list[str]:
        """The labels of the tools in threads that the server counts."""
        return [label for label, each in self.thoughts.items() if each.is_counted]

    def think(self, label: str) -> str:
        """Wait in a worker thread until it is let go."""
        thought = Thought()
        with self.thought:
            self.thoughts[label] = thought
            self.thought.notify_all()
        if not thought.going.wait(_PATIENCE):
            self.flaws.append(f"{label} was never let go")
        return thought_of(label)

    def wait_begun(self) -> None:
        """Wait until each thread that the server counts has begun with its tool."""
        with self.thought:
            begun = self.thought.wait_for(
                lambda: self.server.statistics().threads <= len(self.counted), _PATIENCE
            )
        assert begun, "a thread does not begin"

    # -- notifications, and more tools ----------------------------------------------------------

    async def notice(self, params: dict[str, str]) -> None:
        """Wait until it is let go."""
        going = self.notices[params["label"]] = trio.Event()
        try:
            await going.wait()
        finally:
            del self.notices[params["label"]]

    def add_extra(self, name: str) -> None:
        """Register one more tool."""

        async def extra() -> str:
            return name

        self.server.tool(name=name)(extra)
