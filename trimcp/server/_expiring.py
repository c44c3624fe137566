"""Connections whose caller has shown a token: they end when it expires."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from trimcp.runtime import NETWORK_GRACE

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimcp.runtime import ConnectedPeer

__all__ = ["EXPIRED", "run_until_expiry"]

#: What the client is told of it.
EXPIRED: Final = "the access token has expired"


async def run_until_expiry(peer: ConnectedPeer, at_open: Callable[[], None] | None) -> None:
    """Serve a connection to its end, which comes at the latest when its token expires.

    What is in flight then was allowed, and gets a grace.

    Args:
        peer: The peer, with its principal; a later one counts, where that is replaced.
        at_open: See `Serving.serve`.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_drain_at_expiry, peer)
        await peer.run(at_open)
        nursery.cancel_scope.cancel(reason="the connection has ended")


async def _drain_at_expiry(peer: ConnectedPeer) -> None:
    while peer.principal is not None:
        left = peer.principal.seconds_left
        if left <= 0:
            break
        await trio.sleep(left)
    peer.drain(trio.current_time() + NETWORK_GRACE, EXPIRED)
