"""A client with nothing but a socket: sends one line, says so, and waits to be killed."""

from __future__ import annotations

import socket
import sys
import time


def main() -> None:
    address, text = sys.argv[1:]
    if address.isdigit():
        connection = socket.create_connection(("127.0.0.1", int(address)))
    else:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
    connection.sendall(text.encode() + b"\n")
    print("sent", file=sys.stderr, flush=True)
    time.sleep(3600)


if __name__ == "__main__":
    main()
