"""The context of a handler: what it can know and do while it runs."""

from __future__ import annotations

import math
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Generic

import trio

from trimcp.protocol import LOGGING_LEVELS, Era, read_object, read_traceparent
from trimcp.types import (
    ClientCapabilities,
    Implementation,
    LoggingLevel,
    LoggingMessageNotificationParams,
    ProgressNotificationParams,
)

from ._asking import Asking
from ._typevars import LifespanT, SessionT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trimcp.runtime import Principal

    from ._session import Session

__all__ = ["Context", "current_context", "enter_context"]

_current: ContextVar[Context[Any]] = ContextVar("trimcp_context")


class Context(Asking, Generic[LifespanT, SessionT]):
    """The request being handled.

    A handler gets it through a parameter annotated with `Context`, with `Context[App]`, or with
    `Context[App, State]` where sessions have a lifespan too. Functions that it calls get it through
    `server.request_context`. When the client has answered a question, the same context describes
    the request with the answer.
    """

    __slots__ = ()

    if not TYPE_CHECKING:

        def __class_getitem__(cls, parameters: Any) -> Any:
            # At run time this replaces the default of the second type variable.
            given = parameters if isinstance(parameters, tuple) else (parameters,)
            return super().__class_getitem__(given if len(given) > 1 else (*given, Any))

    @property
    def lifespan_context(self) -> LifespanT:
        """What the server's lifespan yielded."""
        value: LifespanT = self._application.value
        return value

    @property
    def session(self) -> Session[LifespanT] | None:
        """The client's connection or handshake session; None for stateless requests over HTTP."""
        session: Session[LifespanT] | None = self._handler.data
        return session

    @property
    def session_context(self) -> SessionT:
        """What the server's `session_lifespan` yielded.

        Raises:
            LookupError: The request belongs to no session.
        """
        session = self.session
        if session is None:
            raise LookupError("stateless requests over HTTP belong to no session")
        value: SessionT = session.context
        return value

    @property
    def method(self) -> str:
        """The request's method, such as `tools/call`."""
        return self._handler.exchange.method

    @property
    def params(self) -> dict[str, Any]:
        """The request's params in wire form, decoded on each access."""
        return read_object(self._handler.exchange.params)

    @property
    def request_id(self) -> str | int:
        """The id of the request."""
        return self._handler.exchange.id

    @property
    def revision(self) -> str:
        """The protocol revision of the request, such as `2025-11-25`."""
        return self._handler.exchange.terms.revision.date

    @property
    def client_info(self) -> Implementation | None:
        """The name and version that the client gives; for display only."""
        return self._handler.exchange.terms.client_info

    @property
    def client_capabilities(self) -> ClientCapabilities:
        """What the client declared it can do."""
        return self._handler.exchange.terms.capabilities

    async def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification of an extension, about this request.

        Args:
            method: Such as `notifications/com.example/moved`.
            params: A JSON object.

        Raises:
            LimitExceeded: It is longer than `Limits.message_bytes`.
        """
        wire = None if params is None else dict(params)
        await self._handler.peer.send(self._handler.exchange.notify(method, wire))

    @property
    def principal(self) -> Principal | None:
        """Who makes the request; None without `Server(auth=…)`, and where no token can be sent.

        On standard streams, Unix sockets, streams and in memory whoever is at the other end is
        trusted, as the specification says of standard streams.

        Specification: 2026-07-28, Authorization, Access Token Usage.
        """
        return self._handler.round.principal

    @property
    def http_headers(self) -> Mapping[str, str] | None:
        """The headers of the HTTP request, by their names in lower case; None where there is none.

        For WebSocket they are the headers of the handshake.
        """
        http = self._handler.peer.http
        return None if http is None else http.headers

    @property
    def http_scope(self) -> Mapping[str, Any] | None:
        """The ASGI scope of the HTTP request, with additions of middleware; None without one."""
        http = self._handler.peer.http
        return None if http is None else http.scope

    @property
    def traceparent(self) -> str | None:
        """The trace that the request belongs to, in the format of W3C Trace Context.

        It is taken from `_meta`, or else from the HTTP request's header; its value is not checked.

        Specification: 2026-07-28, Overview, OpenTelemetry trace context.
        """
        given = read_traceparent(self._handler.exchange.params)
        if given is None and self.http_headers is not None:
            given = self.http_headers.get("traceparent")
        return given

    async def close_stream(self, retry: float = 1.0) -> bool:
        """Let the client of a long call reconnect later, instead of keeping its response open.

        The response ends and the handler goes on. Its further messages and its result are kept
        until the client reconnects and asks for them. This works only over HTTP in revision
        2025-11-25; otherwise nothing happens.

        Args:
            retry: Seconds that the client should wait before it reconnects.

        Returns:
            Whether the client was told to reconnect.

        Specification: 2025-11-25, Streamable HTTP, Sending Messages to the Server (6).
        """
        await trio.lowlevel.checkpoint()
        if not self._handler.exchange.terms.revision.polling:
            return False
        return self._handler.peer.interrupt(retry)

    async def report_progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Tell the client the progress of the request.

        Nothing is sent if the client did not ask for progress, if the value is not greater than the
        last one (the protocol requires it to increase), or between two rounds of a question. Waits
        while the client reads slowly.

        Args:
            progress: How much is done, in any unit.
            total: How much there is, in the same unit, if known.
            message: A sentence for people; shortened if the notification would be longer than
                `Limits.message_bytes`.

        Raises:
            ValueError: One of the numbers is a NaN or an infinity.

        Specification: Progress.
        """
        for number in (progress, total):
            if number is not None and not math.isfinite(number):
                raise ValueError(f"progress must be a finite number, not {number}")
        exchange = self._handler.exchange
        if not exchange.advances(progress):
            await trio.lowlevel.checkpoint()
            return
        token = exchange.progress_token
        assert token is not None
        params = ProgressNotificationParams(token, progress, total, message)
        await self._handler.peer.send(exchange.notify("notifications/progress", params))

    async def log(self, level: LoggingLevel, data: Any, *, logger: str | None = None) -> None:
        """Send a log message to the client.

        Nothing is sent if it is less severe than the client wants, or between two rounds of a
        question. If the client did not set a level, the level is `info` in the handshake era, and
        nothing is sent in the stateless era. Waits while the client reads slowly. Never log
        secrets.

        Args:
            level: How severe it is.
            data: Any value that JSON can express. If the notification would be longer than
                `Limits.message_bytes`, only the beginning of its text is sent.
            logger: A name for its origin.

        Raises:
            ValueError: There is no such level.

        Specification: Logging (deprecated in 2026-07-28, where logs should go to stderr or
        OpenTelemetry).
        """
        rank = LOGGING_LEVELS.index(level)
        exchange = self._handler.exchange
        wanted = self._wanted_level()
        if wanted is None or rank < LOGGING_LEVELS.index(wanted):
            await trio.lowlevel.checkpoint()
            return
        params = LoggingMessageNotificationParams(level, data, logger)
        await self._handler.peer.send(exchange.notify("notifications/message", params))

    def _wanted_level(self) -> LoggingLevel | None:
        terms = self._handler.exchange.terms
        if terms.revision.era is Era.STATELESS:
            return terms.log_level
        # `logging/setLevel` may have been called since the request began.
        connection = self._handler.peer.connection
        session = None if connection is None else connection.terms
        return (session.log_level if session is not None else None) or "info"

    async def debug(self, data: Any, *, logger: str | None = None) -> None:
        """`log("debug", …)`."""
        await self.log("debug", data, logger=logger)

    async def info(self, data: Any, *, logger: str | None = None) -> None:
        """`log("info", …)`."""
        await self.log("info", data, logger=logger)

    async def notice(self, data: Any, *, logger: str | None = None) -> None:
        """`log("notice", …)`."""
        await self.log("notice", data, logger=logger)

    async def warning(self, data: Any, *, logger: str | None = None) -> None:
        """`log("warning", …)`."""
        await self.log("warning", data, logger=logger)

    async def error(self, data: Any, *, logger: str | None = None) -> None:
        """`log("error", …)`."""
        await self.log("error", data, logger=logger)

    async def critical(self, data: Any, *, logger: str | None = None) -> None:
        """`log("critical", …)`."""
        await self.log("critical", data, logger=logger)


#: Makes a context that of the current task and of everything it starts.
enter_context: Final = _current.set


def current_context() -> Context[Any]:
    """The context of the request that the current task belongs to. Raises LookupError."""
    try:
        return _current.get()
    except LookupError:
        raise LookupError("no request is being handled here") from None
