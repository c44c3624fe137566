"""One row of facts per protocol revision.

Everything that differs between revisions and needs no code of its own is a column here, so that no
other code compares dates. The rows are taken from the five published schemas; where a column
differs from one revision to the next, the schema's changelog says so.
"""

import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from trimcp import types as t
from trimcp.errors import INTERNAL_ERROR, INVALID_PARAMS


class Era(enum.Enum):
    """The two forms of the protocol: with a session that a handshake opens, or stateless."""

    HANDSHAKE = "handshake"
    STATELESS = "stateless"

    # The hash of `enum.Enum` is a Python function, and an era is looked up for each answer.
    __hash__ = object.__hash__


@attrs.frozen
class Method:
    """A request method.

    Args:
        name: The method's name on the wire.
        params: A payload class or a union of them, as `Codec.decode` takes it; None if the
            method has no params besides `_meta`.
        result: A payload class or a union of them.
    """

    name: str
    params: Any
    result: Any


_RESOURCE_NOT_FOUND: Final = -32002
_URL_ELICITATION_REQUIRED: Final = -32042


@attrs.frozen(eq=False)
class Revision:
    """The facts about one revision.

    Args:
        date: The revision's name.
        era: Which of the two eras it belongs to.
        batches: JSON-RPC batches are part of it.
        parse_error_omits_id: An error response may lack an `id`; elsewhere it must be null.
        structured_any: `structuredContent` may be any JSON value and `outputSchema` any schema;
            elsewhere both are about objects.
        polling: On HTTP, a server may close a stream after its first event, and the client asks for
            the rest later.
        content_lists: The content of a sampling message may be a list of blocks.
        choice_lists: A form may have properties that are lists of choices.
        version_header: On HTTP every request names the revision in a header.
        mirrored_headers: On HTTP headers repeat parts of the body.
        resource_not_found: The error code for an unknown resource.
        url_elicitation_required: The error code that sends the user to a URL, if there is one.
        reserved_codes: Error codes that only the protocol itself may use, never a handler.
        client_requests: Requests from client to server, by method name.
        server_requests: Requests from server to client, by method name.
        input_requests: Requests that an `InputRequiredResult` may contain.
        client_notifications: The params class, or None, of each notification from the client, by
            method name.
        server_notifications: The same for notifications from the server.
        multi_round: Methods that may answer with an `InputRequiredResult`.
        cacheable: Methods whose results must carry cache hints.
        hidden: Fields that this revision does not know, by payload class.
        required: Fields that are optional in the vocabulary and required here.
        unknown_content: Content classes that this revision does not know.
    """

    date: str
    era: Era
    batches: bool
    parse_error_omits_id: bool
    structured_any: bool
    polling: bool
    content_lists: bool
    choice_lists: bool
    version_header: bool
    mirrored_headers: bool
    resource_not_found: int
    url_elicitation_required: int | None
    reserved_codes: range
    client_requests: Mapping[str, Method]
    server_requests: Mapping[str, Method]
    input_requests: Mapping[str, Method]
    client_notifications: Mapping[str, type | None]
    server_notifications: Mapping[str, type | None]
    multi_round: frozenset[str]
    cacheable: frozenset[str]
    hidden: Mapping[type, frozenset[str]]
    required: Mapping[type, frozenset[str]]
    unknown_content: frozenset[type]

    @property
    def mirrors(self) -> bool:
        """Whether HTTP headers repeat what a request says."""
        return self.era is Era.STATELESS

    def code_of_handler(self, code: int) -> int:
        """The code in this revision for a handler's error code.

        A handler may pass on the error of another server, in another revision. There a missing
        resource may have another code, and some codes have no meaning or another meaning in this
        revision.
        """
        if code == _RESOURCE_NOT_FOUND:
            return self.resource_not_found
        if code == _URL_ELICITATION_REQUIRED and code != self.url_elicitation_required:
            return INTERNAL_ERROR
        return INTERNAL_ERROR if code in self.reserved_codes else code

    def __repr__(self) -> str:
        return f"<Revision {self.date}>"


# -- which revision brought which field -------------------------------------------------------

_DATES: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
_FIRST, _BATCHES, _STRUCTURED, _URLS, _STATELESS = _DATES

_CACHEABLE_RESULTS: Final = (
    t.DiscoverResult,
    t.ListToolsResult,
    t.ListPromptsResult,
    t.ListResourcesResult,
    t.ListResourceTemplatesResult,
    t.ReadResourceResult,
)
_MULTI_ROUND_PARAMS: Final = (
    t.CallToolRequestParams,
    t.GetPromptRequestParams,
    t.ReadResourceRequestParams,
)

_ADDED: Final[dict[str, dict[type, str]]] = {
    _BATCHES: {
        t.ServerCapabilities: "completions",
        t.ProgressNotificationParams: "message",
        t.Tool: "annotations",
    },
    _STRUCTURED: {
        t.ClientCapabilities: "elicitation",
        t.Implementation: "title",
        t.Resource: "title meta",
        t.ResourceLink: "title meta",
        t.ResourceTemplate: "title meta",
        t.TextResourceContents: "meta",
        t.BlobResourceContents: "meta",
        t.Prompt: "title meta",
        t.PromptArgument: "title",
        t.PromptReference: "title",
        t.EmbeddedResource: "meta",
        t.TextContent: "meta",
        t.ImageContent: "meta",
        t.AudioContent: "meta",
        t.Annotations: "last_modified",
        t.Tool: "title output_schema meta",
        t.CallToolResult: "structured_content",
        t.CompleteRequestParams: "context",
        t.Root: "meta",
    },
    _URLS: {
        t.Implementation: "description icons website_url",
        t.Resource: "icons",
        t.ResourceLink: "icons",
        t.ResourceTemplate: "icons",
        t.Prompt: "icons",
        t.Tool: "icons",
        t.SamplingCapability: "context tools",
        t.ElicitationCapability: "form url",
        t.SamplingMessage: "meta",
        t.CreateMessageRequestParams: "tools tool_choice",
        t.ElicitRequestFormParams: "mode",
    },
    _STATELESS: {
        t.ClientCapabilities: "extensions",
        t.ServerCapabilities: "extensions",
        **dict.fromkeys(_CACHEABLE_RESULTS, "ttl_ms cache_scope"),
        **dict.fromkeys(_MULTI_ROUND_PARAMS, "input_responses request_state"),
    },
}

_REMOVED: Final[dict[str, dict[type, str]]] = {
    _STATELESS: {
        t.RootsCapability: "list_changed",
        t.ElicitRequestURLParams: "elicitation_id",
        # The answers in `inputResponses` are not results of their own any more.
        t.ElicitResult: "meta",
        t.ListRootsResult: "meta",
    },
}

_CONTENT_ADDED: Final[dict[str, tuple[type, ...]]] = {
    _BATCHES: (t.AudioContent,),
    _STRUCTURED: (t.ResourceLink,),
    _URLS: (t.ToolUseContent, t.ToolResultContent),
}


def _hidden(date: str) -> Mapping[type, frozenset[str]]:
    """The fields that were added after, or removed up to, this revision."""
    tables = [table for added, table in _ADDED.items() if added > date]
    tables += [table for removed, table in _REMOVED.items() if removed <= date]
    hidden: dict[type, frozenset[str]] = {}
    for table in tables:
        for cls, names in table.items():
            hidden[cls] = hidden.get(cls, frozenset()) | frozenset(names.split())
    return MappingProxyType(hidden)


def _required(date: str) -> Mapping[type, frozenset[str]]:
    if date == _URLS:
        # Only in this revision may a cancellation lack its id: it then cancels a task.
        return MappingProxyType({t.ElicitRequestURLParams: frozenset({"elicitation_id"})})
    return MappingProxyType({t.CancelledNotificationParams: frozenset({"request_id"})})


def _unknown_content(date: str) -> frozenset[type]:
    late = [classes for added, classes in _CONTENT_ADDED.items() if added > date]
    return frozenset(cls for classes in late for cls in classes)


# -- which revision has which methods ---------------------------------------------------------


def _by_name(methods: Iterable[Method]) -> Mapping[str, Method]:
    return MappingProxyType({method.name: method for method in methods})


_PING: Final = Method("ping", None, t.EmptyResult)
_SAMPLE: Final = Method(
    "sampling/createMessage", t.CreateMessageRequestParams, t.CreateMessageResult
)
_LIST_ROOTS: Final = Method("roots/list", None, t.ListRootsResult)
_ELICIT_FORM: Final = Method("elicitation/create", t.ElicitRequestFormParams, t.ElicitResult)
_ELICIT: Final = Method("elicitation/create", t.ElicitRequestParams, t.ElicitResult)

_LISTS: Final = (
    Method("tools/list", t.PaginatedRequestParams, t.ListToolsResult),
    Method("prompts/list", t.PaginatedRequestParams, t.ListPromptsResult),
    Method("resources/list", t.PaginatedRequestParams, t.ListResourcesResult),
    Method("resources/templates/list", t.PaginatedRequestParams, t.ListResourceTemplatesResult),
)
_COMPLETE: Final = Method("completion/complete", t.CompleteRequestParams, t.CompleteResult)
_WORK: Final = (
    Method("tools/call", t.CallToolRequestParams, t.CallToolResult),
    Method("prompts/get", t.GetPromptRequestParams, t.GetPromptResult),
    Method("resources/read", t.ReadResourceRequestParams, t.ReadResourceResult),
)
_DISCOVER: Final = Method("server/discover", None, t.DiscoverResult)

_HANDSHAKE_REQUESTS: Final = _by_name(
    [
        _PING,
        Method("initialize", t.InitializeRequestParams, t.InitializeResult),
        *_LISTS,
        *_WORK,
        _COMPLETE,
        Method("logging/setLevel", t.SetLevelRequestParams, t.EmptyResult),
        Method("resources/subscribe", t.SubscribeRequestParams, t.EmptyResult),
        Method("resources/unsubscribe", t.UnsubscribeRequestParams, t.EmptyResult),
    ]
)
_STATELESS_REQUESTS: Final = _by_name(
    [
        _DISCOVER,
        *_LISTS,
        *(attrs.evolve(method, result=method.result | t.InputRequiredResult) for method in _WORK),
        _COMPLETE,
        Method(
            "subscriptions/listen",
            t.SubscriptionsListenRequestParams,
            t.SubscriptionsListenResult,
        ),
    ]
)

_CLIENT_NOTIFICATIONS: Final[dict[str, type | None]] = {
    "notifications/cancelled": t.CancelledNotificationParams,
    "notifications/progress": t.ProgressNotificationParams,
    "notifications/initialized": None,
    "notifications/roots/list_changed": None,
}
_SERVER_NOTIFICATIONS: Final[dict[str, type | None]] = {
    "notifications/cancelled": t.CancelledNotificationParams,
    "notifications/progress": t.ProgressNotificationParams,
    "notifications/message": t.LoggingMessageNotificationParams,
    "notifications/resources/updated": t.ResourceUpdatedNotificationParams,
    "notifications/resources/list_changed": None,
    "notifications/tools/list_changed": None,
    "notifications/prompts/list_changed": None,
}
_URL_NOTIFICATIONS: Final[dict[str, type | None]] = {
    **_SERVER_NOTIFICATIONS,
    "notifications/elicitation/complete": t.ElicitationCompleteNotificationParams,
}
_STATELESS_NOTIFICATIONS: Final[dict[str, type | None]] = {
    **_SERVER_NOTIFICATIONS,
    "notifications/subscriptions/acknowledged": t.SubscriptionsAcknowledgedNotificationParams,
}


# -- the rows ---------------------------------------------------------------------------------


def _handshake(
    date: str,
    questions: Iterable[Method],
    server_notifications: Mapping[str, type | None] = _SERVER_NOTIFICATIONS,
    *,
    batches: bool = False,
    polling: bool = False,
    content_lists: bool = False,
    choice_lists: bool = False,
    version_header: bool = False,
    parse_error_omits_id: bool = False,
    url_elicitation_required: int | None = None,
) -> Revision:
    return Revision(
        date=date,
        era=Era.HANDSHAKE,
        batches=batches,
        parse_error_omits_id=parse_error_omits_id,
        structured_any=False,
        polling=polling,
        content_lists=content_lists,
        choice_lists=choice_lists,
        version_header=version_header,
        mirrored_headers=False,
        resource_not_found=_RESOURCE_NOT_FOUND,
        url_elicitation_required=url_elicitation_required,
        reserved_codes=range(0),
        client_requests=_HANDSHAKE_REQUESTS,
        server_requests=_by_name([_PING, *questions]),
        input_requests=_by_name([]),
        client_notifications=MappingProxyType(_CLIENT_NOTIFICATIONS),
        server_notifications=MappingProxyType(dict(server_notifications)),
        multi_round=frozenset(),
        cacheable=frozenset(),
        hidden=_hidden(date),
        required=_required(date),
        unknown_content=_unknown_content(date),
    )


REVISIONS: Final[tuple[Revision, ...]] = (
    _handshake(_FIRST, [_SAMPLE, _LIST_ROOTS]),
    _handshake(_BATCHES, [_SAMPLE, _LIST_ROOTS], batches=True),
    _handshake(_STRUCTURED, [_SAMPLE, _LIST_ROOTS, _ELICIT_FORM], version_header=True),
    _handshake(
        _URLS,
        [_SAMPLE, _LIST_ROOTS, _ELICIT],
        _URL_NOTIFICATIONS,
        polling=True,
        content_lists=True,
        choice_lists=True,
        version_header=True,
        parse_error_omits_id=True,
        url_elicitation_required=_URL_ELICITATION_REQUIRED,
    ),
    Revision(
        date=_STATELESS,
        era=Era.STATELESS,
        batches=False,
        parse_error_omits_id=True,
        structured_any=True,
        polling=False,
        content_lists=True,
        choice_lists=True,
        version_header=True,
        mirrored_headers=True,
        resource_not_found=INVALID_PARAMS,
        url_elicitation_required=None,
        # Overview, Error Codes: what the specification defines, or may define later.
        reserved_codes=range(-32099, -32019),
        client_requests=_STATELESS_REQUESTS,
        server_requests=_by_name([]),
        input_requests=_by_name([_SAMPLE, _LIST_ROOTS, _ELICIT]),
        client_notifications=MappingProxyType(
            {"notifications/cancelled": t.CancelledNotificationParams}
        ),
        server_notifications=MappingProxyType(_STATELESS_NOTIFICATIONS),
        multi_round=frozenset(method.name for method in _WORK),
        cacheable=frozenset(method.name for method in (*_LISTS, _WORK[2], _DISCOVER)),
        hidden=_hidden(_STATELESS),
        required=_required(_STATELESS),
        unknown_content=_unknown_content(_STATELESS),
    ),
)
"""Every revision, oldest to newest."""

HANDSHAKE_REVISIONS: Final = tuple(row for row in REVISIONS if row.era is Era.HANDSHAKE)
STATELESS_REVISIONS: Final = tuple(row for row in REVISIONS if row.era is Era.STATELESS)
LATEST: Final = REVISIONS[-1]
LATEST_HANDSHAKE: Final = HANDSHAKE_REVISIONS[-1]
ASSUMED: Final = next(row for row in REVISIONS if row.date == _BATCHES)
"""The revision of an HTTP request without a version header (Transports, Protocol Version)."""

_BY_DATE: Final = {row.date: row for row in REVISIONS}


def find_revision(date: str) -> Revision | None:
    """The revision of this name, or None if it is unknown."""
    return _BY_DATE.get(date)
