"""The servers in docs/examples do what the pages say, in both eras."""

from __future__ import annotations

import functools
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import (
    LimitExceeded,
    RequestError,
    ResourceUpdated,
    ToolsListChanged,
    open_client,
    open_stdio_client,
)
from trimcp.types import UNSET, ElicitResult, TextContent, TextResourceContents

from .pages import EXAMPLES
from .web import web_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from types import ModuleType

    from trimcp import Changes, Client
    from trimcp.types import (
        CreateMessageRequestParams,
        ElicitRequestFormParams,
        ElicitRequestURLParams,
    )

REVISIONS = ["2026-07-28", "2025-11-25"]

#: Programs that are no servers to be launched: they run on the pages that show them.
PROGRAMS = {
    "activated.py",
    "asyncio_host.py",
    "asyncio_loop.py",
    "asyncio_thread.py",
    "auth.py",
    "auth_api_keys.py",
    "auth_dpop.py",
    "auth_starlette.py",
    "child_process.py",
    "client.py",
    "client_credentials.py",
    "enterprise_managed.py",
    "http_client.py",
    "serving_http.py",
    "limits_and_errors.py",
    "login.py",
    "login_dpop.py",
    "notifications_client.py",
    "questions_client.py",
    "reporting.py",
    "sockets.py",
    "streaming_client.py",
    "streams.py",
    "tutorial_client.py",
    "verifiers.py",
    "websocket_and_sse.py",
    "websockets.py",
    "workload_identity.py",
}

#: Tests; see `test_behaviour.py`.
TESTS = {"test_in_memory.py", "test_with_socket.py", "test_with_stdio.py"}


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    """The structured content of a result, or else its text."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result
    (content,) = result.content
    assert isinstance(content, TextContent)
    if result.structured_content is UNSET:
        return content.text
    if client.revision < "2026" and set(result.structured_content) == {"result"}:
        return result.structured_content["result"]
    return result.structured_content


async def failure(client: Client, tool: str, **arguments: Any) -> str:
    """The text of a tool that fails."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def read(client: Client, uri: str) -> str:
    """The text of a resource."""
    (contents,) = (await client.read_resource(uri)).contents
    assert isinstance(contents, TextResourceContents)
    return contents.text


async def prompted(client: Client, name: str, **arguments: str) -> list[str]:
    """The texts of a prompt's messages."""
    texts = []
    for message in (await client.get_prompt(name, arguments)).messages:
        assert isinstance(message.content, TextContent)
        texts.append(message.content.text)
    return texts


async def answer(question: ElicitRequestFormParams) -> dict[str, Any] | ElicitResult | None:
    """The user of all these servers."""
    match question.message:
        case "A table for Friday?":
            return {"guests": 4}
        case "A table for Monday?":
            return ElicitResult("cancel")
        case "What is your name?":
            return None
        case "Who is the host?":
            return {"name": "Ada"}
        case "Who is the guest?":
            return {"name": "Grace"}
        case "Sign a will as whom?":
            return {"name": "Ada"}
        case "Delete the note 'show' for good?":
            return {"sure": True}
        case "Delete the note 'milk' for good?":
            return {"sure": False}
        case "Who shall have written it?":
            return {"name": "Ada"}
        case "I think of a number.":
            return {"number": 3}
        case "Not 3.":
            return {"number": 7}
        case "Pay 5?":
            return {"sure": True}
    raise AssertionError(question)


async def agree(question: ElicitRequestURLParams) -> bool:
    """The user who is sent to a URL."""
    return question.url == "https://pay.example/orders/7"


async def think(request: CreateMessageRequestParams) -> str:
    """The model of all these servers."""
    (message,) = request.messages
    (content,) = message.content
    assert isinstance(content, TextContent)
    return f"{request.max_tokens} tokens on {content.text.splitlines()[-1]}"


#: What the client of all these servers can answer.
ANSWERS: dict[str, Any] = {
    "elicitation": answer,
    "url_elicitation": agree,
    "sampling": think,
    "roots": ["file:///srv/papers"],
}


# -- what each server is asked ----------------------------------------------------------------


async def notes(client: Client) -> None:
    assert await call(client, "add_note", title="show", text="Friday at eight") == "Kept 'show'."
    assert await call(client, "add_note", title="milk", text="buy eight litres") == "Kept 'milk'."
    assert await call(client, "find_notes", word="eight") == ["show", "milk"]
    assert await call(client, "find_notes", word="Friday") == ["show"]
    expected = "There already is a note 'show'. Choose another title."
    assert await failure(client, "add_note", title="show", text="") == expected


async def notes_to_read(client: Client) -> None:
    await notes(client)
    assert await read(client, "notes://titles") == '["milk","show"]'
    assert await read(client, "note://show") == "Friday at eight"
    with pytest.raises(RequestError, match="Resource not found: note://shoe"):
        await client.read_resource("note://shoe")
    (template,) = await client.list_resource_templates()
    found = await client.complete("title", "m", resource=template.uri_template)
    assert found.values == ("milk",)


async def notes_to_summarize(client: Client) -> None:
    await notes_to_read(client)
    (text,) = await prompted(client, "summarize", title="show")
    expected = "Write a short summary of this note, called 'show':\n\nFriday at eight"
    assert text == expected
    with pytest.raises(RequestError, match="'short' or 'long'"):
        await client.get_prompt("summarize", {"title": "show", "length": "medium"})
    assert (await client.complete("title", "s", prompt="summarize")).values == ("show",)

    reports = []

    async def note(*report: Any) -> None:
        reports.append(report)

    drafts = [{"title": title, "text": title} for title in "abc"]
    result = await client.call_tool("add_notes", {"drafts": drafts}, progress=note)
    assert result.content == (TextContent("5"),)
    assert reports[-1] == (3, 3, "c")


async def notes_to_delete(client: Client) -> None:
    await notes_to_summarize(client)
    assert await call(client, "delete_note", title="show") == "Deleted 'show'."
    assert await call(client, "delete_note", title="milk") == "'milk' stays."
    assert await failure(client, "delete_note", title="show") == "There is no note 'show'."
    assert await read(client, "notes://titles") == '["a","b","c","milk"]'


async def tools(client: Client) -> None:
    expected = {"city": "Lima", "degrees": 66.2, "unit": "fahrenheit"}
    assert await call(client, "weather", city="Lima", unit="fahrenheit") == expected
    assert "There are some of Bergen" in await failure(client, "weather", city="Atlantis")
    assert await call(client, "shout", text="no", times=2) == "NO NO"
    flaw = "Invalid arguments for tool shout:\n$.times: Input should be less than or equal to 3"
    assert await failure(client, "shout", text="no", times=9) == flaw
    assert len(await call(client, "digest", text="x")) == 64
    assert (await call(client, "warmest", cities=["Bergen", "Lima"]))["city"] == "Lima"
    assert "Atlantis" in await failure(client, "warmest", cities=["Lima", "Atlantis"])
    assert [each.type for each in (await client.call_tool("draw", {"colour": "red"})).content] == [
        "text",
        "image",
    ]
    assert await call(client, "total", x=1, y=2) == {"sum": 3}
    assert "has less than 1 property" in await failure(client, "total")
    listed = {tool.name: tool for tool in await client.list_tools()}
    properties = listed["weather"].input_schema["properties"]
    assert properties["city"] == {"type": "string", "description": "Its English name."}
    hints = listed["digest"].annotations
    assert hints is not None
    assert hints.read_only_hint


async def resources(client: Client) -> None:
    listed = {resource.uri: resource.name for resource in await client.list_resources()}
    assert listed == {
        "config://app": "config",
        "logo://small": "logo",
        "source://resources.py": "resources.py",
        "examples://all": "examples",
    }
    assert await read(client, "config://app") == '{"theme":"dark","language":"en"}'
    assert await read(client, "user://1") == '{"id":1,"name":"Ada"}'
    code = -32602 if client.revision == "2026-07-28" else -32002
    for uri in ("user://9", "user://x", "examples://all/../design.md", "nothing://at-all"):
        with pytest.raises(RequestError) as caught:
            await client.read_resource(uri)
        assert (caught.value.code, caught.value.data) == (code, {"uri": uri})
    assert len((await client.read_resource("posts://ada")).contents) == 2
    assert await read(client, "posts://ada?limit=1") == "# Post 1"
    assert (await client.complete("id", "2", resource="user://{id}")).values == ("2",)
    (logo,) = (await client.read_resource("logo://small")).contents
    assert logo.mime_type == "image/gif"
    source = (EXAMPLES / "resources.py").read_text()
    assert await read(client, "source://resources.py") == source
    assert await read(client, "examples://all/resources.py") == source
    assert '"examples://all/tools.py"' in await read(client, "examples://all")


async def prompts(client: Client) -> None:
    assert await prompted(client, "explain", topic="trio") == ["Explain trio to a child."]
    with pytest.raises(RequestError, match="'child' or 'expert'") as caught:
        await client.get_prompt("explain", {"topic": "trio", "level": "nobody"})
    assert caught.value.code == -32602
    first, second = await prompted(client, "review", code="x", language="rust", framework="axum")
    assert first == "Review this rust code, which uses axum:\n\nx"
    assert second == "What should I look for above all?"
    assert (await client.complete("language", "p", prompt="review")).values == ("python",)
    given = {"language": "rust"}
    found = await client.complete("framework", "", prompt="review", arguments=given)
    assert found.values == ("axum", "tokio")
    assert (await client.complete("framework", "", prompt="review")).values == ()


async def questions(client: Client) -> None:
    assert await call(client, "book", day="Friday") == "Booked: Friday, 4 guests, inside."
    refused = "The user answered the question with: cancel."
    assert await failure(client, "book", day="Monday") == refused
    assert await call(client, "greet") == "Hello, whoever you are (decline)."
    assert await call(client, "introduce") == "Ada, this is Grace."
    assert await call(client, "pay", order=7) == "The user agreed to go there."
    assert "decline" in await failure(client, "pay", order=8)
    assert await call(client, "sum_up", text="everything") == "100 tokens on everything"
    assert await call(client, "folders") == ["file:///srv/papers"]
    assert await call(client, "sign", document="a will") == "a will was signed by Ada."


async def reporting(client: Client) -> None:
    reports = []

    async def note(*report: Any) -> None:
        reports.append(report)

    result = await client.call_tool("pack", {"files": 3}, progress=note)
    assert result.content == (TextContent("3"),)
    assert reports[-1] == (3, 3, None)


async def lifespan(client: Client) -> None:
    assert await call(client, "query", sql="SELECT 6 * 7 AS answer") == [{"answer": 42}]
    flaw = "SQLite: no such column: fog"
    assert await failure(client, "query", sql="SELECT fog") == flaw
    async with web_server("<h1>A page</h1>") as address:
        assert await call(client, "save_page", url=f"{address}/page") == 1
        assert await call(client, "save_page", url=f"{address}/page") == 2
    assert "127.0.0.1" in await failure(client, "save_page", url=f"{address}/page")
    rows = await call(client, "query", sql="SELECT text FROM notes")
    assert rows == [{"text": "<h1>A page</h1>"}] * 2


async def told(changes: Changes) -> Any:
    """The next change; the others on this page come in any order."""
    with trio.fail_after(10):
        return await anext(changes)


async def notifications(client: Client) -> None:
    everything = ["messages://all", "message://1", "message://2"]
    async with (
        client.listen(resources=everything) as all_of_them,
        client.listen(resources=["message://2"], tools_list_changed=True) as second,
    ):
        assert (await call(client, "add_message", content="two"))["id"] == 2
        assert await told(all_of_them) == ResourceUpdated("messages://all")
        await call(client, "edit_message", id=2, content="second")
        assert await told(second) == ResourceUpdated("message://2")
        assert await read(client, "message://2") == '{"id":2,"content":"second"}'
        assert {await told(all_of_them), await told(all_of_them)} == {
            ResourceUpdated("messages://all"),
            ResourceUpdated("message://2"),
        }
        await client.call_tool("shout")
        assert await told(second) == ResourceUpdated("message://2")
        assert {(await told(all_of_them)).uri for _ in everything} == set(everything)
        await client.call_tool("learn", {"word": "moo"})
        assert await told(second) == ToolsListChanged()
        assert await call(client, "say_moo") == "moo"
    assert await read(client, "status://app") == '{"messages":2,"checks":0}'


async def bus(client: Client) -> None:
    async with client.listen(resources=["votes://tea"]) as changes:
        await client.call_tool("vote", {"choice": "coffee"})
        await client.call_tool("vote", {"choice": "tea"})
        assert await told(changes) == ResourceUpdated("votes://tea")
    assert await read(client, "votes://tea") == "1"


async def extension(client: Client) -> None:
    assert client.capabilities.experimental == {"customAction": {}}
    heard = []

    async def on_begun(params: Any) -> None:
        heard.append(params["value"])

    client.on_notification("notifications/com.example/begun", on_begun)
    result = await client.request("experimental/customAction", {"value": 21})
    assert (result["status"], result["result"], heard) == ("success", 42, [21])
    with pytest.raises(RequestError) as caught:
        await client.request("experimental/customAction", {"value": "x"})
    assert caught.value.code == -32602
    await client.notify("notifications/com.example/moved", {"x": 1, "y": 2})
    with trio.fail_after(10):
        while not (path := (await client.request("com.example/path"))["path"]):
            await trio.lowlevel.checkpoint()
    assert path == [{"x": 1, "y": 2}]


async def middleware(client: Client) -> None:
    for _ in range(5):
        assert await call(client, "roll", sides=20) == 11
    with pytest.raises(LimitExceeded, match="too many calls") as caught:
        await client.call_tool("roll")
    assert 0 < caught.value.data["seconds"] <= 10
    assert len(await client.list_tools()) == 1


async def sessions(client: Client) -> None:
    assert await call(client, "take", fruit="pear") == {"pear": 1}
    assert await call(client, "take", fruit="pear") == {"pear": 2}
    assert await failure(client, "take", fruit="pear") == "There is no pear left."
    assert await call(client, "left") == {"apple": 3}
    assert await call(client, "buy") == 2


async def returned_questions(client: Client) -> None:
    assert await failure(client, "greet") == "The user answered the question with: decline."
    assert await call(client, "praise") == "50 tokens on Write a line about the sea. (Ada)"
    assert await call(client, "guess") == "Found with 2 guesses."
    assert await call(client, "pay", amount=5) == "Paid 5."


async def streaming(client: Client) -> None:
    async with client.stream_tool("stream_data", {"items": 3, "delay": 0}) as stream:
        chunks = [chunk async for chunk in stream]
    assert [chunk["data"] for chunk in chunks] == ["Item 1", "Item 2", "Item 3"]
    done = {"message": "Completed 3 items", "status": "done"}
    assert stream.result.structured_content == done
    assert await call(client, "stream_data", items=3, delay=0) == done


async def running(client: Client) -> None:
    assert await call(client, "fahrenheit", celsius=100) == 212


EXERCISES: dict[str, Callable[[Client], Awaitable[None]]] = {
    "bus.py": bus,
    "extension.py": extension,
    "lifespan.py": lifespan,
    "middleware.py": middleware,
    "notifications.py": notifications,
    "prompts.py": prompts,
    "questions.py": questions,
    "reporting.py": reporting,
    "resources.py": resources,
    "returned_questions.py": returned_questions,
    "running.py": running,
    "sessions.py": sessions,
    "streaming.py": streaming,
    "tools.py": tools,
    "tutorial_1.py": notes,
    "tutorial_2.py": notes,
    "tutorial_3.py": notes_to_read,
    "tutorial_4.py": notes_to_summarize,
    "tutorial_5.py": notes_to_delete,
}


# -- asking them ------------------------------------------------------------------------------


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A fresh copy of an example."""
    known = f"trimcp_example_{name.removesuffix('.py')}"
    spec = importlib.util.spec_from_file_location(known, EXAMPLES / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, known, module)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_run() -> None:
    # The quickstart has tests of its own.
    found = {path.name for path in EXAMPLES.glob("*.py")} - {"quickstart.py"}
    assert found == set(EXERCISES) | PROGRAMS | TESTS


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("name", EXERCISES)
async def test_in_memory(
    name: str, revision: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NOTES", str(tmp_path / "notes.json"))
    monkeypatch.chdir(tmp_path)
    server = load(name, monkeypatch).server
    async with open_client(server, revision=revision, **ANSWERS) as client:
        assert client.revision == revision
        await EXERCISES[name](client)


ON_A_WIRE = (
    *("extension", "lifespan", "middleware", "notifications", "questions"),
    *("returned_questions", "sessions", "streaming", "tutorial_5"),
)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("name", [f"{name}.py" for name in ON_A_WIRE])
async def test_over_stdio(name: str, revision: str, tmp_path: Path) -> None:
    async with open_stdio_client(
        [sys.executable, "-m", "trimcp", "run", str(EXAMPLES / name)],
        env={"NOTES": str(tmp_path / "notes.json")},
        cwd=tmp_path,
        revision=revision,
        **ANSWERS,
    ) as client:
        assert client.revision == revision
        await EXERCISES[name](client)


async def test_the_notes_outlive_the_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NOTES", str(tmp_path / "notes.json"))
    connect = functools.partial(open_client, load("tutorial_2.py", monkeypatch).server)
    async with connect() as client:
        await call(client, "add_note", title="show", text="Friday at eight")
    async with connect() as client:
        assert await call(client, "find_notes", word="Friday") == ["show"]
