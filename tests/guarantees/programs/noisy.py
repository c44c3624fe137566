"""Tools that write where only the protocol may, and read from there."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import trio

from trimcp import Server

# Still in the buffer when the server starts to serve.
print("noise before serving")

server: Server[None] = Server("noisy")


@server.tool
def prints() -> str:
    """`print`, flushed and not."""
    print("noise of print")
    print("noise of print, flushed", flush=True)
    sys.stdout.write("noise without a newline")
    assert sys.__stdout__ is not None
    sys.__stdout__.write("noise of the original stdout\n")
    return "printed"


@server.tool
async def prints_async() -> str:
    """The same in the event loop's thread."""
    print("noise of print, asynchronous", flush=True)
    return "printed"


@server.tool
async def writes() -> str:
    """A write to descriptor 1."""
    os.write(1, b"noise of os.write\n")
    return "written"


@server.tool
def library() -> str:
    """A C library with a buffer of its own."""
    libc = ctypes.CDLL(None)
    libc.puts(b"noise of puts")
    libc.fflush(None)
    return "written"


@server.tool
def child() -> str:
    """A child that copies its input to its output, and inherits both."""
    subprocess.run(["sh", "-c", "cat; echo noise of a child"], check=True)
    return "ended"


@server.tool
async def child_async() -> str:
    """The same through Trio."""
    await trio.run_process(["sh", "-c", "cat; echo noise of another child"], stdin=None)
    return "ended"


@server.tool
def reads() -> str:
    """Reads from standard input in two ways."""
    try:
        input()
    except EOFError:
        return f"nothing to read, {os.read(0, 10)!r}"
    return "read something"


@server.tool
def daemon() -> str:
    """A child that outlives the call, and perhaps the server."""
    subprocess.Popen(["sh", "-c", "cat; echo noise of a daemon"])
    return "started"


if __name__ == "__main__":
    trio.run(server.serve_stdio)
    # Buffered until the interpreter ends; the client has long stopped asking.
    print("goodbye", file=sys.stderr)
