"""Questions to the client: making them, checking that the client can answer, reading answers.

Specification: Elicitation; Sampling; Roots; 2026-07-28, Multi Round-Trip Requests.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, Final, TypeVar

from trimcp.errors import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    AnswerRefused,
    MissingCapability,
    RequestError,
)
from trimcp.functions import BadArguments, compile_form, flaw_of_form, has_choice_lists
from trimcp.protocol import DecodeError, Era, codec_for
from trimcp.runtime import flaw_of_conversation
from trimcp.types import (
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequest,
    ListRootsResult,
    SamplingCapability,
    SamplingMessage,
    TextContent,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimcp.protocol import Revision, Terms
    from trimcp.types import (
        ClientCapabilities,
        IncludeContext,
        JSONObject,
        ModelPreferences,
        Tool,
        ToolChoice,
    )

__all__ = [
    "MAX_TOKENS",
    "decode_answer",
    "form_question",
    "lacking",
    "read_answer",
    "read_form",
    "roots_question",
    "sampling_question",
    "url_question",
]

AnswerT = TypeVar("AnswerT")

MAX_TOKENS: Final = 1000

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")

# -- making -----------------------------------------------------------------------------------


def form_question(message: str, asked: Any) -> InputRequest:
    """Ask the user to fill in a form; see `Context.elicit`.

    Raises:
        RegistrationError: `asked` cannot be asked for in a form.

    Specification: Elicitation, Form Mode.
    """
    params = ElicitRequestFormParams(message, compile_form(asked).schema)
    return InputRequest("elicitation/create", params)


def url_question(message: str, url: str) -> InputRequest:
    """Ask the user to visit a URL; see `Context.elicit_url`.

    Raises:
        ValueError: It is not an absolute URL.

    Specification: Elicitation, URL Mode (since 2025-11-25).
    """
    if not _URL.fullmatch(url):
        raise ValueError(f"{url!r} is no absolute URL")
    params = ElicitRequestURLParams(message, url, elicitation_id=str(uuid.uuid4()))
    return InputRequest("elicitation/create", params)


def sampling_question(
    messages: str | SamplingMessage | Sequence[str | SamplingMessage],
    *,
    max_tokens: int = MAX_TOKENS,
    system_prompt: str | None = None,
    temperature: float | None = None,
    stop_sequences: Sequence[str] | None = None,
    model_preferences: ModelPreferences | None = None,
    include_context: IncludeContext | None = None,
    metadata: JSONObject | None = None,
    tools: Sequence[Tool] | None = None,
    tool_choice: ToolChoice | None = None,
) -> InputRequest:
    """Ask for a model's answer; see `Context.sample`.

    Raises:
        ValueError: The tool results do not match the tool uses before them.

    Specification: Sampling (deprecated in 2026-07-28).
    """
    conversation = _conversation(messages)
    if (flaw := flaw_of_conversation(conversation)) is not None:
        raise ValueError(flaw)
    params = CreateMessageRequestParams(
        conversation,
        max_tokens,
        model_preferences,
        system_prompt,
        include_context,
        temperature,
        stop_sequences,
        metadata,
        tools,
        tool_choice,
    )
    return InputRequest("sampling/createMessage", params)


def roots_question() -> InputRequest:
    """Ask for the client's roots; see `Context.list_roots`.

    Specification: Roots (deprecated in 2026-07-28).
    """
    return InputRequest("roots/list")


def _conversation(
    messages: str | SamplingMessage | Sequence[str | SamplingMessage],
) -> list[SamplingMessage]:
    if isinstance(messages, str | SamplingMessage):
        messages = [messages]
    return [
        SamplingMessage("user", (TextContent(each),)) if isinstance(each, str) else each
        for each in messages
    ]


# -- can it be asked? -------------------------------------------------------------------------


def lacking(terms: Terms, question: InputRequest) -> RequestError | None:
    """The error for a client that cannot be asked this question, or None.

    Raises:
        ValueError: No client can be asked it, since the specification does not allow such a form.
    """
    needed = _needed(terms.capabilities, question.params, question.method, terms.revision)
    if needed is None:
        return _unsayable(question.params, terms.revision)
    what, required = needed
    flaw = f"this needs a client that can {what}"
    if terms.revision.era is Era.STATELESS:
        return MissingCapability(flaw, required)
    return RequestError(INVALID_REQUEST, flaw)


def _unsayable(params: Any, revision: Revision) -> RequestError | None:
    """The error for a form that this revision does not allow, or None. Raises ValueError."""
    if not isinstance(params, ElicitRequestFormParams):
        return None
    form = params.requested_schema
    if (malformed := flaw_of_form(form)) is not None:
        raise ValueError(f"the form cannot be asked for: {malformed}")
    if has_choice_lists(form) and not revision.choice_lists:
        return RequestError(
            INVALID_REQUEST, f"a form of revision {revision.date} has no lists of choices"
        )
    return None


def _needed(
    declared: ClientCapabilities, params: Any, method: str, revision: Revision
) -> tuple[str, dict[str, Any]] | None:
    """The capability that the client lacks, in words and in wire form; None if it has all."""
    if isinstance(params, ElicitRequestURLParams):
        if declared.elicitation is None or declared.elicitation.url is None:
            return "send its user to a URL", {"elicitation": {"url": {}}}
    elif isinstance(params, ElicitRequestFormParams):
        modes = declared.elicitation
        # An empty declaration means forms.
        if modes is None or (modes.form is None and modes.url is not None):
            return "ask its user (elicitation)", {"elicitation": {"form": {}}}
    elif isinstance(params, CreateMessageRequestParams):
        return _needed_to_sample(declared.sampling, params, revision)
    elif method == "roots/list" and declared.roots is None:
        return "list its roots", {"roots": {}}
    return None


def _needed_to_sample(
    declared: SamplingCapability | None, params: CreateMessageRequestParams, revision: Revision
) -> tuple[str, dict[str, Any]] | None:
    if declared is None:
        return "sample a model", {"sampling": {}}
    if declared.tools is None and (params.tools is not None or params.tool_choice is not None):
        return "sample a model with tools", {"sampling": {"tools": {}}}
    # In some revisions clients do not declare whether they can add context.
    says_so = "context" not in revision.hidden.get(SamplingCapability, ())
    wants_context = params.include_context not in (None, "none")
    if wants_context and declared.context is None and says_so:
        return "add its servers' context", {"sampling": {"context": {}}}
    return None


# -- reading answers --------------------------------------------------------------------------


def decode_answer(revision: Revision, wire: dict[str, Any], cls: type[AnswerT]) -> AnswerT:
    """The client's result as a payload. Raises RequestError."""
    try:
        return codec_for(revision).decode(wire, cls)
    except DecodeError as error:
        raise RequestError(INVALID_PARAMS, f"the answer is malformed: {error}") from None


def read_form(revision: Revision, wire: dict[str, Any], asked: Any) -> Any:
    """The content of the filled-in form, as the asked type.

    Raises:
        AnswerRefused: The user declined or dismissed the question.
        RequestError: The answer is malformed or does not fit the form.
    """
    result = decode_answer(revision, wire, ElicitResult)
    if result.action != "accept":
        raise AnswerRefused(result.action)
    try:
        return compile_form(asked).read(result.content or {})
    except BadArguments as error:
        raise RequestError(INVALID_PARAMS, f"the answer does not fit: {error}") from None


def read_answer(revision: Revision, wire: dict[str, Any], asked: Any) -> Any:
    """Any answer: a payload if `asked` is a payload class, otherwise the content of a form."""
    if asked in (CreateMessageResult, ListRootsResult, ElicitResult):
        return decode_answer(revision, wire, asked)
    return read_form(revision, wire, asked)
