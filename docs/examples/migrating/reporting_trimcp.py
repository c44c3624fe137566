"""Progress and logging, made with trimcp."""

import trio

from trimcp import Context, Server

server = Server("copier", version="1.0")


@server.tool
async def copy(files: list[str], ctx: Context) -> int:
    """Copy files."""
    for done, name in enumerate(files, start=1):
        await trio.sleep(0.01)  # the work
        await ctx.report_progress(done, len(files), name)
    await ctx.warning("The disk is nearly full.", logger="disk")
    return len(files)


if __name__ == "__main__":
    trio.run(server.serve_stdio)
