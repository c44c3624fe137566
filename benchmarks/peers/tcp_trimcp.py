"""The server under test, over TCP. Usage: `python tcp_trimcp.py PORT`."""

import functools
import sys

import trio
from features_trimcp import server

from trimcp import Limits

server.limits = Limits(connections=15_000)

if __name__ == "__main__":
    trio.run(functools.partial(server.serve_tcp, "127.0.0.1", int(sys.argv[1])))
