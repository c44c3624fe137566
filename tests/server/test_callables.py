"""What registers can be called; what would fail at every call is refused with what to write."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import AsyncIterator, Callable, Iterator  # noqa: TC003  read at run time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.spec.harness import REVISIONS, both_eras, code_of, every_revision, talking
from trimcp import Context, RegistrationError, Server, combine_lifespans, open_client
from trimcp.protocol import LATEST, check_extensions, codec_for, find_revision
from trimcp.protocol._codec import EncodeError
from trimcp.types import (
    Annotations,
    Completion,
    Icon,
    ModelPreferences,
    TextContent,
)

if TYPE_CHECKING:
    from trio.testing import MockClock


async def double(x: int) -> str:
    return f"{x}{x}"


def wrapping(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Object:
    async def __call__(self, x: int) -> str:
        return await double(x)

    async def method(self, x: int) -> str:
        return await double(x)

    @staticmethod
    async def static(x: int) -> str:
        return await double(x)

    @classmethod
    async def of_class(cls, x: int) -> str:
        return await double(x)


def plain(x: int) -> str:
    return f"{x}{x}"


def made(x: int) -> Any:
    return double(x)


async def two(y: int, x: int) -> str:
    return f"{x}{y}"


#: Every way to say the same function.
WAYS: dict[str, Any] = {
    "async": double,
    "plain": plain,
    "wrapped": wrapping(double),
    "wrapped twice": wrapping(wrapping(double)),
    "wrapped plain": wrapping(plain),
    "lambda": lambda x: double(x),
    "gives a coroutine": made,
    "object": Object(),
    "wrapped object": wrapping(Object().method),
    "method": Object().method,
    "static method": Object.static,
    "bare static method": staticmethod(double),
    "class method": Object.of_class,
    "partial": functools.partial(two, 1),
    "partial of a wrapper": functools.partial(wrapping(double)),
    "partial of an object": functools.partial(Object()),
    "cached plain": functools.lru_cache(plain),
}
each_way = pytest.mark.parametrize("function", WAYS.values(), ids=WAYS)


@each_way
async def test_a_tool_of_any_kind_can_be_called(function: Any) -> None:
    server = Server[Any]("s")
    server.tool(name="t")(function)
    async with open_client(server) as client:
        result = await client.call_tool("t", {"x": 1})
    assert not result.is_error
    assert result.text == "11"


@each_way
async def test_a_resource_and_a_prompt_of_any_kind_can_be_called(function: Any) -> None:
    server = Server[Any]("s")
    server.resource("x://{x}", name="r")(function)
    server.prompt(name="p")(function)
    async with open_client(server) as client:
        assert (await client.read_resource("x://1")).text == "11"
        prompt = await client.get_prompt("p", {"x": "1"})
        assert prompt.messages[0].content == TextContent("11")


async def test_a_method_of_any_kind_can_be_called() -> None:
    server = Server[Any]("s")

    async def asynchronous(params: dict[str, Any]) -> Any:
        return {"x": params["x"]}

    kinds: list[Any] = [
        asynchronous,
        wrapping(asynchronous),
        lambda params: asynchronous(params),
        staticmethod(asynchronous),
    ]
    for index, kind in enumerate(kinds):
        server.method(f"com.example/m{index}")(kind)
    async with open_client(server) as client:
        for index in range(len(kinds)):
            assert (await client.request(f"com.example/m{index}", {"x": 5}))["x"] == 5


class Completer:
    async def __call__(self, value: str) -> list[str]:
        return [value + "!"]

    @staticmethod
    async def static(value: str, arguments: dict[str, str]) -> list[str]:
        return [value + "!"]


async def complete(value: str) -> list[str]:
    return [value + "!"]


async def complete_with_context(value: str, ctx: Context) -> list[str]:
    return [value + ctx.method[-1:] + "!"]


def complete_lazily(value: str) -> Iterator[str]:
    yield value + "!"


def complete_with_options(value: str, *, mark: str = "!") -> list[str]:
    return [value + mark]


@pytest.mark.parametrize(
    "function",
    [
        complete,
        wrapping(complete),
        lambda value: complete(value),
        Completer(),
        Completer.static,
        staticmethod(complete),
        functools.partial(complete),
        lambda value, context: complete(value),
        complete_with_context,
        complete_lazily,
        complete_with_options,
    ],
)
async def test_a_completer_of_any_kind_can_be_called(function: Any) -> None:
    server = Server[Any]("s")

    @server.prompt
    async def greet(name: str) -> str:
        return name

    server.completion("name", prompt="greet")(function)
    async with open_client(server) as client:
        found = await client.complete("name", "a", prompt="greet")
    assert list(found.values) in (["a!"], ["ae!"])


def test_a_completer_that_is_an_async_generator_is_refused() -> None:
    class Suggesting:
        async def __call__(self, value: str) -> AsyncIterator[str]:
            yield value

    for function in (Suggesting(), Suggesting().__call__, functools.partial(Suggesting())):
        with pytest.raises(RegistrationError, match="an async generator; return a list"):
            Server("s").completion("name", prompt="greet")(function)


async def numbers() -> AsyncIterator[int]:
    yield 1
    yield 2


def sync_numbers() -> Iterator[int]:
    yield 1
    yield 2


@pytest.mark.parametrize("function", [numbers, wrapping(numbers), wrapping(sync_numbers)])
async def test_a_wrapper_around_a_generator_streams_or_lists(function: Any) -> None:
    server = Server[Any]("s")
    server.tool(name="t")(function)
    async with open_client(server) as client:
        result = await client.call_tool("t")
    assert not result.is_error
    assert result.text in ("2", "[1,2]")


BASES: list[Any] = [double, plain, Object(), Object().method, Object.of_class, Object.static]
WRAPPERS: list[Callable[[Any], Any]] = [
    wrapping,
    functools.partial,
    lambda function: functools.partial(function, x=2),
    staticmethod,
    functools.lru_cache,
    lambda function: lambda x: function(x=x),
    lambda function: type("Holder", (), {"__call__": lambda self, x: function(x=x)})(),
    lambda function: type("Static", (), {"run": staticmethod(function)})().run,
]


@given(st.sampled_from(BASES), st.lists(st.sampled_from(WRAPPERS), max_size=4))
def test_what_registers_can_be_called(base: Any, wrappers: list[Any]) -> None:
    """Whatever users put around a function, in any order: refused at once, or called."""
    function = base
    for wrap in wrappers:
        function = wrap(function)
    server = Server[Any]("s")
    try:
        server.tool(name="t")(function)
    except RegistrationError:
        return

    async def call() -> Any:
        async with open_client(server) as client:
            return await client.call_tool("t", {"x": 1})

    result = trio.run(call)
    assert not result.is_error
    assert result.text == "11"


# -- what is refused --------------------------------------------------------------------------


class Methods:
    def sync(self, x: int) -> str:
        return str(x)

    async def complete(self, value: str) -> list[str]:
        return [value]


def two_contexts(a: Context, b: Context) -> str:
    return ""


def unannotated(ctx, x: int) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001
    return ""


def positional(ctx: Context, /, x: int = 1) -> str:
    return ""


def spread(*ctx: Context) -> str:
    return ""


async def generator(params: dict[str, Any]) -> AsyncIterator[str]:
    yield ""


@functools.lru_cache
async def cached(x: int) -> str:
    return ""


@functools.cache
async def cached_too() -> str:
    return ""


async def no_arguments() -> str:
    return ""


REFUSED: dict[str, tuple[Any, str]] = {
    "self": (Methods.sync, "instance.method"),
    "two contexts": (two_contexts, "keep one"),
    "unannotated": (unannotated, "ctx: Context"),
    "positional": (positional, "by name"),
    "spread": (spread, "kwargs"),
    "cached": (cached, "lru_cache"),
    "cached too": (cached_too, "lru_cache"),
    "wrapped cached": (wrapping(cached), "lru_cache"),
    "cached wrapper": (functools.lru_cache(wrapping(no_arguments)), "lru_cache"),
    "cached object": (functools.lru_cache(Object()), "lru_cache"),
    "cached generator": (functools.lru_cache(numbers), "lru_cache"),
    "partial of cached": (functools.partial(cached, 1), "lru_cache"),
    "class method": (classmethod(two), "class method"),
    "class": (Methods, "no function"),
}


@pytest.mark.parametrize(("function", "fix"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_called_does_not_register(function: Any, fix: str) -> None:
    server = Server[Any]("s")
    registering: list[Callable[[Any], Any]] = [
        server.tool(name="t"),
        server.prompt(name="p"),
        server.resource("x://{x}", name="r"),
        server.method("com.example/m"),
    ]
    for register in registering:
        with pytest.raises(RegistrationError, match=fix):
            register(function)
    assert not server.capabilities.prompts


@pytest.mark.parametrize(
    "function", [Methods.complete, lambda: [], lambda a, b, c: [], generator, cached, 5]
)
def test_completers_that_cannot_be_called(function: Any) -> None:
    with pytest.raises(RegistrationError):
        Server("s").completion("name", prompt="p")(function)


def test_decorators_without_their_text() -> None:
    server = Server[Any]("s")
    bare: list[Any] = [
        server.resource,
        server.method,
        server.notification,
        server.custom_route,
        server.completion,
    ]
    for decorator in bare:
        with pytest.raises(RegistrationError, match="@server"):
            decorator(plain)
    for wrong in (None, 5, b"x://"):
        with pytest.raises(RegistrationError, match="@server"):
            server.resource(wrong)  # type: ignore[arg-type]


def sync_hook() -> None: ...
async def hook() -> None: ...
async def greedy_hook(a: Any, b: Any) -> None: ...
async def generator_hook() -> AsyncIterator[None]:
    yield


def test_hooks_are_async() -> None:
    server = Server[Any]("s")
    for register in (server.on_startup, server.on_shutdown, server.background_task):
        for wrong in (sync_hook, generator_hook, greedy_hook, 5, None, cached):
            with pytest.raises(RegistrationError):
                register(wrong)  # type: ignore[type-var]
        for right in (hook, wrapping(hook), lambda: hook(), functools.partial(hook)):
            assert register(right) is right
    with pytest.raises(RegistrationError, match="async def"):
        server.middleware(wrapping(plain))
    with pytest.raises(RegistrationError, match="async def"):
        server.custom_route("/x")(plain)  # type: ignore[type-var]


async def test_hooks_of_any_kind_run() -> None:
    ran: list[str] = []
    server = Server[Any]("s")

    async def told(value: Any = None, *, name: str = "partial") -> None:
        ran.append(name)

    server.on_startup(functools.partial(told))
    server.on_startup(wrapping(functools.partial(told, name="wrapped")))
    server.on_startup(lambda: told(name="lambda"))
    async with server.application(signals=False):
        pass
    assert ran == ["partial", "wrapped", "lambda"]


async def bare_generator(server: Any) -> AsyncIterator[None]:
    yield


def bare_sync_generator(server: Any) -> Iterator[None]:
    yield


async def coroutine(server: Any) -> None: ...


@asynccontextmanager
async def lifespan(server: Any) -> AsyncIterator[str]:
    yield "value"


@contextmanager
def sync_lifespan(server: Any) -> Iterator[None]:
    yield


@asynccontextmanager
async def lifespan_of_nothing() -> AsyncIterator[None]:
    yield


class Lifespan:
    def __init__(self, server: Any) -> None: ...

    async def __aenter__(self) -> str:
        return "value"

    async def __aexit__(self, *_: object) -> None: ...


BAD_LIFESPANS: list[Any] = [
    bare_generator,
    bare_sync_generator,
    coroutine,
    sync_lifespan,
    lifespan_of_nothing,
    Methods,
    lifespan(None),
    5,
]


@pytest.mark.parametrize("wrong", BAD_LIFESPANS, ids=repr)
def test_lifespans_are_context_managers(wrong: Any) -> None:
    for make in (
        lambda: Server("s", lifespan=wrong),
        lambda: Server("s", session_lifespan=wrong),
        lambda: combine_lifespans(lifespan, wrong),
    ):
        with pytest.raises(RegistrationError):
            make()


@pytest.mark.parametrize("right", [lifespan, Lifespan, lambda server: lifespan(server)], ids=repr)
async def test_lifespans_of_any_kind_are_entered(right: Any) -> None:
    server = Server[Any]("s", lifespan=combine_lifespans(right, right), session_lifespan=right)
    async with open_client(server) as client:
        await client.ping() if client.revision != REVISIONS[-1] else await client.list_tools()


@pytest.mark.parametrize(
    "options",
    [
        {"page_size": 0},
        {"page_size": -1},
        {"page_size": "5"},
        {"page_size": True},
        {"page_size": 1.5},
        {"state_keys": "a secret of many letters"},
        {"state_keys": b"a secret of many letters"},
        {"state_keys": ["a secret of many letters"]},
        {"state_keys": [b"short"]},
        {"state_keys": None},
        {"extensions": {"noprefix": {}}},
        {"extensions": {"": {}}},
        {"extensions": {"/name": {}}},
        {"extensions": {"com.example/": {}}},
        {"extensions": {"com.example/name": []}},
        {"extensions": {"-bad/name": {}}},
        {"extensions": {"com..example/name": {}}},
        {"extensions": {"com.example/a/b": {}}},
        {"extensions": ["com.example/name"]},
    ],
    ids=repr,
)
def test_options_that_cannot_be_used(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(RegistrationError, match=name) as caught:
        Server("s", **options)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("timeout", [0, -1, "5", True, math.nan], ids=repr)
def test_timeouts_that_cannot_be_used(timeout: Any) -> None:
    with pytest.raises(RegistrationError, match="timeout"):
        Server("s").tool(timeout=timeout)(wrapping(no_arguments))


def test_a_name_in_the_place_of_the_function() -> None:
    with pytest.raises(RegistrationError, match="name="):
        Server("s").tool("greet")  # type: ignore[type-var]


def test_extensions_that_are_named_right() -> None:
    for name in ("com.example/action", "io.modelcontextprotocol/ui", "a/b", "x-y.z1/n_a.m-e"):
        check_extensions({name: {}})
    check_extensions(None)


async def test_a_client_names_its_extensions_right_too() -> None:
    with pytest.raises(ValueError, match="noprefix"):
        async with open_client(Server("s"), extensions={"noprefix": {}}):
            pass


@pytest.mark.parametrize("date", REVISIONS)
@pytest.mark.parametrize("priority", [7.0, -0.1, math.nan, math.inf, True, "0.5"], ids=repr)
def test_a_priority_lies_between_0_and_1(date: str, priority: Any) -> None:
    revision = find_revision(date)
    assert revision is not None
    block = TextContent("x", annotations=Annotations(priority=priority))
    with pytest.raises(EncodeError, match="priority: expected a number"):
        codec_for(revision).encode(block)
    for good in (0, 1, 0.5):
        assert codec_for(revision).encode(TextContent("x", Annotations(priority=good)))


def test_a_priority_of_no_meaning_is_read_as_absent() -> None:
    """One odd hint does not lose a whole list."""
    found = codec_for(LATEST).decode({"priority": 7.0, "lastModified": "x"}, Annotations)
    assert found == Annotations(last_modified="x")


def test_other_numbers_keep_their_range_too() -> None:
    codec = codec_for(LATEST)
    for value in (
        ModelPreferences(cost_priority=2),
        ModelPreferences(speed_priority=-1),
    ):
        with pytest.raises(EncodeError, match="0"):
            codec.encode(value)
    assert codec.encode(ModelPreferences(cost_priority=1, speed_priority=0))


# -- completion -------------------------------------------------------------------------------


def suggesting(found: Any) -> Server[Any]:
    server = Server[Any]("s")

    @server.prompt
    async def greet(name: str) -> str:
        return name

    @server.completion("name", prompt="greet")
    async def names(value: str) -> Any:
        return found

    return server


COMPLETE = {
    "ref": {"type": "ref/prompt", "name": "greet"},
    "argument": {"name": "name", "value": ""},
}


@every_revision
@pytest.mark.parametrize(
    ("found", "total", "has_more"),
    [
        (Completion([str(n) for n in range(150)]), 150, True),
        (Completion([str(n) for n in range(150)], 1000, False), 1000, True),
        (Completion(["a"], 9, True), 9, True),
        ([str(n) for n in range(150)], 150, True),
        (range(150), 150, True),
    ],
    ids=["completion", "with total", "short", "list", "range"],
)
async def test_at_most_a_hundred_values_are_sent(
    revision: str, found: Any, total: int, has_more: bool, autojump_clock: MockClock
) -> None:
    """COMP-03: also of a `Completion` that the function made itself."""
    async with talking(suggesting(found), revision) as script:
        answer = await script.do("completion/complete", COMPLETE)
    completion = answer["result"]["completion"]
    assert len(completion["values"]) <= 100
    assert completion["total"] == total
    assert completion["hasMore"] is has_more


@both_eras
@pytest.mark.parametrize("found", ["abc", b"abc", {"a": 1}, 5, None], ids=repr)
async def test_a_text_is_not_split_into_letters(
    revision: str, found: Any, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(suggesting(found), revision) as script:
        assert code_of(await script.do("completion/complete", COMPLETE)) == -32603
    assert "a list of texts" in caplog.text


def test_payloads_do_not_split_texts_either() -> None:
    for make in (
        lambda: Completion("abc"),
        lambda: Icon("https://x", sizes="48x48"),
        lambda: Annotations(audience="user"),
    ):
        with pytest.raises(TypeError, match="several"):
            make()
    assert Completion(iter(["a"])).values == ("a",)


# -- progress ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "numbers",
    [(math.nan, None), (math.inf, None), (1, math.nan), (1, -math.inf)],
    ids=repr,
)
async def test_progress_is_told_in_finite_numbers(
    numbers: tuple[float, float | None], autojump_clock: MockClock
) -> None:
    """PROG-03: whether the client asked for progress or not."""
    server = Server[Any]("s")
    caught: list[ValueError] = []

    @server.tool
    async def work(ctx: Context) -> str:
        with pytest.raises(ValueError, match="finite") as info:
            await ctx.report_progress(*numbers)
        caught.append(info.value)
        return "done"

    async with open_client(server) as client:

        async def heard(*_: Any) -> None:
            caught.clear()

        assert (await client.call_tool("work")).text == "done"
        assert (await client.call_tool("work", progress=heard)).text == "done"
    assert len(caught) == 2


# -- threads ----------------------------------------------------------------------------------


async def test_threads_register_while_others_read() -> None:
    server = Server[Any]("s", page_size=50)
    names = [f"tool_{number}" for number in range(300)]

    def register() -> None:
        for name in names:
            server.tool(name=name)(wrapping(no_arguments))
            server.prompt(name=name)(wrapping(no_arguments))
            server.resource(f"x://{name}")(wrapping(no_arguments))
            server.completion(name, prompt=name)(wrapping(complete))
            if name.endswith("7"):
                server.remove_tool(name)

    thread = threading.Thread(target=register)
    async with open_client(server) as client:
        thread.start()
        while thread.is_alive():
            seen = [tool.name for tool in await client.list_tools()]
            assert seen == sorted(seen, key=names.index)
            await client.list_prompts()
            await client.list_resources()
            await trio.lowlevel.checkpoint()
        thread.join()
        assert len(await client.list_tools()) == 270


def test_iterating_is_not_disturbed_by_registering() -> None:
    server = Server[Any]("s")
    for name in "abc":
        server.tool(name=name)(wrapping(no_arguments))
    iterator = iter(server.tools)
    next(iterator)
    server.tool(name="d")(wrapping(no_arguments))
    server.remove_tool("b")
    assert [tool.description.name for tool in iterator] == ["b", "c"]


@both_eras
async def test_a_cursor_belongs_to_its_list(revision: str, autojump_clock: MockClock) -> None:
    server = Server[Any]("s", page_size=1)
    for name in "abc":
        server.tool(name=name)(wrapping(no_arguments))
        server.resource(f"x://{name}")(wrapping(no_arguments))
    async with talking(server, revision) as script:
        cursor = (await script.do("tools/list"))["result"]["nextCursor"]
        assert code_of(await script.do("resources/list", {"cursor": cursor})) == -32602
        assert "result" in await script.do("tools/list", {"cursor": cursor})
