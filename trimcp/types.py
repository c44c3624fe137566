"""The words of the protocol: one frozen class per MCP payload.

One vocabulary serves all five revisions. A class has every field that any revision ever gave it;
each revision's codec leaves out what that revision does not know. The conventions:

* Names are those of the specification's schema, fields in snake_case (`input_schema` is the
  wire's `inputSchema`). Required fields come first.
* None means *absent*: no optional field is ever sent as JSON null. Where null is a value of its
  own (structured content), the default is `UNSET`.
* The wire's `_meta` is the field `meta`, on results and on nested objects. The params of requests
  and notifications have no such field: their `_meta` belongs to the connection.
* Sequences are tuples; any iterable is accepted. JSON Schemas and other open objects are kept
  verbatim, as mappings.
* Nothing is checked or coerced here, except that a text in the place of several is refused: it
  would come apart into its letters. What comes from the wire is checked by the codec.

The deprecated members of the newest revision (logging, sampling, roots) are part of the
vocabulary. The tasks of 2025-11-25 are not.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, Literal, TypeAlias

import attrs
from attrs.converters import optional


class Unset(enum.Enum):
    """The type of `UNSET`: no value at all, where None would be JSON null."""

    UNSET = "UNSET"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return self.value


UNSET: Final = Unset.UNSET


# -- what all payloads share ------------------------------------------------------------------


class Payload:
    """What every payload can do: be compared, hashed, pickled, and shown without absent fields.

    Written here once, since generating it 75 times took a third of the package's import time.
    """

    __slots__ = ()
    __attrs_attrs__: ClassVar[tuple[Any, ...]] = ()

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, field.name) for field in self.__attrs_attrs__])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Payload) or other.__class__ is not self.__class__:
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((self.__class__, self._values()))

    def __repr__(self) -> str:
        present = [
            f"{field.name}={value!r}"
            for field, value in zip(self.__attrs_attrs__, self._values(), strict=True)
            if value is not None and value is not UNSET
        ]
        return f"{self.__class__.__name__}({', '.join(present)})"

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return self.__class__, self._values()


# -- plain values -----------------------------------------------------------------------------

JSONObject: TypeAlias = Mapping[str, Any]
Meta: TypeAlias = Mapping[str, Any]
RequestId: TypeAlias = str | int
ProgressToken: TypeAlias = str | int
Role: TypeAlias = Literal["user", "assistant"]
LoggingLevel: TypeAlias = Literal[
    "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"
]
CacheScope: TypeAlias = Literal["public", "private"]
IconTheme: TypeAlias = Literal["light", "dark"]
IncludeContext: TypeAlias = Literal["none", "thisServer", "allServers"]
ToolChoiceMode: TypeAlias = Literal["auto", "required", "none"]
ElicitAction: TypeAlias = Literal["accept", "decline", "cancel"]
ElicitContent: TypeAlias = Mapping[str, str | int | float | bool | list[str]]
"""A filled-in form: every value is a string, a number, a boolean or a list of strings."""


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    """Several strings; a single one would be split into its characters."""
    if isinstance(values, str):
        raise TypeError(f"expected several strings, got one: {values[:60]!r}")
    return tuple(values)


def _roles(values: Iterable[Role]) -> tuple[Role, ...]:
    if isinstance(values, str):
        raise TypeError(f"expected several roles, got one: {values[:60]!r}")
    return tuple(values)


# -- who is talking, and what they can do -----------------------------------------------------


@attrs.frozen(eq=False, repr=False)
class Icon(Payload):
    """An image for an object in a user interface. Spec: Icons."""

    src: str
    mime_type: str | None = None
    sizes: tuple[str, ...] | None = attrs.field(default=None, converter=optional(_texts))
    theme: IconTheme | None = None


@attrs.frozen(eq=False, repr=False)
class Implementation(Payload):
    """Names a piece of client or server software. Spec: Lifecycle; Discovery."""

    name: str
    version: str
    title: str | None = None
    description: str | None = None
    icons: tuple[Icon, ...] | None = attrs.field(default=None, converter=optional(tuple[Icon, ...]))
    website_url: str | None = None


@attrs.frozen(eq=False, repr=False)
class RootsCapability(Payload):
    """The client can list roots. Spec: Roots, Capabilities."""

    list_changed: bool | None = None


@attrs.frozen(eq=False, repr=False)
class SamplingCapability(Payload):
    """The client can sample a model. Spec: Sampling, Capabilities."""

    context: JSONObject | None = None
    tools: JSONObject | None = None


@attrs.frozen(eq=False, repr=False)
class ElicitationCapability(Payload):
    """The client can ask its user. Spec: Elicitation, Capabilities.

    Both fields absent means form mode only.
    """

    form: JSONObject | None = None
    url: JSONObject | None = None


@attrs.frozen(eq=False, repr=False)
class ClientCapabilities(Payload):
    """What a client can do for a server. Spec: Lifecycle; Overview, `_meta`."""

    experimental: Mapping[str, JSONObject] | None = None
    roots: RootsCapability | None = None
    sampling: SamplingCapability | None = None
    elicitation: ElicitationCapability | None = None
    extensions: Mapping[str, JSONObject] | None = None


@attrs.frozen(eq=False, repr=False)
class PromptsCapability(Payload):
    """The server has prompts. Spec: Prompts, Capabilities."""

    list_changed: bool | None = None


@attrs.frozen(eq=False, repr=False)
class ResourcesCapability(Payload):
    """The server has resources. Spec: Resources, Capabilities."""

    subscribe: bool | None = None
    list_changed: bool | None = None


@attrs.frozen(eq=False, repr=False)
class ToolsCapability(Payload):
    """The server has tools. Spec: Tools, Capabilities."""

    list_changed: bool | None = None


@attrs.frozen(eq=False, repr=False)
class ServerCapabilities(Payload):
    """What a server offers. Spec: Lifecycle; Discovery."""

    experimental: Mapping[str, JSONObject] | None = None
    logging: JSONObject | None = None
    completions: JSONObject | None = None
    prompts: PromptsCapability | None = None
    resources: ResourcesCapability | None = None
    tools: ToolsCapability | None = None
    extensions: Mapping[str, JSONObject] | None = None


@attrs.frozen(eq=False, repr=False)
class InitializeRequestParams(Payload):
    """Opens a handshake-era session. Spec: Lifecycle, Initialization."""

    protocol_version: str
    capabilities: ClientCapabilities
    client_info: Implementation


@attrs.frozen(eq=False, repr=False)
class InitializeResult(Payload):
    """The server's half of the handshake. Spec: Lifecycle, Initialization."""

    protocol_version: str
    capabilities: ServerCapabilities
    server_info: Implementation
    instructions: str | None = None
    meta: Meta | None = None


@attrs.frozen(eq=False, repr=False)
class DiscoverResult(Payload):
    """What a stateless server speaks and offers. Spec: Discovery."""

    supported_versions: tuple[str, ...] = attrs.field(converter=_texts)
    capabilities: ServerCapabilities
    instructions: str | None = None
    ttl_ms: int | None = None
    cache_scope: CacheScope | None = None
    meta: Meta | None = None


# -- common shapes ----------------------------------------------------------------------------


@attrs.frozen(eq=False, repr=False)
class EmptyResult(Payload):
    """Success with nothing to say. Spec: Overview, Messages."""

    meta: Meta | None = None


@attrs.frozen(eq=False, repr=False)
class NotificationParams(Payload):
    """The params of a notification that has no params. Spec: Overview, Messages."""


@attrs.frozen(eq=False, repr=False)
class PaginatedRequestParams(Payload):
    """Asks for one page of a list; no cursor is the first. Spec: Pagination."""

    cursor: str | None = None


@attrs.frozen(eq=False, repr=False)
class CancelledNotificationParams(Payload):
    """A request is cancelled. Spec: Cancellation.

    `request_id` may be absent in 2025-11-25 only, for the cancellation of a task.
    """

    request_id: RequestId | None = None
    reason: str | None = None


@attrs.frozen(eq=False, repr=False)
class ProgressNotificationParams(Payload):
    """How far a request has come. Spec: Progress."""

    progress_token: ProgressToken
    progress: float
    total: float | None = None
    message: str | None = None


@attrs.frozen(eq=False, repr=False)
class Annotations(Payload):
    """Hints for how a client uses or shows an object. Spec: Resources, Annotations.

    `last_modified` is an ISO 8601 time, `priority` lies between 0 and 1.
    """

    audience: tuple[Role, ...] | None = attrs.field(default=None, converter=optional(_roles))
    priority: float | None = None
    last_modified: str | None = None


# -- resources --------------------------------------------------------------------------------


@attrs.frozen(eq=False, repr=False)
class Resource(Payload):
    """Something a server lets clients read. Spec: Resources. `size` is in bytes."""

    uri: str
    name: str
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None
    annotations: Annotations | None = None
    size: int | None = None
    icons: tuple[Icon, ...] | None = attrs.field(default=None, converter=optional(tuple[Icon, ...]))
    meta: Meta | None = None


@attrs.frozen(eq=False, repr=False)
class ResourceTemplate(Payload):
    """A family of resources named by an RFC 6570 template. Spec: Resources, Templates."""

    uri_template: str
    name: str
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None
    annotations: Annotations | None = None
    icons: tuple[Icon, ...] | None = attrs.field(default=None, converter=optional(tuple[Icon, ...]))
    meta: Meta | None = None


@attrs.frozen(eq=False, repr=False)
class TextResourceContents(Payload):
    """The contents of a resource that is text. Spec: Resources, Resource Contents."""

    uri: str
    text: str
    mime_type: str | None = None
    meta: Meta | None = None


@attrs.frozen(eq=False, repr=False)
class BlobResourceContents(Payload):
    """The contents of a binary resource, in base64. Spec: Resources, Resource Contents."""

    uri: str
    blob: str
    mime_type: str | None = None
    meta: Meta | None = None


ResourceContents: TypeAlias = TextResourceContents | BlobResourceContents


@attrs.frozen(eq=False, repr=False)
class ListResourcesResult(Payload):
    """One page of resources. Spec: Resources, Listing."""

    resources: tuple[Resource, ...] = attrs.field(converter=tuple[Resource, ...])
    next_cursor: str | None = None
    ttl_ms: int | None = None
    cache_scope: CacheScope | None = None
    meta: Meta | None = None


@attrs.frozen(eq=False, repr=False)
class ListResourceTemplatesResult(Payload):
    """One page of resource templates. Spec: Resources, Templates."""

    resource_templates: tuple[ResourceTemplate, ...] = attrs.field(
        converter=tuple[ResourceTemplate, ...]
    )
    next_cursor: str | None = None
    ttl_ms: int | None = None
    cache_scope: CacheScope | None = None
    meta: Meta | None = None


@attrs.frozen(eq=False, repr=False)
class ReadResourceRequestParams(Payload):
    """Asks for a resource's contents. Spec: Resources, Reading.

    The last two fields answer an `InputRequiredResult`.
    """

    uri: str
    input_responses: JSONObject | None = None
    request_state: str | None = None


@attrs.frozen(eq=False, repr=False)
class ReadResourceResult(Payload):
    """A resource's contents, maybe of several parts. Spec: Resources, Reading."""

    contents: tuple[ResourceContents, ...] = attrs.field(converter=tuple[ResourceContents, ...])
    ttl_ms: int | None = None
    cache_scope: CacheScope | None = None
    meta: Meta | None = None

    @property
    def text(self) -> str:
        """The texts of its text contents, one below the other."""
        return "\n".join(
            each.text for each in self.contents if isinstance(each, TextResourceContents)
        )


@attrs.frozen(eq=False, repr=False)
class SubscribeRequestParams(Payload):
    """Asks for notifications of changes to one resource. Spec: Resources, Subscriptions."""

    uri: str


@attrs.frozen(eq=False, repr=False)
class UnsubscribeRequestParams(Payload):
    """Ends what `SubscribeRequestParams` began. Spec: Resources, Subscriptions."""

    uri: str


@attrs.frozen(eq=False, repr=False)
class ResourceUpdatedNotificationParams(Payload):
    """A resource has changed and may be read again. Spec: Resources, Subscriptions."""

    uri: str


# -- subscriptions of the stateless era -------------------------------------------------------


@attrs.frozen(eq=False, repr=False)
class SubscriptionFilter(Payload):
    """Which notifications a listener wants, or gets. Spec: Subscriptions."""

    tools_list_changed: bool | None = None
    prompts_list_changed: bool | None = None
    resources_list_changed: bool | None = None
    resource_subscriptions: tuple[str, ...] | None = attrs.field(
        default=None, converter=optional(_texts)
    )


@attrs.frozen(eq=False, repr=False)
class SubscriptionsListenRequestParams(Payload):
    """Opens a stream of notifications. Spec: Subscriptions."""

    notifications: SubscriptionFilter


@attrs.frozen(eq=False, repr=False)
class SubscriptionsAcknowledgedNotificationParams(Payload):
    """The first message on that stream: what the server agreed to send. Spec: Subscriptions."""

    notifications: SubscriptionFilter


@attrs.frozen(eq=False, repr=False)
class SubscriptionsListenResult(Payload):
    """The server has ended the stream; `meta` names the subscription. Spec: Subscriptions."""

    meta: Meta | None = None


# -- content ----------------------------------------------------------------------------------


@attrs.frozen(eq=False, repr=False)
class TextContent(Payload):
    """Text for or from a model. Spec: Tools, Text Content."""

    text: str
    annotations: Annotations | None = None
    meta: Meta | None = None
    type: Literal["text"] = "text"


@attrs.frozen(eq=False, repr=False)
class ImageContent(Payload):
    """An image, in base64. Spec: Tools, Image Content."""

    data: str
    mime_type: str
    annotations: Annotations | None = None
    meta: Meta | None = None
    type: Literal["image"] = "image"


@attrs.frozen(eq=False, repr=False)
class AudioContent(Payload):
    """A sound, in base64. Spec: Tools, Audio Content. Since 2025-03-26."""

    data: str
    mime_type: str
    annotations: Annotations | None = None
    meta: Meta | None = None
    type: Literal["audio"] = "audio"


@attrs.frozen(eq=False, repr=False)
class ResourceLink(Resource):
    """A resource the client may read. Spec: Tools, Resource Links. Since 2025-06-18."""

    type: Literal["resource_link"] = "resource_link"


@attrs.frozen(eq=False, repr=False)
class EmbeddedResource(Payload):
    """A resource's contents inside a message. Spec: Tools, Embedded Resources."""

    resource: ResourceContents
    annotations: Annotations | None = None
    meta: Meta | None = None
    type: Literal["resource"] = "resource"


ContentBlock: TypeAlias = (
    TextContent | ImageContent | AudioContent | ResourceLink | EmbeddedResource
)


# -- prompts ----------------------------------------------------------------------------------


@attrs.frozen(eq=False, repr=False)
class PromptArgument(Payload):
    """One argument that a prompt takes. Spec: Prompts."""

    name: str
    title: str | None = None
    description: str | None = None
    required: bool | None = None


@attrs.frozen(eq=False, repr=False)
class Prompt(Payload):
    """A template for messages that a server offers. Spec: Prompts."""

    name: str
    title: str | None = None
    description: str | None = None
    arguments: tuple[PromptArgument, ...] | None = attrs.field(
        default=None, converter=optional(tuple[PromptArgument, ...])
    )
    icons: tuple[Icon, ...] | None = attrs.field(default=None, converter=optional(tuple[Icon, ...]))
    meta: Meta | None = None


@attrs.frozen(eq=False, repr=False)
class PromptMessage(Payload):
    """One message of a prompt. Spec: Prompts, PromptMessage."""

    role: Role
    content: ContentBlock


@attrs.frozen(eq=False, repr=False)
class ListPromptsResult(Payload):
    """One page of prompts. Spec: Prompts, Listing."""

    prompts: tuple[Prompt, ...] = attrs.field(converter=tuple[Prompt, ...])
    next_cursor: str | None = None
    ttl_ms: int | None = None
    cache_scope: CacheScope | None = None
    meta: Meta | None = None


@attrs.frozen(eq=False, repr=False)
class GetPromptRequestParams(Payload):
    """Asks for a prompt's messages. Spec: Prompts, Getting.

    The last two fields answer an `InputRequiredResult`.
    """

    name: str
    arguments: Mapping[str, str] | None = None
    input_responses: JSONObject | None = None
    request_state: str | None = None


@attrs.frozen(eq=False, repr=False)
class GetPromptResult(Payload):
    """A prompt's messages. Spec: Prompts, Getting."""

    messages: tuple[PromptMessage, ...] = attrs.field(converter=tuple[PromptMessage, ...])
    description: str | None = None
    meta: Meta | None = None


# -- tools ------------------------------------------------------------------------------------


@attrs.frozen(eq=False, repr=False)
class ToolAnnotations(Payload):
    """Hints about a tool; never a promise. Spec: Tools, Tool. Since 2025-03-26."""

    title: str | None = None
    read_only_hint: bool | None = None
    destructive_hint: bool | None = None
    idempotent_hint: bool | None = None
    open_world_hint: bool | None = None


@attrs.frozen(eq=False, repr=False)
class Tool(Payload):
    """A function that a server offers to models. Spec: Tools."""

    name: str
    input_schema: JSONObject
    title: str | None = None
    description: str | None = None
    output_schema: JSONObject | None = None
    annotations: ToolAnnotations | None = None
    icons: tuple[Icon, ...] | None = attrs.field(default=None, converter=optional(tuple[Icon, ...]))
    meta: Meta | None = None


@attrs.frozen(eq=False, repr=False)
class ListToolsResult(Payload):
    """One page of tools. Spec: Tools, Listing."""

    tools: tuple[Tool, ...] = attrs.field(converter=tuple[Tool, ...])
    next_cursor: str | None = None
    ttl_ms: int | None = None
    cache_scope: CacheScope | None = None
    meta: Meta | None = None


@attrs.frozen(eq=False, repr=False)
class CallToolRequestParams(Payload):
    """Calls a tool. Spec: Tools, Calling.

    The last two fields answer an `InputRequiredResult`.
    """

    name: str
    arguments: JSONObject | None = None
    input_responses: JSONObject | None = None
    request_state: str | None = None


@attrs.frozen(eq=False, repr=False)
class CallToolResult(Payload):
    """What a tool returned, or how it failed. Spec: Tools, Tool Result.

    `structured_content` is any JSON value, with None for null.
    """

    content: tuple[ContentBlock, ...] = attrs.field(converter=tuple[ContentBlock, ...])
    structured_content: Any = UNSET
    is_error: bool | None = None
    meta: Meta | None = None

    @property
    def text(self) -> str:
        """The texts of its text blocks, one below the other."""
        return "\n".join(block.text for block in self.content if isinstance(block, TextContent))


# -- completion -------------------------------------------------------------------------------


@attrs.frozen(eq=False, repr=False)
class PromptReference(Payload):
    """Names a prompt. Spec: Completion."""

    name: str
    title: str | None = None
    type: Literal["ref/prompt"] = "ref/prompt"


@attrs.frozen(eq=False, repr=False)
class ResourceTemplateReference(Payload):
    """Names a resource or a resource template. Spec: Completion."""

    uri: str
    type: Literal["ref/resource"] = "ref/resource"


CompletionReference: TypeAlias = PromptReference | ResourceTemplateReference


@attrs.frozen(eq=False, repr=False)
class CompletionArgument(Payload):
    """The argument being typed, and its text so far. Spec: Completion."""

    name: str
    value: str


@attrs.frozen(eq=False, repr=False)
class CompletionContext(Payload):
    """The arguments that already have a value. Spec: Completion. Since 2025-06-18."""

    arguments: Mapping[str, str] | None = None


@attrs.frozen(eq=False, repr=False)
class CompleteRequestParams(Payload):
    """Asks for completions of an argument. Spec: Completion."""

    ref: CompletionReference
    argument: CompletionArgument
    context: CompletionContext | None = None


@attrs.frozen(eq=False, repr=False)
class Completion(Payload):
    """Up to 100 suggestions, best first. Spec: Completion."""

    values: tuple[str, ...] = attrs.field(converter=_texts)
    total: int | None = None
    has_more: bool | None = None


@attrs.frozen(eq=False, repr=False)
class CompleteResult(Payload):
    """Suggestions for an argument. Spec: Completion."""

    completion: Completion
    meta: Meta | None = None


# -- logging ----------------------------------------------------------------------------------


@attrs.frozen(eq=False, repr=False)
class SetLevelRequestParams(Payload):
    """Sets the least severe level a session wants to see. Spec: Logging. Handshake era."""

    level: LoggingLevel


@attrs.frozen(eq=False, repr=False)
class LoggingMessageNotificationParams(Payload):
    """A log message; `data` is any JSON value, with None for null. Spec: Logging."""

    level: LoggingLevel
    data: Any
    logger: str | None = None


# -- sampling ---------------------------------------------------------------------------------


@attrs.frozen(eq=False, repr=False)
class ToolUseContent(Payload):
    """A model asks for a tool. Spec: Sampling, Tools. Since 2025-11-25."""

    id: str
    name: str
    input: JSONObject
    meta: Meta | None = None
    type: Literal["tool_use"] = "tool_use"


@attrs.frozen(eq=False, repr=False)
class ToolResultContent(Payload):
    """The answer to a `ToolUseContent`. Spec: Sampling, Tools. Since 2025-11-25.

    `structured_content` is any JSON value, with None for null.
    """

    tool_use_id: str
    content: tuple[ContentBlock, ...] = attrs.field(converter=tuple[ContentBlock, ...])
    structured_content: Any = UNSET
    is_error: bool | None = None
    meta: Meta | None = None
    type: Literal["tool_result"] = "tool_result"


SamplingMessageContentBlock: TypeAlias = (
    TextContent | ImageContent | AudioContent | ToolUseContent | ToolResultContent
)


@attrs.frozen(eq=False, repr=False)
class SamplingMessage(Payload):
    """One message to a model. Spec: Sampling.

    The wire's `content` may be one block without a list around it; here it is always a tuple.
    """

    role: Role
    content: tuple[SamplingMessageContentBlock, ...] = attrs.field(
        converter=tuple[SamplingMessageContentBlock, ...]
    )
    meta: Meta | None = None


@attrs.frozen(eq=False, repr=False)
class ModelHint(Payload):
    """Part of a model's name. Spec: Sampling, Model Preferences."""

    name: str | None = None


@attrs.frozen(eq=False, repr=False)
class ModelPreferences(Payload):
    """The priorities for choosing a model; numbers from 0 to 1. Spec: Sampling."""

    hints: tuple[ModelHint, ...] | None = attrs.field(
        default=None, converter=optional(tuple[ModelHint, ...])
    )
    cost_priority: float | None = None
    speed_priority: float | None = None
    intelligence_priority: float | None = None


@attrs.frozen(eq=False, repr=False)
class ToolChoice(Payload):
    """Whether a model may, must or must not use tools. Spec: Sampling, Tools."""

    mode: ToolChoiceMode | None = None


@attrs.frozen(eq=False, repr=False)
class CreateMessageRequestParams(Payload):
    """Asks the client to sample a model. Spec: Sampling."""

    messages: tuple[SamplingMessage, ...] = attrs.field(converter=tuple[SamplingMessage, ...])
    max_tokens: int
    model_preferences: ModelPreferences | None = None
    system_prompt: str | None = None
    include_context: IncludeContext | None = None
    temperature: float | None = None
    stop_sequences: tuple[str, ...] | None = attrs.field(default=None, converter=optional(_texts))
    metadata: JSONObject | None = None
    tools: tuple[Tool, ...] | None = attrs.field(default=None, converter=optional(tuple[Tool, ...]))
    tool_choice: ToolChoice | None = None


@attrs.frozen(eq=False, repr=False)
class CreateMessageResult(Payload):
    """The answer of the model. Spec: Sampling.

    As in `SamplingMessage`, `content` is always a tuple. `stop_reason` is open: `"endTurn"`,
    `"stopSequence"`, `"maxTokens"`, `"toolUse"` or any other string.
    """

    role: Role
    content: tuple[SamplingMessageContentBlock, ...] = attrs.field(
        converter=tuple[SamplingMessageContentBlock, ...]
    )
    model: str
    stop_reason: str | None = None
    meta: Meta | None = None


# -- roots ------------------------------------------------------------------------------------


@attrs.frozen(eq=False, repr=False)
class Root(Payload):
    """A directory or file the server may work on; a `file://` URI. Spec: Roots."""

    uri: str
    name: str | None = None
    meta: Meta | None = None


@attrs.frozen(eq=False, repr=False)
class ListRootsResult(Payload):
    """The client's roots. Spec: Roots."""

    roots: tuple[Root, ...] = attrs.field(converter=tuple[Root, ...])
    meta: Meta | None = None


# -- elicitation ------------------------------------------------------------------------------


@attrs.frozen(eq=False, repr=False)
class ElicitRequestFormParams(Payload):
    """Asks the user to fill in a form. Spec: Elicitation, Form Mode. Since 2025-06-18."""

    message: str
    requested_schema: JSONObject
    mode: Literal["form"] = "form"


@attrs.frozen(eq=False, repr=False)
class ElicitRequestURLParams(Payload):
    """Asks the user to visit a URL. Spec: Elicitation, URL Mode. Since 2025-11-25.

    `elicitation_id` is required in 2025-11-25 and unknown after it.
    """

    message: str
    url: str
    elicitation_id: str | None = None
    mode: Literal["url"] = "url"


ElicitRequestParams: TypeAlias = ElicitRequestFormParams | ElicitRequestURLParams


@attrs.frozen(eq=False, repr=False)
class ElicitResult(Payload):
    """What the user did; `content` only with `"accept"` of a form. Spec: Elicitation."""

    action: ElicitAction
    content: ElicitContent | None = None
    meta: Meta | None = None


@attrs.frozen(eq=False, repr=False)
class ElicitationCompleteNotificationParams(Payload):
    """What the user was sent to a URL for is done. Spec: Elicitation. 2025-11-25 only."""

    elicitation_id: str


# -- multi-round requests of the stateless era ------------------------------------------------

InputRequestParams: TypeAlias = (
    CreateMessageRequestParams | ElicitRequestFormParams | ElicitRequestURLParams
)
InputResponse: TypeAlias = CreateMessageResult | ListRootsResult | ElicitResult


@attrs.frozen(eq=False, repr=False)
class InputRequest(Payload):
    """One question inside an `InputRequiredResult`. Spec: Multi Round-Trip Requests."""

    method: str
    params: InputRequestParams | None = None


@attrs.frozen(eq=False, repr=False)
class InputRequiredResult(Payload):
    """The server needs answers before it can go on. Spec: Multi Round-Trip Requests.

    The client asks again with `input_responses` under the same keys and this `request_state`.
    """

    input_requests: Mapping[str, InputRequest] | None = None
    request_state: str | None = None
    meta: Meta | None = None
