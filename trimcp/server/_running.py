"""Running a user's function for a request."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import trio
from msgspec import Raw

from trimcp.errors import INVALID_PARAMS, RequestError
from trimcp.protocol import META_CHUNK, InvalidShape, read_retry
from trimcp.runtime import Questions, drain, in_threads, to_json
from trimcp.types import ProgressNotificationParams

from ._context import Context, enter_context

if TYPE_CHECKING:
    from trimcp.runtime import Frame, Function

    from ._application import Application

__all__ = ["call_function", "handed_over"]


async def call_function(
    application: Application, frame: Frame, function: Function, arguments: dict[str, Any]
) -> Any:
    """Call a function with validated arguments; a synchronous one in a worker thread."""
    context: Context[Any] = Context(frame, application)
    enter_context(context)
    if function.context is not None:
        arguments[function.context] = context
    if function.is_stream:
        generator = function.call(**arguments)
        if not function.is_async:
            generator = in_threads(generator, application.threads.limiter)
        return await drain(generator, functools.partial(_send_chunk, frame))
    if function.is_async:
        return await function.call(**arguments)
    return await application.threads.run(function.call, arguments)


async def _send_chunk(frame: Frame, chunk: Any) -> None:
    """Send a chunk as progress, where the client asked for progress."""
    exchange = frame.exchange
    progress = exchange.next_progress()
    if progress is None or exchange.progress_token is None:
        await trio.lowlevel.checkpoint()
        return
    params = ProgressNotificationParams(exchange.progress_token, progress)
    meta = {META_CHUNK: Raw(to_json(chunk))}
    await frame.peer.send(exchange.notify("notifications/progress", params, meta))


def handed_over(application: Application, frame: Frame, *, replay: bool) -> bool:
    """Take what a request may bring from an earlier round of questions.

    Args:
        application: The application.
        frame: The frame of the new request.
        replay: Whether the function may run again from the top with recorded answers.

    Returns:
        Whether a waiting frame has taken over the exchange, so that this one has nothing to do.

    Raises:
        RequestError: The state cannot be used.
    """
    exchange = frame.exchange
    if exchange.method not in exchange.terms.revision.multi_round:
        return False
    try:
        if not read_retry(exchange.params).is_present:
            return False
    except InvalidShape as error:
        raise RequestError(INVALID_PARAMS, f"invalid params: {error}") from None
    answers = application.parking.take_retry(frame)
    if answers is None:
        return True
    if frame.lost_state and not replay:
        raise RequestError(
            INVALID_PARAMS, "state lost: the handler that asked is gone; ask again from the start"
        )
    frame.questions = Questions(answers=answers)
    return False
