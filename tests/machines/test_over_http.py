"""Guarantees 10, 12, 21 to 24, over HTTP: the same server behind its ASGI application.

Requests of the stateless era stand alone, and sessions of the handshake era come and go beside
them. A client may go away in the middle of each response, come back for the rest of it, end its
session, answer questions or not; the server may be shut down or killed and started again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
import trio
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.http.harness import mirrored, request
from trimcp.protocol.http import SSEDecoder

from .base import SCHEDULES, TOOLS, ServerMachine, among, steps
from .model import Conversation, Message, Told, label_of
from .puppets import LIMITS, NOTICE, URIS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REVISIONS: Final = ("2025-11-25", "2025-06-18")

_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
_ANSWERS: Final[Message] = {_CAPABILITIES: {"elicitation": {}}}
_UPDATED: Final = "notifications/resources/updated"

#: Requests at a time.
_MOST: Final = 8


@attrs.define(eq=False)
class Visited:
    """A session.

    Attributes:
        name: Its name here.
        id: Its name for the server.
        conversation: What is heard and said in it.
        events: What was sent of its streams, by the ids of the events.
        is_ended: Whether its client has ended it.
        is_over: Whether nothing of it is left.
    """

    name: str
    revision: str
    id: str = ""
    conversation: Conversation = attrs.field(factory=Conversation)
    events: dict[str, bytes] = attrs.field(factory=dict)
    is_ended: bool = False
    is_over: bool = False

    def headers(self) -> dict[str, str]:
        return {"mcp-session-id": self.id, "mcp-protocol-version": self.revision}


class Visit:
    """One HTTP request to the application, and what it answers.

    Args:
        name: Its name.
        verb: The method of HTTP.
        message: What is posted, if anything is.
        session: The session to which it belongs; none for the stateless era.
        parked: See `Conversation`.
        headers: More headers.

    Attributes:
        status: The status of the answer; 0 until there is one.
        headers: The headers of the answer.
        said: The messages in it.
        was_left: Whether the client has gone away.
        is_over: Whether the application has returned.
    """

    def __init__(
        self,
        name: str,
        verb: str,
        message: Message | None,
        session: Visited | None = None,
        *,
        parked: dict[str | None, float],
        **headers: str,
    ) -> None:
        self.name = name
        self.message = message or {}
        self.session = session
        self.conversation = Conversation(parked) if session is None else session.conversation
        self.told = Told()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.said: list[Message] = []
        self.was_left = self.is_over = self.is_whole = False
        self._resumes = "last-event-id" in headers
        self.decoder = SSEDecoder(1 << 20)
        self._body = b"" if message is None else json.dumps(message).encode()
        self._gone = trio.Event()
        self._has_read = False
        sent = {
            "host": "localhost",
            "content-type": "application/json",
            "accept": "text/event-stream"
            if verb == "GET"
            else "application/json, text/event-stream",
            **(mirrored(self.message) if session is None else session.headers()),
            **headers,
        }
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": verb,
            "scheme": "http",
            "path": "/mcp",
            "raw_path": b"/mcp",
            "query_string": b"",
            "root_path": "",
            "headers": [(each.encode(), value.encode()) for each, value in sent.items() if value],
            "client": ("127.0.0.1", 5),
            "server": ("localhost", 80),
            "state": {},
        }

    @property
    def label(self) -> str | None:
        """The call that it makes, or its notification."""
        label: str | None = self.message.get("params", {}).get("label")
        return label_of(self.message) or label

    async def run(self, application: Any) -> None:
        if self.message:
            self.conversation.hear(self.message)
        try:
            await application(self.scope, self._receive, self._send)
        finally:
            self.is_over = True
            is_refused = self.status not in (200, 202) and not self.was_left
            if self.session is None or is_refused:
                self.conversation.forget(self.message.get("id"))

    async def _receive(self) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        if not self._has_read:
            self._has_read = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, event: dict[str, Any]) -> None:
        await trio.lowlevel.checkpoint()
        if event["type"] == "http.response.start":
            self.status = event["status"]
            self.headers = {k.decode().lower(): v.decode() for k, v in event["headers"]}
            return
        if self.is_whole:
            self.conversation.flaws.append(f"{self.name}: something follows the end")
        self.is_whole = not event.get("more_body", False)
        if self.was_left:
            return  # nobody reads it
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            for each in self.decoder.feed(bytes(event.get("body", b""))):
                self._take(each.data, each.id)
        elif self.status == 200 and event.get("body"):
            self._say(json.loads(event["body"]))

    def _take(self, data: Any, id: str) -> None:
        """An event. What is sent again must be what was sent before, and says nothing new."""
        if not data:
            return
        raw = data if isinstance(data, bytes) else data.encode()
        if self.session is not None and id:
            known = self.session.events.setdefault(id, raw)
            if known is not raw:
                if known != raw:
                    self.conversation.flaws.append(f"another event {id}: {raw!r}")
                return
        self._say(json.loads(raw))

    def _say(self, message: Message) -> None:
        self.said.append(message)
        method, params = message.get("method", ""), message.get("params", {})
        is_late = (
            method == "notifications/progress" and self.conversation.has_cancelled(params)
        ) or (
            method == "notifications/cancelled"
            and params["requestId"] not in self.conversation.asked
        )
        if not (is_late and self._resumes):
            # Else it was kept for a client that had gone away, before the request was cancelled,
            # or the question was answered.
            self.conversation.say(message)
        if self.session is not None:
            return
        if method == _UPDATED:
            self.told.hear(params["uri"])
        elif method == "notifications/tools/list_changed":
            self.told.hear(TOOLS)

    def leave(self) -> None:
        """The client goes away. Of a stateless request nothing may be said any more."""
        self.was_left = True
        if self.session is None:
            self.conversation.leave()
        self._gone.set()


class OverHTTP(ServerMachine):
    """What an HTTP application and its clients may do to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.application: Any = self.puppets.server.http_app()
        self.visits: dict[str, Visit] = {}
        self.sessions: dict[str, Visited] = {}
        self._numbers = iter(range(1, 1000))

    # -- for the base ---------------------------------------------------------------------------

    def conversations(self) -> Iterable[Conversation]:
        alone = [each.conversation for each in self.open_visits() if each.session is None]
        found = [each.conversation for each in self.sessions.values() if not each.is_over]
        return alone + found

    def open_visits(self) -> list[Visit]:
        """Requests that the application has not finished."""
        return [each for each in self.visits.values() if not each.is_over]

    def listeners(self) -> list[Visit]:
        return [each for each in self.open_visits() if each.conversation.listening]

    def subscribers(self) -> Iterator[tuple[Told, str, bool]]:
        for each in self.visits.values():
            if each.message.get("method") == "subscriptions/listen":
                wanted = each.message["params"]["notifications"]
                is_owed = bool(each.conversation.listening) and not each.is_over
                for uri in wanted.get("resourceSubscriptions", ()):
                    yield each.told, uri, is_owed
                if wanted.get("toolsListChanged"):
                    yield each.told, TOOLS, is_owed

    def counts(self) -> dict[str, int]:
        """Requests that stand alone have no connection whose exchanges are counted."""
        sessions = [each for each in self.sessions.values() if not each.is_over]
        now = self.puppets.server.statistics()
        in_flight = sum(len(each.conversation.open) for each in sessions)
        # In a session that was ended, what still cleans up may count.
        leaving = sum(
            each.is_leaving or each.is_shielded(self.host.now)
            for each in self.puppets.living
            if not each.is_stateless
        )
        return {
            "connections": 0,
            "http_requests": len(self.open_visits()),
            "http_sessions": len(sessions),
            # A question may wait for a client that has gone away.
            "questions": sum(
                len(each.asking) for each in self.puppets.working if not each.is_stateless
            ),
            # What is said outside of calls waits for a reader, up to a bound of its own.
            "outbox_bytes": now.outbox_bytes,
            # A session that was ended and still cleans up is told of nothing any more.
            "pending_changes": now.pending_changes if any(e.is_ended for e in sessions) else 0,
            "in_flight": min(max(now.in_flight, in_flight), in_flight + leaving),
        }

    def is_idle(self) -> bool:
        return not self.open_visits() and all(each.is_over for each in self.sessions.values())

    def can_ask(self, label: str) -> bool:
        return True

    # -- names ----------------------------------------------------------------------------------

    def open_names(self) -> list[str]:
        return [each.name for each in self.open_visits()]

    def open_sessions(self) -> list[str]:
        return [name for name, each in self.sessions.items() if not (each.is_ended or each.is_over)]

    @property
    def has_room(self) -> bool:
        """Whether a new session need not wait for one that cleans up, and is told of changes."""
        taken = sum(not each.is_over for each in self.sessions.values())
        told = taken + len(self.listeners())
        return taken < LIMITS.http_sessions and told < LIMITS.subscribers

    def asked(self) -> list[str]:
        """Sessions whose client is asked something."""
        return [name for name in self.open_sessions() if self.sessions[name].conversation.asked]

    def returned(self) -> list[str]:
        """Answered requests that ask for another round."""
        return [
            name
            for name, each in self.visits.items()
            if each.is_over and each.said and "requestState" in each.said[-1].get("result", {})
        ]

    def resumable(self) -> list[str]:
        """Responses of sessions that were left after an event."""
        return [
            name
            for name, each in self.visits.items()
            if each.was_left and each.session and not each.session.is_over and each.decoder.last_id
        ]

    # -- requests -------------------------------------------------------------------------------

    def _visit(
        self,
        verb: str,
        message: Message | None,
        session: Visited | None = None,
        **headers: str,
    ) -> Visit:
        name = f"visit{len(self.visits) + 1}"
        visit = self.visits[name] = Visit(
            name, verb, message, session, parked=self.puppets.parked, **headers
        )
        self.host.call(self.doors.start_soon, visit.run, self.application)
        self.settle()
        return visit

    def settle(self) -> None:
        """What a handler of a session said after its client had gone is kept, and not sent."""
        for session in self.sessions.values():
            talk = session.conversation
            for identity, message in list(talk.open.items()):
                puppet = self.puppets.running.get(label_of(message) or "")
                [visit] = [each for each in self.visits.values() if each.message is message]
                if puppet is not None and puppet.has_ended and visit.was_left:
                    talk.forget(identity)
                    talk.kept.add(identity)
            working = [each.label for each in self.puppets.living] + list(self.puppets.notices)
            mine = [label for label in working if self._is_in(label, session)]
            is_ending = session.is_ended or (talk.is_draining and not talk.open)
            if not self.is_up or (is_ending and not mine):
                session.is_over = True

    def _is_in(self, label: str, session: Visited) -> bool:
        """Whether something was asked for in a session."""
        return any(each.label == label and each.session is session for each in self.visits.values())

    @initialize(schedule=SCHEDULES, sessions=st.integers(0, 2))
    def begin(self, schedule: int, sessions: int) -> None:
        self.begin_with(schedule)
        for number in range(sessions):
            self.open_session(REVISIONS[number % 2])
            self.call(self.open_sessions()[-1], "work", "report")

    @precondition(lambda self: self.is_serving and self.has_room)
    @rule(revision=st.sampled_from(REVISIONS))
    def open_session(self, revision: str) -> None:
        name = f"session{len(self.sessions) + 1}"
        session = Visited(name, revision)
        params = {
            "protocolVersion": revision,
            "capabilities": {"elicitation": {}},
            "clientInfo": {"name": "machine", "version": "1"},
        }
        message = {"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params}
        session.revision = ""
        visit = self._visit("POST", message, session)
        assert visit.status == 200
        session.id, session.revision = visit.headers["mcp-session-id"], revision
        self.sessions[name] = session
        initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert self._visit("POST", initialized, session).status == 202

    @precondition(lambda self: self.is_up and not self.is_ending and self.open_sessions())
    @rule(name=among(lambda self: self.open_sessions()))
    def end_session(self, name: str) -> None:
        """Its client ends it."""
        session = self.sessions[name]
        visit = self._visit("DELETE", None, session)
        if visit.status != 204:
            assert not self.is_serving
            return
        session.is_ended = True
        assert self._visit("GET", None, session).status == (404 if self.is_serving else 503)
        # What is open is answered once more: that the session has ended.
        session.conversation.kept.update(session.conversation.open)
        for identity in list(session.conversation.open):
            session.conversation.forget(identity)
        session.conversation.asked.clear()

    def _request(self, by: str, method: str, params: Message, **meta: Any) -> Visit:
        """A request, alone or in a session."""
        number = next(self._numbers)
        if by == "alone":
            return self._visit("POST", request(method, params, id=number, **_ANSWERS, **meta))
        if meta:
            params = {**params, "_meta": meta}
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        return self._visit("POST", message, self.sessions[by])

    @precondition(lambda self: self.is_serving and len(self.open_visits()) < _MOST)
    @rule(
        by=among(lambda self: ["alone", *self.open_sessions()]),
        tool=st.sampled_from(["work", "work", "stream", "think"]),
        first=st.sampled_from(["", "report", "ask", "ask", "ask aside", "chunk", "linger", "defy"]),
    )
    def call(self, by: str, tool: str, first: str) -> None:
        label = f"call{next(self._numbers)}"
        arguments = {"name": tool, "arguments": {"label": label}}
        self._request(by, "tools/call", arguments, progressToken=label)
        if label in self.labels() and first:
            self._tell(label, first)

    @precondition(lambda self: self.is_serving and len(self.open_visits()) < _MOST)
    @rule(uris=st.sampled_from([(), URIS[:1], URIS]))
    def listen(self, uris: tuple[str, ...]) -> None:
        wanted = {"resourceSubscriptions": list(uris), "toolsListChanged": True}
        self._request("alone", "subscriptions/listen", {"notifications": wanted})

    @precondition(lambda self: self.is_serving and self.open_sessions())
    @rule(
        name=among(lambda self: self.open_sessions()),
        uri=st.sampled_from(URIS),
        verb=st.sampled_from(["subscribe", "unsubscribe"]),
    )
    def subscribe(self, name: str, uri: str, verb: str) -> None:
        visit = self._request(name, f"resources/{verb}", {"uri": uri})
        assert visit.is_over or not self.is_serving

    @precondition(lambda self: self.open_names())
    @rule(name=among(lambda self: self.open_names()))
    def leave(self, name: str) -> None:
        """A client goes away in the middle of an answer."""
        visit = self.visits[name]
        self.host.call(visit.leave)
        puppet = self.puppets.running.get(visit.label or "")
        if visit.session is None and puppet is not None and not puppet.asking:
            is_shielded = puppet.is_shielded(self.host.now)
            assert puppet.leaving_since is not None or is_shielded, f"{visit.label} goes on"
        self.settle()

    @precondition(lambda self: self.is_serving and self.open_sessions())
    @rule(name=among(lambda self: self.open_sessions()), number=st.integers(0, 5))
    def cancel(self, name: str, number: int) -> None:
        """A client of a session cancels a request."""
        session = self.sessions[name]
        ids = [each for each in session.conversation.open if each != "init"]
        identity = ids[number % len(ids)] if ids else number
        params = {"requestId": identity}
        message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
        assert self._visit("POST", message, session).status == 202
        self.settle()

    @precondition(lambda self: self.is_serving and self.resumable())
    @rule(name=among(lambda self: self.resumable()))
    def resume(self, name: str) -> None:
        """A client asks for the rest of an answer."""
        left = self.visits[name]
        self._visit("GET", None, left.session, **{"last-event-id": left.decoder.last_id})

    @precondition(lambda self: self.is_serving and self.open_sessions())
    @rule(name=among(lambda self: self.open_sessions()))
    def stand_by(self, name: str) -> None:
        """A client takes what is said in its session outside of calls."""
        self._visit("GET", None, self.sessions[name])

    # -- questions ------------------------------------------------------------------------------

    @precondition(lambda self: self.is_serving and self.asked())
    @rule(name=among(lambda self: self.asked()), accepts=st.sampled_from([True, True, False]))
    def answer(self, name: str, accepts: bool) -> None:
        """A client of a session answers the oldest question."""
        session = self.sessions[name]
        identity, asked = next(iter(session.conversation.asked.items()))
        result = _answer(asked["params"], accepts)
        message = {"jsonrpc": "2.0", "id": identity, "result": result}
        assert self._visit("POST", message, session).status == 202

    @precondition(lambda self: self.is_serving and self.returned())
    @rule(name=among(lambda self: self.returned()), accepts=st.sampled_from([True, True, False]))
    def retry(self, name: str, accepts: bool) -> None:
        """The answers to the questions of a stateless request, for the first or another time."""
        visit = self.visits[name]
        asked = visit.said[-1]["result"]
        answers = {
            key: _answer(each["params"], accepts) for key, each in asked["inputRequests"].items()
        }
        params = {
            "name": visit.message["params"]["name"],
            "arguments": visit.message["params"]["arguments"],
            "requestState": asked["requestState"],
            "inputResponses": answers,
        }
        self._request("alone", "tools/call", params, progressToken=visit.label)

    @precondition(lambda self: self.is_serving)
    @rule(by=among(lambda self: ["alone", *self.open_sessions()]))
    def notify(self, by: str) -> None:
        params = {"label": f"notice{next(self._numbers)}"}
        message: Message = {"jsonrpc": "2.0", "method": NOTICE, "params": params}
        session = None if by == "alone" else self.sessions[by]
        self._visit("POST", message, session)

    # -- what must hold -------------------------------------------------------------------------

    def clients_are_well_served(self) -> None:
        for visit in self.visits.values():
            assert visit.told.flaws == []
            if visit.is_over:
                assert visit.was_left or visit.is_whole or self.has_been_down
                assert visit.status or visit.was_left or self.has_been_down
        for visit in self.listeners():
            assert not visit.told.owed or self.is_ending, f"{visit.name} is not told"

    def end(self) -> None:
        """Everyone goes away; then nothing is left."""
        for name in self.open_names():
            self.leave(name)
        self.host.pass_time(5)
        self.check()
        if self.is_serving:
            for name in self.open_sessions():
                self.end_session(name)
            self.host.pass_time(LIMITS.parked_seconds + 5)
            self.check()
            assert self.puppets.living == []
        if self.is_up:
            self.kill()
            self.host.pass_time(5)
        assert not self.is_up
        self.a_shutdown_ends()


def _answer(params: Message, accepts: bool) -> Message:
    """The answer of a client to a form."""
    if not accepts:
        return {"action": "decline"}
    return {"action": "accept", "content": {"text": params["message"]}}


#: A failure is made as short as possible before it is shown.
pytestmark = pytest.mark.timeout(1200)

TestOverHTTP = OverHTTP.TestCase
TestOverHTTP.settings = steps(50)
