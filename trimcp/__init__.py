"""trimcp: a Trio-native, structured-concurrency runtime for the Model Context Protocol."""

#: Type checkers take this for true. `typing` has the same constant, but takes time to load.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from trimcp.client import (
        Changes,
        Client,
        client_for,
        open_client,
        open_http_client,
        open_memory_client,
        open_stdio_client,
        open_stream_client,
        open_tcp_client,
        open_unix_client,
        open_websocket_client,
    )
    from trimcp.errors import (
        AnswerRefused,
        AuthorizationFailed,
        ConnectionLost,
        Forbidden,
        HandshakeFailed,
        HTTPStatusError,
        InvalidToken,
        LimitExceeded,
        MCPError,
        MissingCapability,
        NoCommonRevision,
        NotOffered,
        NotServing,
        OptionError,
        ProcessDied,
        ProtocolViolation,
        RegistrationError,
        RequestError,
        RequestTimeout,
        ResourceNotFound,
        ToolError,
        VerifierUnavailable,
        WebSocketClosed,
    )
    from trimcp.functions import Final, Header, InputRequired
    from trimcp.limits import Limits
    from trimcp.protocol import (
        Change,
        PromptsListChanged,
        ResourcesListChanged,
        ResourceUpdated,
        ToolsListChanged,
    )
    from trimcp.runtime import (
        Bus,
        EventStore,
        HttpRequest,
        HttpResponse,
        LocalBus,
        NonceStore,
        Principal,
        TokenVerifier,
    )
    from trimcp.server import (
        CallNext,
        Context,
        Server,
        Session,
        Statistics,
        combine_lifespans,
        form_question,
        roots_question,
        sampling_question,
        url_question,
    )

__all__ = [
    "AnswerRefused",
    "AuthorizationFailed",
    "Bus",
    "CallNext",
    "Change",
    "Changes",
    "Client",
    "ConnectionLost",
    "Context",
    "EventStore",
    "Final",
    "Forbidden",
    "HTTPStatusError",
    "HandshakeFailed",
    "Header",
    "HttpRequest",
    "HttpResponse",
    "InputRequired",
    "InvalidToken",
    "LimitExceeded",
    "Limits",
    "LocalBus",
    "MCPError",
    "MissingCapability",
    "NoCommonRevision",
    "NonceStore",
    "NotOffered",
    "NotServing",
    "OptionError",
    "Principal",
    "ProcessDied",
    "PromptsListChanged",
    "ProtocolViolation",
    "RegistrationError",
    "RequestError",
    "RequestTimeout",
    "ResourceNotFound",
    "ResourceUpdated",
    "ResourcesListChanged",
    "Server",
    "Session",
    "Statistics",
    "TokenVerifier",
    "ToolError",
    "ToolsListChanged",
    "VerifierUnavailable",
    "WebSocketClosed",
    "client_for",
    "combine_lifespans",
    "form_question",
    "open_client",
    "open_http_client",
    "open_memory_client",
    "open_stdio_client",
    "open_stream_client",
    "open_tcp_client",
    "open_unix_client",
    "open_websocket_client",
    "roots_question",
    "sampling_question",
    "url_question",
]

__version__ = "0.1.0"

#: Where each public name is defined.
_HOMES = {
    "Changes": "trimcp.client",
    "Client": "trimcp.client",
    "client_for": "trimcp.client",
    "open_client": "trimcp.client",
    "open_http_client": "trimcp.client",
    "open_memory_client": "trimcp.client",
    "open_stdio_client": "trimcp.client",
    "open_stream_client": "trimcp.client",
    "open_tcp_client": "trimcp.client",
    "open_unix_client": "trimcp.client",
    "open_websocket_client": "trimcp.client",
    "AnswerRefused": "trimcp.errors",
    "AuthorizationFailed": "trimcp.errors",
    "ConnectionLost": "trimcp.errors",
    "Forbidden": "trimcp.errors",
    "HandshakeFailed": "trimcp.errors",
    "HTTPStatusError": "trimcp.errors",
    "InvalidToken": "trimcp.errors",
    "LimitExceeded": "trimcp.errors",
    "MCPError": "trimcp.errors",
    "MissingCapability": "trimcp.errors",
    "NoCommonRevision": "trimcp.errors",
    "NotOffered": "trimcp.errors",
    "NotServing": "trimcp.errors",
    "OptionError": "trimcp.errors",
    "ProcessDied": "trimcp.errors",
    "ProtocolViolation": "trimcp.errors",
    "RegistrationError": "trimcp.errors",
    "RequestError": "trimcp.errors",
    "RequestTimeout": "trimcp.errors",
    "ResourceNotFound": "trimcp.errors",
    "ToolError": "trimcp.errors",
    "VerifierUnavailable": "trimcp.errors",
    "WebSocketClosed": "trimcp.errors",
    "Final": "trimcp.functions",
    "Header": "trimcp.functions",
    "InputRequired": "trimcp.functions",
    "Limits": "trimcp.limits",
    "Change": "trimcp.protocol",
    "PromptsListChanged": "trimcp.protocol",
    "ResourcesListChanged": "trimcp.protocol",
    "ResourceUpdated": "trimcp.protocol",
    "ToolsListChanged": "trimcp.protocol",
    "Bus": "trimcp.runtime",
    "EventStore": "trimcp.runtime",
    "HttpRequest": "trimcp.runtime",
    "HttpResponse": "trimcp.runtime",
    "LocalBus": "trimcp.runtime",
    "NonceStore": "trimcp.runtime",
    "Principal": "trimcp.runtime",
    "TokenVerifier": "trimcp.runtime",
    "CallNext": "trimcp.server",
    "Context": "trimcp.server",
    "Server": "trimcp.server",
    "Session": "trimcp.server",
    "Statistics": "trimcp.server",
    "combine_lifespans": "trimcp.server",
    "form_question": "trimcp.server",
    "roots_question": "trimcp.server",
    "sampling_question": "trimcp.server",
    "url_question": "trimcp.server",
}

#: The modules that may be used after `import trimcp` alone.
_MODULES = ("client", "errors", "limits", "protocol", "runtime", "server", "transports", "types")

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load what is asked for, so that a program that uses one role does not load the other."""
        from importlib import import_module

        if name in _MODULES:
            return import_module(f"trimcp.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_MODULES})
