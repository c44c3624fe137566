"""Tools for tests: of servers and clients in memory, of the messages, of your own transports.

All of them work with Trio's autojump clock. pytest is not needed; with it, the plugin
`trimcp.testing.pytest_plugin` provides fixtures.
"""

from trimcp.client import open_memory_client
from trimcp.transports import open_memory_channels

from ._calling import called_by
from ._checks import CHECKS, check_message_channel
from ._faults import (
    Break,
    Chop,
    Delay,
    Drop,
    Duplicate,
    Fault,
    Faults,
    Garble,
    Stall,
    random_faults,
)
from ._faulty import FaultyStream, faulty, open_faulty
from ._fixtures import GoldenCheck, OpenMcpClient, OpenRawPeer
from ._pairs import end_of
from ._raw import RawPeer, open_raw_peer, stateless
from ._recording import open_recorded, recorded
from ._stand_in import StandIn
from ._transcript import Transcript, assert_transcript

__all__ = [
    "CHECKS",
    "Break",
    "Chop",
    "Delay",
    "Drop",
    "Duplicate",
    "Fault",
    "Faults",
    "FaultyStream",
    "Garble",
    "GoldenCheck",
    "OpenMcpClient",
    "OpenRawPeer",
    "RawPeer",
    "Stall",
    "StandIn",
    "Transcript",
    "assert_transcript",
    "called_by",
    "check_message_channel",
    "end_of",
    "faulty",
    "open_faulty",
    "open_memory_channels",
    "open_memory_client",
    "open_raw_peer",
    "open_recorded",
    "random_faults",
    "recorded",
    "stateless",
]
