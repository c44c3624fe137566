"""The server under test, over HTTP. Usage: `python http_trimcp.py [--many] PORT`."""

import functools
import sys

import trio
from trimcp_server import server

from trimcp import Limits

if __name__ == "__main__":
    if "--many" in sys.argv:
        # More connections and sessions than the defaults allow; each may be idle for long.
        server.limits = Limits(connections=15_000, http_sessions=15_000, header_seconds=600)
    trio.run(functools.partial(server.serve_http, "127.0.0.1", int(sys.argv[-1])))
