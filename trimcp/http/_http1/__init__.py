"""HTTP/1.1: the connections of clients, between a stream and an ASGI application."""

from ._connection import Http1Connection, Upgrade
from ._fastest import fastest_parser
from ._parsing import MakeParser

__all__ = ["Http1Connection", "MakeParser", "Upgrade", "fastest_parser"]
