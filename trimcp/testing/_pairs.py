"""Two connected ends, held in separate tasks, and what the checks do with them."""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from trimcp._groups import unwrapping
from trimcp.limits import Limits
from trimcp.transports import Oversized

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from trimcp.transports import Incoming, MessageChannel

    End: TypeAlias = AbstractAsyncContextManager[MessageChannel]
    OpenPair: TypeAlias = Callable[[Limits], AbstractAsyncContextManager[tuple[End, End]]]

__all__ = [
    "LIMITS",
    "End",
    "HeldEnd",
    "OpenPair",
    "end_of",
    "flood",
    "leaving_nothing",
    "message",
    "pair_of",
    "receive",
    "require",
    "send",
    "wait_blocked",
]

#: The limits of the channels that are checked.
LIMITS: Final = Limits(message_bytes=256 * 1024, outbox_bytes=64 * 1024)

#: Bytes in transit after which a channel without a reader counts as unbounded: far more than the
#: buffers of any system.
_UNBOUNDED: Final = 32 * 1024 * 1024

#: Seconds without a running task after which all tasks count as blocked.
_CUSHION: Final = 0.02


def require(condition: bool, flaw: str) -> None:
    """Raise AssertionError with the flaw unless the condition holds."""
    __tracebackhide__ = True
    if not condition:
        raise AssertionError(flaw)


@asynccontextmanager
async def end_of(channel: MessageChannel) -> AsyncIterator[MessageChannel]:
    """A channel that was opened together with its peer, as an end that can be left separately.

    Leaving it drops the messages that wait to be written, and stops receiving.
    """
    try:
        yield channel
    finally:
        channel.outbox.abandon()
        channel.incoming.close()


class HeldEnd:
    """One end, open in a separate task.

    Attributes:
        channel: The channel.
        error: The exception that it raised when it was left, or None.
    """

    channel: MessageChannel

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._leaving = trio.Event()
        self._left = trio.Event()
        self._reason: Exception | None = None

    async def hold(self, end: End, *, task_status: trio.TaskStatus[None]) -> None:
        """Open it and keep it open until told to leave."""
        try:
            async with end as self.channel:
                task_status.started()
                await self._leaving.wait()
                if self._reason is not None:
                    raise self._reason
        except Exception as error:
            if self._reason is None:
                raise
            self.error = error
        finally:
            self._left.set()

    async def leave(self, reason: Exception | None = None) -> None:
        """Leave it, by an exception if there is one, and wait until it is closed."""
        self._reason = reason
        self._leaving.set()
        await self._left.wait()


@asynccontextmanager
async def pair_of(open_pair: OpenPair) -> AsyncIterator[tuple[HeldEnd, HeldEnd]]:
    """Open two connected ends concurrently; leave those that are still open at the end."""
    with unwrapping():
        async with open_pair(LIMITS) as (first, second), trio.open_nursery() as nursery:
            held = HeldEnd(), HeldEnd()
            async with trio.open_nursery() as opening:
                opening.start_soon(nursery.start, held[0].hold, first)
                opening.start_soon(nursery.start, held[1].hold, second)
            yield held
            for end in held:
                await end.leave()


# -- messages ---------------------------------------------------------------------------------


def message(number: int, size: int = 0, sender: str = "") -> bytes:
    """A message with its number, of at least `size` bytes."""
    head = f'{{"n":{number},"from":"{sender}","pad":"'
    return (head + "x" * max(0, size - len(head) - 2) + '"}').encode()


async def send(channel: MessageChannel, messages: Sequence[bytes]) -> None:
    """Send them one after another."""
    for data in messages:
        await channel.outbox.send(data)


async def receive(channel: MessageChannel, expected: Sequence[Incoming]) -> None:
    """Receive messages, which must be the expected ones in this order.

    Raises:
        AssertionError: They are not, or the channel ended before.
    """
    __tracebackhide__ = True
    position = 0
    while position < len(expected):
        try:
            batch = await channel.incoming.receive()
        except trio.EndOfChannel:
            flaw = f"the end came after {position} of {len(expected)} messages"
            raise AssertionError(flaw) from None
        require(bool(batch), "an empty list of messages arrived")
        for received in batch:
            require(position < len(expected), f"{_shown(received)} arrived, but was not sent")
            if received != expected[position]:
                raise AssertionError(
                    f"message {position + 1} of {len(expected)} should be "
                    f"{_shown(expected[position])}, and {_shown(received)} arrived"
                )
            position += 1


def _shown(data: Incoming) -> str:
    if isinstance(data, Oversized):
        return f"an Oversized of {data.size} bytes"
    text = repr(data) if len(data) <= 60 else f"{data[:50]!r}…"
    return f"{text} ({len(data)} bytes)"


async def wait_blocked() -> None:
    """Wait until all tasks are blocked."""
    # Not at the top, since it imports pytest if that is installed.
    from trio.testing import wait_all_tasks_blocked

    await wait_all_tasks_blocked(_CUSHION)


async def flood(channel: MessageChannel) -> list[bytes]:
    """Send to a peer that does not read, until there is no room.

    Returns:
        The accepted messages.

    Raises:
        AssertionError: There is always room.
    """
    accepted: list[bytes] = []
    size = LIMITS.outbox_bytes // 4

    async def send_on() -> None:
        while True:
            data = message(len(accepted), size)
            await channel.outbox.send(data)
            accepted.append(data)
            require(
                len(accepted) * size <= _UNBOUNDED,
                f"nobody reads, and {_UNBOUNDED} bytes were accepted: some buffer has no bound",
            )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_on)
        await wait_blocked()
        nursery.cancel_scope.cancel(reason="there is no room")
    return accepted


# -- what is left behind ----------------------------------------------------------------------


@contextmanager
def leaving_nothing() -> Iterator[None]:
    """Check that the block leaves no task and no open descriptor behind.

    Raises:
        AssertionError: It leaves some.
    """
    __tracebackhide__ = True
    tasks, descriptors = _tasks(), _descriptors()
    yield
    more = _tasks() - tasks
    require(more <= 0, f"{more} tasks are left behind")
    left = sorted(_descriptors() - descriptors)
    require(not left, f"descriptors are left open: {left}")


def _tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


def _descriptors() -> set[int]:
    """The open file descriptors of this process, if the system lists them."""
    try:
        names = os.listdir("/dev/fd")
    except OSError:
        return set()
    return {int(name) for name in names if name.isdecimal() and _is_open(int(name))}


def _is_open(descriptor: int) -> bool:
    """Whether it is still open; the descriptor that listed the directory is not."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
