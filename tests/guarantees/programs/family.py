"""A server with a child of its own, either of which may be stubborn.

`FIFO [--stubborn] [--child-stubborn]`: both hold the named pipe open, so that its end says that
all of them are gone. A stubborn process ignores SIGTERM, and a stubborn server also the end of
its input.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import trio

from tests.guarantees.programs.doors import say
from trimcp import Server

CHILD = """
import os, signal, sys
descriptor, stubborn = int(sys.argv[1]), sys.argv[2] == "True"
if stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(descriptor, b"child %d\\n" % os.getpid())
while True:
    signal.pause()
"""

server: Server[None] = Server("family", eof_grace=0.1)


@server.tool
async def pid() -> int:
    """The process id."""
    return os.getpid()


@server.tool
async def hang() -> str:
    """Never ends by itself."""
    say("hang began")
    await trio.sleep_forever()
    return "never"


def main() -> None:
    descriptor = os.open(sys.argv[1], os.O_WRONLY)
    stubborn = "--child-stubborn" in sys.argv
    # It outlives this process on purpose, so nobody waits for it.
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", CHILD, str(descriptor), str(stubborn)],
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        # What a server of another make may do: its child holds on to its output.
        stdout=None if "--share-stdout" in sys.argv else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.write(descriptor, b"server %d\n" % os.getpid())
    if "--stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    trio.run(server.serve_stdio)
    while "--stubborn" in sys.argv:
        signal.pause()
    os._exit(0 if child.poll() is None else 1)


if __name__ == "__main__":
    main()
