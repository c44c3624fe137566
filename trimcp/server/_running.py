"""Running a user's function for a request."""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeGuard

import trio
from msgspec import Raw

from trimcp.functions import InputRequired, to_json
from trimcp.protocol import META_CHUNK, read_retry
from trimcp.runtime import Job, Retried, awaited, drain, in_threads
from trimcp.types import ProgressNotificationParams

from ._asking import ask_by_request
from ._context import Context, enter_context
from ._questions import lacking

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trimcp.functions import Function
    from trimcp.protocol import Exchange
    from trimcp.runtime import Frame

    from ._application import Application

__all__ = ["call_function", "run_askable"]

#: How often a handler of the handshake era may return questions in one request; clients of the
#: stateless era, which ask again themselves, have a bound of their own.
_MOST_ROUNDS: Final = 20
_GENERATORS: Final = (types.AsyncGeneratorType, types.GeneratorType)


async def call_function(
    application: Application, frame: Frame, function: Function, arguments: dict[str, Any]
) -> Any:
    """Call a function with validated arguments; a synchronous one in a worker thread."""
    context: Context[Any] = Context(frame, application)
    enter_context(context)
    if function.context is not None:
        arguments[function.context] = context
    if function.is_stream:
        value = function.call(**arguments)
    elif function.is_async:
        value = await function.call(**arguments)
    else:
        # A wrapper around an async function gives something to await.
        value = await awaited(await application.threads.run(function.call, arguments))
    if function.may_stream and isinstance(value, _GENERATORS):
        return await _stream(application, frame, function, value)
    return value


async def _stream(
    application: Application, frame: Frame, function: Function, generator: Any
) -> Any:
    """Send what a generator yields; a list that is promised is no stream."""
    if isinstance(generator, types.GeneratorType):
        if function.output_schema is not None and not function.is_stream:
            return generator
        generator = in_threads(generator, application.threads.limiter)
    return await drain(generator, functools.partial(_send_chunk, frame))


async def _send_chunk(frame: Frame, chunk: Any) -> None:
    """Send a chunk as progress, where the client asked for progress and has room for it."""
    exchange, pace = frame.exchange, frame.peer.channel.pace
    if pace is not None and exchange.progress_token is not None:
        await pace.spend(exchange.progress_token)
    progress = exchange.next_progress()
    if progress is None or exchange.progress_token is None:
        await trio.lowlevel.checkpoint()
        return
    params = ProgressNotificationParams(exchange.progress_token, progress)
    meta = {META_CHUNK: Raw(to_json(chunk))}
    # A chunk that is too long is an error: the peer would skip it, and the stream look complete.
    await frame.peer.send(exchange.notify("notifications/progress", params, meta))


class Askable(Protocol):
    """What is registered of a handler that may ask its client.

    Attributes:
        function: What runs.
        replay: Whether it may run again from the top with recorded answers.
        single_use: Whether a state that it gave out is accepted only once.
    """

    @property
    def function(self) -> Function: ...
    @property
    def replay(self) -> bool: ...
    @property
    def single_use(self) -> bool: ...


async def run_askable(
    application: Application,
    frame: Frame,
    handler: Askable,
    work: Callable[[Frame], Awaitable[Any]],
    *,
    is_retry: bool | None = None,
) -> Any:
    """Run a handler; one that may ask, in a task that can outlive its request.

    Args:
        application: The application.
        frame: The request's round.
        handler: How it is registered.
        work: Runs its function for a frame.
        is_retry: Whether the request brings something from an earlier round, if known.

    Raises:
        RequestError: The request brings a state that cannot be used.
        BaseException: What the handler raised.
    """
    exchange = frame.exchange
    if exchange.method not in exchange.terms.revision.multi_round:
        return await _asking_by_requests(application, frame, work)

    if is_retry is None:
        is_retry = read_retry(exchange.params).is_present
    if not is_retry and not _may_ask(exchange, handler.function):
        return _answer(application, frame, await work(frame))

    async def answer(frame: Frame) -> Any:
        return _answer(application, frame, await work(frame))

    job = Job(answer, handler.replay, handler.single_use)
    return await application.parking.run(frame, job)


def _may_ask(exchange: Exchange, function: Function) -> bool:
    declared = exchange.terms.capabilities
    return function.context is not None and (
        declared.elicitation is not None
        or declared.sampling is not None
        or declared.roots is not None
    )


def _asks(result: Any) -> TypeGuard[InputRequired]:
    return isinstance(result, InputRequired)


def _answer(application: Application, frame: Frame, result: Any) -> Any:
    """What a client of the stateless era gets: the result, or the questions it stands for."""
    if not _asks(result):
        return result
    for question in result.questions.values():
        if (error := lacking(frame.exchange.terms, question)) is not None:
            raise error
    return application.parking.keep(frame.exchange, dict(result.questions), result.state)


async def _asking_by_requests(
    application: Application, frame: Frame, work: Callable[[Frame], Awaitable[Any]]
) -> Any:
    """Run a handler of the handshake era again while it returns questions, as a client would."""
    for _ in range(_MOST_ROUNDS):
        result = await work(frame)
        if not _asks(result):
            return result
        responses: dict[str, Any] = {}
        for key, question in result.questions.items():
            if (error := lacking(frame.exchange.terms, question)) is not None:
                raise error
            responses[key] = await ask_by_request(application, frame, question)
        frame.retry = Retried(responses, kept=result.state)
        if not responses:
            # A handler that only keeps a state may do nothing that waits.
            await trio.lowlevel.checkpoint()
    raise RuntimeError(f"it returned InputRequired {_MOST_ROUNDS} times, which is without an end")
