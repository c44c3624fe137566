"""What goes wrong, and how it looks from the other side."""

from typing import Any, NoReturn

import trio

from trimcp import (
    Client,
    Forbidden,
    Limits,
    RequestError,
    RequestTimeout,
    ResourceNotFound,
    Server,
    ToolError,
    open_client,
)

LIMITS = Limits(message_bytes=10_000, in_flight=2)

server = Server("errors", version="1.0", limits=LIMITS)
began, beginnings = trio.open_memory_channel[None](10)


@server.tool
async def advise(number: int) -> NoReturn:
    """Fail with a text for the model."""
    raise ToolError(f"{number} is too much. Try 1.")


@server.tool
async def refuse() -> NoReturn:
    """Fail with an error for the program that calls."""
    raise Forbidden("not for you", {"needed": "admin"})


@server.tool
async def stumble() -> NoReturn:
    """Fail by mistake."""
    raise KeyError("a secret that stays in the server's log")


@server.tool
async def wait() -> None:
    """Never end."""
    await began.send(None)
    await trio.sleep_forever()


@server.tool
async def talk(words: int) -> str:
    """Say a lot."""
    return "word " * words


@server.resource("thing://{name}")
async def thing(name: str) -> NoReturn:
    """There are no things."""
    raise ResourceNotFound(f"thing://{name}")


async def show(client: Client, tool: str, **arguments: Any) -> None:
    try:
        result = await client.call_tool(tool, arguments)
    except RequestError as error:
        print(f"{tool}: {error.code}, {error.message}, {error.data}")
    else:
        print(f"{tool}: {result.content[0]}, {result.is_error}")


async def errors(client: Client) -> None:
    await show(client, "advise", number=7)
    await show(client, "advise", number="seven")
    await show(client, "stumble")
    await show(client, "refuse")
    await show(client, "nonsense")
    await show(client, "talk", words=5000)
    await show(client, "talk", words=1, padding="x" * 20_000)
    try:
        await client.read_resource("thing://one")
    except RequestError as error:
        print(f"thing://one: {error.code}, {error.message}, {error.data}")


async def too_many(client: Client) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(LIMITS.in_flight):
            nursery.start_soon(client.call_tool, "wait")
            await beginnings.receive()
        print(server.statistics().in_flight, "requests in flight")
        await show(client, "advise", number=1)
        nursery.cancel_scope.cancel()


async def silence(client: Client) -> None:
    try:
        await client.call_tool("wait", timeout=0.2)
    except RequestTimeout as error:
        print("timeout:", error)


async def main() -> None:
    async with open_client(server, limits=LIMITS) as client:
        await errors(client)
        await too_many(client)
        await silence(client)


if __name__ == "__main__":
    trio.run(main)
