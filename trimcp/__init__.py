"""trimcp: a Trio-native, structured-concurrency runtime for the Model Context Protocol."""

from trimcp.client import (
    Client,
    client_for,
    open_client,
    open_memory_client,
    open_stdio_client,
    open_stream_client,
    open_tcp_client,
    open_unix_client,
)
from trimcp.errors import (
    AnswerRefused,
    ConnectionLost,
    Forbidden,
    LimitExceeded,
    MCPError,
    MissingCapability,
    NoCommonRevision,
    NotServing,
    ProcessDied,
    ProtocolViolation,
    RegistrationError,
    RequestError,
    RequestTimeout,
    ResourceNotFound,
    ToolError,
)
from trimcp.limits import Limits
from trimcp.runtime import Final, Header
from trimcp.server import Context, Server, Statistics

__all__ = [
    "AnswerRefused",
    "Client",
    "ConnectionLost",
    "Context",
    "Final",
    "Forbidden",
    "Header",
    "LimitExceeded",
    "Limits",
    "MCPError",
    "MissingCapability",
    "NoCommonRevision",
    "NotServing",
    "ProcessDied",
    "ProtocolViolation",
    "RegistrationError",
    "RequestError",
    "RequestTimeout",
    "ResourceNotFound",
    "Server",
    "Statistics",
    "ToolError",
    "client_for",
    "open_client",
    "open_memory_client",
    "open_stdio_client",
    "open_stream_client",
    "open_tcp_client",
    "open_unix_client",
]

__version__ = "0.1.0"
