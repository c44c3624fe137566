"""Ports for programs that have to be told theirs."""

from __future__ import annotations

import random
import socket
from typing import Final

__all__ = ["free_port"]

#: Below those that the system itself chooses from. Among these, another program could be given the
#: port before it is used, and a connection to a port on which nobody listens can reach itself.
_RANGE: Final = range(10_000, 32_000)

#: Not the one that hypothesis seeds: tests that run at the same time would choose the same.
_random: Final = random.SystemRandom()


def free_port() -> int:
    """A port on which nobody listens."""
    while True:
        port = _random.choice(_RANGE)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
