"""Overview, Error Codes (2026-07-28)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from trimcp import (
    Context,
    Forbidden,
    LimitExceeded,
    Limits,
    RequestError,
    Server,
    errors,
)

from .harness import (
    STATELESS,
    Line,
    Message,
    Sure,
    code_of,
    error,
    facing,
    failing_to_open,
    initialized,
    result,
    talking,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

DEFINED = {-32020, -32021, -32022}
JSON_RPC = {-32700, -32600, -32601, -32602, -32603}


def failing() -> Server[Any]:
    server = Server[Any]("failing", limits=Limits(message_bytes=2000))

    @server.tool
    async def ask(ctx: Context) -> None:
        await ctx.elicit("Sure?", Sure)

    @server.tool
    async def ask_url(ctx: Context) -> None:
        await ctx.elicit_url("Log in", "https://example.com/login")

    @server.tool
    async def forbidden() -> None:
        raise Forbidden

    @server.tool
    async def too_much() -> None:
        raise LimitExceeded("too much")

    @server.resource("bad://one")
    async def bad() -> str:
        raise ZeroDivisionError

    return server


async def every_error(revision: str) -> list[int]:
    """The code of each error that a server makes by itself."""
    async with talking(failing(), revision) as script:
        answers = [
            await script.do("no/such/method"),
            await script.do("logging/setLevel", {"level": "info"}) if script.is_stateless else None,
            await script.call("nothing"),
            await script.call("ask"),
            await script.call("ask_url"),
            await script.call("forbidden"),
            await script.call("too_much"),
            await script.do("resources/read", {"uri": "none://"}),
            await script.do("resources/read", {"uri": "bad://one"}),
            await script.do("tools/list", {"cursor": "?"}),
            await script.do("prompts/get", {"name": "nothing"}),
            await script.call("ask", {"pad": "x" * 3000}),
            await script.do("tools/list", None, **{"io.modelcontextprotocol/protocolVersion": "1"}),
        ]
        for text in (b"{\n", b"[]\n", b"{}\n"):
            await script.send_bytes(text)
            answers.append(await script.receive())
    return [code_of(answer) for answer in answers if answer is not None]


async def test_codes_of_our_own(autojump_clock: MockClock) -> None:
    """ERR-01, ERR-02, ERR-04, ERR-06, ERR-07, ERR-08: defined, or outside of the reserved."""
    codes = set(await every_error(STATELESS))
    assert {code for code in codes if -32768 <= code <= -32000} <= JSON_RPC | DEFINED
    assert {code for code in codes if not -32768 <= code <= -32000} == {
        errors.LIMIT_EXCEEDED,
        errors.FORBIDDEN,
    }
    assert -32002 not in codes
    assert -32042 not in codes


async def test_url_elicitation_required_is_never_said_for_anything_else(
    autojump_clock: MockClock,
) -> None:
    """ELIC-21: where a revision has that code, no error of ours uses it."""
    assert -32042 not in await every_error("2025-11-25")


def test_no_code_is_reserved() -> None:
    """ERR-01, ERR-02, ERR-04, ERR-08: of all that the package has a name for."""
    codes = {value for value in vars(errors).values() if isinstance(value, int)}
    assert codes >= {errors.SHUTTING_DOWN, errors.LIMIT_EXCEEDED, errors.FORBIDDEN}
    for code in codes:
        assert code in JSON_RPC | DEFINED or not -32768 <= code <= -32000


async def test_defined_codes_keep_their_meaning(autojump_clock: MockClock) -> None:
    """ERR-05: one for a missing capability, one for a revision that is not spoken."""
    async with talking(failing(), STATELESS) as script:
        lacking = await script.call("ask")
        script.revision = "2025-11-25"
        unknown = await script.ask(
            script.message("tools/list")
            | {
                "params": {
                    "_meta": {
                        "io.modelcontextprotocol/protocolVersion": "2025-11-25",
                        "io.modelcontextprotocol/clientCapabilities": {},
                    }
                }
            }
        )
    assert code_of(lacking) == -32021
    assert lacking["error"]["data"].keys() == {"requiredCapabilities"}
    assert code_of(unknown) == -32022
    assert unknown["error"]["data"].keys() == {"supported", "requested"}


@pytest.mark.parametrize("code", [-32000, -32001, -32003, -32010, -32019])
async def test_legacy_codes_mean_nothing(code: int, autojump_clock: MockClock) -> None:
    """ERR-03: they reach the caller as they are, and an unknown server stays unknown."""
    async with facing(STATELESS) as to:
        call = to.start(to.client.call_tool, "echo")
        await to.line.send(error(await to.line.receive(), code, "odd", {"a": 1}))
        failure = await call.fails(RequestError)
        assert type(failure) is RequestError
        assert (failure.code, failure.message, failure.data) == (code, "odd", {"a": 1})

    methods: list[str] = []

    async def welcome(line: Line) -> None:
        asked: Message = await line.receive()
        await line.send(error(asked, code))
        methods.append((asked := await line.receive())["method"])
        await line.send(result(asked, initialized("2025-11-25")))
        methods.append((await line.receive())["method"])

    async with facing("2025-11-25", welcome=welcome):
        assert methods == ["initialize", "notifications/initialized"]


@pytest.mark.parametrize("code", [-32020, -32021])
async def test_modern_codes_are_understood(code: int, autojump_clock: MockClock) -> None:
    """VER-02: a server that says them is none of the handshake era."""
    methods: list[str] = []

    async def welcome(line: Line) -> None:
        asked = await line.receive()
        methods.append(asked["method"])
        await line.send(error(asked, code))

    failure = await failing_to_open(welcome)
    assert isinstance(failure, RequestError)
    assert failure.code == code
    assert methods == ["server/discover"]


@pytest.mark.parametrize("revision", ["2025-11-25", STATELESS])
async def test_both_codes_of_a_missing_resource(revision: str, autojump_clock: MockClock) -> None:
    """RES-10: the older code is an answer like the newer one, in either era."""
    async with facing(revision) as to:
        for code in (-32002, -32602):
            call = to.start(to.client.read_resource, "none://")
            flaw = error(await to.line.receive(), code, "Resource not found", {"uri": "none://"})
            await to.line.send(flaw)
            failure = await call.fails(RequestError)
            assert (failure.code, failure.data) == (code, {"uri": "none://"})
