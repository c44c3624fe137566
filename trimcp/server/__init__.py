"""Servers: what a user registers, and how it is served."""

from ._context import Context
from ._server import Server
from ._statistics import Statistics

__all__ = ["Context", "Server", "Statistics"]
