"""What a user gives to a client is checked at once, and the error says what to write."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.spec.harness import STATELESS, Sure, both_eras
from trimcp import (
    Client,
    Context,
    OptionError,
    RequestError,
    Server,
    client_for,
    open_client,
    open_http_client,
    open_stdio_client,
    open_websocket_client,
)
from trimcp.client import _open
from trimcp.protocol import EncodeError
from trimcp.types import ElicitResult, Root

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"timeout": "5"}, TypeError, "timeout= is a number of seconds"),
    ({"timeout": None}, TypeError, "timeout="),
    ({"timeout": True}, TypeError, "timeout="),
    ({"timeout": -1}, ValueError, "from 0 on"),
    ({"timeout": math.nan}, ValueError, "from 0 on"),
    ({"probe_timeout": "1"}, TypeError, "probe_timeout="),
    ({"roots": "/tmp"}, TypeError, r"roots=\['/tmp'\]"),
    ({"roots": b"/tmp"}, TypeError, "roots= is a list"),
    ({"roots": Path("/tmp")}, TypeError, "roots= is a list"),
    ({"roots": 5}, TypeError, "roots= is a list"),
    ({"elicitation": True}, TypeError, "elicitation= is a function"),
    ({"url_elicitation": "yes"}, TypeError, "url_elicitation="),
    ({"sampling": {}}, TypeError, "sampling="),
    ({"logging": "info"}, TypeError, "logging="),
    ({"log_level": "loud"}, ValueError, "log_level= is one of debug"),
    ({"revision": "tomorrow"}, ValueError, "tomorrow"),
    ({"revision": 20251125}, TypeError, "revision= is a text"),
    ({"name": 1.0}, TypeError, "name= is a text"),
    ({"version": 1.0}, TypeError, "version= is a text"),
    ({"max_rounds": "3"}, TypeError, "max_rounds="),
    ({"max_rounds": 0}, ValueError, "max_rounds="),
    ({"sampling_tools": "yes"}, TypeError, "sampling_tools= is True or False"),
    ({"limits": 5}, TypeError, "limits= is a trimcp.Limits"),
    ({"experimental": []}, TypeError, "experimental= is a mapping"),
    ({"extensions": {"com.example/": {}}}, OptionError, "no identifier"),
    ({"extensions": {"noprefix": {}}}, OptionError, "no identifier"),
    ({"timeuot": 5}, TypeError, "timeuot"),
]


@pytest.mark.parametrize(("options", "kind", "said"), WRONG, ids=str)
def test_options(options: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        client_for(["server"], **options)


COMMANDS: list[tuple[Any, type[Exception], str]] = [
    ("cmd arg", TypeError, r"\['cmd', 'arg'\]"),
    ('cmd "a b"', TypeError, r"\['cmd', 'a b'\]"),
    ("cmd 'unfinished", TypeError, "a command is a list"),
    (b"cmd", TypeError, "a command is a list"),
    (Path("cmd"), TypeError, r"\['cmd'\]"),
    ([], ValueError, "empty"),
    ((), ValueError, "empty"),
    (5, TypeError, "a command is a list"),
    (["cmd", 5], TypeError, "are texts"),
    ([["cmd"]], TypeError, "are texts"),
]


@pytest.mark.parametrize(("command", "kind", "said"), COMMANDS, ids=str)
async def test_commands(command: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        async with open_stdio_client(command):
            pass


@pytest.mark.parametrize("grace", ["2", None, -1, math.nan])
async def test_grace(grace: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="grace"):
        async with open_stdio_client(["server"], grace=grace):
            pass


TEXTS: list[Any] = ["a=b", [("a", "b")], {"a": 5}, {5: "a"}, {"a": None}, {b"a": b"b"}]


@pytest.mark.parametrize("headers", TEXTS, ids=repr)
async def test_headers(headers: Any) -> None:
    with pytest.raises(OptionError, match="headers="):
        async with open_http_client("http://127.0.0.1:1/", headers=headers):
            pass
    with pytest.raises(OptionError, match="headers="):
        async with open_websocket_client("ws://127.0.0.1:1/", headers=headers):
            pass


@pytest.mark.parametrize(
    "env", [*TEXTS, {"A=B": "1"}, {"": "1"}, {"A": "\0"}, {"\0": ""}], ids=repr
)
async def test_env(env: Any) -> None:
    with pytest.raises(OptionError, match="env="):
        async with open_stdio_client(["server"], env=env):
            pass


async def test_on_stderr() -> None:
    with pytest.raises(OptionError, match="on_stderr="):
        async with open_stdio_client(["server"], on_stderr="log"):  # type: ignore[arg-type]
            pass


@pytest.mark.parametrize("given", ["x", [1], [("a", 1)], 5, b"x", True], ids=repr)
async def test_arguments_are_mappings(given: Any) -> None:
    server: Server[Any] = Server("x")

    @server.prompt
    def prompt() -> str:
        return ""

    @server.tool
    def tool() -> str:
        return ""

    async with open_client(server) as client:
        for ask in (client.call_tool, client.get_prompt):
            with pytest.raises(OptionError, match="arguments= is a mapping"):
                await ask("tool", given)
        with pytest.raises(OptionError, match="arguments= is a mapping"):
            await client.complete("a", prompt="prompt", arguments=given)
        with pytest.raises(OptionError, match="params= is a mapping"):
            await client.request("tools/call", given)
        with pytest.raises(OptionError, match="params= is a mapping"):
            await client.notify("notifications/x", given)


@both_eras
@pytest.mark.parametrize(
    ("value", "where"),
    [
        ("\ud800", ""),
        (math.nan, ""),
        (object(), ""),
        ([1, {"b c": "\udfff"}], r'\[1\]\["b c"\]'),
        ({"x": [[{"y": math.inf}]]}, r"\.x\[0\]\[0\]\.y"),
        ({"\ud800": 1}, r'\["\\ud800"\]'),
    ],
    ids=ascii,
)
async def test_an_argument_that_json_cannot_express_is_named(
    value: Any, where: str, revision: str
) -> None:
    server: Server[Any] = Server("x")

    @server.tool
    def tool(a: Any) -> None:
        raise AssertionError

    async with open_client(server, revision=revision) as client:
        with pytest.raises(EncodeError, match=rf"^arguments\.a{where}: JSON cannot express it"):
            await client.call_tool("tool", {"z": 1, "a": value})


@pytest.mark.parametrize("target", [[], ()])
def test_an_empty_command_as_the_target(target: Any) -> None:
    with pytest.raises(ValueError, match="empty"):
        client_for(target)


@pytest.mark.parametrize("target", [5, None, b"server.py", Server])
def test_a_target_of_another_type(target: Any) -> None:
    with pytest.raises(TypeError, match="a client is opened to a server"):
        client_for(target)


def test_a_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for target in ("nofile.py", Path("nofile.py"), str(tmp_path / "nofile.py")):
        with pytest.raises(FileNotFoundError, match=r"nofile\.py"):
            client_for(target)
    (tmp_path / "directory.py").mkdir()
    with pytest.raises(FileNotFoundError):
        client_for("directory.py")
    (tmp_path / "server.py").write_text("")
    assert isinstance(client_for("server.py"), Client)
    (tmp_path / "a:b.py").write_text("")
    assert isinstance(client_for("a:b.py"), Client)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:1/server.py",
        "https://example.com/server.py",
        "ws://localhost/server.py",
        "unix:/tmp/server.py",
        "tcp://server.py:80",
    ],
)
def test_a_url_is_a_url_whatever_it_ends_with(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a process would be started")

    monkeypatch.setattr(_open, "_process_connector", never)
    client = client_for(url)
    assert "_process_connector" not in repr(client._connector)


async def test_a_call_checks_its_arguments(autojump_clock: MockClock) -> None:
    server: Server[Any] = Server("x")

    @server.tool
    def tool() -> str:
        return "done"

    async with open_client(server) as client:
        for timeout in ("5", -1, math.nan, [1]):
            with pytest.raises((TypeError, ValueError), match="timeout="):
                await client.call_tool("tool", timeout=timeout)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="progress="):
            await client.call_tool("tool", progress="yes")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="callback"):
            client.on_notification("x", None)  # type: ignore[arg-type]
        assert (await client.call_tool("tool", timeout=math.inf)).text == "done"


def test_roots_may_be_any_list() -> None:
    for roots in (["/tmp"], ("/tmp",), [Path("/tmp")], {"/tmp"}, lambda: ["/tmp"], []):
        assert isinstance(client_for(["server"], roots=roots), Client)  # type: ignore[arg-type]


BAD_ROOTS: list[tuple[Any, str]] = [
    ([5], "5"),
    ([b"/tmp"], "paths"),
    ([None], "None"),
    (["http://x/"], "file:// URI"),
    (["file:/tmp"], "file:// URI"),
    (["file:///a b"], "file:// URI"),
    (["/tmp", Root("http://x/")], "file:// URI"),
    ([Root(5)], "no root"),  # type: ignore[arg-type]
    (["/a\ud800"], "path"),
]


@pytest.mark.parametrize(("roots", "said"), BAD_ROOTS, ids=ascii)
def test_each_root_is_checked(roots: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        client_for(["server"], roots=roots)


RETURNED = ["/tmp", b"/tmp", Path("/tmp"), 5, None, *(roots for roots, _ in BAD_ROOTS)]


@both_eras
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("returned", RETURNED, ids=ascii)
async def test_what_a_function_returns_as_roots_is_checked_as_well(
    returned: Any, is_async: bool, revision: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A text would be taken for its letters, and the server be given the whole file system."""

    async def later() -> Any:
        return returned

    await expect_refusal(
        revision, lambda context: context.list_roots(), caplog,
        roots=later if is_async else lambda: returned,
    )  # fmt: skip


@both_eras
@pytest.mark.parametrize("returned", ["accept", [1], True, 5, ElicitResult("accept", [1])])  # type: ignore[arg-type]
async def test_what_an_elicitation_callback_returns_is_checked(
    returned: Any, revision: str, caplog: pytest.LogCaptureFixture
) -> None:
    said = await expect_refusal(
        revision, lambda context: context.elicit("?", Sure), caplog, elicitation=lambda _: returned
    )
    assert "elicitation= returns the form's content as a mapping" in said


@both_eras
@pytest.mark.parametrize("returned", ["decline", 1, {}])
async def test_what_a_url_callback_returns_is_checked(
    returned: Any, revision: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A text such as "decline" is true, and is no consent."""
    said = await expect_refusal(
        revision,
        lambda context: context.elicit_url("?", "https://example.com"),
        caplog,
        url_elicitation=lambda _: returned,
    )
    assert "returns True, False or an ElicitResult" in said


@both_eras
@pytest.mark.parametrize("returned", [None, 5, b"text", ["text"]])
async def test_what_a_sampling_callback_returns_is_checked(
    returned: Any, revision: str, caplog: pytest.LogCaptureFixture
) -> None:
    said = await expect_refusal(
        revision, lambda context: context.sample("?"), caplog, sampling=lambda _: returned
    )
    assert "returns a CreateMessageResult or a text" in said


async def expect_refusal(
    revision: str,
    ask: Callable[[Context[Any]], Any],
    caplog: pytest.LogCaptureFixture,
    **options: Any,
) -> str:
    """A tool asks; what the client says about its own callback's answer.

    The stateless era tells it to the caller. In the handshake era the server asks by a request of
    its own, so the caller sees what the tool does, and the client's log has the error.
    """
    server: Server[Any] = Server("x")
    answered = []

    @server.tool
    async def tool(context: Context) -> str:
        answered.append(await ask(context))
        return "answered"

    expected = OptionError if revision == STATELESS else RequestError
    async with open_client(server, revision=revision, **options) as client:
        with pytest.raises(expected) as caught:
            await client.call_tool("tool")
    assert not answered
    if revision == STATELESS:
        return str(caught.value)
    return "".join(str(each.exc_info[1]) for each in caplog.records if each.exc_info)
