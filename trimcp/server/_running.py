"""Running a user's function for a request."""

from __future__ import annotations

import functools
import types
from collections.abc import AsyncIterable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio
from msgspec import Raw

from trimcp.functions import InputRequired, to_json
from trimcp.protocol import META_CHUNK, read_retry
from trimcp.runtime import Asker, Retried, awaited, drain, in_threads
from trimcp.types import ProgressNotificationParams

from ._asking import ask_by_request
from ._context import Context, enter_context
from ._questions import lacking

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from trimcp.functions import Function
    from trimcp.protocol import Exchange
    from trimcp.runtime import Handler
    from trimcp.types import InputRequiredResult

__all__ = ["GENERATORS", "call_function", "run", "streamed"]

#: How often a handler of the handshake era may return questions in one request. In the stateless
#: era the client sends the next request, and has its own bound.
_MOST_ROUNDS: Final = 20

#: The types of a tool's result that are a stream of chunks.
GENERATORS: Final = (types.AsyncGeneratorType, types.GeneratorType)


class Entry(Protocol):
    """The registration of a function that may ask its client.

    Attributes:
        function: The function.
        replay: Whether it may run again from the start with recorded answers.
        single_use: Whether a state that it gave out is accepted only once.
    """

    @property
    def function(self) -> Function: ...
    @property
    def replay(self) -> bool: ...
    @property
    def single_use(self) -> bool: ...

    def work(self, context: Context[Any], given: Any) -> Awaitable[Any]:
        """Run it once; returns a result, or an `InputRequired`.

        Args:
            context: The context of the run.
            given: The input from the request, as its route has read it.
        """


def run(
    context: Context[Any], entry: Entry, given: Any, *, is_retry: bool | None = None
) -> Awaitable[Any]:
    """Run a user's function for a request.

    In the stateless era it runs in the round, or, if it may ask, in a task that can outlive the
    round. In the handshake era it runs again each time it returns questions.

    Args:
        context: The request.
        entry: The registration.
        given: The argument of its `work`.
        is_retry: Whether the request has answers or a state from an earlier round, if known.

    Raises:
        RequestError: The request has a state that cannot be used.
        BaseException: The function's exception.
    """
    exchange = context._handler.exchange
    if exchange.method not in exchange.terms.revision.multi_round:
        return _asking_by_requests(context, entry, given)
    if is_retry is None:
        is_retry = read_retry(exchange.params).is_present
    if is_retry or (entry.function.context is not None and _can_be_asked(exchange)):
        return _outliving(context, entry, given)
    return _in_round(context, entry, given)


async def _in_round(context: Context[Any], entry: Entry, given: Any) -> Any:
    result = await entry.work(context, given)
    return _keeping(context, result) if isinstance(result, InputRequired) else result


async def _outliving(context: Context[Any], entry: Entry, given: Any) -> Any:
    """Let the function run, or go on, in a task of its own."""
    application = context._application

    def work(asker: Asker) -> Awaitable[Any]:
        return entry.work(Context(asker, application), given)

    result = await application.parking.run(
        context._handler.round, work, replay=entry.replay, single_use=entry.single_use
    )
    return _keeping(context, result) if isinstance(result, InputRequired) else result


def _keeping(context: Context[Any], result: InputRequired) -> InputRequiredResult:
    """The questions for a client of the stateless era, with the state that it brings back."""
    round_ = context._handler.round
    for question in result.questions.values():
        if (error := lacking(round_.exchange.terms, question)) is not None:
            raise error
    return context._application.parking.keep(round_, dict(result.questions), result.state)


async def _asking_by_requests(context: Context[Any], entry: Entry, given: Any) -> Any:
    """Run a handler of the handshake era again while it returns questions, as clients do."""
    handler = context._handler
    for _ in range(_MOST_ROUNDS):
        result = await entry.work(context, given)
        if not isinstance(result, InputRequired):
            return result
        responses: dict[str, Any] = {}
        for key, question in result.questions.items():
            if (error := lacking(handler.exchange.terms, question)) is not None:
                raise error
            responses[key] = await ask_by_request(context, question)
        handler.retry = Retried(responses, kept=result.state)
        if not responses:
            # A handler that only returns a state may contain no checkpoint.
            await trio.lowlevel.checkpoint()
    raise RuntimeError(f"it returned InputRequired {_MOST_ROUNDS} times, which is an endless loop")


def _can_be_asked(exchange: Exchange) -> bool:
    declared = exchange.terms.capabilities
    return (
        declared.elicitation is not None
        or declared.sampling is not None
        or declared.roots is not None
    )


# -- calling ----------------------------------------------------------------------------------


def call_function(
    context: Context[Any], function: Function, arguments: dict[str, Any]
) -> Awaitable[Any]:
    """Call a function with validated arguments; a synchronous one in a worker thread."""
    enter_context(context)
    if function.context is not None:
        arguments[function.context] = context
    if function.is_stream:
        return streamed(context, function, function.call(**arguments))
    if function.is_async:
        value: Awaitable[Any] = function.call(**arguments)
        return value
    return _call_in_thread(context, function, arguments)


async def _call_in_thread(
    context: Context[Any], function: Function, arguments: dict[str, Any]
) -> Any:
    # A wrapper around an async function returns an awaitable.
    return await awaited(await context._application.threads.run(function.call, arguments))


async def streamed(context: Context[Any], function: Function, value: Any) -> Any:
    """Send what a tool's generator or iterator yields, unless its annotation promises a list.

    Returns:
        The final result; the value itself if it is not a stream.
    """
    generator = _generator(value)
    if not isinstance(generator, GENERATORS):
        return value
    if isinstance(generator, types.GeneratorType):
        if function.output_schema is not None and not function.is_stream:
            return generator
        generator = in_threads(generator, context._application.threads.limiter)
    return await drain(generator, functools.partial(_send_chunk, context._handler))


def _generator(value: Any) -> Any:
    """A generator for an iterator, since an iterator cannot be closed."""
    if isinstance(value, GENERATORS):
        return value
    if isinstance(value, AsyncIterable):
        return (each async for each in value)
    return (each for each in value) if isinstance(value, Iterator) else value


async def _send_chunk(handler: Handler, chunk: Any) -> None:
    """Send a chunk as progress if the client asked for progress; wait until it has room.

    While the client is asked, it waits for the next round; and the round ends after it is sent.
    """
    exchange = await _with_room(handler)
    progress = exchange.next_progress()
    if progress is None or exchange.progress_token is None:
        await trio.lowlevel.checkpoint()
        return
    params = ProgressNotificationParams(exchange.progress_token, progress)
    meta = {META_CHUNK: Raw(to_json(chunk))}
    # A chunk that is too long is an error: the peer would skip it, and the stream would still look
    # complete.
    data = exchange.notify("notifications/progress", params, meta)
    with handler.telling() if isinstance(handler, Asker) else nullcontext():
        await handler.peer.send(data)


async def _with_room(handler: Handler) -> Exchange:
    """The current exchange of a handler, once its client has room for a chunk."""
    paid: Exchange | None = None
    while True:
        while isinstance(handler, Asker) and handler.is_parked:
            await handler.resumed.wait()
        exchange, pace = handler.exchange, handler.peer.pace
        if exchange is paid or pace is None or exchange.progress_token is None:
            return exchange
        await pace.spend(exchange.progress_token)
        # Another task may have asked meanwhile.
        paid = exchange
