"""Streaming tools: a generator in a task of its own, behind a memory channel.

The channel has no buffer, so the generator runs only as fast as its chunks are sent. Errors go
through the channel too, so a generator that failed never looks finished. When the consumer stops,
the generator is closed, and its `finally` runs.
"""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import trio

from trimcp._groups import unwrapping
from trimcp.functions import Final

from ._boundary import Failed, captured

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

__all__ = ["drain", "in_threads"]

logger = logging.getLogger("trimcp.server")

#: Seconds that a synchronous generator gets to close.
_CLOSE_SECONDS = 10.0

_END: Any = object()


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
        RuntimeError: It yielded something after its `Final`.
        BaseException: An exception of the generator.
    """
    with unwrapping():
        async with trio.open_nursery() as nursery:
            send, receive = trio.open_memory_channel[Any](0)
            nursery.start_soon(_pump, generator, send)
            with receive:
                result = await _consume(receive, on_chunk)
    return result


async def _pump(generator: AsyncGenerator[Any, None], send: trio.MemorySendChannel[Any]) -> None:
    with send:
        async with aclosing(generator):
            while True:
                item, passing = await captured(trio.CancelScope(), anext, generator, _END)
                if passing is not None:
                    try:
                        raise passing
                    finally:
                        del passing
                if item is _END:
                    return
                try:
                    await send.send(item)
                except trio.BrokenResourceError:
                    # Nobody listens any more; leaving closes the generator.
                    return


async def _consume(
    receive: trio.MemoryReceiveChannel[Any], on_chunk: Callable[[Any], Awaitable[None]]
) -> Any:
    last: Any = None
    final: Final[Any] | None = None
    async for item in receive:
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
    return last if final is None else final.value


async def in_threads(
    generator: Generator[Any, None, None], limiter: trio.CapacityLimiter
) -> AsyncGenerator[Any, None]:
    """A synchronous generator, each step in a worker thread.

    A step cannot be interrupted, so a cancellation waits for the running step. Then the generator
    is closed, in a thread too, within a deadline.
    """
    try:
        while True:
            item = await trio.to_thread.run_sync(_step, generator, limiter=limiter)
            if item is _END:
                return
            yield item
    finally:
        with trio.CancelScope(shield=True, relative_deadline=_CLOSE_SECONDS) as closing:
            await trio.to_thread.run_sync(generator.close, abandon_on_cancel=True)
        if closing.cancelled_caught:
            logger.error("a synchronous generator did not close within %g s", _CLOSE_SECONDS)


def _step(generator: Generator[Any, None, None]) -> Any:
    return next(generator, _END)
