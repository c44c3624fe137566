"""The server under test of the official conformance suite; it uses nothing but the public API.

Usage: ``python server.py [PORT]``

The MCP endpoint is `/mcp` on 127.0.0.1, for both eras. What the suite expects of each tool, prompt
and resource is written in the suite.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Annotated, Any, Literal

import pydantic
import trio

from trimcp import (
    Context,
    Header,
    InputRequired,
    ResourceNotFound,
    Server,
    ToolError,
    form_question,
    roots_question,
    sampling_question,
)
from trimcp.types import (
    AudioContent,
    CreateMessageResult,
    EmbeddedResource,
    ImageContent,
    ListRootsResult,
    PromptMessage,
    TextContent,
    TextResourceContents,
)

server: Server[Any] = Server("trimcp-conformance", version="1.0.0")

#: A picture of one red pixel, and a tenth of a second of silence.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAA"
    "AABJRU5ErkJggg=="
)
_SAMPLES = bytes(1600)
WAV = base64.b64encode(
    b"RIFF"
    + (36 + len(_SAMPLES)).to_bytes(4, "little")
    + b"WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data"
    + len(_SAMPLES).to_bytes(4, "little")
    + _SAMPLES
).decode()


# -- content -------------------------------------------------------------------------------------


@server.tool
async def test_simple_text() -> str:
    """Text."""
    return "This is a simple text response for testing."


@server.tool
async def test_image_content() -> Any:
    """An image."""
    return ImageContent(PNG, "image/png")


@server.tool
async def test_audio_content() -> Any:
    """A sound."""
    return AudioContent(WAV, "audio/wav")


def embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    """A resource inside a message."""
    return EmbeddedResource(TextResourceContents(uri, text, mime_type))


@server.tool
async def test_embedded_resource() -> Any:
    """A resource."""
    return embedded("test://embedded-resource", "text/plain", "This is an embedded resource.")


@server.tool
async def test_multiple_content_types() -> Any:
    """Text, an image and a resource."""
    data = json.dumps({"test": "data", "value": 123})
    return [
        TextContent("Multiple content types test:"),
        ImageContent(PNG, "image/png"),
        embedded("test://mixed-content-resource", "application/json", data),
    ]


@server.tool
async def test_error_handling() -> str:
    """Fails on purpose."""
    raise ToolError("This tool intentionally returns an error for testing")


SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


@server.tool(input_schema=SCHEMA)
async def json_schema_2020_12_tool(arguments: dict[str, Any]) -> str:
    """Takes what a schema with every kind of keyword allows."""
    return json.dumps(arguments)


@server.tool
async def test_x_mcp_header(region: Annotated[str, Header("Region")] = "") -> str:  # noqa: PT028
    """Has a parameter that is mirrored into a header."""
    return f"Region: {region}"


# -- while a call runs ---------------------------------------------------------------------------


@server.tool
async def test_tool_with_progress(ctx: Context) -> str:
    """Reports progress."""
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100, f"Completed step {done} of 100")
        await trio.sleep(0.05)
    return "Progress reported"


@server.tool
async def test_tool_with_logging(ctx: Context) -> str:
    """Logs."""
    for text in ("started", "processing data", "completed"):
        await ctx.info(f"Tool execution {text}" if text != "processing data" else f"Tool {text}")
        await trio.sleep(0.05)
    return "Logged"


@server.tool
async def test_logging_tool(ctx: Context) -> str:
    """Logs, if the request asks for it."""
    await ctx.info("Logged only when asked to")
    return "Done"


@server.tool
async def test_reconnection(ctx: Context) -> str:
    """Sends its client away, to come back for the result."""
    await ctx.close_stream(0.1)
    await trio.sleep(0.3)
    return "Reconnection test completed"


# -- questions -----------------------------------------------------------------------------------


class Person(pydantic.BaseModel):
    """A form."""

    username: str
    email: str


class Defaults(pydantic.BaseModel):
    """A form that is filled in already."""

    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Literal["active", "inactive", "pending"] = "active"
    verified: bool = True


def titled(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    """Choices that have a title."""
    return [{"const": value, "title": title} for value, title in pairs]


_ONE = titled(("value1", "First Option"), ("value2", "Second Option"), ("value3", "Third Option"))
_LEGACY = ["opt1", "opt2", "opt3"]


class Choices(pydantic.BaseModel):
    """A form with every kind of choice."""

    untitledSingle: Literal["option1", "option2", "option3"]
    titledSingle: Annotated[str, pydantic.WithJsonSchema({"type": "string", "oneOf": _ONE})]
    legacyEnum: Annotated[
        str,
        pydantic.WithJsonSchema(
            {"type": "string", "enum": _LEGACY, "enumNames": ["One", "Two", "Three"]}
        ),
    ]
    untitledMulti: list[Literal["option1", "option2", "option3"]]
    titledMulti: Annotated[
        list[str], pydantic.WithJsonSchema({"type": "array", "items": {"anyOf": _ONE}})
    ]


class Name(pydantic.BaseModel):
    """A form with a name."""

    name: str


class Confirmed(pydantic.BaseModel):
    """A form with a yes or no."""

    ok: bool


class Color(pydantic.BaseModel):
    """A form with a colour."""

    color: str


class Background(pydantic.BaseModel):
    """A form about where the user comes from."""

    context: str


@server.tool
async def test_sampling(prompt: str, ctx: Context) -> str:
    """Asks the client's model."""
    result = await ctx.sample(prompt, max_tokens=100)
    return f"LLM response: {result.content}"


@server.tool
async def test_elicitation(message: str, ctx: Context) -> str:
    """Asks the client's user."""
    return f"User response: {await ctx.elicit(message, Person)}"


@server.tool
async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
    """Asks with defaults."""
    return f"Elicitation completed: {await ctx.elicit('Is this you?', Defaults)}"


@server.tool
async def test_elicitation_sep1330_enums(ctx: Context) -> str:
    """Asks with choices."""
    return f"Elicitation completed: {await ctx.elicit('What do you like?', Choices)}"


@server.tool
async def test_missing_capability(ctx: Context) -> str:
    """Needs a client that has a model."""
    return str(await ctx.sample("Hello?"))


@server.tool
async def test_streaming_elicitation(ctx: Context) -> str:
    """Asks; an answer, not a request of the server, carries the question."""
    return f"Hello, {(await ctx.elicit('Your name?', Name)).name}!"


# -- questions that are returned -------------------------------------------------------------------

_CAPITAL = "What is the capital of France?"


@server.tool
async def test_input_required_result_elicitation(ctx: Context) -> str | InputRequired:
    """Asks for a name."""
    answer = ctx.input_response("user_name", Name)
    if answer is None:
        return InputRequired({"user_name": form_question("What is your name?", Name)})
    return f"Hello, {answer.name}!"


@server.tool
async def test_input_required_result_sampling(ctx: Context) -> str | InputRequired:
    """Asks a model."""
    answer = ctx.input_response("capital_question", CreateMessageResult)
    if answer is None:
        return InputRequired({"capital_question": sampling_question(_CAPITAL, max_tokens=100)})
    return f"The model says: {answer.content}"


@server.tool
async def test_input_required_result_list_roots(ctx: Context) -> str | InputRequired:
    """Asks for the client's roots."""
    answer = ctx.input_response("client_roots", ListRootsResult)
    if answer is None:
        return InputRequired({"client_roots": roots_question()})
    return f"Roots: {[root.uri for root in answer.roots]}"


@server.tool
async def test_input_required_result_request_state(ctx: Context) -> str | InputRequired:
    """Keeps something between two rounds."""
    answer = ctx.input_response("confirm", Confirmed)
    if answer is None or ctx.request_state != "kept":
        return InputRequired({"confirm": form_question("Go on?", Confirmed)}, "kept")
    return "state-ok"


@server.tool
async def test_input_required_result_multiple_inputs(ctx: Context) -> str | InputRequired:
    """Asks everything at once."""
    name = ctx.input_response("user_name", Name)
    greeting = ctx.input_response("greeting", CreateMessageResult)
    roots = ctx.input_response("client_roots", ListRootsResult)
    if name is None or greeting is None or roots is None:
        questions = {
            "user_name": form_question("What is your name?", Name),
            "greeting": sampling_question("Say hello.", max_tokens=100),
            "client_roots": roots_question(),
        }
        return InputRequired(questions, "asked")
    return f"{name.name}, {greeting.content}, {len(roots.roots)} roots"


@server.tool
async def test_input_required_result_multi_round(ctx: Context) -> str | InputRequired:
    """Asks twice."""
    kept = ctx.request_state
    if kept is None:
        return InputRequired({"step1": form_question("What is your name?", Name)}, {"step": 1})
    if kept["step"] == 1:
        name = ctx.input_response("step1", Name)
        if name is None:
            return InputRequired({"step1": form_question("What is your name?", Name)}, {"step": 1})
        state = {"step": 2, "name": name.name}
        return InputRequired({"step2": form_question("Which colour?", Color)}, state)
    color = ctx.input_response("step2", Color)
    if color is None:
        return InputRequired({"step2": form_question("Which colour?", Color)}, kept)
    return f"{kept['name']} likes {color.color}"


@server.tool
async def test_input_required_result_tampered_state(ctx: Context) -> str | InputRequired:
    """Keeps something that nobody may change."""
    answer = ctx.input_response("confirm", Confirmed)
    if answer is None:
        return InputRequired({"confirm": form_question("Go on?", Confirmed)}, "sealed")
    return f"state: {ctx.request_state}"


@server.tool
async def test_input_required_result_capabilities(ctx: Context) -> str | InputRequired:
    """Asks only what the client says it can answer."""
    declared = ctx.client_capabilities
    questions = {}
    if declared.elicitation is not None:
        questions["user_name"] = form_question("What is your name?", Name)
    if declared.sampling is not None:
        questions["capital_question"] = sampling_question(_CAPITAL, max_tokens=100)
    if ctx.input_responses or not questions:
        return "Done"
    return InputRequired(questions)


@server.prompt
async def test_input_required_result_prompt(ctx: Context) -> str | InputRequired:
    """A prompt that asks first."""
    answer = ctx.input_response("user_context", Background)
    if answer is None:
        return InputRequired({"user_context": form_question("What is it about?", Background)})
    return f"Write about {answer.context}."


# -- changes ---------------------------------------------------------------------------------------


@server.tool
async def test_trigger_tool_change() -> str:
    """Changes the list of tools, and changes it back."""

    @server.tool
    async def test_passing_tool() -> str:
        """Here for a moment."""
        return ""

    server.remove_tool("test_passing_tool")
    return "Tools have changed"


@server.tool
async def test_trigger_prompt_change() -> str:
    """Changes the list of prompts, and changes it back."""

    @server.prompt
    async def test_passing_prompt() -> str:
        """Here for a moment."""
        return ""

    server.remove_prompt("test_passing_prompt")
    return "Prompts have changed"


# -- prompts and completion ------------------------------------------------------------------------


@server.prompt
async def test_simple_prompt() -> str:
    """A prompt."""
    return "This is a simple prompt for testing."


@server.prompt
async def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """A prompt with arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@server.completion("arg1", prompt="test_prompt_with_arguments")
async def complete_arg1(value: str) -> list[str]:
    """Values for the first argument."""
    return [each for each in ("test", "testing", "tested") if each.startswith(value)]


@server.prompt
async def test_prompt_with_embedded_resource(resourceUri: str) -> Any:
    """A prompt with a resource in it."""
    return [
        PromptMessage("user", embedded(resourceUri, "text/plain", "Embedded resource content.")),
        PromptMessage("user", TextContent("Please process the embedded resource above.")),
    ]


@server.prompt
async def test_prompt_with_image() -> Any:
    """A prompt with an image in it."""
    return [
        PromptMessage("user", ImageContent(PNG, "image/png")),
        PromptMessage("user", TextContent("Please analyze the image above.")),
    ]


# -- resources -------------------------------------------------------------------------------------


@server.resource("test://static-text", mime_type="text/plain")
async def static_text() -> str:
    """A text."""
    return "This is the content of the static text resource."


@server.resource("test://static-binary", mime_type="image/png")
async def static_binary() -> bytes:
    """A picture."""
    return base64.b64decode(PNG)


@server.resource("test://watched-resource", mime_type="text/plain")
async def watched_resource() -> str:
    """A text that one may subscribe to."""
    return "Watched resource content."


@server.resource("test://template/{id}/data", mime_type="application/json")
async def template_data(id: str) -> dict[str, Any]:
    """Data for an id."""
    if not id:
        raise ResourceNotFound("test://template//data")
    return {"id": id, "templateTest": True, "data": f"Data for ID: {id}"}


async def main() -> None:
    """Serve until told to stop."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(server.serve_http, "127.0.0.1", port)
        print(f"{urls[0]}/mcp", file=sys.stderr, flush=True)


if __name__ == "__main__":
    trio.run(main)
