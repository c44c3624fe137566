"""Streaming tools: a generator in a task of its own, behind a memory channel.

The channel has no buffer, so the generator runs only as fast as its chunks are sent. Errors go
through the channel too, so a generator that failed never looks finished. When the consumer stops,
the generator is closed, and its `finally` runs.

All steps of the generator run in one task, with no scope around a single step. So it may yield
inside a nursery or a cancel scope. If such a scope is cancelled while a chunk waits, `Cancelled` is
raised in the generator, where it yielded.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from trimcp._groups import unwrapping
from trimcp.functions import Final

from ._boundary import Failed, attempted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator

__all__ = ["drain", "in_threads"]

logger = logging.getLogger("trimcp.server")

#: Seconds that a synchronous generator gets to close.
_CLOSE_SECONDS = 10.0

#: A chunk, `_END` or a `Failed`, and the event that is set when it has been sent.
_HandedOver: TypeAlias = tuple[Any, trio.Event]

#: What is sent after the last chunk, and what is known if that was not sent.
_END: Any = object()
_LOST: Any = object()


async def drain(
    generator: AsyncGenerator[Any, None], on_chunk: Callable[[Any], Awaitable[None]]
) -> Any:
    """Run a generator to its end.

    Args:
        generator: The tool's generator.
        on_chunk: Awaited with each chunk; meanwhile the generator waits.

    Returns:
        The value of its `Final`, or else the last chunk, or None.

    Raises:
        RuntimeError: It yielded something after its `Final`, or left a cancelled scope open.
        BaseException: An exception of the generator.
    """
    result = _LOST
    with unwrapping():
        async with trio.open_nursery() as nursery:
            send, receive = trio.open_memory_channel[_HandedOver](0)
            nursery.start_soon(_pump, generator, send)
            with receive:
                result = await _consume(receive, on_chunk)
    if result is _LOST:
        raise RuntimeError("a streaming tool was cancelled by a scope of its own that it left open")
    return result


async def _pump(
    generator: AsyncGenerator[Any, None], send: trio.MemorySendChannel[_HandedOver]
) -> None:
    """Run the generator, each step when the chunk before it has been sent."""
    thrown: BaseException | None = None
    with send:
        async with _closing(generator):
            while True:
                was_told = thrown is not None
                item, passing = await attempted(_step, generator, thrown)
                is_last, thrown = passing is not None or _has_ended(item), None
                if passing is None:
                    goes_on, passing = await attempted(_hand_over, item, send)
                    # An error and its frames would form a reference cycle.
                    item = None
                    if passing is None and goes_on is not True:
                        return
                if passing is not None and (is_last or (was_told and await _is_unheard(send))):
                    try:
                        raise passing
                    finally:
                        del passing
                # The generator may be inside the scope that is cancelled.
                thrown = passing


def _has_ended(item: Any) -> bool:
    return item is _END or isinstance(item, Failed)


async def _is_unheard(send: trio.MemorySendChannel[_HandedOver]) -> bool:
    """Whether nobody takes chunks any more.

    A generator that yields in a cancelled scope, was told so, and goes on may have entered another
    scope that is cancelled. But if the whole call is cancelled, so is who takes the chunks.
    """
    await trio.lowlevel.cancel_shielded_checkpoint()
    return send.statistics().open_receive_channels == 0


async def _hand_over(item: Any, send: trio.MemorySendChannel[_HandedOver]) -> bool:
    """Hand a chunk over and wait until it has been sent. Returns whether another one is wanted."""
    # One for each: whoever waits for it may be cancelled, and then nobody waits for this chunk.
    sent = trio.Event()
    try:
        await send.send((item, sent))
        if not _has_ended(item):
            await sent.wait()
    except trio.BrokenResourceError:
        # Nobody listens any more; leaving closes the generator.
        return False
    return not _has_ended(item)


async def _step(generator: AsyncGenerator[Any, None], thrown: BaseException | None) -> Any:
    """What the generator yields next, or `_END`.

    Args:
        generator: The generator.
        thrown: What is raised where it has yielded, if anything is.
    """
    try:
        if thrown is None:
            return await anext(generator)
        return await generator.athrow(thrown)
    except StopAsyncIteration:
        return _END
    finally:
        # An error and its frames would form a reference cycle.
        del thrown


@asynccontextmanager
async def _closing(generator: AsyncGenerator[Any, None]) -> AsyncIterator[None]:
    """Close the generator at the end of the block.

    A nursery in which it has yielded raises the `GeneratorExit` in a group, which `aclose` does not
    recognize.
    """
    try:
        yield
    finally:
        try:
            await generator.aclose()
        except BaseExceptionGroup as group:
            rest = group.split(GeneratorExit)[1]
            if rest is not None:
                raise rest from None


async def _consume(
    receive: trio.MemoryReceiveChannel[_HandedOver],
    on_chunk: Callable[[Any], Awaitable[None]],
) -> Any:
    last: Any = None
    final: Final[Any] | None = None
    async for item, sent in receive:
        if item is _END:
            return last if final is None else final.value
        if isinstance(item, Failed):
            try:
                raise item.error
            finally:
                # An error and its frames would form a reference cycle.
                del item
        if final is not None:
            raise RuntimeError("a streaming tool yielded something after its Final")
        if isinstance(item, Final):
            final = item
        else:
            last = item
            await on_chunk(item)
        sent.set()
    return _LOST


async def in_threads(
    generator: Generator[Any, None, None], limiter: trio.CapacityLimiter
) -> AsyncGenerator[Any, None]:
    """A synchronous generator, each step in a worker thread.

    A step cannot be interrupted, so a cancellation waits for the running step. Then the generator
    is closed, in a thread too, within a deadline.
    """
    try:
        while True:
            item = await trio.to_thread.run_sync(_next, generator, limiter=limiter)
            if item is _END:
                return
            yield item
    finally:
        with trio.CancelScope(shield=True, relative_deadline=_CLOSE_SECONDS) as closing:
            await trio.to_thread.run_sync(generator.close, abandon_on_cancel=True)
        if closing.cancelled_caught:
            logger.error("a synchronous generator did not close within %g s", _CLOSE_SECONDS)


def _next(generator: Generator[Any, None, None]) -> Any:
    return next(generator, _END)
