"""The one boundary between a user's code and the rest: from a handler to bytes.

`captured` runs a handler and returns its outcome; `answer_to` turns the outcome into an answer,
encodes it and closes the exchange. Whatever a handler raises or returns, there is exactly one
answer. Only `Cancelled` and `KeyboardInterrupt` are raised further, and the `GeneratorExit` of a
coroutine that is being closed; after them nothing is awaited.

`ToolError`, `ResourceNotFound` and `RequestError` are meant for the peer, also when they come out
of a nursery of the handler. Every other exception is logged completely, and the peer gets nothing
of its text.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import trio

from trimcp._groups import leaves, logged
from trimcp.errors import (
    INTERNAL_ERROR,
    LIMIT_EXCEEDED,
    METHOD_NOT_FOUND,
    ConnectionLost,
    MissingCapability,
    RequestError,
    ResourceNotFound,
    ToolError,
)
from trimcp.protocol import InvalidShape, TooLarge, WireResult, read_object
from trimcp.types import CallToolResult, TextContent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trimcp.protocol import Exchange

__all__ = [
    "Failed",
    "ProtocolError",
    "answer_to",
    "attempted",
    "captured",
    "contained",
    "log_unheard",
    "method_not_found",
]

logger = logging.getLogger("trimcp.server")


class ProtocolError(RequestError):
    """An error of the protocol that this runtime found: its code and HTTP status are kept.

    The codes of other `RequestError`s come from a user's code, which may have passed on another
    server's error, in another revision.
    """


def method_not_found(method: str) -> ProtocolError:
    """The error for a method that this side does not have."""
    return ProtocolError(METHOD_NOT_FOUND, f"Method not found: {method}")


# -- running ----------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class Failed:
    """What a handler raised: an exception or an exception group."""

    error: BaseException


Captured: TypeAlias = "tuple[Any, BaseException | None]"


async def captured(
    scope: trio.CancelScope, work: Callable[..., Awaitable[Any]], *args: Any
) -> Captured:
    """Run a user's code in a scope. Raises nothing.

    It must stay a separate coroutine: when its caller is closed, the `GeneratorExit` raised here
    belongs to this coroutine, and the caller gets another.

    Returns:
        What the code returned, a `Failed`, or None if the scope was cancelled; and an exception
        that the caller must raise, without awaiting anything before.
    """
    try:
        with scope:
            return await work(*args), None
    except BaseException as error:
        # Also exceptions that are not an `Exception`: SystemExit, a panic in a Rust library.
        return (None, None) if _is_consequence(scope, error) else _parted(error)
    return None, None


def _is_consequence(scope: trio.CancelScope, error: BaseException) -> bool:
    """Whether a handler that is cancelled only says that it cannot ask its client any more.

    That is what its question raises if it waits in a shield, where `Cancelled` cannot reach it.
    """
    is_cancelled = scope.cancel_called or trio.current_effective_deadline() == -math.inf
    return is_cancelled and all(isinstance(leaf, ConnectionLost) for leaf in leaves(error))


async def attempted(work: Callable[..., Awaitable[Any]], *args: Any) -> Captured:
    """The same in the caller's scope; for a step of a generator, which may end inside its own, too.

    It must stay a separate coroutine, as `captured`.
    """
    try:
        return await work(*args), None
    except BaseException as error:
        return _parted(error)
    finally:
        # What is thrown into a generator comes out of this frame.
        del args


def _parted(error: BaseException) -> Captured:
    """Separate what a handler raised from cancellations and interrupts, which pass through it."""
    passing = [leaf for leaf in leaves(error) if _passes(leaf)]
    if not passing:
        return Failed(error), None
    # An interrupt goes before cancellations; one of them is enough.
    passing.sort(key=lambda leaf: isinstance(leaf, trio.Cancelled))
    is_mixed = any(not _passes(leaf) for leaf in leaves(error))
    return Failed(error) if is_mixed else None, passing[0]


def _passes(leaf: BaseException) -> bool:
    if isinstance(leaf, trio.Cancelled):
        # A `Cancelled` that was kept and raised again later: no scope is being cancelled now.
        return trio.current_effective_deadline() == -math.inf
    return isinstance(leaf, KeyboardInterrupt)


# -- answering --------------------------------------------------------------------------------


def answer_to(exchange: Exchange, outcome: Any) -> bytes | None:
    """Turn a handler's outcome into an answer, encode it, and close the exchange.

    Args:
        exchange: The request.
        outcome: What `captured` returned: a payload, a wire mapping, a `WireResult`, a `Failed`, or
            None.

    Returns:
        The bytes to send; None if nothing may be sent any more, or not yet (batches).

    Raises:
        KeyboardInterrupt: The user interrupted the program just now.
    """
    # An outcome that cannot be encoded becomes a failure; if that cannot be encoded either, or is
    # too long, a shorter error replaces it.
    for _ in range(3):
        try:
            if isinstance(outcome, WireResult):
                return exchange.answer(outcome)
            return _encoded(exchange, _judged(exchange, outcome))
        except KeyboardInterrupt:
            raise
        except TooLarge as error:
            logger.warning("%s: %s", exchange.method, error)
            outcome = Failed(ProtocolError(LIMIT_EXCEEDED, str(error)))
        except BaseException as error:
            outcome = Failed(error)
    return exchange.fail(INTERNAL_ERROR, "Internal error")


def _encoded(exchange: Exchange, outcome: Any) -> bytes | None:
    if isinstance(outcome, ProtocolError):
        return exchange.fail(outcome.code, outcome.message, outcome.data)
    if isinstance(outcome, RequestError):
        return exchange.fail(outcome.code, outcome.message, outcome.data, by_handler=True)
    return exchange.answer(exchange.encode_result(outcome) if exchange.is_open else None)


def _judged(exchange: Exchange, outcome: Any) -> Any:
    """The payload or the error that answers a request. Logs unexpected failures."""
    if isinstance(outcome, Failed):
        return _judged_failure(exchange, outcome.error)
    if isinstance(outcome, BaseException):
        raise TypeError(f"a {type(outcome).__name__} was returned instead of raised")
    if outcome is None and exchange.is_open:
        return ProtocolError(INTERNAL_ERROR, "cancelled by the server")
    return outcome


def _judged_failure(exchange: Exchange, error: BaseException) -> RequestError | CallToolResult:
    """Decide the answer to a request whose handler failed.

    A `RequestError` has precedence over `ToolError`s, whose texts are joined; both have precedence
    over unexpected exceptions in the same group, which are logged nevertheless.
    """
    said: list[RequestError | str] = []
    unexpected = False
    for leaf in leaves(error):
        meant = _meant(exchange, leaf)
        if meant is None:
            unexpected = True
        else:
            said.append(meant)
    if unexpected:
        _log(exchange, error)
    for each in said:
        if isinstance(each, RequestError):
            return each
    return _failure(exchange, [each for each in said if isinstance(each, str)])


def _failure(exchange: Exchange, texts: list[str]) -> RequestError | CallToolResult:
    if exchange.method == "tools/call":
        text = "\n".join(texts) if texts else "The tool failed unexpectedly."
        return CallToolResult((TextContent(text),), is_error=True)
    return ProtocolError(INTERNAL_ERROR, "\n".join(texts) or "Internal error")


def _meant(exchange: Exchange, leaf: BaseException) -> RequestError | str | None:
    """What the peer is told of an exception: an error answer, a text, or nothing."""
    if not isinstance(leaf, _MEANT):
        return None
    try:
        if isinstance(leaf, ResourceNotFound):
            return _not_found(exchange, leaf)
        if isinstance(leaf, RequestError):
            return _request_error(exchange, leaf)
        return _text(getattr(leaf, "text", leaf))
    except KeyboardInterrupt:
        raise
    except BaseException:
        # Its text cannot be read, so it counts as unexpected.
        return None


#: Exceptions that are meant for the peer.
_MEANT: Final = (RequestError, ResourceNotFound, ToolError)


def _not_found(exchange: Exchange, leaf: ResourceNotFound) -> RequestError | str:
    uri = getattr(leaf, "uri", None)
    if uri is None and exchange.method == "resources/read":
        # A subclass whose `__init__` does not call the base class; the request names the URI.
        uri = read_object(exchange.params).get("uri")
    if uri is None:
        return _text(leaf)
    code = exchange.terms.revision.resource_not_found
    return ProtocolError(code, _text(leaf), {"uri": _text(uri)})


def _request_error(exchange: Exchange, leaf: RequestError) -> RequestError | str:
    code, message = getattr(leaf, "code", None), getattr(leaf, "message", None)
    if not isinstance(code, int) or message is None:
        # A subclass whose `__init__` does not call the base class.
        return _text(leaf if message is None else message)
    kind: type[RequestError] = RequestError
    if isinstance(leaf, ProtocolError | MissingCapability) and not leaf._is_received:
        kind = ProtocolError
    else:
        code = exchange.terms.revision.code_of_handler(code)
    return kind(int(code), _text(message), getattr(leaf, "data", None))


def _text(value: object) -> str:
    """Any value as text that JSON can carry."""
    return str.encode(str(value), errors="backslashreplace").decode()


# -- where there is no answer ----------------------------------------------------------------


async def contained(what: str, work: Callable[..., Awaitable[Any]], *args: Any) -> None:
    """Run a user's code for which no task waits: a failure is only logged.

    Args:
        what: A name for the code, for the log.
        work: The code.
        args: Its arguments.
    """
    outcome, passing = await captured(trio.CancelScope(), work, *args)
    try:
        if isinstance(outcome, Failed):
            _write(f"{what} failed", outcome.error)
        if passing is not None:
            raise passing
    finally:
        # An error and its frames would form a reference cycle.
        del outcome, passing


# -- the log ----------------------------------------------------------------------------------


def log_unheard(exchange: Exchange, outcome: Any) -> None:
    """Log an unexpected failure that no peer is told of, since its request is over."""
    if isinstance(outcome, Failed):
        _judged_failure(exchange, outcome.error)


def _log(exchange: Exchange, error: BaseException) -> None:
    is_lost = not exchange.is_open and all(isinstance(x, ConnectionLost) for x in leaves(error))
    if is_lost:
        # The handler was asking its client, which has gone.
        logger.debug("%s: %s", exchange.method, error)
    else:
        _write(f"{_label(exchange)} failed", error)


def _write(text: str, error: BaseException) -> None:
    try:
        logger.error("%s", text, exc_info=logged(error))
    except Exception:
        # A log handler's failure must not become the peer's.
        return


def _label(exchange: Exchange) -> str:
    """The request's method and its name or URI, for logs."""
    try:
        subject = read_object(exchange.params)
    except InvalidShape:
        return exchange.method
    named = subject.get("name", subject.get("uri"))
    return f"{exchange.method} {named!r}" if isinstance(named, str) else exchange.method
