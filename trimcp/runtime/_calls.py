"""Waiting for the answer to a request of our own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
import trio
from msgspec import UnsetType

from trimcp.errors import (
    LimitExceeded,
    ProtocolViolation,
    RequestError,
    RequestTimeout,
    received_error,
)
from trimcp.protocol import (
    AnswerUnusable,
    FailureReceived,
    ProgressReceived,
    ResultReceived,
    SubscriptionReceived,
    is_deeper,
)

from ._awaiting import awaited

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from msgspec import Raw

    from trimcp.limits import Limits
    from trimcp.protocol import Event, Progress

    from ._chunks import Chunks
    from ._deadlines import Deadlines

__all__ = ["ON_CALL", "Listener", "Pending", "ProgressCallback", "check_sendable", "reason_of"]

#: Called with progress, total and message; its result is awaited if it is awaitable.
ProgressCallback: TypeAlias = "Callable[[float, float | None, str | None], object]"

#: Takes a notification's method and raw params; must not block.
Listener: TypeAlias = "Callable[[str, Raw | None], None]"


class Pending:
    """The inbox of one call: the latest progress, and the outcome.

    The callbacks run in the waiting task, one after another, and have ended before the outcome is
    returned. Progress that arrives while a callback runs replaces progress that still waits, so any
    amount of it needs only one slot.

    Args:
        chunks: Receives the chunks of a streaming tool. The call fails when it is full, unless the
            reader is paced.
        listener: Receives the notifications of a subscription.
        deadlines: Keeps the deadline together with those of other calls. Without it, or when it is
            over, the call has a cancel scope of its own.

    Attributes:
        dropped: How many progress reports were replaced before a callback got them.
        paced: The reader reads for this call alone, and waits (`deliver`) until there is room.
        place: Which message of its connection the request is, counted from one; 0 if it is not
            queued, or its transport does not count.
        sent: Whether the peer may know of the call, so that it must be told of its end.
    """

    __slots__ = (
        "_chunks",
        "_deadline",
        "_deadlines",
        "_held",
        "_listener",
        "_news",
        "_outcome",
        "_pauses",
        "_progress",
        "_remaining",
        "_waiting",
        "dropped",
        "paced",
        "place",
        "sent",
    )

    def __init__(
        self,
        chunks: Chunks | None = None,
        listener: Listener | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        self._chunks = chunks
        self._listener = listener
        self._deadlines = deadlines
        self._deadline = 0.0
        self._pauses = 0
        self._remaining = 0.0
        self._waiting: trio.CancelScope | None = None
        self._news = trio.Event()
        self._progress: Progress | None = None
        self._outcome: Raw | Exception | None = None
        self._held: list[Any] = []
        self.dropped = 0
        self.paced = False
        self.place = 0
        self.sent = False

    def report(self, progress: Progress) -> None:
        """Take progress that arrived, and perhaps a chunk with it."""
        if self._chunks is not None and progress.meta is not None:
            self._take_chunk(self._chunks, progress.meta.chunk)
        if self._progress is not None:
            self.dropped += 1
        self._progress = progress
        self._news.set()

    def _take_chunk(self, chunks: Chunks, chunk: Raw | UnsetType) -> None:
        if isinstance(chunk, UnsetType) or self._outcome is not None:
            # After one that had no room, further chunks would leave a gap.
            return
        try:
            value = msgspec.json.decode(chunk)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            self.settle(ProtocolViolation(f"a chunk cannot be read: {error}"))
            return
        if self.paced:
            self._held.append(value)
            return
        try:
            chunks.send_nowait(value)
        except trio.WouldBlock:
            # The reader may not wait for a consumer, and chunks may not be lost silently.
            self.settle(LimitExceeded("the chunks arrived faster than they were consumed"))
        except trio.BrokenResourceError:
            # The consumer has left; the call is about to be cancelled.
            return

    def hear(self, method: str, params: Raw | None) -> None:
        """Take a notification of the subscription that the call opened."""
        if self._listener is not None:
            self._listener(method, params)

    @property
    def is_listening(self) -> bool:
        """Whether the call is a subscription, which lasts until the caller leaves it."""
        return self._listener is not None

    async def deliver(self) -> None:
        """Pass on the chunks that a paced reader holds; the time for that does not count.

        A checkpoint only if there are chunks.
        """
        if self._chunks is None or not self._held:
            return
        held, self._held = self._held, []
        self.pause()
        try:
            for chunk in held:
                await self._chunks.send(chunk)
        except trio.BrokenResourceError:
            # The consumer has left; the call is about to be cancelled.
            return
        finally:
            self.resume()

    @property
    def outcome(self) -> Raw | Exception | None:
        """The outcome, once it is known."""
        return self._outcome

    def settle(self, outcome: Raw | Exception) -> None:
        """Set the outcome; the first one counts."""
        if self._outcome is None:
            self._outcome = outcome
        self._news.set()

    async def wait(self, timeout: float, on_progress: ProgressCallback | None) -> Raw:
        """Wait for the outcome, running callbacks meanwhile.

        The time spent in a callback does not count, unless the peer reports progress meanwhile: a
        server that only ever reports progress must not keep a call alive. An outcome that has
        arrived is returned even after the deadline.

        Args:
            timeout: Seconds to wait in total.
            on_progress: Awaited with progress, total and message.

        Raises:
            RequestTimeout: There was no outcome in time.
            Exception: The outcome, if it is one.
        """
        self._begin(timeout)
        if self._deadlines is not None and timeout < math.inf:
            self._deadlines.add(self)
        try:
            return await self._wait(on_progress)
        finally:
            if self._deadlines is not None:
                self._deadlines.discard(self)

    async def _wait(self, on_progress: ProgressCallback | None) -> Raw:
        while True:
            await self._wait_news()
            if self._progress is not None:
                progress, self._progress = self._progress, None
                if on_progress is not None:
                    began = trio.current_time()
                    await awaited(on_progress(progress.progress, progress.total, progress.message))
                    if self._progress is None:
                        self._extend(trio.current_time() - began)
            elif self._outcome is not None:
                return self._taken(self._outcome)

    async def run(self, timeout: float, read: Callable[[], Awaitable[None]]) -> Raw:
        """Run `read` in this task until it has settled the outcome. Errors as for `wait`.

        Args:
            timeout: Seconds to wait in total.
            read: Settles the outcome and then returns.
        """
        self._begin(timeout)
        with trio.CancelScope(deadline=self._deadline) as self._waiting:
            await read()
        if self._outcome is None:
            raise RequestTimeout("no answer within the deadline")
        return self._taken(self._outcome)

    def _taken(self, outcome: Raw | Exception) -> Raw:
        """The outcome; raises it if it is an error."""
        if not isinstance(outcome, Exception):
            return outcome
        # Not kept: an error and the frames that it passes through would form a reference cycle.
        self._outcome = _RAISED
        try:
            raise outcome
        finally:
            del outcome

    def _begin(self, timeout: float) -> None:
        """Start to count the time."""
        if self._pauses:
            self._remaining = timeout
        else:
            self._deadline = trio.current_time() + timeout

    async def _wait_news(self) -> None:
        """Wait for progress, a chunk, the outcome or the deadline. Raises RequestTimeout."""
        if self._news.is_set():
            await trio.lowlevel.checkpoint()
        elif self._deadlines is not None and not self._deadlines.is_over:
            await self._news.wait()
        else:
            with trio.CancelScope(deadline=self._deadline) as self._waiting:
                await self._news.wait()
            self._waiting = None
        if self._outcome is not None:
            return
        if trio.current_time() >= self._deadline:
            raise RequestTimeout("no answer within the deadline")
        self._news = trio.Event()

    @property
    def left(self) -> float:
        """Seconds that remain until the deadline."""
        remaining = self._remaining if self._pauses else self._deadline - trio.current_time()
        return max(remaining, 0.0)

    # -- the deadline -----------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """When the call fails, on Trio's clock."""
        return self._deadline

    def wake(self) -> None:
        """Look at the deadline; see `Timed`."""
        self._news.set()

    def pause(self) -> None:
        """Stop counting the time until `resume`, since the peer waits for us."""
        self._pauses += 1
        if self._pauses == 1:
            self._remaining = self._deadline - trio.current_time()
            self._set_deadline(math.inf)

    def resume(self) -> None:
        """Undo one `pause`; the last one counts the time again."""
        self._pauses -= 1
        if self._pauses == 0:
            self._set_deadline(trio.current_time() + self._remaining)

    def _extend(self, seconds: float) -> None:
        if self._pauses:
            self._remaining += seconds
        else:
            self._set_deadline(self._deadline + seconds)

    def _set_deadline(self, deadline: float) -> None:
        self._deadline = deadline
        if self._waiting is not None:
            self._waiting.deadline = deadline
        elif self._deadlines is not None:
            self._deadlines.notice(deadline)


#: The outcome of a call whose error was raised already.
_RAISED: Final = RuntimeError("the error of this call was raised already")


def check_sendable(data: bytes, limits: Limits) -> None:
    """Raise LimitExceeded for a request that is over the limits, which the peer would refuse."""
    if len(data) > limits.message_bytes:
        raise LimitExceeded(f"a request of {len(data)} bytes is longer than {limits.message_bytes}")
    if is_deeper(data, limits.nesting):
        raise LimitExceeded(f"a request is nested deeper than {limits.nesting} levels")


def reason_of(error: BaseException) -> str | None:
    """Why a call is given up, in general words: the peer gets no text of the caller's exception."""
    if isinstance(error, RequestTimeout):
        return "no answer within the deadline"
    return None if isinstance(error, RequestError) else "cancelled by the caller"


# -- events of calls --------------------------------------------------------------------------


def _on_result(_: object, event: ResultReceived) -> None:
    event.call.owner.settle(event.result)


def _on_failure(_: object, event: FailureReceived) -> None:
    event.call.owner.settle(received_error(event.code, event.message, event.data))


def _on_unusable(_: object, event: AnswerUnusable) -> None:
    event.call.owner.settle(ProtocolViolation(event.reason))


def _on_progress(_: object, event: ProgressReceived) -> None:
    event.call.owner.report(event.progress)


def _on_subscription(_: object, event: SubscriptionReceived) -> None:
    event.call.owner.hear(event.method, event.params)


#: What a peer does with an event that concerns one of its own calls.
ON_CALL: Final[dict[type[Event], Any]] = {
    ResultReceived: _on_result,
    FailureReceived: _on_failure,
    AnswerUnusable: _on_unusable,
    ProgressReceived: _on_progress,
    SubscriptionReceived: _on_subscription,
}
