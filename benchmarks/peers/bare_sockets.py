"""The yardstick of an update: the same bytes to all connections, by one loop over the sockets.

Usage: `python bare_sockets.py PORT`. The first connection only shows that somebody listens. The
second one asks: it sends how many others there will be, then a text in JSON again and again, which
each of the others gets.
"""

import json
import socket
import sys


def main() -> None:
    """Serve one run."""
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=4096) as listener:
        listener.accept()[0].close()
        asking, _ = listener.accept()
        requests = asking.makefile("rb")
        others = [listener.accept()[0] for _ in range(int(requests.readline()))]
        for each in others:
            each.setblocking(False)
        asking.sendall(b"ready\n")
        for line in requests:
            text = json.loads(line).encode()
            for each in others:
                if each.send(text) != len(text):
                    raise SystemExit("a connection did not take an update at once")
            asking.sendall(b"done\n")


if __name__ == "__main__":
    main()
