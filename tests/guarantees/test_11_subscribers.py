"""Guarantee 11: subscribers are told.

"Shutdown with an open `subscriptions/listen`: the stream ends with its completion result inside
the grace period (on streams followed by `notifications/cancelled`)."
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from .harness import PROMPT, STATELESS, serving

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("door", ["stdio", "tcp", "unix", "websocket"])
async def test_a_shutdown_ends_what_listens(door: str, tmp_path: Path) -> None:
    async with serving("waiting", door, tmp_path, "--grace", 600) as peer:
        wire = peer.wire
        wanted = {"notifications": {"toolsListChanged": True}}
        await wire.send(STATELESS.request("listen", "subscriptions/listen", wanted))
        granted = await wire.receive(PROMPT)
        assert granted["method"] == "notifications/subscriptions/acknowledged"
        peer.program.signal(signal.SIGTERM)
        result, cancelled = await wire.receive_all(PROMPT)
        assert result["id"] == "listen"
        assert result["result"]["resultType"] == "complete"
        assert cancelled["method"] == "notifications/cancelled"
        assert cancelled["params"]["requestId"] == "listen"
        assert (await peer.program.wait_exit(PROMPT))[0] == 0
