"""One server for every kind of client at one port, alone or in a site of your own.

hypercorn -k trio docs/examples/websocket_and_sse:app     # or :site
"""

import functools

import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from trimcp import Server, open_websocket_client

server = Server("everywhere", version="1.0")
messages: list[str] = []


@server.resource("messages://all")
def all_messages() -> list[str]:
    """What was said so far."""
    return messages


@server.tool
async def add_message(content: str) -> int:
    """Say something; whoever listens hears that there is news, over whatever transport."""
    messages.append(content)
    await server.notify_resource_updated("messages://all")
    return len(messages)


# /mcp, /sse with /messages, /ws, and /healthz
app = server.asgi_app()


async def index(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(messages)} messages")


# A Mount passes no lifespan events on, so the application is opened here.
site = Starlette(
    routes=[Route("/", index), Mount("/", app=app)],
    lifespan=server.asgi_lifespan,
)


async def main() -> None:
    """Serve the site in this process, and call it."""
    async with trio.open_nursery() as nursery:
        serve = functools.partial(server.serve_http, "127.0.0.1", 0, app=site)
        [url] = await nursery.start(serve)
        async with (
            open_websocket_client(f"{url.replace('http', 'ws')}/ws") as client,
            client.listen(resources=["messages://all"]) as events,
        ):
            print((await client.call_tool("add_message", {"content": "hello"})).content[0])
            async for event in events:
                print(event)
                break
        server.shutdown()


if __name__ == "__main__":
    trio.run(main)
