"""A streaming tool's generator and whoever takes its chunks, where its scopes may be cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from trimcp.runtime._streams import drain

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

#: When the scope of a chunk is cancelled: before it is taken, in the turn in which it is taken,
#: while it is sent, or never.
MOMENTS: Final = st.sampled_from(["before", "taken", "sending", "never"])


@attrs.define
class Streaming:
    """A generator that yields each of its chunks in a scope of its own, and its consumer.

    Attributes:
        moments: When the scope of each chunk is cancelled.
        scopes: The scopes of the chunks so far.
        yielded: The chunks that were yielded.
        sent: The chunks that were taken and sent.
        ahead: How many chunks were yielded before an earlier one was sent, at most.
    """

    moments: list[str]
    scopes: list[trio.CancelScope] = attrs.field(factory=list)
    yielded: list[int] = attrs.field(factory=list)
    sent: list[int] = attrs.field(factory=list)
    ahead: int = 0

    async def chunks(self) -> AsyncGenerator[int, None]:
        for number, moment in enumerate(self.moments):
            with trio.CancelScope() as scope:
                self.scopes.append(scope)
                self.yielded.append(number)
                self.ahead = max(self.ahead, len(self.yielded) - len(self.sent))
                if moment == "before":
                    scope.cancel()
                yield number
        yield len(self.moments)

    async def send(self, chunk: int) -> None:
        moment = self.moments[chunk] if chunk < len(self.moments) else "never"
        if moment == "taken":
            self.scopes[chunk].cancel()
        await trio.testing.wait_all_tasks_blocked()
        if moment == "sending":
            self.scopes[chunk].cancel()
            # The generator hears of it, and yields the next one.
            await trio.testing.wait_all_tasks_blocked()
        self.sent.append(chunk)


@given(moments=st.lists(MOMENTS, max_size=8))
def test_what_is_taken_is_sent_once_and_in_order(moments: list[str]) -> None:
    streaming = Streaming(moments)

    async def main() -> None:
        with trio.fail_after(60):
            assert await drain(streaming.chunks(), streaming.send) == len(moments)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.01))
    untaken = [number for number, moment in enumerate(moments) if moment == "before"]
    assert streaming.sent == [n for n in range(len(moments) + 1) if n not in untaken]


@given(moments=st.lists(st.sampled_from(["taken", "sending", "never"]), max_size=8))
def test_a_generator_waits_until_its_chunk_is_sent(moments: list[str]) -> None:
    streaming = Streaming(moments)
    trio.run(drain, streaming.chunks(), streaming.send)
    # Where a scope is cancelled meanwhile, it goes on; then the next chunk waits.
    assert streaming.ahead <= 1 + any(moment != "never" for moment in moments)
