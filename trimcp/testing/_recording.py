"""Recording the messages of a connection."""

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
    """Records one direction."""

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
    """A channel to the same peer that records every message.

    Args:
        channel: The channel; from now on it is used only through the recorded one.
        transcript: The transcript for the messages.
        side: The side of the connection that uses the channel.
        outbox_bytes: Bytes that may wait before the channel's own outbox.
    """
    ours, theirs = _Writer(transcript, "->"), _Writer(transcript, "<-")
    if side == "server":
        ours, theirs = theirs, ours
    async with open_relay(
        channel, sending=ours, receiving=theirs, outbox_bytes=outbox_bytes
    ) as relay:
        yield relay


def recorded(server: Served, transcript: Transcript) -> StandIn:
    """Record the messages between clients in this process and a server.

    Args:
        server: A `Server`, or a `StandIn` for one.
        transcript: The transcript for the messages; those of concurrent connections are mixed in
            the order in which they pass.

    Returns:
        A stand-in for the server in `open_client`, `open_memory_client`, `client_for`,
        `open_raw_peer` and the fixtures.
    """
    outbox_bytes = server.limits.outbox_bytes
    return StandIn(
        server,
        lambda channel: open_recorded(
            channel, transcript, side="server", outbox_bytes=outbox_bytes
        ),
    )
