"""The one boundary between a user's code and everybody else: from a handler to bytes.

`captured` runs a handler and says what became of it; `answer_to` judges that, encodes it and
closes the exchange. Whatever a handler raises or returns, exactly one answer comes out. Only
`Cancelled` and `KeyboardInterrupt` go on, and the `GeneratorExit` of a coroutine that is being
closed; after them nothing is awaited.

`ToolError`, `ResourceNotFound` and `RequestError` are meant for the peer, also when they come
out of a nursery of the handler's own. Everything else is logged whole and leaves without a word
of its text.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import trio

from trimcp.errors import (
    INTERNAL_ERROR,
    LIMIT_EXCEEDED,
    METHOD_NOT_FOUND,
    MissingCapability,
    RequestError,
    ResourceNotFound,
    ToolError,
)
from trimcp.protocol import InvalidShape, TooLarge, read_object
from trimcp.types import CallToolResult, TextContent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from trimcp.protocol import Exchange

__all__ = [
    "Failed",
    "ProtocolError",
    "answer_to",
    "captured",
    "contained",
    "leaves",
    "log_unheard",
    "method_not_found",
]

logger = logging.getLogger("trimcp.server")


class ProtocolError(RequestError):
    """An error of the protocol that this runtime found: its code and HTTP status stand.

    The codes of other `RequestError`s come from a user's code, which may have let through what
    another server said in another revision.
    """


def method_not_found(method: str) -> ProtocolError:
    """The error for a method that this side does not have."""
    return ProtocolError(METHOD_NOT_FOUND, f"Method not found: {method}")


# -- running ----------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class Failed:
    """What a handler raised, in a group or bare."""

    error: BaseException


Captured: TypeAlias = "tuple[Any, BaseException | None]"


async def captured(
    scope: trio.CancelScope, work: Callable[..., Awaitable[Any]], *args: Any
) -> Captured:
    """Run a user's code in a scope. Raises nothing.

    It must stay a coroutine of its own: when its caller is closed, the `GeneratorExit` in here
    is this coroutine's, and the caller gets another.

    Returns:
        What the code returned, a `Failed`, or None if the scope was cancelled; and what must go
        on. The caller raises that, and awaits nothing before.
    """
    try:
        with scope:
            return await work(*args), None
    except BaseException as error:
        # Also what is no `Exception`: SystemExit, a panic in a Rust library.
        return _parted(error)
    return None, None


def _parted(error: BaseException) -> Captured:
    """Separate what a handler raised from what only passes through it."""
    passing = [leaf for leaf in leaves(error) if _passes(leaf)]
    if not passing:
        return Failed(error), None
    # Cancellations are all alike, and an interrupt is said once.
    passing.sort(key=lambda leaf: isinstance(leaf, trio.Cancelled))
    is_mixed = any(not _passes(leaf) for leaf in leaves(error))
    return Failed(error) if is_mixed else None, passing[0]


def _passes(leaf: BaseException) -> bool:
    if isinstance(leaf, trio.Cancelled):
        # One that was kept and raised again belongs to no scope that is being cancelled.
        return trio.current_effective_deadline() == -math.inf
    return isinstance(leaf, KeyboardInterrupt)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a (nested) group, in order; the exception itself if it is no group."""
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(reversed(each.exceptions))
        else:
            yield each


# -- answering --------------------------------------------------------------------------------


def answer_to(exchange: Exchange, outcome: Any) -> bytes | None:
    """Judge what became of a handler, encode it, and close the exchange.

    Args:
        exchange: The request.
        outcome: What `captured` gave: a payload or a wire mapping, a `Failed`, or None.

    Returns:
        The bytes to send; None if nothing may be sent any more, or not yet (batches).

    Raises:
        KeyboardInterrupt: The user interrupted the program just now.
    """
    # An outcome that cannot be encoded is a failure; should even that be unspeakable, or too
    # long, there is a shorter word for it.
    for _ in range(3):
        try:
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
    """The payload or the error that answers a request; what must be logged is logged."""
    if isinstance(outcome, Failed):
        return _judged_failure(exchange, outcome.error)
    if isinstance(outcome, BaseException):
        raise TypeError(f"a {type(outcome).__name__} was returned instead of raised")
    if outcome is None and exchange.is_open:
        return ProtocolError(INTERNAL_ERROR, "cancelled by the server")
    return outcome


def _judged_failure(exchange: Exchange, error: BaseException) -> RequestError | CallToolResult:
    """Decide the answer to a request whose handler failed.

    A `RequestError` wins over `ToolError`s, whose texts are joined; either wins over unexpected
    exceptions beside it, which are logged all the same.
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
    """What an exception says to the peer: an error answer, a text, or nothing."""
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
        # Its text cannot be had, so it is as unexpected as any other.
        return None


#: Exceptions that are meant for the peer.
_MEANT: Final = (RequestError, ResourceNotFound, ToolError)


def _not_found(exchange: Exchange, leaf: ResourceNotFound) -> RequestError | str:
    uri = getattr(leaf, "uri", None)
    if uri is None and exchange.method == "resources/read":
        # A subclass whose `__init__` calls no other; what was asked for is known all the same.
        uri = read_object(exchange.params).get("uri")
    if uri is None:
        return _text(leaf)
    code = exchange.terms.revision.resource_not_found
    return ProtocolError(code, _text(leaf), {"uri": _text(uri)})


def _request_error(exchange: Exchange, leaf: RequestError) -> RequestError | str:
    code, message = getattr(leaf, "code", None), getattr(leaf, "message", None)
    if not isinstance(code, int) or message is None:
        # A subclass whose `__init__` calls no other.
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
    """Run a user's code that no task waits for: a failure is logged, and harms nobody.

    Args:
        what: What it is, for the log.
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
        # An error and the frames that it came through would keep each other.
        del outcome, passing


# -- the log ----------------------------------------------------------------------------------


def log_unheard(exchange: Exchange, outcome: Any) -> None:
    """Log an unexpected failure that no peer is told of, as its request is over."""
    if isinstance(outcome, Failed):
        _judged_failure(exchange, outcome.error)


def _log(exchange: Exchange, error: BaseException) -> None:
    _write(f"{_label(exchange)} failed", error)


def _write(text: str, error: BaseException) -> None:
    try:
        logger.error("%s", text, exc_info=error)
    except Exception:
        # A log handler's failure must not become the peer's.
        return


def _label(exchange: Exchange) -> str:
    """The request's method and what it is about, for logs."""
    try:
        subject = read_object(exchange.params)
    except InvalidShape:
        return exchange.method
    named = subject.get("name", subject.get("uri"))
    return f"{exchange.method} {named!r}" if isinstance(named, str) else exchange.method
