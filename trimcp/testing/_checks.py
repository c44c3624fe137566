"""Checks of what every message channel has to do, for any transport."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from trimcp._groups import unwrapping
from trimcp.transports import Oversized

from ._pairs import (
    LIMITS,
    flood,
    leaving_nothing,
    message,
    pair_of,
    receive,
    require,
    send,
    wait_blocked,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from trimcp.transports import Incoming, MessageChannel

    from ._pairs import OpenPair

__all__ = ["CHECKS", "check_message_channel"]

Check: TypeAlias = "Callable[[OpenPair], Awaitable[None]]"

#: How many messages are sent one after another.
_MANY: Final = 300


async def check_message_channel(
    open_pair: OpenPair, *, timeout: float = 30.0, only: Collection[str] = ()
) -> None:
    """Check that a transport's channels behave as every message channel must.

    Works with Trio's own clock and with an autojump clock. The latter is possible only if Trio's
    tasks and the system's sockets and pipes carry the messages, without threads or processes: time
    would jump while these work.

    Args:
        open_pair: Takes the `Limits` to open the channels with; returns an async context
            manager that yields the two ends, each an async context manager that yields its
            `MessageChannel`, as `open_stream_channel(...)` does. They are entered concurrently and
            left one after another. If both ends can only be opened together, `end_of` makes an end
            from a channel. Called once for each check.
        timeout: Seconds for each check.
        only: The names of the checks to run; all of them by default.

    Raises:
        AssertionError: A check failed; the message begins with its name.
        ValueError: There is no check of that name.
    """
    if unknown := sorted(set(only) - set(CHECKS)):
        raise ValueError(f"no such checks: {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    for name, check in CHECKS.items():
        if not only or name in only:
            await _run(name, check, open_pair, timeout)


async def _run(name: str, check: Check, open_pair: OpenPair, timeout: float) -> None:
    __tracebackhide__ = True
    try:
        with unwrapping(), trio.fail_after(timeout):
            await check(open_pair)
    except trio.TooSlowError as error:
        flaw = f"{name}: not done after {timeout:g} s: messages were lost, or something hangs"
        raise AssertionError(flaw) from error
    except Exception as error:
        raise AssertionError(f"{name}: {_flaw_of(error)}") from error


def _flaw_of(error: Exception) -> str:
    if isinstance(error, ExceptionGroup):
        return "; and ".join(_flaw_of(each) for each in error.exceptions)
    return str(error) if isinstance(error, AssertionError) else f"an unexpected {error!r}"


# -- messages arrive ---------------------------------------------------------------------------


async def _order(open_pair: OpenPair) -> None:
    """Messages of all sizes arrive once each, complete and in order, in both directions."""
    sizes = random.Random(1)
    sent = [message(n, sizes.choice((0, 100, 5_000, 20_000))) for n in range(_MANY)]
    async with pair_of(open_pair) as (first, second):
        for one, other in ((first, second), (second, first)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send, one.channel, sent)
                await receive(other.channel, sent)


async def _both_directions(open_pair: OpenPair) -> None:
    """Both sides send more than the outboxes hold, at the same time."""
    ours = [message(n, 2_000, "first") for n in range(_MANY)]
    theirs = [message(n, 2_000, "second") for n in range(_MANY)]
    async with pair_of(open_pair) as (first, second), trio.open_nursery() as nursery:
        nursery.start_soon(send, first.channel, ours)
        nursery.start_soon(send, second.channel, theirs)
        nursery.start_soon(receive, first.channel, theirs)
        nursery.start_soon(receive, second.channel, ours)


async def _big_messages(open_pair: OpenPair) -> None:
    """A message of the maximum size arrives; a longer one is reported and has no other effect."""
    limit = LIMITS.message_bytes
    full, long, after = message(1, limit), message(2, limit + 1), message(3)
    assert (len(full), len(long)) == (limit, limit + 1)
    async with pair_of(open_pair) as (first, second), trio.open_nursery() as nursery:
        nursery.start_soon(send, first.channel, [full, long, after])
        await receive(second.channel, [full, Oversized(len(long)), after])


async def _many_small(open_pair: OpenPair) -> None:
    """Thousands of short messages."""
    sent = [b"%d" % n for n in range(5_000)]
    async with pair_of(open_pair) as (first, second), trio.open_nursery() as nursery:
        nursery.start_soon(send, first.channel, sent)
        await receive(second.channel, sent)


async def _any_text(open_pair: OpenPair) -> None:
    """Text arrives unchanged, also line separators that are not newlines."""
    texts = ['{"a":\r1}', '\t{"a": "\x7f"}', '"\x85 \u2028 \u2029"', '"é 漢 😀"', '"\\n\\u0000"']
    sent = [text.encode() for text in texts]
    async with pair_of(open_pair) as (first, second):
        await send(first.channel, sent)
        await receive(second.channel, sent)


# -- bounds ------------------------------------------------------------------------------------


async def _back_pressure(open_pair: OpenPair) -> None:
    """A sender finally waits if the peer does not read; no accepted message is lost."""
    async with pair_of(open_pair) as (first, second):
        outbox = first.channel.outbox
        accepted = await flood(first.channel)
        require(
            outbox.waiting_bytes <= LIMITS.outbox_bytes,
            f"{outbox.waiting_bytes} bytes wait in an outbox of {LIMITS.outbox_bytes}",
        )
        await receive(second.channel, accepted)
        await wait_blocked()
        require(
            outbox.waiting_bytes == 0,
            f"everything has arrived, and {outbox.waiting_bytes} bytes still count as waiting",
        )
        again = [message(n) for n in range(10)]
        await send(first.channel, again)
        await receive(second.channel, again)


# -- the end -----------------------------------------------------------------------------------


async def _end(open_pair: OpenPair) -> None:
    """What was sent before an end was left arrives; then the other end sees the end."""
    sent = [message(n, 1_000) for n in range(100)]

    async def send_and_leave() -> None:
        await send(first.channel, sent)
        await first.channel.flush()
        try:
            first.channel.outbox.send_nowait(b"{}")
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            pass
        else:
            raise AssertionError("a message was accepted after flush()")
        await first.leave()

    async with pair_of(open_pair) as (first, second):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_and_leave)
            await receive(second.channel, sent)
            await _ended(second.channel)
        failure = second.channel.failure
        require(failure is None, f"it ended in good order, and `failure` is {failure!r}")


async def _ended(channel: MessageChannel) -> None:
    try:
        batch = await channel.incoming.receive()
    except (trio.EndOfChannel, trio.ClosedResourceError):
        return
    raise AssertionError(f"{len(batch)} messages arrived after the end")


async def _gone(open_pair: OpenPair) -> None:
    """A sender that waits for room learns that the peer is gone."""

    async def send_for_ever() -> None:
        try:
            while True:
                await second.channel.outbox.send(message(0, 10_000))
        except trio.BrokenResourceError:
            return

    async with pair_of(open_pair) as (first, second):
        await flood(second.channel)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_for_ever)
            await wait_blocked()
            await first.leave()


async def _send_on(channel: MessageChannel) -> None:
    """Send until sending fails."""
    try:
        while True:
            await channel.outbox.send(message(0, 10_000))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


async def _own_end(open_pair: OpenPair) -> None:
    """Leaving an end wakes the tasks that still read or send there."""

    async with pair_of(open_pair) as (first, _), trio.open_nursery() as nursery:
        nursery.start_soon(_ended, first.channel)
        await wait_blocked()
        await flood(first.channel)
        nursery.start_soon(_send_on, first.channel)
        await wait_blocked()
        nursery.start_soon(first.leave)


async def _own_error(open_pair: OpenPair) -> None:
    """An exception that leaves an end is raised unchanged, not in a group."""
    reason = LookupError("the user's own")
    async with pair_of(open_pair) as (first, _):
        await first.leave(reason)
        require(first.error is reason, f"{first.error!r} came out instead of {reason!r}")


# -- cancellation ------------------------------------------------------------------------------


async def _cancelled_receive(open_pair: OpenPair) -> None:
    """A receive that is cancelled at any moment loses nothing."""
    sent = [message(n, 100) for n in range(_MANY)]
    found: list[Incoming] = []
    chance = random.Random(2)

    async def send_slowly(channel: MessageChannel) -> None:
        for data in sent:
            await channel.outbox.send(data)
            for _ in range(chance.randrange(6)):
                await trio.lowlevel.checkpoint()

    async def cancel_soon(scope: trio.CancelScope) -> None:
        for _ in range(chance.randrange(10)):
            await trio.lowlevel.checkpoint()
        scope.cancel(reason="to see what is lost")

    async with pair_of(open_pair) as (first, second), trio.open_nursery() as nursery:
        nursery.start_soon(send_slowly, first.channel)
        while len(found) < len(sent):
            scope = trio.CancelScope()
            nursery.start_soon(cancel_soon, scope)
            with scope:
                found += await second.channel.incoming.receive()
            if len(found) < len(sent):
                # Waiting in between lets time pass under an autojump clock.
                found += await second.channel.incoming.receive()
    require(found == sent, f"not what was sent: {_first_flaw(found, sent)}")


def _first_flaw(found: Sequence[Incoming], sent: Sequence[bytes]) -> str:
    pairs = enumerate(zip(found, sent, strict=False), 1)
    wrong = next((n for n, (one, other) in pairs if one != other), min(len(found), len(sent)) + 1)
    return f"message {wrong} of {len(sent)} is lost, repeated or out of order"


async def _cancelled_send(open_pair: OpenPair) -> None:
    """A send that is cancelled while it waits for room sends nothing; the others do."""
    async with pair_of(open_pair) as (first, second):
        accepted = await flood(first.channel)

        async def send_one(number: int) -> None:
            data = message(number, LIMITS.outbox_bytes // 4, "waiting")
            await first.channel.outbox.send(data)
            accepted.append(data)

        async def read() -> None:
            async for batch in second.channel.incoming:
                found.extend(batch)
                if found[-1] == last:
                    return

        found: list[Incoming] = []
        last = message(4)
        async with trio.open_nursery() as reading:
            async with trio.open_nursery() as sending:
                sending.start_soon(send_one, 1)
                await wait_blocked()
                async with trio.open_nursery() as cancelled:
                    cancelled.start_soon(send_one, 2)
                    await wait_blocked()
                    cancelled.cancel_scope.cancel(reason="not to be sent")
                sending.start_soon(send_one, 3)
                reading.start_soon(read)
            await first.channel.outbox.send(last)
    accepted.append(last)
    require(found == accepted, f"not what was sent: {_first_flaw(found, accepted)}")


async def _cancelled(open_pair: OpenPair) -> None:
    """Cancelling everything during the transfer ends it at once, without other exceptions."""

    async def read(channel: MessageChannel) -> None:
        async for _ in channel.incoming:
            pass

    for reading in (False, True):
        with leaving_nothing():
            async with trio.open_nursery() as nursery, pair_of(open_pair) as (first, second):
                for end in (first, second):
                    nursery.start_soon(_send_on, end.channel)
                    if reading:
                        nursery.start_soon(read, end.channel)
                for _ in range(100):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel(reason="to see what is left")


async def _nothing_left(open_pair: OpenPair) -> None:
    """After both ends were left, no task and no descriptor remains, and nothing can be sent."""
    sent = [message(n) for n in range(10)]
    with leaving_nothing():
        async with pair_of(open_pair) as (first, second):
            await send(first.channel, sent)
            await receive(second.channel, sent)
        for end in (first, second):
            try:
                end.channel.outbox.send_nowait(b"{}")
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            else:
                raise AssertionError("a message was accepted after the end was left")
            require(end.channel.written.is_set(), "`written` is not set after the end was left")


#: Every check, by its name.
CHECKS: Final[dict[str, Check]] = {
    "order": _order,
    "both directions": _both_directions,
    "big messages": _big_messages,
    "many small messages": _many_small,
    "any text": _any_text,
    "back-pressure": _back_pressure,
    "end": _end,
    "peer gone": _gone,
    "own end": _own_end,
    "own error": _own_error,
    "cancelled receive": _cancelled_receive,
    "cancelled send": _cancelled_send,
    "cancelled": _cancelled,
    "nothing left": _nothing_left,
}
