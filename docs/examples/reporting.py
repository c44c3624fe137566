"""Logging and progress, from both sides."""

import trio

from trimcp import Context, Server, open_client
from trimcp.types import LoggingMessageNotificationParams

server = Server("reporting", version="1.0")


@server.tool
async def copy(files: list[str], ctx: Context) -> int:
    """Copy files."""
    for done, name in enumerate(files, start=1):
        await trio.sleep(0.1)  # the work
        await ctx.report_progress(done, len(files), name)
    return len(files)


@server.tool
async def check(file: str, ctx: Context) -> bool:
    """Look whether a file is whole."""
    await ctx.debug({"file": file, "bytes": 1024})
    await ctx.warning(f"{file} is old.", logger="check")
    return True


@server.tool
def pack(files: int, ctx: Context) -> int:
    """Report from a worker thread."""
    for done in range(1, files + 1):
        trio.from_thread.run(ctx.report_progress, done, files)
    return files


async def show_progress(progress: float, total: float | None, message: str | None) -> None:
    print(f"{progress:g}/{total:g} {message}")


async def show_log(record: LoggingMessageNotificationParams) -> None:
    print(f"[{record.level}] {record.logger or 'server'}: {record.data}")


async def main() -> None:
    async with open_client(server, logging=show_log) as client:
        arguments = {"files": ["a.txt", "b.txt", "c.txt"]}
        result = await client.call_tool("copy", arguments, progress=show_progress)
        print("copied:", result.structured_content)

        await client.call_tool("check", {"file": "a.txt"})
        await client.set_log_level("debug")
        await client.call_tool("check", {"file": "b.txt"})


if __name__ == "__main__":
    trio.run(main)
