"""Every exception that trimcp raises on purpose.

::

    MCPError
    ├── ToolError              raised by a tool: text for the model (`isError`)
    │   └── AnswerRefused          a question was declined or dismissed by the user
    ├── RequestError           a JSON-RPC error answer, raised to send one or received as one
    │   ├── MissingCapability      the client did not declare what a handler needs
    │   ├── NotOffered             the server did not declare what a call needs; it was not sent
    │   ├── Forbidden              the caller may not do this
    │   └── LimitExceeded          a bound of `Limits` was reached
    ├── ResourceNotFound       raised by a resource's function: there is none of that URI
    ├── RequestTimeout         a call's deadline passed (also a `TimeoutError`)
    ├── ConnectionLost         the peer, its process or the transport is gone
    │   ├── ProcessDied            the child process ended; carries its exit status
    │   ├── HandshakeFailed        there was no WebSocket handshake; carries the HTTP status
    │   └── WebSocketClosed        the peer closed a WebSocket for a reason; carries its code
    ├── HTTPStatusError        the server answered with an HTTP status and no message
    ├── ProtocolViolation      the peer broke the protocol
    ├── NoCommonRevision       client and server share no protocol revision
    ├── RegistrationError      a tool cannot be registered as written (also a `TypeError`)
    ├── InvalidToken           raised by a token verifier: the access token is not accepted
    ├── AuthorizationFailed    a client could not get an access token for its server
    ├── VerifierUnavailable    raised by a token verifier: tokens cannot be judged now
    └── NotServing             the server is not inside its application
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "AnswerRefused",
    "AuthorizationFailed",
    "ConnectionLost",
    "Forbidden",
    "HTTPStatusError",
    "HandshakeFailed",
    "InvalidToken",
    "LimitExceeded",
    "MCPError",
    "MissingCapability",
    "NoCommonRevision",
    "NotOffered",
    "NotServing",
    "OptionError",
    "ProcessDied",
    "ProtocolViolation",
    "RegistrationError",
    "RequestError",
    "RequestTimeout",
    "ResourceNotFound",
    "ToolError",
    "VerifierUnavailable",
    "WebSocketClosed",
]

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
HEADER_MISMATCH: Final = -32020
MISSING_CLIENT_CAPABILITY: Final = -32021
UNSUPPORTED_PROTOCOL_VERSION: Final = -32022

# Conditions of our own. The specification asks for codes outside -32768…-32000
# (2026-07-28, Overview, Error Codes).
LIMIT_EXCEEDED: Final = -31001
SHUTTING_DOWN: Final = -31002
FORBIDDEN: Final = -31003


class MCPError(Exception):
    """The root of trimcp's own exceptions."""


class ToolError(MCPError):
    """Raised by a tool to tell the *model* what went wrong.

    The text becomes the content of a result with `isError` set. The text of any other exception is
    never sent to the client. A `ToolError` in an exception group, from a nursery of the tool, is
    recognized too.

    Args:
        text: What the model should read; best, it says how to correct the call.

    Specification: Tools, Error Handling (tool execution errors).
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class RequestError(MCPError):
    """A JSON-RPC error answer.

    A handler raises it to answer with exactly this error; a client's call raises it when it
    received such an answer.

    Args:
        code: The integer error code. For conditions of your own choose one outside
            -32768 to -32000, which JSON-RPC and MCP reserve.
        message: One sentence.
        data: Any JSON value with detail, or None for none.

    Attributes:
        http_status: The HTTP status of a received error, if it was received over HTTP with an error
            status.
    """

    http_status: int | None = None
    _is_received = False

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(code, message, data)
        self.code = code
        self.message = message
        self.data = data

    def __str__(self) -> str:
        try:
            return f"{self.message} (code {self.code})"
        except AttributeError:
            # A subclass whose `__init__` does not call this one.
            return super().__str__()


class MissingCapability(RequestError):
    """The request needs a client capability that the client did not declare.

    Args:
        message: One sentence.
        required: The missing capabilities in wire form, such as `{"elicitation": {}}`.

    Specification: 2026-07-28, Overview, per-request protocol fields (-32021).
    """

    def __init__(self, message: str, required: dict[str, Any]) -> None:
        super().__init__(MISSING_CLIENT_CAPABILITY, message, {"requiredCapabilities": required})


class NotOffered(RequestError):
    """A call for which the server did not declare the capability; it was not sent.

    Its code is that of the expected answer, -32601.

    Specification: to 2025-11-25, Lifecycle (Operation).
    """

    def __init__(self, message: str) -> None:
        super().__init__(METHOD_NOT_FOUND, message)


class Forbidden(RequestError):
    """The caller is known and may not do this."""

    def __init__(self, message: str = "forbidden", data: Any = None) -> None:
        super().__init__(FORBIDDEN, message, data)


class InvalidToken(MCPError):
    """Raised by a `TokenVerifier`: the access token is not accepted, and the answer is 401.

    Args:
        reason: One sentence, such as "the token has expired". The client reads it, so it never
            repeats the token or a part of it.

    Specification: 2026-07-28, Authorization, Token Handling.
    """

    def __init__(self, reason: str = "the access token is not accepted") -> None:
        super().__init__(reason)
        self.reason = str(reason)


class AuthorizationFailed(MCPError):
    """A client could not get an access token for its server; the message says why.

    It repeats no token and no secret, unless an exception of the user's own hook or storage does.

    Specification: 2026-07-28, Authorization.
    """


class VerifierUnavailable(MCPError):
    """Raised by a `TokenVerifier` that cannot judge tokens now; the answer is 503.

    The reason is for the log, and the client does not read it. It never repeats the token or a part
    of it.
    """


class LimitExceeded(RequestError):
    """A bound of `trimcp.Limits` was reached; the message names it."""

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(LIMIT_EXCEEDED, message, data)


class ResourceNotFound(MCPError):
    """Raised by the function of a resource to say that no resource has this URI.

    The client gets the error code of its revision, with the URI.

    Args:
        uri: The URI that was asked for.

    Specification: Resources, Error Handling.
    """

    def __init__(self, uri: str) -> None:
        super().__init__(f"Resource not found: {uri}")
        self.uri = uri


class RequestTimeout(MCPError, TimeoutError):
    """No answer came within the call's deadline; the request has been cancelled."""


class ConnectionLost(MCPError):
    """The connection ended before the answer came. `__cause__` holds the reason, if known."""


class ProcessDied(ConnectionLost):
    """The server's process ended.

    Args:
        message: One sentence.
        returncode: Its exit status; negative for a signal, None if unknown.
        stderr: The last lines that it wrote to standard error.
    """

    def __init__(self, message: str, returncode: int | None, stderr: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.returncode = returncode
        self.stderr = tuple(stderr)


class HandshakeFailed(ConnectionLost):
    """The other side did not agree to open a WebSocket.

    Args:
        message: One sentence.
        status: The HTTP status that it answered with; None if it did not answer with one.
        headers: The answer's headers, by their names in lower case.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers: Mapping[str, str] = MappingProxyType(dict(headers or {}))


class WebSocketClosed(ConnectionLost):
    """A WebSocket was closed with an error: the `__cause__` of a `ConnectionLost`.

    Args:
        code: The close code (RFC 6455, section 7.4); 1006 if there was no close frame.
        reason: The reason in the close frame.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason or 'closed'} (close code {self.code})"


class HTTPStatusError(MCPError):
    """The server answered with an HTTP status and without a message of the protocol.

    Args:
        status: The status.
        text: What the server says, for people: the error in `WWW-Authenticate`, and the beginning
            of the body.
        headers: The answer's headers, by their names in lower case.
    """

    def __init__(
        self, status: int, text: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text
        self.headers: Mapping[str, str] = MappingProxyType(dict(headers or {}))

    def __str__(self) -> str:
        said = f": {self.text}" if self.text else ""
        return f"the server answered with HTTP status {self.status}{said}"


class ProtocolViolation(MCPError):
    """The peer violated the protocol, so the answer cannot be used."""


class NoCommonRevision(MCPError):
    """Client and server share no protocol revision.

    Args:
        message: One sentence.
        supported: The revisions that the server supports, as it reported them.
    """

    def __init__(self, message: str, supported: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.supported = supported


class AnswerRefused(ToolError):
    """The user declined or dismissed a question that a handler asked.

    A tool that does not catch it answers with exactly this text.

    Args:
        action: `"decline"` or `"cancel"`, as the client reported it.
    """

    def __init__(self, action: str) -> None:
        super().__init__(f"The user answered the question with: {action}.")
        self.action = action


def received_error(code: int, message: str, data: Any) -> RequestError:
    """The exception for an error answer; the code determines its class."""
    error = _error_of(code, message, data)
    error._is_received = True
    return error


def _error_of(code: int, message: str, data: Any) -> RequestError:
    if code == LIMIT_EXCEEDED:
        return LimitExceeded(message, data)
    if code == FORBIDDEN:
        return Forbidden(message, data)
    required = data.get("requiredCapabilities") if isinstance(data, dict) else None
    if code == MISSING_CLIENT_CAPABILITY and isinstance(required, dict):
        return MissingCapability(message, required)
    return RequestError(code, message, data)


class RegistrationError(MCPError, TypeError, ValueError):
    """Something cannot be registered as written; the message says what, and what to write."""


class OptionError(MCPError, TypeError, ValueError):
    """An option or argument of a client is invalid; the message says what to write instead."""


class NotServing(MCPError, RuntimeError):
    """The server's application is not open, or is already closing."""
