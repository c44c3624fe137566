"""The server under test, over HTTP. Usage: `python http_trimcp.py PORT`."""

import functools
import sys

import trio
from trimcp_server import server

from trimcp import Limits

# More connections and sessions than the defaults allow, for what is measured with many of them.
server.limits = Limits(connections=15_000, http_sessions=15_000)

if __name__ == "__main__":
    trio.run(functools.partial(server.serve_http, "127.0.0.1", int(sys.argv[1])))
