"""Writing down what passes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

import attrs
import trio

from ._relay import open_relay
from ._stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from trimcp.transports import Incoming, MessageChannel

    from ._stand_in import Served
    from ._transcript import Arrow, Transcript

__all__ = ["open_recorded", "recorded"]


@attrs.frozen
class _Writer:
    """Notes one direction."""

    transcript: Transcript
    arrow: Arrow

    async def before(self) -> None:
        await trio.lowlevel.checkpoint()

    async def passed(self, message: Incoming) -> Sequence[Incoming]:
        self.transcript.note(self.arrow, message)
        await trio.lowlevel.checkpoint()
        return (message,)


@asynccontextmanager
async def open_recorded(
    channel: MessageChannel,
    transcript: Transcript,
    *,
    side: Literal["client", "server"] = "client",
    outbox_bytes: int = 4 * 1024 * 1024,
) -> AsyncIterator[MessageChannel]:
    """A channel to the same peer that notes every message.

    Args:
        channel: The channel, used from now on through the recorded one only.
        transcript: Where it is noted.
        side: Whose end of the connection the channel is.
        outbox_bytes: Bytes that may wait in front of the channel's own outbox.
    """
    ours, theirs = _Writer(transcript, "->"), _Writer(transcript, "<-")
    if side == "server":
        ours, theirs = theirs, ours
    async with open_relay(
        channel, sending=ours, receiving=theirs, outbox_bytes=outbox_bytes
    ) as relay:
        yield relay


def recorded(server: Served, transcript: Transcript) -> StandIn:
    """Note what clients in this process say to a server, and what it says to them.

    Args:
        server: A `Server`, or something that stands for one.
        transcript: Where it is noted; connections at the same time are noted as they come.

    Returns:
        What takes the server's place in `open_client`, `open_memory_client`, `client_for`,
        `open_raw_peer` and the fixtures.
    """
    outbox_bytes = server.limits.outbox_bytes
    return StandIn(
        server,
        lambda channel: open_recorded(
            channel, transcript, side="server", outbox_bytes=outbox_bytes
        ),
    )
