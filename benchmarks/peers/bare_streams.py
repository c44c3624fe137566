"""The same as `bare_sockets.py` on Trio: one task that writes to one stream after another.

Usage: see `bare_sockets.py`.
"""

import json
import sys

import trio


async def main() -> None:
    """Serve one run."""
    [listener] = await trio.open_tcp_listeners(int(sys.argv[1]), host="127.0.0.1", backlog=4096)
    await (await listener.accept()).aclose()
    asking = await listener.accept()
    others = [await listener.accept() for _ in range(int(await asking.receive_some(100)))]
    await asking.send_all(b"ready\n")
    line = b""
    while data := await asking.receive_some(65536):
        line += data
        if not line.endswith(b"\n"):
            continue
        text = json.loads(line).encode()
        line = b""
        for each in others:
            await each.send_all(text)
        await asking.send_all(b"done\n")


if __name__ == "__main__":
    trio.run(main)
