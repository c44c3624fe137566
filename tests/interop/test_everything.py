"""The trimcp client against `server-everything`, the reference server that has all features.

It is made with the first generation of the TypeScript SDK, so it knows the handshake era only.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from trimcp import Client, RequestError, RequestTimeout, open_stdio_client
from trimcp.types import (
    UNSET,
    Annotations,
    BlobResourceContents,
    CallToolResult,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    EmbeddedResource,
    ImageContent,
    LoggingMessageNotificationParams,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from .conftest import HERE, NODE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("node_modules")

EVERYTHING = HERE / "node_modules/@modelcontextprotocol/server-everything/dist/index.js"
COMMAND = (str(NODE), str(EVERYTHING), "stdio")

#: Node keeps what it has compiled, and so starts in a third of the time.
CACHE = {"NODE_COMPILE_CACHE": str(HERE / "node_modules" / ".cache")}

REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
TEXT_TEMPLATE = "demo://resource/dynamic/text/{resourceId}"
BLOB_TEMPLATE = "demo://resource/dynamic/blob/{resourceId}"
LONG = "trigger-long-running-operation"
PNG = b"\x89PNG\r\n\x1a\n"


@asynccontextmanager
async def opened(
    command: Sequence[str] = COMMAND,
    *,
    stderr: list[str] | None = None,
    env: Mapping[str, str] | None = None,
    grace: float = 120,
    **options: Any,
) -> AsyncIterator[Client]:
    """A client; a server that would not end by itself would hold up the test until it fails."""
    lines = [] if stderr is None else stderr
    with trio.fail_after(60):
        async with open_stdio_client(
            command, env={**CACHE, **(env or {})}, grace=grace, on_stderr=lines.append, **options
        ) as client:
            yield client


def text_of(result: CallToolResult) -> str:
    """The text of a result that has one block of it and is no error."""
    assert not result.is_error, result
    return only_text(result)


def only_text(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


@attrs.define
class Log:
    """Log messages, and who waits for one."""

    messages: list[LoggingMessageNotificationParams] = attrs.field(factory=list)
    arrived: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    async def add(self, message: LoggingMessageNotificationParams) -> None:
        self.messages.append(message)
        self.arrived.unpark_all()

    async def wait_for(self, pattern: str) -> LoggingMessageNotificationParams:
        """The first message with such a text."""
        while True:
            for message in self.messages:
                if re.search(pattern, str(message.data)):
                    return message
            await self.arrived.park()


# -- what it says of itself -------------------------------------------------------------------


async def test_identity() -> None:
    async with opened() as client:
        assert client.revision == "2025-11-25"
        assert client.server_info is not None
        assert client.server_info.name == "mcp-servers/everything"
        assert client.server_info.title == "Everything Reference Server"
        assert client.instructions is not None
        assert client.instructions.startswith("# Everything Server")
        offered = client.capabilities
        assert offered.logging == {}
        assert offered.completions == {}
        assert offered.prompts is not None
        assert offered.prompts.list_changed
        assert offered.resources is not None
        assert (offered.resources.subscribe, offered.resources.list_changed) == (True, True)
        assert offered.tools is not None
        await client.ping()


async def test_leaving_ends_it(tmp_path: Path) -> None:
    """It ends because its input does, by itself and without a fault."""
    status = tmp_path / "status"
    stderr: list[str] = []
    keep_status = ["/bin/sh", "-c", '"$@"; echo $? > "$0"', str(status), *COMMAND]
    async with opened(keep_status, stderr=stderr) as client:
        assert text_of(await client.call_tool("echo", {"message": "hello"})) == "Echo: hello"
        assert not status.exists()
    assert status.read_text() == "0\n"
    assert stderr == ["Starting default (STDIO) server..."]


@pytest.mark.parametrize("revision", REVISIONS)
async def test_older_revisions(revision: str) -> None:
    """What a revision does not have, its client does not see; the rest works."""
    async with opened(revision=revision, sampling=answer_with_text) as client:
        assert client.revision == revision
        tools = {tool.name: tool for tool in await client.list_tools()}
        assert (tools["echo"].annotations is not None) == (revision >= "2025-03-26")
        assert (tools["echo"].title is not None) == (revision >= "2025-06-18")
        assert text_of(await client.call_tool("get-sum", {"a": 2, "b": 3})).endswith("is 5.")
        weather = await client.call_tool("get-structured-content", {"location": "Chicago"})
        assert json.loads(text_of(weather))["humidity"] == 82
        assert (weather.structured_content is not UNSET) == (revision >= "2025-06-18")
        sampled = text_of(await client.call_tool("trigger-sampling-request", {"prompt": "Hi"}))
        assert "Hi, too" in sampled


async def test_revision_that_it_lacks() -> None:
    with pytest.raises(RequestError) as caught:
        async with opened(revision="2026-07-28"):
            pass
    assert caught.value.code == -32601


# -- tools ------------------------------------------------------------------------------------

ALWAYS = {
    *("echo", "get-annotated-message", "get-env", "get-resource-links"),
    *("get-resource-reference", "get-structured-content", "get-sum", "get-tiny-image"),
    *("gzip-file-as-resource", "simulate-research-query", "toggle-simulated-logging"),
    *("toggle-subscriber-updates", "trigger-long-running-operation"),
}
IF_THE_CLIENT_CAN = {
    *("get-roots-list", "trigger-elicitation-request", "trigger-sampling-request"),
    "trigger-url-elicitation",
}


async def test_tools() -> None:
    async with opened() as client:
        tools = {tool.name: tool for tool in await client.list_tools()}
        assert set(tools) == ALWAYS
        echo = tools["echo"]
        assert (echo.title, echo.description) == ("Echo Tool", "Echoes back the input string")
        assert echo.input_schema["required"] == ["message"]
        hints = echo.annotations
        assert hints is not None
        assert (hints.read_only_hint, hints.destructive_hint) == (True, False)
        assert (hints.idempotent_hint, hints.open_world_hint) == (True, False)
        page = await client.list_tools_page()
        assert {tool.name for tool in page.tools} == ALWAYS
        assert page.next_cursor is None


async def test_tools_that_need_the_client() -> None:
    """They are there as soon as the client has declared what it can do."""
    asked = trio.Event()

    def roots() -> list[str]:
        asked.set()
        return []

    async with opened(
        roots=roots, sampling=answer_with_text, elicitation=decline, url_elicitation=refuse
    ) as client:
        assert {tool.name for tool in await client.list_tools()} == ALWAYS | IF_THE_CLIENT_CAN
        # It asks a while after the handshake, and would wait for an answer that cannot come.
        await asked.wait()


async def test_calls() -> None:
    async with opened(env={"TRIMCP_TEST": "żółć"}) as client:
        message = 'żółć \U0001f389 \u2028 "\\ \n'
        assert text_of(await client.call_tool("echo", {"message": message})) == f"Echo: {message}"
        total = await client.call_tool("get-sum", {"a": 0.5, "b": -2})
        assert text_of(total) == "The sum of 0.5 and -2 is -1.5."
        environment = json.loads(text_of(await client.call_tool("get-env")))
        assert environment["TRIMCP_TEST"] == "żółć"


async def test_many_calls_at_once() -> None:
    echoes: dict[str, str] = {}

    async with opened() as client:

        async def echo(message: str) -> None:
            echoes[message] = text_of(await client.call_tool("echo", {"message": message}))

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(echo, str(number))
    assert echoes == {str(number): f"Echo: {number}" for number in range(100)}


async def test_failing_calls() -> None:
    """Whatever goes wrong, this server says it in a result, and goes on."""
    failing: list[tuple[str, dict[str, Any], str]] = [
        ("echo", {}, "message"),
        ("echo", {"message": 1}, "expected string"),
        ("get-structured-content", {"location": "Nowhere"}, "location"),
        ("get-resource-reference", {"resourceId": -1}, "positive integer"),
        ("gzip-file-as-resource", {"data": "ftp://example.org/a"}, "Unsupported URL protocol"),
        ("simulate-research-query", {"topic": "x"}, "requires task augmentation"),
        ("no-such-tool", {}, "no-such-tool"),
    ]
    async with opened() as client:
        for name, arguments, words in failing:
            result = await client.call_tool(name, arguments)
            assert result.is_error, name
            assert words in only_text(result)
            assert text_of(await client.call_tool("echo", {"message": "on"})) == "Echo: on"


async def test_annotated_content() -> None:
    async with opened() as client:
        for kind, annotations in [
            ("error", Annotations(("user", "assistant"), 1)),
            ("success", Annotations(("user",), 0.7)),
            ("debug", Annotations(("assistant",), 0.3)),
        ]:
            arguments = {"messageType": kind, "includeImage": True}
            text, image = (await client.call_tool("get-annotated-message", arguments)).content
            assert isinstance(text, TextContent)
            assert text.annotations == annotations
            assert isinstance(image, ImageContent)
            assert image.annotations == Annotations(("user",), 0.5)


async def test_image() -> None:
    async with opened() as client:
        before, image, after = (await client.call_tool("get-tiny-image")).content
    assert isinstance(before, TextContent)
    assert isinstance(after, TextContent)
    assert isinstance(image, ImageContent)
    assert image.mime_type == "image/png"
    assert base64.b64decode(image.data).startswith(PNG)


async def test_structured_content() -> None:
    async with opened() as client:
        tools = {tool.name: tool for tool in await client.list_tools()}
        # Listed, and so checked against its schema.
        result = await client.call_tool("get-structured-content", {"location": "New York"})
    expected = {"temperature": 33, "conditions": "Cloudy", "humidity": 82}
    assert result.structured_content == expected
    assert json.loads(text_of(result)) == expected
    schema = tools["get-structured-content"].output_schema
    assert schema is not None
    assert set(schema["required"]) == set(expected)
    assert tools["echo"].output_schema is None


# -- progress and cancellation ----------------------------------------------------------------


async def test_progress() -> None:
    seen: list[tuple[float, float | None]] = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        assert message is None
        seen.append((done, total))

    async with opened() as client:
        arguments = {"duration": 0.4, "steps": 4}
        result = await client.call_tool(LONG, arguments, progress=on_progress)
        assert "Duration: 0.4 seconds, Steps: 4." in text_of(result)
        # Reports that come in one piece are one: the latest.
        assert seen[-1] == (4, 4)
        assert seen == sorted(set(seen) & {(1, 4), (2, 4), (3, 4), (4, 4)})

        # Nobody is told who does not ask.
        seen.clear()
        await client.call_tool(LONG, {"duration": 0.01, "steps": 2})
        assert seen == []


async def test_cancellation(tmp_path: Path) -> None:
    """A call that is left is cancelled at the server.

    This tool never looks, so it goes on reporting progress, which must not disturb other calls.
    """
    wire = tmp_path / "wire.jsonl"
    recorded = ["/bin/sh", "-c", 'tee "$0" | "$@"', str(wire), *COMMAND]
    seen: list[float] = []

    async with opened(recorded, grace=0) as client:
        async with trio.open_nursery() as nursery:

            async def on_progress(done: float, total: float | None, message: str | None) -> None:
                seen.append(done)
                nursery.cancel_scope.cancel()

            async def call() -> None:
                await client.call_tool(LONG, {"duration": 60, "steps": 6000}, progress=on_progress)

            nursery.start_soon(call)
        count = len(seen)
        for number in range(100):
            text = text_of(await client.call_tool("echo", {"message": str(number)}))
            assert text == f"Echo: {number}"
        assert len(seen) == count > 0

        sent = [json.loads(line) for line in wire.read_text().splitlines()]
    (cancellation,) = [each for each in sent if each["method"] == "notifications/cancelled"]
    (cancelled,) = [each for each in sent if each.get("id") == cancellation["params"]["requestId"]]
    assert cancelled["params"]["name"] == LONG


async def test_timeout() -> None:
    async with opened() as client:
        with pytest.raises(RequestTimeout):
            await client.call_tool(LONG, {"duration": 1, "steps": 1}, timeout=0.1)
        assert text_of(await client.call_tool("echo", {"message": "on"})) == "Echo: on"


# -- what the server asks of the client -------------------------------------------------------


async def answer_with_text(params: CreateMessageRequestParams) -> str:
    (message,) = params.messages
    (block,) = message.content
    assert isinstance(block, TextContent)
    return f"{block.text}, too"


async def decline(form: ElicitRequestFormParams) -> None:
    return None


async def refuse(question: ElicitRequestURLParams) -> bool:
    return False


def after(label: str, text: str) -> Any:
    """The JSON that a text has after its label."""
    _, found, tail = text.partition(label)
    assert found, text
    return json.loads(tail)


async def test_sampling() -> None:
    asked: list[CreateMessageRequestParams] = []

    async def sample(params: CreateMessageRequestParams) -> CreateMessageResult:
        asked.append(params)
        return CreateMessageResult(
            "assistant", (TextContent("Fine."),), model="a-model", stop_reason="endTurn"
        )

    async with opened(sampling=sample) as client:
        arguments = {"prompt": "How are you?", "maxTokens": 7}
        result = await client.call_tool("trigger-sampling-request", arguments)
    assert after("LLM sampling result: \n", text_of(result)) == {
        "role": "assistant",
        "content": {"type": "text", "text": "Fine."},
        "model": "a-model",
        "stopReason": "endTurn",
    }
    (params,) = asked
    assert (params.max_tokens, params.temperature) == (7, 0.7)
    assert params.system_prompt == "You are a helpful test server."
    (message,) = params.messages
    assert message.role == "user"
    (block,) = message.content
    assert isinstance(block, TextContent)
    assert block.text.endswith("context: How are you?")


async def test_refused_sampling() -> None:
    async def sample(params: CreateMessageRequestParams) -> str:
        raise RequestError(-1, "the user said no")

    async with opened(sampling=sample) as client:
        result = await client.call_tool("trigger-sampling-request", {"prompt": "Hi"})
        assert result.is_error
        assert "the user said no" in only_text(result)


async def test_elicitation() -> None:
    """A form with every kind of field; what the callback leaves out has its default."""
    forms: list[ElicitRequestFormParams] = []

    async def fill_in(form: ElicitRequestFormParams) -> dict[str, Any]:
        forms.append(form)
        return {
            "name": "Ada",
            "check": False,
            "email": "ada@example.org",
            "homepage": "https://example.org/",
            "birthdate": "1815-12-10",
            "integer": 7,
            "titledMultipleSelectEnum": ["fish-2", "fish-3"],
        }

    async with opened(elicitation=fill_in) as client:
        result = await client.call_tool("trigger-elicitation-request")
    (form,) = forms
    assert form.message == "Please provide inputs for the following fields:"
    assert form.requested_schema["required"] == ["name"]
    raw = result.content[-1]
    assert isinstance(raw, TextContent)
    assert after("Raw result: ", raw.text) == {
        "action": "accept",
        "content": {
            "name": "Ada",
            "check": False,
            "firstLine": "It was a dark and stormy night.",
            "email": "ada@example.org",
            "homepage": "https://example.org/",
            "birthdate": "1815-12-10",
            "integer": 7,
            "number": 3.14,
            "untitledSingleSelectEnum": "Monica",
            "untitledMultipleSelectEnum": ["Guitar"],
            "titledSingleSelectEnum": "hero-1",
            "titledMultipleSelectEnum": ["fish-2", "fish-3"],
            "legacyTitledEnum": "pet-1",
        },
    }


async def test_refused_elicitation() -> None:
    answers = [None, ElicitResult("decline"), ElicitResult("cancel")]

    async def refuse_form(form: ElicitRequestFormParams) -> ElicitResult | None:
        return answers.pop(0)

    async with opened(elicitation=refuse_form) as client:
        for word in ("declined", "declined", "cancelled"):
            text, _ = (await client.call_tool("trigger-elicitation-request")).content
            assert isinstance(text, TextContent)
            assert f"User {word}" in text.text
    assert answers == []


async def test_url_elicitation() -> None:
    asked: list[ElicitRequestURLParams] = []

    async def agree(question: ElicitRequestURLParams) -> bool:
        asked.append(question)
        return question.elicitation_id == "one"

    url = "https://example.org/sign-in"
    async with opened(url_elicitation=agree) as client:
        for number, word in [("one", "completed"), ("two", "declined")]:
            arguments = {"url": url, "message": "Sign in.", "elicitationId": number}
            text, _ = (await client.call_tool("trigger-url-elicitation", arguments)).content
            assert isinstance(text, TextContent)
            assert f"User {word}" in text.text
    assert asked == [ElicitRequestURLParams("Sign in.", url, each) for each in ("one", "two")]


async def test_url_elicitation_as_an_error() -> None:
    """The server wants a page visited before it does anything: the caller is told which."""
    async with opened(url_elicitation=refuse) as client:
        arguments = {"url": "https://example.org/", "errorPath": True}
        with pytest.raises(RequestError) as caught:
            await client.call_tool("trigger-url-elicitation", arguments)
    assert caught.value.code == -32042
    (question,) = caught.value.data["elicitations"]
    assert (question["mode"], question["url"]) == ("url", "https://modelcontextprotocol.io")


async def test_roots(tmp_path: Path) -> None:
    """Asked once, and again when the client says that they have changed."""
    log = Log()
    found: list[Any] = [tmp_path]

    async def roots() -> list[Any]:
        return found

    async with opened(roots=roots, logging=log.add) as client:
        listed = text_of(await client.call_tool("get-roots-list"))
        assert "(1 total)" in listed
        assert f"1. {tmp_path.name}\n   URI: {tmp_path.as_uri()}" in listed
        await log.wait_for(r"Roots updated: 1 root")

        found.append("file:///somewhere%20else")
        await client.notify_roots_changed()
        await log.wait_for(r"Roots updated: 2 root")
        listed = text_of(await client.call_tool("get-roots-list"))
        assert "2. Unnamed Root\n   URI: file:///somewhere%20else" in listed


# -- resources --------------------------------------------------------------------------------


async def test_resources() -> None:
    async with opened() as client:
        resources = {resource.name: resource for resource in await client.list_resources()}
        assert len(resources) >= 7
        listed = resources["features.md"]
        assert listed.uri == "demo://resource/static/document/features.md"
        assert listed.mime_type == "text/markdown"
        (contents,) = (await client.read_resource(listed.uri)).contents
        assert isinstance(contents, TextResourceContents)
        assert (contents.uri, contents.mime_type) == (listed.uri, "text/markdown")
        assert contents.text.startswith("# ")
        assert (await client.list_resources_page()).next_cursor is None


async def test_resource_templates() -> None:
    async with opened() as client:
        templates = {each.uri_template: each for each in await client.list_resource_templates()}
        assert set(templates) == {TEXT_TEMPLATE, BLOB_TEMPLATE}
        assert templates[BLOB_TEMPLATE].mime_type == "application/octet-stream"

        uri = TEXT_TEMPLATE.format(resourceId=7)
        (text,) = (await client.read_resource(uri)).contents
        assert isinstance(text, TextResourceContents)
        assert text.uri == uri
        assert text.text.startswith("Resource 7: This is a plaintext resource")

        (blob,) = (await client.read_resource(BLOB_TEMPLATE.format(resourceId=8))).contents
        assert isinstance(blob, BlobResourceContents)
        assert base64.b64decode(blob.blob).startswith(b"Resource 8: This is a base64 blob")


async def test_missing_resources() -> None:
    unknown, malformed = "demo://nowhere", TEXT_TEMPLATE.format(resourceId="seven")
    async with opened() as client:
        for uri, code in [(unknown, -32602), (malformed, -32603)]:
            with pytest.raises(RequestError) as caught:
                await client.read_resource(uri)
            assert caught.value.code == code
            assert uri in caught.value.message


async def test_resource_links() -> None:
    """A link leads to what can be read."""
    async with opened() as client:
        result = await client.call_tool("get-resource-links", {"count": 4})
        text, *links = result.content
        assert isinstance(text, TextContent)
        assert len(links) == 4
        for number, link in enumerate(links, 1):
            assert isinstance(link, ResourceLink)
            assert link.name.endswith(f"Resource {number}")
            (contents,) = (await client.read_resource(link.uri)).contents
            assert contents.uri == link.uri


async def test_embedded_resources() -> None:
    async with opened() as client:

        async def embedded(kind: str) -> Any:
            arguments = {"resourceType": kind, "resourceId": 3}
            _, block, _ = (await client.call_tool("get-resource-reference", arguments)).content
            assert isinstance(block, EmbeddedResource)
            assert block.resource.mime_type == "text/plain"
            return block.resource

        text = await embedded("Text")
        assert isinstance(text, TextResourceContents)
        assert text.text.startswith("Resource 3: ")
        blob = await embedded("Blob")
        assert isinstance(blob, BlobResourceContents)
        assert base64.b64decode(blob.blob).startswith(b"Resource 3: ")


@pytest.mark.parametrize("output", ["resource", "resourceLink"])
async def test_resource_made_by_a_tool(output: str) -> None:
    changed = trio.Event()

    async def on_change(params: dict[str, Any]) -> None:
        changed.set()

    async with opened() as client:
        before = len(await client.list_resources())
        client.on_notification("notifications/resources/list_changed", on_change)
        arguments = {"name": "a.gz", "data": "data:text/plain,hello", "outputType": output}
        (block,) = (await client.call_tool("gzip-file-as-resource", arguments)).content
        await changed.wait()
        assert len(await client.list_resources()) == before + 1
        if isinstance(block, EmbeddedResource):
            contents = block.resource
        else:
            assert isinstance(block, ResourceLink)
            assert (block.name, block.mime_type) == ("a.gz", "application/gzip")
            (contents,) = (await client.read_resource(block.uri)).contents
    assert isinstance(block, EmbeddedResource) == (output == "resource")
    assert isinstance(contents, BlobResourceContents)
    assert gzip.decompress(base64.b64decode(contents.blob)) == b"hello"


async def test_subscription() -> None:
    """By requests as they stand on the wire."""
    updates: list[Any] = []
    updated = trio.Event()
    uri = TEXT_TEMPLATE.format(resourceId=1)

    async def on_update(params: dict[str, Any]) -> None:
        updates.append(params)
        updated.set()

    async with opened() as client:
        client.on_notification("notifications/resources/updated", on_update)
        assert await client.request("resources/subscribe", {"uri": uri}) == {}
        assert text_of(await client.call_tool("toggle-subscriber-updates")).startswith("Started")
        await updated.wait()
        assert text_of(await client.call_tool("toggle-subscriber-updates")).startswith("Stopped")
        assert await client.request("resources/unsubscribe", {"uri": uri}) == {}
    assert updates[0] == {"uri": uri}


# -- prompts and completion -------------------------------------------------------------------


async def test_prompts() -> None:
    async with opened() as client:
        prompts = {prompt.name: prompt for prompt in await client.list_prompts()}
        assert set(prompts) == {
            *("simple-prompt", "args-prompt", "completable-prompt", "resource-prompt")
        }
        simple, args = prompts["simple-prompt"], prompts["args-prompt"]
        assert (simple.title, simple.arguments) == ("Simple Prompt", None)
        assert args.arguments is not None
        assert [(each.name, each.required) for each in args.arguments] == [
            ("city", True),
            ("state", False),
        ]

        for name, arguments, text in [
            ("simple-prompt", None, "This is a simple prompt without arguments."),
            ("args-prompt", {"city": "Kraków"}, "What's weather in Kraków?"),
            ("args-prompt", {"city": "A", "state": "B"}, "What's weather in A, B?"),
        ]:
            (message,) = (await client.get_prompt(name, arguments)).messages
            assert (message.role, message.content) == ("user", TextContent(text))

        arguments = {"resourceType": "Blob", "resourceId": "2"}
        _, message = (await client.get_prompt("resource-prompt", arguments)).messages
        assert isinstance(message.content, EmbeddedResource)
        assert message.content.resource.uri == BLOB_TEMPLATE.format(resourceId=2)


async def test_prompt_errors() -> None:
    async with opened() as client:
        for name, word in [("args-prompt", "city"), ("no-such-prompt", "no-such-prompt")]:
            with pytest.raises(RequestError) as caught:
                await client.get_prompt(name)
            assert caught.value.code == -32602
            assert word in caught.value.message


async def test_completion() -> None:
    async with opened() as client:
        found = await client.complete("department", "S", prompt="completable-prompt")
        assert (found.values, found.total, found.has_more) == (("Sales", "Support"), 2, False)

        for department, names in [("Sales", ("David", "Eve", "Frank")), ("Nowhere", ())]:
            given = {"department": department}
            found = await client.complete("name", prompt="completable-prompt", arguments=given)
            assert found.values == names

        for value, values in [("7", ("7",)), ("seven", ())]:
            assert (
                await client.complete("resourceId", value, resource=TEXT_TEMPLATE)
            ).values == values

        with pytest.raises(RequestError) as caught:
            await client.complete("a", prompt="no-such-prompt")
        assert caught.value.code == -32602


# -- logging ----------------------------------------------------------------------------------


async def test_logging() -> None:
    """The server says each subscription at level `info`."""
    log = Log()

    async def subscribe(number: int) -> None:
        await client.request("resources/subscribe", {"uri": f"demo://{number}"})

    async with opened(logging=log.add) as client:
        await client.set_log_level("warning")
        await subscribe(1)
        await client.set_log_level("info")
        await subscribe(2)
        message = await log.wait_for("demo://2")
    assert message.level == "info"
    # What was not wanted would have come first.
    assert log.messages == [message]


async def test_log_level_from_the_start() -> None:
    log = Log()

    async with opened(logging=log.add, log_level="error") as client:
        await client.request("resources/subscribe", {"uri": "demo://1"})
        await client.set_log_level("debug")
        assert text_of(await client.call_tool("toggle-simulated-logging")).startswith("Started")
        message = await log.wait_for("message")
        assert text_of(await client.call_tool("toggle-simulated-logging")).startswith("Stopped")
    # It chooses the level at random.
    assert str(message.data).lower().startswith(message.level)
    # The subscription, at level `info`, would have come before.
    assert log.messages[0] == message
