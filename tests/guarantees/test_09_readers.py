"""Guarantee 9: nobody waits for somebody else's reader.

"One response stream that is never read delays no other request […]": over sockets, a connection
whose client never reads delays no other connection. (Over HTTP: one stream of a session.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .harness import ERAS, HANDSHAKE, PATIENCE, PROMPT, serving, stream_wire, text_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("door", ["tcp", "unix", "websocket", "http"])
async def test_a_connection_that_is_never_read(door: str, tmp_path: Path) -> None:
    async with serving("flooding", door, tmp_path) as peer:
        # Nothing is read here from now on, neither the flood nor the long answers.
        await peer.wire.send(HANDSHAKE.call(1, "flood", _meta={"progressToken": 1}))
        await peer.wire.send(*(HANDSHAKE.call(n, "big", {"size": 4_000_000}) for n in range(2, 9)))
        await peer.program.stderr.wait("stuck")
        for _ in range(3):
            async with stream_wire(await peer.connect()) as wire:
                await wire.shake_hands()
                for dialect in ERAS:
                    await wire.ask(dialect.ping("ping"), PROMPT)
                    answer = await wire.ask(dialect.call("big", "big", {"size": 2_000_000}))
                    assert len(text_of(answer)) == 2_000_000
        # What was not read has waited, and the connection works on.
        while (await peer.wire.receive(PATIENCE)).get("id") != 8:
            pass
