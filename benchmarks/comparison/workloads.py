"""All workloads, in the order of the report."""

from __future__ import annotations

from typing import Final

from .client import CLIENT
from .fanout import FANOUT
from .growth import GROWTH
from .http import HTTP
from .idle import IDLE_CLIENTS
from .starts import STARTS
from .stdio import STDIO
from .streams import STREAMS

WORKLOADS: Final = (STDIO, HTTP, CLIENT, STARTS, IDLE_CLIENTS, FANOUT, STREAMS, GROWTH)
