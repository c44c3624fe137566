"""Tools that fail in every way there is."""

from __future__ import annotations

from typing import Any, cast

import trio

from tests.guarantees.programs.doors import arguments, serve
from trimcp import RequestError, Server, ToolError

SECRET = "the password is swordfish"

server: Server[None] = Server("failing")


async def fail(error: BaseException) -> None:
    raise error


async def in_nursery(*errors: BaseException) -> None:
    """Each error in a task of its own, in nurseries nested two deep, beside one that waits."""
    async with trio.open_nursery() as outer, trio.open_nursery() as inner:
        outer.start_soon(trio.sleep_forever)
        for error in errors:
            inner.start_soon(fail, error)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError(SECRET)


class NotAnException(BaseException):
    pass


@server.tool
async def tool_error(nursery: bool) -> str:
    """Text for the model."""
    error = ToolError("try a smaller number")
    error.__cause__ = ValueError(SECRET)
    await (in_nursery(error) if nursery else fail(error))
    return "never"


@server.tool
async def request_error(nursery: bool) -> str:
    """An error with a code of its own."""
    error = RequestError(4711, "no such shelf", {"shelf": [1, 2]})
    error.__cause__ = ValueError(SECRET)
    await (in_nursery(error) if nursery else fail(error))
    return "never"


@server.tool
def sync_tool_error() -> str:
    """The same, from a thread."""
    raise ToolError("try a smaller number")


@server.tool
def sync_request_error() -> str:
    """The same, from a thread."""
    raise RequestError(4711, "no such shelf", {"shelf": [1, 2]})


@server.tool
async def mixed() -> str:
    """One error for the model and one that is nobody's business."""
    await in_nursery(ToolError("try a smaller number"), ValueError(SECRET))
    return "never"


@server.tool
async def unexpected(kind: str) -> Any:
    """What nobody meant to happen."""
    errors: dict[str, BaseException] = {
        "exception": ValueError(SECRET),
        "group": ExceptionGroup(SECRET, [ValueError(SECRET), KeyError(SECRET)]),
        "exit": SystemExit(SECRET),
        "base": NotAnException(SECRET),
        "unspeakable": Unspeakable(SECRET),
        "timeout": TimeoutError(SECRET),
        "lookup": LookupError(SECRET),
    }
    await fail(errors[kind])


@server.tool
async def unexpected_nursery() -> str:
    """The same, in a nursery."""
    await in_nursery(ValueError(SECRET))
    return "never"


@server.tool
def unexpected_thread() -> str:
    """The same, in a thread."""
    raise ValueError(SECRET)


@server.tool
async def unwritable() -> Any:
    """A result that is no JSON."""

    class Odd:
        def __repr__(self) -> str:
            return SECRET

    return {"odd": Odd()}


@server.tool
async def unwritable_data() -> str:
    """An error whose detail is no JSON."""

    class Odd:
        def __repr__(self) -> str:
            return SECRET

    raise RequestError(4711, "no such shelf", Odd())


@server.tool
async def misfit() -> int:
    """A result that is not what the tool promises."""
    return cast(int, SECRET)


@server.tool
async def deep() -> str:
    """Recursion without an end."""

    def again(depth: int) -> int:
        deeper: int = again(depth + 1)
        return deeper + 1

    return str(again(0))


@server.resource("broken://async")
async def broken_resource() -> str:
    """A resource that cannot be read."""
    raise ValueError(SECRET)


@server.resource("broken://sync")
def broken_sync_resource() -> str:
    """The same, in a thread."""
    raise SystemExit(SECRET)


@server.resource("broken://template/{name}")
async def broken_template(name: str) -> str:
    """The same, from a template."""
    await in_nursery(KeyError(f"{name}: {SECRET}"))
    return "never"


@server.prompt
async def broken_prompt() -> str:
    """A prompt that cannot be had."""
    raise ValueError(SECRET)


@server.prompt
async def refused_prompt() -> str:
    """A prompt that answers with an error of its own."""
    await in_nursery(RequestError(4711, "no such shelf"))
    return "never"


if __name__ == "__main__":
    trio.run(serve, server, arguments())
