"""One request and its one answer, seen from either side.

An `Exchange` is a request that was received and must be answered; a `Call` is a request that was
sent. Both give the bytes to send and never send anything themselves. When nothing may be sent any
more, they give None.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import msgspec
from msgspec import Raw

from trimcp.types import InputRequiredResult

from ._codec import INPUT_REQUIRED, META, RESULT_TYPE, codec_for
from ._eras import ERAS, Terms, Wire
from ._fitting import fitting_failure, fitting_notification
from ._messages import (
    Failure,
    Malformed,
    Message,
    Request,
    RequestId,
    encode_answer,
    encode_failure,
    join_answer,
    join_batch,
)
from ._nesting import is_deeper
from ._shapes import read_retry
from ._states import ExchangeEvent, ExchangeState, next_exchange_state

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from trimcp.limits import Limits

OPEN = ExchangeState.OPEN


class TooLarge(ValueError):
    """An answer is longer than the limit."""


class WireResult:
    """A tool's result that is written already, in the form of its request's revision.

    It is not checked again, so it is for those who have checked all that they did not write
    themselves.

    Args:
        members: The members of the result, as JSON without the braces around them.
    """

    __slots__ = ("members",)

    def __init__(self, members: bytes) -> None:
        self.members = members


class BatchAnswer:
    """Collects the answers to one batch, which are sent as one array (2025-03-26)."""

    __slots__ = ("_answers", "_waiting")

    def __init__(self) -> None:
        self._answers: list[bytes] = []
        self._waiting = 0

    def expect(self) -> None:
        """One more answer belongs to the batch."""
        self._waiting += 1

    def settle(self, answer: bytes | None) -> bytes | None:
        """Take one answer, or None for a cancelled request; the last one returns the array."""
        self._waiting -= 1
        if answer is not None:
            self._answers.append(answer)
        if self._waiting or not self._answers:
            return None
        return join_batch(self._answers)


def _forget_nothing(_: Exchange) -> None:
    """No connection knows the exchange."""


@attrs.define(eq=False)
class Exchange:
    """A request of the peer, until it is answered.

    Attributes:
        id: The request's id.
        method: Its method.
        params: Its params as raw JSON, or None when absent.
        terms: The terms of the request.
        progress_token: The token under which progress may be reported, or None.
        stamp: The members that the connection adds to the `_meta` of results, encoded.
        limit: The maximum size of a message about it, in bytes.
        nesting: The maximum nesting of an answer, in levels.
        state: Where it is in its life.
        owner: The object that the driver runs for this exchange.
        failure: The error code of its answer, if the answer was an error.
        by_handler: Whether a user's handler chose that code.
    """

    id: RequestId
    method: str
    params: Raw | None
    terms: Terms
    progress_token: RequestId | None
    stamp: Raw
    limit: int
    _closed: Callable[[Exchange], None]
    _batch: BatchAnswer | None = None
    state: ExchangeState = OPEN
    owner: Any = None
    failure: int | None = None
    by_handler: bool = False
    nesting: int = sys.maxsize
    _progress: float | None = None

    @classmethod
    def alone(
        cls, request: Request, terms: Terms, token: RequestId | None, stamp: Raw, limits: Limits
    ) -> Exchange:
        """The exchange of a request that carries its terms and shares no connection.

        Args:
            request: The request.
            terms: Its terms.
            token: The token under which it wants progress, or None.
            stamp: What `stamp_of` makes of the server's identity.
            limits: `message_bytes` and `nesting` are used.
        """
        return cls(
            request.id,
            request.method,
            request.params,
            terms,
            token,
            stamp,
            limits.message_bytes,
            _forget_nothing,
            nesting=limits.nesting,
        )

    @property
    def size(self) -> int:
        """The bytes of its params."""
        return 0 if self.params is None else len(self.params)

    @property
    def is_open(self) -> bool:
        """Whether an answer may still be sent."""
        return self.state is OPEN

    @property
    def is_answered(self) -> bool:
        """Whether it was answered, and neither cancelled nor dropped."""
        return self.state is ExchangeState.ANSWERED

    @property
    def is_retry(self) -> bool:
        """Whether the request brings answers or a state from an earlier round (stateless era)."""
        return read_retry(self.params).is_present

    def encode(self, payload: Any) -> Wire:
        """A payload in wire form, in the revision of this exchange."""
        return codec_for(self.terms.revision).encode(payload)

    def encode_result(self, result: Any) -> Wire:
        """A handler's result in wire form.

        Raises:
            EncodeError: It is no result of the method, or the revision cannot say it.
        """
        wire = codec_for(self.terms.revision).encode_result(self.method, result)
        if isinstance(result, InputRequiredResult):
            wire[RESULT_TYPE] = INPUT_REQUIRED
        return wire

    def stamp_with(self, members: Mapping[str, Any]) -> None:
        """Add members to the `stamp`."""
        self.stamp = Raw(msgspec.json.encode(msgspec.json.decode(self.stamp) | dict(members)))

    def answer(self, result: Any) -> bytes | None:
        """The successful answer.

        Args:
            result: A payload, a mapping in wire form, or a `WireResult`.

        Raises:
            TooLarge: The result is longer than the limit, or nested more deeply.
            EncodeError: It is no result of the method, or the revision cannot say it.
            TypeError, ValueError: It cannot be written as JSON. In all these cases the exchange
                stays open, so that it can still be answered with an error.
        """
        if self.state is not OPEN:
            return self._close(ExchangeEvent.ANSWER, None)
        era = ERAS[self.terms.revision.era]
        if isinstance(result, WireResult):
            data = join_answer(self.id, era.dress_written(result.members, self))
        else:
            wire = dict(result) if isinstance(result, dict) else self.encode_result(result)
            data = encode_answer(self.id, era.dress(wire, self))
        if len(data) > self.limit:
            raise TooLarge(f"a result of {len(data)} bytes is longer than {self.limit}")
        if is_deeper(data, self.nesting):
            raise TooLarge(f"a result is nested deeper than {self.nesting} levels")
        return self._close(ExchangeEvent.ANSWER, data)

    def fail(
        self, code: int, message: str, data: Any = None, *, by_handler: bool = False
    ) -> bytes | None:
        """The error answer. Raises TypeError or ValueError as `answer` does.

        An error that is longer than the limit loses its data, then the end of its message.

        Args:
            code: The error code.
            message: One sentence.
            data: More detail, or None.
            by_handler: Whether a user's handler chose the code.
        """
        if self.state is not OPEN:
            return self._close(ExchangeEvent.ANSWER, None)
        answer = fitting_failure(self.id, code, message, data, omit_id=True, limit=self.limit)
        self.failure = code
        self.by_handler = by_handler
        return self._close(ExchangeEvent.ANSWER, answer)

    def refuse(self, code: int, message: str) -> bytes | None:
        """An error that replaces an answer which there is no memory to keep until it can be sent.

        Returns None where the answer belongs to a batch.
        """
        if self._batch is not None:
            return None
        self.failure = code
        return encode_failure(self.id, code, message, None, omit_id=True)

    def cancel(self) -> bytes | None:
        """Close it, since the peer has cancelled it. Returns bytes if that completes a batch."""
        return self._close(ExchangeEvent.CANCEL, None)

    def drop(self) -> None:
        """Close the exchange, since the connection is gone; nothing if it is closed already."""
        if self.state is OPEN:
            self._close(ExchangeEvent.DROP, None)

    def notify(self, method: str, payload: Any, meta: Mapping[str, Any] | None = None) -> bytes:
        """A notification about this exchange, or b"" when it is no longer open.

        Args:
            method: The notification's method.
            payload: A payload, a wire mapping, or None for none.
            meta: Members of its `_meta`.

        Raises:
            LimitExceeded: It is longer than the limit, and has no text that can be shortened.
        """
        if self.state is not OPEN:
            return b""
        if payload is None:
            wire: Wire = {}
        else:
            wire = dict(payload) if isinstance(payload, dict) else self.encode(payload)
        if meta:
            wire[META] = dict(meta)
        return fitting_notification(method, wire, self.limit)

    @property
    def has_reported(self) -> bool:
        """Whether any progress was reported."""
        return self._progress is not None

    def advances(self, progress: float) -> bool:
        """Whether progress may be reported now: a token was given and the value increases.

        Specification: Progress (the value must increase with each notification).
        """
        if self.progress_token is None or self.state is not OPEN:
            return False
        if self._progress is not None and progress <= self._progress:
            return False
        self._progress = progress
        return True

    def next_progress(self) -> int | None:
        """The next whole number to report as progress; None if nothing may be reported."""
        following = 1 if self._progress is None else math.floor(self._progress) + 1
        return following if self.advances(following) else None

    def _close(self, event: ExchangeEvent, answer: bytes | None) -> bytes | None:
        was_open = self.state is OPEN
        self.state = next_exchange_state(self.state, event)
        if not was_open:
            return None
        self._closed(self)
        if self._batch is not None:
            return self._batch.settle(answer)
        return answer


@attrs.define(eq=False)
class Call:
    """A request to the peer, until it is answered.

    Attributes:
        id: The request's id, which is also its progress token.
        method: Its method.
        terms: The terms under which it was sent.
        params: Its params in wire form, without `_meta`; None for none.
        state: Where it is in its life.
        owner: An object of the driver, found again when something arrives for this call.
    """

    id: RequestId
    method: str
    terms: Terms
    owner: Any = None
    params: Wire | None = None
    state: ExchangeState = OPEN

    @property
    def is_open(self) -> bool:
        """Whether an answer is still awaited."""
        return self.state is OPEN

    def move(self, event: ExchangeEvent) -> bool:
        """Apply an event; returns True if the call was still open."""
        was_open = self.state is OPEN
        self.state = next_exchange_state(self.state, event)
        return was_open


MessageT = TypeVar("MessageT", bound=Message)


def addressed(message: MessageT, about: Call | None, open_calls: Container[RequestId]) -> MessageT:
    """A message with the id of the call that it answers, if it names no open call itself.

    Args:
        message: The received message.
        about: The call that it answers, where the transport knows it.
        open_calls: The ids of the calls that have no answer yet.
    """
    if about is None or not isinstance(message, Failure | Malformed):
        return message
    if message.id is None or message.id not in open_calls:
        message.id = about.id
    return message
