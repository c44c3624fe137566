"""trimcp: a Trio-native, structured-concurrency runtime for the Model Context Protocol."""

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
    ToolError,
)
from trimcp.limits import Limits
from trimcp.server import Context, Server, Statistics
