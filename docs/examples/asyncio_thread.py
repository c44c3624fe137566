"""Libraries made for asyncio in a server: `asyncio.run`, and a loop in a thread of its own."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import trio

from trimcp import Context, Server, open_client

T = TypeVar("T")

#: Seconds for asyncio code to clean up after it was cancelled.
CLEANUP_SECONDS = 5.0


class AsyncioThread:
    """An asyncio loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    async def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run a coroutine function there. If the caller is cancelled, so is the coroutine."""
        token, done = trio.lowlevel.current_trio_token(), trio.Event()
        context = contextvars.copy_context()
        tasks: list[asyncio.Task[T]] = []

        def start() -> None:
            task = self._loop.create_task(function(*args), context=context)
            task.add_done_callback(lambda _: token.run_sync_soon(done.set))
            tasks.append(task)

        self._loop.call_soon_threadsafe(start)
        try:
            await done.wait()
        except trio.Cancelled:
            self._loop.call_soon_threadsafe(lambda: tasks[0].cancel())
            with trio.CancelScope(shield=True, relative_deadline=CLEANUP_SECONDS):
                await done.wait()
            raise
        return tasks[0].result()

    def run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


@asynccontextmanager
async def lifespan(server: Server[AsyncioThread]) -> AsyncIterator[AsyncioThread]:
    there = AsyncioThread()
    thread = threading.Thread(target=there.run, name="asyncio", daemon=True)
    thread.start()
    try:
        yield there
    finally:
        there.stop()
        with trio.CancelScope(shield=True, relative_deadline=CLEANUP_SECONDS):
            await trio.to_thread.run_sync(thread.join, abandon_on_cancel=True)


server = Server("asyncio", version="1.0", lifespan=lifespan)


# A synchronous tool runs in a thread, where nothing else runs: `asyncio.run` is right there.
@server.tool
def both(first: str, second: str) -> list[str]:
    """Say two things at the same time."""
    return asyncio.run(_both(first, second))


async def _both(first: str, second: str) -> list[str]:
    return list(await asyncio.gather(_say(first), _say(second)))


async def _say(text: str) -> str:
    await asyncio.sleep(0.01)
    return text.upper()


# For what lives longer than one call.
@server.tool
async def shout(text: str, ctx: Context[AsyncioThread]) -> str:
    """Say it loudly."""
    return await ctx.lifespan_context.call(_say, text)


@server.tool
async def wait(ctx: Context[AsyncioThread]) -> None:
    """Wait until the client cancels the call."""
    await ctx.lifespan_context.call(_wait, ctx)


async def _wait(ctx: Context[AsyncioThread]) -> None:
    try:
        await asyncio.sleep(3600)
    finally:
        print("asyncio hears that the call was cancelled")


async def main() -> None:
    async with open_client(server) as client:
        print((await client.call_tool("both", {"first": "a", "second": "b"})).structured_content)
        print((await client.call_tool("shout", {"text": "well"})).text)
        with trio.move_on_after(0.5):
            await client.call_tool("wait")
        print("and goes on:", (await client.call_tool("shout", {"text": "fine"})).text)


if __name__ == "__main__":
    trio.run(main)
