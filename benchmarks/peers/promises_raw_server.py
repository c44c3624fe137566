"""A server of no make, for experiments with clients: it shakes hands and never answers a call.

Usage: `python promises_raw_server.py`, or `… stubborn FIFO`: it then ignores SIGTERM and the end of
its input, and so does its child; both hold the named pipe open as long as they live.
"""

import json
import os
import signal
import subprocess
import sys

CHILD = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: signal.pause()"

INITIALIZED = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "raw", "version": "1"},
}
TOOLS = {"tools": [{"name": "hang", "inputSchema": {"type": "object"}}]}
RESULTS = {"initialize": INITIALIZED, "tools/list": TOOLS, "ping": {}}


def stubborn(path: str) -> None:
    """Start the child, and let nothing but SIGKILL end either."""
    descriptor = os.open(path, os.O_WRONLY)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(
        [sys.executable, "-S", "-c", CHILD],
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def answer(line: str) -> None:
    """Answer what has an answer."""
    message = json.loads(line)
    method, identity = message.get("method"), message.get("id")
    if method == "tools/call":
        print(f"hang began in {os.getpid()}", file=sys.stderr, flush=True)
    elif identity is not None:
        found = {"jsonrpc": "2.0", "id": identity}
        if method in RESULTS:
            found["result"] = RESULTS[method]
        else:
            found["error"] = {"code": -32601, "message": "Method not found"}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["stubborn"]:
        stubborn(sys.argv[2])
    for each in sys.stdin:
        answer(each)
    while sys.argv[1:2] == ["stubborn"]:
        signal.pause()
