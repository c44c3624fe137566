"""What a stream of messages deserves to hear of changes: a part of `wire_fuzz`."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, Final

import attrs

from tests.protocol.test_schemas import check, messages, validator
from trimcp.protocol import LATEST, META_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trimcp.protocol import Revision

Message = dict[str, Any]
RequestId = int | str

LISTEN: Final = "subscriptions/listen"
ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"
UPDATED: Final = "notifications/resources/updated"
SUBSCRIPTION: Final = META_PREFIX + "subscriptionId"


@attrs.define
class Listened:
    """What the requests of a stream ask to hear of.

    Attributes:
        valid: The filter of each `subscriptions/listen` that nothing is wrong with.
        asked: How many there are with this id, the wrong ones included.
        uris: What is subscribed to under this id; under None in the session.
        left: What the session's client does not want to hear of any more.
    """

    valid: dict[RequestId, Message] = attrs.field(factory=dict)
    asked: collections.Counter[RequestId] = attrs.field(factory=collections.Counter)
    uris: dict[RequestId | None, set[str]] = attrs.field(
        factory=lambda: collections.defaultdict(set)
    )
    left: set[str] = attrs.field(factory=set)

    def expect(self, message: Message, *, in_batch: bool) -> None:
        """Take a request of the stream."""
        method, identity = message["method"], message["id"]
        params = message.get("params")
        if method in ("resources/subscribe", "resources/unsubscribe"):
            uri = params.get("uri") if isinstance(params, dict) else None
            if isinstance(uri, str):
                (self.uris[None] if method == "resources/subscribe" else self.left).add(uri)
        if method != LISTEN:
            return
        self.asked[identity] += 1
        wanted = params.get("notifications") if isinstance(params, dict) else None
        uris = wanted.get("resourceSubscriptions") if isinstance(wanted, dict) else None
        if isinstance(uris, list):
            self.uris[identity].update(uri for uri in uris if isinstance(uri, str))
        if not in_batch and is_valid(message):
            self.valid[identity] = message["params"]["notifications"]


def is_valid(message: Message) -> bool:
    """Whether the published schema has nothing against it."""
    if not validator(LATEST, "SubscriptionsListenRequest").is_valid(message):
        return False
    version: str = message["params"]["_meta"][META_PREFIX + "protocolVersion"]
    return version == LATEST.date


def check_heard(
    output: Iterable[Message],
    listened: Listened,
    sure: set[RequestId],
    session: Revision | None,
    published: set[str],
) -> None:
    """Fail unless everybody heard what they asked for and nothing else.

    Args:
        output: The notifications that tell of changes, in order.
        listened: What was asked for.
        sure: The ids of which it is certain that they name one subscription, never cancelled.
        session: The revision of the session, if there is one.
        published: What changed at the end.
    """
    heard: dict[RequestId | None, list[Message]] = collections.defaultdict(list)
    for message in output:
        identity = message.get("params", {}).get("_meta", {}).get(SUBSCRIPTION)
        assert identity is not None or session is not None, message
        revision = LATEST if identity is not None or session is None else session
        check(revision, messages(revision, "ServerNotification")[message["method"]], message)
        heard[identity].append(message)
    for identity, told in heard.items():
        _check_one(identity, told, listened)
    for identity in sure & listened.valid.keys():
        granted = heard[identity][0]["params"]["notifications"]
        for uri in granted.get("resourceSubscriptions", ()):
            assert uri in published, uri
            assert uri in _uris(heard[identity]), f"{identity!r} did not hear of {uri}"


def _check_one(identity: RequestId | None, told: list[Message], listened: Listened) -> None:
    if identity is not None:
        assert told[0]["method"] == ACKNOWLEDGED, told
        count = sum(message["method"] == ACKNOWLEDGED for message in told)
        assert count <= listened.asked[identity], told
    for uri in _uris(told):
        assert uri in listened.uris[identity], told
    wanted = listened.valid.get(identity) if identity is not None else None
    if wanted is not None and listened.asked[identity] == 1:
        assert is_part(told[0]["params"]["notifications"], wanted)
        kinds = {message["method"] for message in told} - {ACKNOWLEDGED, UPDATED}
        assert kinds <= set(_lists(wanted)), told


def is_part(granted: Message, wanted: Message) -> bool:
    """Whether nothing was granted that was not asked for."""
    return all(
        set(value) <= set(wanted[key]) if isinstance(value, list) else wanted[key] is value is True
        for key, value in granted.items()
    )


def _uris(told: Iterable[Message]) -> set[str]:
    return {message["params"]["uri"] for message in told if message["method"] == UPDATED}


def _lists(wanted: Message) -> Iterator[str]:
    for kind in ("tools", "prompts", "resources"):
        if wanted.get(f"{kind}ListChanged"):
            yield f"notifications/{kind}/list_changed"


def tells_of_change(message: Message) -> bool:
    """Whether it is a notification that only subscribers hear."""
    method = message.get("method", "")
    return method in (ACKNOWLEDGED, UPDATED) or method.endswith("/list_changed")
