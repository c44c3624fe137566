"""One POST, one exchange: the stateless era of Streamable HTTP, and clients without a session.

Specification: 2026-07-28, Streamable HTTP.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

from trimcp.protocol import (
    ASSUMED,
    Connection,
    Exchange,
    Rejected,
    Reply,
    RequestReceived,
    Role,
    Terms,
    encode_failure,
    find_revision,
)
from trimcp.protocol.http import (
    PROTOCOL_VERSION,
    check_request,
    check_version,
    encode_event,
    status_of,
)
from trimcp.runtime import Peer, Round, holding

from ._asgi import disconnect_of
from ._keepalive import watch_sleep
from ._lent import answer_within, lent_scope
from ._visits import Refused

if TYPE_CHECKING:
    from trimcp.protocol import Notification, Request, Revision

    from ._visits import Visit

__all__ = ["answer_alone", "answer_request", "revision_of", "take_notification"]


async def answer_request(visit: Visit, request: Request, *, keepalive: float) -> None:
    """Answer one request, with a JSON object or a stream of events that ends with the answer.

    The stream opens with the first message that is not the answer. When the client goes away,
    the handler is cancelled.

    Args:
        visit: The POST.
        request: Its body.
        keepalive: Seconds of silence after which a comment is sent.
    """
    application = visit.application
    try:
        terms, token = check_request(visit.headers, request)
    except Rejected as error:
        await _refuse(visit, request, error)
        return
    if visit.http.principal is not None:
        visit.check_scopes(request)
    exchange = Exchange.alone(request, terms, token, application.stamp, application.limits)
    await RequestPeer(visit, exchange).answer(keepalive)


async def answer_alone(visit: Visit, request: Request, *, keepalive: float) -> None:
    """Answer a request of the handshake era that belongs to no session.

    It can be answered by any process. What its client declared in the handshake, if there was
    one, nobody knows here, so handlers cannot ask it. Raises Refused (400), Denied.

    Specification: 2025-11-25, Streamable HTTP, Session Management (sessions are optional).
    """
    if visit.http.principal is not None:
        visit.check_scopes(request)
    application = visit.application
    identity, limits = application.identity, application.limits
    connection = Connection(Role.SERVER, identity, limits, stamp=application.stamp)
    if request.method != "initialize":
        connection.assume(Terms(revision_of(visit) or ASSUMED))
    for event in connection.take(request):
        if isinstance(event, RequestReceived):
            await RequestPeer(visit, event.exchange, connection).answer(keepalive)
        elif isinstance(event, Reply):
            await visit.response.json(400, event.data)


async def take_notification(visit: Visit, notification: Notification) -> None:
    """Accept a notification that belongs to no session; those of extensions are handled."""
    visit.application.notified(None, notification.method, notification.params)
    await visit.response.whole(202)


def revision_of(visit: Visit) -> Revision | None:
    """The revision in the version header of a handshake-era request. Raises Refused (400)."""
    try:
        check_version(visit.headers)
    except Rejected as error:
        raise Refused(400, error.message, code=error.code, data=error.data) from None
    return find_revision(visit.headers.get(PROTOCOL_VERSION, ""))


async def _refuse(visit: Visit, request: Request, error: Rejected) -> None:
    body = encode_failure(request.id, error.code, error.message, error.data, omit_id=True)
    await visit.response.json(status_of(error.code), body)


class RequestPeer(Peer):
    """The client of one POST.

    What a handler sends is written in the handler's own task, so the handler is only as fast as its
    client reads.

    Args:
        visit: The POST.
        exchange: Its request.
        connection: The protocol's state, if the request is of the handshake era.
    """

    def __init__(
        self, visit: Visit, exchange: Exchange, connection: Connection | None = None
    ) -> None:
        application = visit.application
        super().__init__(connection, application, application.budget, visit.at_drain)
        self.http = visit.http
        self.principal = visit.http.principal
        self._responder = application
        self._visit = visit
        self._exchange = exchange

    async def answer(self, keepalive: float) -> None:
        """Run the handler of the exchange until it has answered or the client is gone."""
        visit = self._visit
        # From now on only the params are held, not the whole body.
        visit.release_body()
        round_ = Round(self, self._exchange)
        lent = lent_scope(visit)
        visit.scope = round_.scope = lent or trio.CancelScope()
        if visit.deadline != math.inf:
            visit.scope.deadline = visit.deadline
        at_gone = disconnect_of(visit.http.scope)
        if at_gone is None:
            await self._answer_watched(round_, keepalive)
            return
        # The same without a separate task and nursery, which cost as much as a small handler.
        watch_sleep(visit, keepalive)
        at_gone.add(self._client_gone)
        try:
            if lent is None:
                await round_.answer(self._responder)
            else:
                await answer_within(lent, visit, round_, self._responder)
        finally:
            at_gone.discard(self._client_gone)

    async def _answer_watched(self, round_: Round, keepalive: float) -> None:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await self._visit.wait_gone(keepalive)
                self._client_gone()

            nursery.start_soon(watch)
            await round_.answer(self._responder)
            nursery.cancel_scope.cancel(reason="answered")

    def _client_gone(self) -> None:
        # Nothing more may be sent for it, whatever the handler does while it is cleaning up.
        self._exchange.drop()
        self._exchange.owner.cancel("the client went away")

    async def send(self, data: bytes | None) -> None:
        if data:
            await self._visit.response.event(data)
        else:
            await trio.lowlevel.checkpoint()

    def send_nowait(self, data: bytes | None) -> None:
        """Do nothing: writing a response may wait, and its connection is ending."""

    async def finish(self, data: bytes | None, exchange: Exchange) -> None:
        response = self._visit.response
        if data is None:
            return
        with holding(self.budget, data, exchange) as answer:
            if response.is_stream:
                await response.write(encode_event(answer), more=False)
            else:
                await response.json(self._status(), answer)

    def finish_nowait(self, data: bytes | None) -> None:
        """Do nothing: writing a response may wait, and its connection is ending."""

    def _status(self) -> int:
        exchange = self._exchange
        if exchange.failure is None or not exchange.terms.revision.mirrors:
            return 200
        return status_of(exchange.failure, by_handler=exchange.by_handler)
