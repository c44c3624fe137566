"""What a server has to be like, seen from its wire and from its handlers.

The model knows nothing of how a server works. It follows what each client has said to it and what
it has said in return, in the order in which the server did: from that alone it is known which
requests are open, who is subscribed to what, and which questions wait. Both machines use it, the
one in memory and the one over HTTP.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from trimcp.errors import LIMIT_EXCEEDED, SHUTTING_DOWN

from .puppets import LIMITS, LINGER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimcp import Statistics

    from .puppets import Puppets

__all__ = [
    "Conversation",
    "Message",
    "Told",
    "abandoned",
    "check_bounds",
    "check_puppets",
    "expected_counts",
]

Message = dict[str, Any]

_SUBSCRIPTION: Final = "io.modelcontextprotocol/subscriptionId"
_RESOURCES: Final = "resourceSubscriptions"


def label_of(request: Message) -> str | None:
    """The label of the call that a request makes, if it calls a puppet."""
    label: str | None = request.get("params", {}).get("arguments", {}).get("label")
    return label


@attrs.define(eq=False)
class Conversation:
    """What a server has heard from one client, or in one request, and said to it.

    Attributes:
        open: The requests that were heard, by id, and are neither answered nor cancelled.
        answered: The ids of those that were answered.
        cancelled: The ids of those that were cancelled before they were answered.
        kept: The ids of those whose answer waits for a client that went away.
        unread: The ids of those that were sent when the server had stopped to read, or nearly so.
        asked: The server's own open requests, by id.
        is_session: Whether its client has finished a handshake.
        is_draining: Whether its server is being shut down.
        is_deaf: Whether something was said after all had been answered in a shutdown.
        uris: The resources to which its session is subscribed.
        listening: For each subscription of the stateless era, the resources.
        parked: See `Puppets`.
        flaws: What must not be.
    """

    parked: dict[str | None, float] = attrs.field(factory=dict)
    open: dict[Any, Message] = attrs.field(factory=dict)
    answered: set[Any] = attrs.field(factory=set)
    cancelled: set[Any] = attrs.field(factory=set)
    kept: set[Any] = attrs.field(factory=set)
    unread: set[Any] = attrs.field(factory=set)
    asked: dict[Any, Message] = attrs.field(factory=dict)
    is_session: bool = False
    is_draining: bool = False
    is_deaf: bool = False
    uris: set[str] = attrs.field(factory=set)
    listening: dict[Any, set[str]] = attrs.field(factory=dict)
    flaws: list[str] = attrs.field(factory=list)
    _tokens: dict[Any, Any] = attrs.field(factory=dict)

    @property
    def labels(self) -> set[str | None]:
        """The labels of the calls that are open."""
        return {label_of(each) for each in self.open.values()}

    # -- what the server hears ------------------------------------------------------------------

    def hear(self, message: Message) -> None:
        """The client has said something."""
        if self.is_draining and not self.open:
            # All is answered: the server reads no more, and ends the connection.
            self.is_deaf = True
            if "method" in message:
                self.unread.add(message.get("id"))
            return
        method, identity = message.get("method"), message.get("id")
        params = message.get("params", {})
        if method is None:
            self.asked.pop(identity, None)
        elif identity is not None:
            self.open[identity] = message
            token = params.get("_meta", {}).get("progressToken")
            if token is not None:
                self._tokens[token] = identity
        elif method == "notifications/cancelled":
            self._drop(params["requestId"])
        elif method == "notifications/initialized":
            self.is_session = True

    def _drop(self, identity: Any) -> None:
        request = self.open.pop(identity, None)
        if request is not None:
            self.cancelled.add(identity)
            self.listening.pop(identity, None)
            self.parked.pop(label_of(request), None)

    def leave(self) -> None:
        """The client is gone. Its session stays until everything in it has ended."""
        for identity in list(self.open):
            self._drop(identity)
        self.asked.clear()

    def forget(self, identity: Any) -> None:
        """Nobody waits for the answer to that request any more."""
        if self.open.pop(identity, None) is not None:
            self.listening.pop(identity, None)

    def has_cancelled(self, progress: Message) -> bool:
        """Whether progress is about a request that was cancelled."""
        return self._tokens.get(progress["progressToken"]) in self.cancelled

    # -- what the server says -------------------------------------------------------------------

    def say(self, message: Message) -> None:
        """The server has said something."""
        method, identity = message.get("method"), message.get("id")
        if method is None:
            self._answer(identity, message)
        elif identity is not None:
            self.asked[identity] = message
        else:
            self._notify(method, message.get("params", {}))

    def _answer(self, identity: Any, message: Message) -> None:
        request = self.open.pop(identity, None)
        if request is None and identity in self.kept:
            self.kept.discard(identity)
            self.answered.add(identity)
            return
        if request is None and _is_refusal(message) and identity in self.cancelled | self.unread:
            # It was decided when the request was read, perhaps together with what came after it, or
            # with what ended the reading.
            self.cancelled.discard(identity)
            self.unread.discard(identity)
            self.answered.add(identity)
            return
        if request is None:
            what = "answered twice" if identity in self.answered else "answered"
            gone = " although it was cancelled" if identity in self.cancelled else ""
            self.flaws.append(f"{identity} is {what}{gone}: {message}")
            return
        self.answered.add(identity)
        self.listening.pop(identity, None)
        if "result" in message:
            if "requestState" in message["result"]:
                self.parked[label_of(request)] = trio.current_time()
            else:
                self.parked.pop(label_of(request), None)
            uri = request.get("params", {}).get("uri")
            if request["method"] == "resources/subscribe":
                self.uris.add(uri)
            elif request["method"] == "resources/unsubscribe":
                self.uris.discard(uri)

    def _notify(self, method: str, params: Message) -> None:
        if method == "notifications/cancelled":
            identity = params["requestId"]
            if self.asked.pop(identity, None) is None and identity not in self.answered:
                self.flaws.append(f"the server cancels {identity}, which is not its own")
            return
        about = params.get("_meta", {}).get(_SUBSCRIPTION)
        if method == "notifications/progress":
            about = self._tokens.get(params["progressToken"], "nothing")
        elif method == "notifications/subscriptions/acknowledged":
            granted = params["notifications"].get(_RESOURCES, ())
            self.listening[about] = set(granted)
        if about is not None and about not in self.open and about not in self.kept:
            self.flaws.append(f"{method} about {about}, which is over")


def _is_refusal(answer: Message) -> bool:
    """Whether a request was not begun with."""
    return answer.get("error", {}).get("code") in (SHUTTING_DOWN, LIMIT_EXCEEDED)


class Told:
    """What a subscriber was told of changes.

    Attributes:
        owed: The changes that it was not told of yet.
    """

    def __init__(self) -> None:
        self.owed: set[str] = set()
        self._happened: collections.Counter[str] = collections.Counter()
        self._heard: collections.Counter[str] = collections.Counter()

    def happen(self, change: str, *, is_owed: bool) -> None:
        """Something has changed that it has asked for."""
        self._happened[change] += 1
        if is_owed:
            self.owed.add(change)

    def hear(self, change: str) -> None:
        """It was told. Equal changes may have become one."""
        self._heard[change] += 1
        self.owed.discard(change)

    @property
    def flaws(self) -> list[str]:
        """What it was told without a reason."""
        return [
            f"told {count} times of {change}"
            for change, count in self._heard.items()
            if count > self._happened[change]
        ]


# -- what must hold ---------------------------------------------------------------------------


def check_puppets(puppets: Puppets, conversations: Iterable[Conversation], now: float) -> None:
    """Each handler that has not ended has a reason: nothing of it outlives its request."""
    assert puppets.flaws == []
    wanted: set[str | None] = set()
    for conversation in conversations:
        assert not conversation.flaws, conversation.flaws
        wanted |= conversation.labels
    for puppet in puppets.living:
        if puppet.leaving_since is not None:
            assert puppet.lingers, f"{puppet.label} is stuck in its finally"
            assert now < puppet.leaving_since + LINGER, f"{puppet.label} cleans up for too long"
        elif puppet.label not in wanted:
            is_parked = puppet.is_stateless and (
                puppet.asking or puppet.label in puppets.between_rounds(now)
            )
            assert is_parked or puppet.is_shielded(now), (
                f"{puppet.label} goes on although its request is over"
            )
    for kept, puppet in list(puppets.alive.items()):
        assert not puppet.has_ended, f"a reference cycle keeps what {puppet.label} held"
        del kept


def abandoned(puppets: Puppets, conversations: Iterable[Conversation]) -> list[str]:
    """The labels of tools that go on in their threads although their call is over."""
    wanted = {label for talk in conversations for label in talk.labels}
    return [label for label in puppets.counted if label not in wanted]


def expected_counts(
    puppets: Puppets,
    conversations: Iterable[Conversation],
    now: Statistics,
    counts: dict[str, int],
    time: float,
) -> Statistics:
    """The server's numbers, as they follow from the wire and from its handlers.

    Args:
        puppets: The handlers.
        conversations: Those that are not over.
        now: The server's own, from which the bytes are taken.
        counts: The numbers of connections, sessions and HTTP requests.
        time: The virtual time.
    """
    talks = list(conversations)
    listening = [uris for talk in talks for uris in talk.listening.values()]
    subscribed = [talk.uris for talk in talks if talk.is_session] + listening
    asking = {each.label for each in puppets.working if each.is_stateless and each.asking}
    parked = len(asking)
    # One that was parked and is cancelled may count until it has cleaned up, and one whose
    # questions are over until its client comes back, even if it has ended.
    unsure: set[str | None] = {
        each.label
        for each in puppets.living
        if each.is_stateless and (each.is_leaving or each.is_shielded(time))
    }
    unsure = (unsure | puppets.between_rounds(time)) - asking
    expected = {
        "in_flight": sum(len(talk.open) for talk in talks),
        # In a shutdown the answer to a question that is left cannot arrive any more.
        "questions": sum(len(talk.asked) for talk in talks if talk.open or not talk.is_draining),
        "notifications": len(puppets.notices),
        "parked": min(max(now.parked, parked), parked + len(unsure)),
        "subscribers": len(subscribed),
        "subscribed_uris": sum(map(len, subscribed)),
        "outbox_bytes": 0,
        "unsent": 0,
        "pending_changes": 0,
        "threads": len(puppets.counted),
        "abandoned_threads": len(abandoned(puppets, talks)),
    }
    return attrs.evolve(now, **(expected | counts))


def check_bounds(now: Statistics, connections: int) -> None:
    """No number is above its bound."""
    assert now.in_flight <= LIMITS.in_flight * connections
    assert now.notifications <= LIMITS.in_flight * (connections + 1)
    assert now.parked <= LIMITS.parked
    assert now.abandoned_threads <= now.threads <= LIMITS.threads
    assert now.subscribers <= LIMITS.subscribers
    assert now.subscribed_uris <= LIMITS.subscribed_uris * LIMITS.subscribers
    assert now.http_sessions <= LIMITS.http_sessions
    assert now.buffered_bytes >= 0
