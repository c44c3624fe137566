"""A client with nothing but a socket: sends one line, says so, and waits to be killed."""

from __future__ import annotations

import socket
import sys
import time

from tests.raw_websocket import TEXT, frame, upgrade


def main() -> None:
    door, address, text = sys.argv[1:]
    if door == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
    else:
        connection = socket.create_connection(("127.0.0.1", int(address)))
    if door in ("websocket", "http"):
        connection.sendall(upgrade())
        assert b" 101 " in connection.recv(65536)
        connection.sendall(frame(TEXT, text.encode()))
    else:
        connection.sendall(text.encode() + b"\n")
    print("sent", file=sys.stderr, flush=True)
    time.sleep(3600)


if __name__ == "__main__":
    main()
