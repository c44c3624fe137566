"""One peer, without IO: bytes in, events out; calls in, bytes out.

A `Connection` knows ids, correlation, cancellation and progress for both roles, and serves both
eras at once, chosen per request. It never waits, reads no clock and starts nothing: its driver
sends the bytes and runs the handlers.

Specification: Overview (Messages), Cancellation, Progress; 2025-11-25 Lifecycle; 2025-03-26
Overview (Batching).
"""

from __future__ import annotations

import enum
import itertools
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from trimcp.errors import INVALID_PARAMS, INVALID_REQUEST, LIMIT_EXCEEDED, PARSE_ERROR
from trimcp.types import CancelledNotificationParams, Implementation

from ._codec import META, PROGRESS_TOKEN, codec_for
from ._eras import ERAS, LatestMeta, Rejected, Terms, session_terms, stamp_of, with_meta
from ._events import (
    AnswerUnusable,
    Event,
    ExchangeCancelled,
    FailureReceived,
    Ignored,
    NotificationReceived,
    ProgressReceived,
    Reply,
    RequestReceived,
    ResultReceived,
    SessionEnded,
    SubscriptionReceived,
    without_given_up,
)
from ._exchange import BatchAnswer, Call, Exchange, addressed
from ._fitting import fitting_failure, fitting_notification
from ._messages import (
    Answer,
    Batch,
    Failure,
    Malformed,
    Message,
    Notification,
    Request,
    decode,
    encode_notification,
    encode_request,
    malformed_from_ends,
)
from ._revisions import LATEST_HANDSHAKE, Era
from ._shapes import InvalidShape, Meta, read_cancelled, read_progress, read_subscription
from ._states import ExchangeEvent, SessionEvent, SessionState, next_session_state

if TYPE_CHECKING:
    from collections.abc import Iterable

    from msgspec import Raw

    from trimcp.limits import Limits


class Role(enum.Enum):
    """Which side of the connection this is."""

    SERVER = "server"
    CLIENT = "client"


#: Methods that a handshake-era peer may use before the session is initialized.
_BEFORE_SESSION = frozenset({"ping"})


class Connection:
    """The protocol's state towards one peer.

    Args:
        role: Which side this is.
        identity: The name and version of this side.
        limits: Bounds; `nesting` and `in_flight` are used here.
        stamp: What `stamp_of` makes of the identity, if that is known already.
    """

    def __init__(
        self, role: Role, identity: Implementation, limits: Limits, *, stamp: Raw | None = None
    ) -> None:
        self.role = role
        self.session = SessionState.NEW
        self.terms: Terms | None = None
        self._limits = limits
        self._stamp = stamp or stamp_of(identity)
        self._exchanges: dict[int | str, Exchange] = {}
        self._calls: dict[int | str, Call] = {}
        self._latest = LatestMeta()
        self._ids = itertools.count(1)

    # -- what comes in --------------------------------------------------------------------

    def receive(self, data: bytes, about: Call | None = None) -> list[Event]:
        """Take one message (or batch) and return the events that it means.

        Args:
            data: The message.
            about: The call that it answers, where the transport knows it: an error that names no
                open call, or a message that cannot be read, then counts as the answer to this call.
        """
        return self.take(decode(data, nesting=self._limits.nesting), about)

    def take(self, message: Message | Batch, about: Call | None = None) -> list[Event]:
        """Take one message (or batch) that has been decoded already; see `receive`."""
        if isinstance(message, Request):
            return self._on_request(message, None)
        if isinstance(message, Batch):
            return self._on_batch(message, about)
        return self._on_message(addressed(message, about, self._calls), None)

    def assume(self, terms: Terms) -> None:
        """Take the terms of a handshake that another connection has made."""
        self.terms = terms
        self.session = SessionState.READY

    def receive_oversized(
        self, head: bytes, flaw: str, about: Call | None = None, *, tail: bytes = b""
    ) -> list[Event]:
        """Take note of a message that was too long and has been skipped.

        Args:
            head: Its first bytes; the id is taken from them if they contain it unambiguously.
            flaw: One sentence that says what is wrong.
            about: As for `receive`.
            tail: Its last bytes; an answer may have its id there.
        """
        malformed = malformed_from_ends(head, tail, LIMIT_EXCEEDED, flaw)
        return self._on_message(addressed(malformed, about, self._calls), None)

    def _on_message(self, message: Message, batch: BatchAnswer | None) -> list[Event]:
        if isinstance(message, Request):
            return self._on_request(message, batch)
        if isinstance(message, Notification):
            return self._on_notification(message)
        if isinstance(message, Answer):
            call = self._take_call(message.id)
            if call is None:
                return [Ignored(f"an answer to no open request: id {message.id!r}")]
            return [ResultReceived(call, message.result)]
        if isinstance(message, Failure):
            return self._on_failure(message)
        return self._on_malformed(message, batch)

    def _on_malformed(self, message: Malformed, batch: BatchAnswer | None) -> list[Event]:
        if self.role is Role.SERVER and not message.is_answer:
            return self._refuse(message.id, message.code, message.message, None, batch)
        # For a client this can only be an answer, and answers are not answered.
        call = None
        if message.id is not None and not message.is_request:
            call = self._take_call(message.id)
        if call is not None:
            return [AnswerUnusable(call, message.message)]
        if self.role is Role.SERVER and message.code == PARSE_ERROR:
            # It looks like an answer, but there is no such request.
            return self._refuse(None, message.code, message.message, None, batch)
        return [Ignored(message.message, message.head)]

    def _on_request(self, request: Request, batch: BatchAnswer | None) -> list[Event]:
        if self.role is Role.CLIENT and self._is_stateless:
            return [Ignored(f"{request.method}: servers send no requests in this revision")]
        try:
            meta = self._latest.read(request.params)
            renews = request.method == "initialize" and self._renews_session(meta)
            open_exchanges = self._outlasting() if renews else self._exchanges
            if request.id in open_exchanges:
                raise Rejected(INVALID_REQUEST, f"id {request.id!r} is already in use")
            if len(open_exchanges) >= self._limits.in_flight:
                raise Rejected(
                    LIMIT_EXCEEDED, f"more than {self._limits.in_flight} requests in flight"
                )
            terms = self._terms_for(request, meta, in_batch=batch is not None)
        except InvalidShape as error:
            flaw = f"invalid params: {error}"
            return self._refuse(request.id, INVALID_PARAMS, flaw, None, batch)
        except Rejected as error:
            return self._refuse(request.id, error.code, error.message, error.data, batch)
        events = self._end_session() if renews else []
        token = None if meta.progress_token is UNSET else meta.progress_token
        exchange = Exchange(
            request.id,
            request.method,
            request.params,
            terms,
            token,
            self._stamp,
            self._limits.message_bytes,
            self._forget,
            batch,
            nesting=self._limits.nesting,
        )
        if batch is not None:
            batch.expect()
        self._exchanges[request.id] = exchange
        return [*events, RequestReceived(exchange)]

    def _renews_session(self, meta: Meta) -> bool:
        """Whether `initialize`, if it is accepted, ends a session and begins another."""
        has_session = self.role is Role.SERVER and self.session is not SessionState.NEW
        return has_session and not meta.is_stateless

    def _outlasting(self) -> dict[int | str, Exchange]:
        """The requests of the peer that belong to no session, and so outlast it."""
        era = Era.STATELESS
        return {id: each for id, each in self._exchanges.items() if each.terms.revision.era is era}

    def _end_session(self) -> list[Event]:
        """Close the requests of the session: its client may use their ids again."""
        for identity in self._exchanges.keys() - self._outlasting().keys():
            self._exchanges[identity].drop()
        return [SessionEnded(self.lose_calls())]

    def _terms_for(self, request: Request, meta: Meta, *, in_batch: bool) -> Terms:
        """Choose the era of this request and take its terms. Raises Rejected."""
        if meta.is_stateless:
            if in_batch:
                raise Rejected(INVALID_REQUEST, "this protocol revision has no batches")
            return self._latest.terms(meta, request.params)
        if request.method == "initialize" and self.role is Role.SERVER:
            if in_batch:
                raise Rejected(INVALID_REQUEST, "initialize must not be part of a batch")
            self.terms = session_terms(request.params)
            self.session = next_session_state(self.session, SessionEvent.INITIALIZE)
            return self.terms
        if self.terms is not None and self.terms.revision.era is Era.HANDSHAKE:
            return self.terms
        if request.method in _BEFORE_SESSION:
            return Terms(LATEST_HANDSHAKE)
        # The request has no terms of its own, and there is no session: this says what is missing.
        return self._latest.terms(meta, request.params)

    def _on_notification(self, message: Notification) -> list[Event]:
        try:
            if message.method == "notifications/cancelled":
                return self._on_cancelled(message)
            if message.method == "notifications/progress":
                return self._on_progress(message)
            if self.role is Role.CLIENT and self._is_stateless:
                return self._on_server_notification(message)
        except InvalidShape as error:
            # A malformed notification is ignored (Cancellation, Error Handling).
            return [Ignored(f"malformed {message.method}: {error}")]
        if message.method == "notifications/initialized" and self.role is Role.SERVER:
            if self.session is SessionState.NEW:
                return [Ignored("notifications/initialized before initialize")]
            self.session = next_session_state(self.session, SessionEvent.INITIALIZED)
        return [NotificationReceived(message.method, message.params)]

    def _on_cancelled(self, message: Notification) -> list[Event]:
        cancelled = read_cancelled(message.params)
        if cancelled.request_id is UNSET:
            return [Ignored("notifications/cancelled without a request id")]
        exchange = self._exchanges.get(cancelled.request_id)
        if exchange is None or exchange.method == "initialize":
            return self._on_call_cancelled(cancelled.request_id, cancelled.reason)
        return [ExchangeCancelled(exchange, cancelled.reason, exchange.cancel())]

    def _on_call_cancelled(self, identity: int | str, reason: str | None) -> list[Event]:
        """Take a cancellation of our own request: a server ends `subscriptions/listen` this way."""
        call = self._calls.get(identity)
        if call is None or call.method != "subscriptions/listen":
            return [Ignored(f"cancellation of no open request: id {identity!r}")]
        self._take_call(identity)
        return [FailureReceived(call, 0, reason or "ended by the server", None)]

    def _on_progress(self, message: Notification) -> list[Event]:
        progress = read_progress(message.params)
        call = self._calls.get(progress.token)
        if call is None:
            return [Ignored(f"progress of no open request: token {progress.token!r}")]
        return [ProgressReceived(call, progress)]

    def _on_server_notification(self, message: Notification) -> list[Event]:
        """Take a server's notification: on a shared stream its `_meta` names the subscription."""
        identity = read_subscription(message.params)
        if identity is None:
            return [NotificationReceived(message.method, message.params)]
        call = self._calls.get(identity)
        if call is None or call.method != "subscriptions/listen":
            return [Ignored(f"{message.method} for no open subscription: id {identity!r}")]
        return [SubscriptionReceived(call, message.method, message.params)]

    def _on_failure(self, message: Failure) -> list[Event]:
        call = None if message.id is None else self._take_call(message.id)
        if call is None:
            flaw = f"{message.message} (code {message.code})"
            return [Ignored(f"an error that answers no open request: {flaw}")]
        return [FailureReceived(call, message.code, message.message, message.data)]

    def _on_batch(self, batch: Batch, about: Call | None) -> list[Event]:
        if self.terms is None or not self.terms.revision.batches:
            flaw = "batches are not part of this protocol revision"
            refused = Malformed(None, INVALID_REQUEST, flaw, head=batch.head)
            return self._on_malformed(addressed(refused, about, self._calls), None)
        if len(batch.items) > self._limits.in_flight:
            flaw = f"a batch of more than {self._limits.in_flight} messages"
            return self._refuse(None, LIMIT_EXCEEDED, flaw, None, None)
        answer = BatchAnswer()
        # One answer more is expected while the messages are read: else the first refusal would
        # complete the batch.
        answer.expect()
        events: list[Event] = []
        for message in batch.messages():
            events += self._on_message(message, answer)
        released = answer.settle(None)
        if released is not None:
            events.append(Reply(released))
        return without_given_up(events)

    def _refuse(
        self,
        identity: int | str | None,
        code: int,
        message: str,
        data: Any,
        batch: BatchAnswer | None,
    ) -> list[Event]:
        omit_id = self.terms is None or self.terms.revision.parse_error_omits_id
        limit = self._limits.message_bytes
        answer = fitting_failure(identity, code, message, data, omit_id=omit_id, limit=limit)
        if self.role is Role.CLIENT and self._is_stateless:
            # 2026-07-28: clients do not send responses.
            return [Ignored(f"not answered: {message}")]
        if batch is None:
            return [Reply(answer)]
        batch.expect()
        released = batch.settle(answer)
        return [] if released is None else [Reply(released)]

    @property
    def _is_stateless(self) -> bool:
        return self.terms is not None and self.terms.revision.era is Era.STATELESS

    # -- what goes out --------------------------------------------------------------------

    def call(
        self,
        method: str,
        params: Any,
        *,
        terms: Terms | None = None,
        progress: bool = False,
        owner: Any = None,
    ) -> tuple[Call, bytes]:
        """Open a request to the peer.

        Args:
            method: The method.
            params: A payload, a wire mapping, or None for none.
            terms: The terms of the request; the connection's terms by default.
            progress: Whether the peer should report progress.
            owner: An object of the driver, kept on the call.

        Returns:
            The open call and the bytes to send.

        Raises:
            RuntimeError: There are no terms yet.
        """
        terms = terms or self.terms
        if terms is None:
            raise RuntimeError("the connection has no terms yet: it is not set up")
        wire = self._wire(params, terms)
        call = Call(next(self._ids), method, terms, owner, wire)
        meta = ERAS[terms.revision.era].request_meta(terms)
        if progress:
            meta[PROGRESS_TOKEN] = call.id
        if meta or META in (wire or ()):
            wire = with_meta(wire, meta)
        data = encode_request(call.id, method, wire)
        self._calls[call.id] = call
        return call, data

    def notify(self, method: str, params: Any = None) -> bytes:
        """A notification to the peer that belongs to no exchange.

        Raises:
            LimitExceeded: It is longer than `Limits.message_bytes`.
        """
        wire = self._wire(params, self.terms or Terms(LATEST_HANDSHAKE))
        return fitting_notification(method, wire, self._limits.message_bytes)

    def cancel(self, call: Call, reason: str | None = None) -> bytes | None:
        """Give up a call and ignore its answer. Returns None when there is nothing to send."""
        self._calls.pop(call.id, None)
        if not call.move(ExchangeEvent.CANCEL) or call.method == "initialize":
            return None
        params = CancelledNotificationParams(call.id, reason)
        return encode_notification("notifications/cancelled", self._wire(params, call.terms))

    def lose_calls(self) -> list[Call]:
        """Close our calls, since no answer can arrive any more. Returns those without an answer."""
        calls = list(self._calls.values())
        self._calls.clear()
        for call in calls:
            call.move(ExchangeEvent.DROP)
        return calls

    def drop(self) -> None:
        """Close the peer's exchanges, since no answer can be sent any more."""
        for exchange in list(self._exchanges.values()):
            exchange.drop()

    def _wire(self, params: Any, terms: Terms) -> dict[str, Any] | None:
        if params is None or isinstance(params, dict):
            return params
        return codec_for(terms.revision).encode(params)

    # -- bookkeeping ----------------------------------------------------------------------

    @property
    def is_initialized(self) -> bool:
        """Whether the client has said that the handshake is complete (handshake era)."""
        return self.session is SessionState.READY

    @property
    def open_exchanges(self) -> int:
        """How many requests of the peer have no answer yet."""
        return len(self._exchanges)

    @property
    def open_calls(self) -> int:
        """How many requests to the peer have no answer yet."""
        return len(self._calls)

    def calls(self) -> Iterable[Call]:
        """The requests to the peer that have no answer yet."""
        return self._calls.values()

    def exchanges(self) -> Iterable[Exchange]:
        """The requests of the peer that have no answer yet."""
        return self._exchanges.values()

    def _forget(self, exchange: Exchange) -> None:
        del self._exchanges[exchange.id]

    def _take_call(self, identity: int | str) -> Call | None:
        call = self._calls.pop(identity, None)
        if call is not None:
            call.move(ExchangeEvent.ANSWER)
        return call
