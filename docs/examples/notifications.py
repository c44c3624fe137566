"""Telling clients what has changed."""

from dataclasses import dataclass

import trio

from trimcp import ResourceNotFound, Server

server = Server("notifications", version="1.0")


@dataclass
class Message:
    id: int
    content: str


messages: list[Message] = []


@server.resource("messages://all")
def all_messages() -> list[Message]:
    """Every message."""
    return messages


@server.resource("message://{id}")
def one_message(id: int) -> Message:
    """One message."""
    if not 1 <= id <= len(messages):
        raise ResourceNotFound(f"message://{id}")
    return messages[id - 1]


@server.tool
async def add_message(content: str) -> Message:
    """Add a message."""
    message = Message(len(messages) + 1, content)
    messages.append(message)
    await server.notify_resource_updated("messages://all")
    return message


@server.tool
async def edit_message(id: int, content: str) -> Message:
    """Change a message: those who follow it hear of it, and those who follow them all."""
    message = one_message(id)
    message.content = content
    await server.notify_resource_updated(f"message://{id}")
    await server.notify_resource_updated("messages://all")
    return message


@server.tool
async def shout() -> None:
    """Change every message: the template stands for all that somebody follows."""
    for message in messages:
        message.content = message.content.upper()
    await server.notify_resource_updated("message://{id}")
    await server.notify_resource_updated("messages://all")


@server.tool
async def learn(word: str) -> None:
    """Get a new tool. Registering it tells the clients by itself."""

    @server.tool(name=f"say_{word}")
    async def say() -> str:
        return word


status_checks = 0


@server.resource("status://app")
def status() -> dict[str, int]:
    """How things stand."""
    return {"messages": len(messages), "checks": status_checks}


@server.background_task
async def status_updater() -> None:
    """Look every 30 seconds."""
    global status_checks
    while True:
        await trio.sleep(30)
        status_checks += 1
        await server.notify_resource_updated("status://app")


@server.on_startup
async def startup() -> None:
    messages[:] = [Message(1, "Welcome.")]


if __name__ == "__main__":
    trio.run(server.serve_stdio)
