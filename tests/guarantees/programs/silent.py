"""Reads everything and never says a word. With `--discover` it answers that, and only that."""

from __future__ import annotations

import json
import sys


def main() -> None:
    for text in sys.stdin:
        message = json.loads(text)
        print(message.get("method"), file=sys.stderr, flush=True)
        if message.get("method") == "server/discover" and "--discover" in sys.argv:
            result = {
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}},
                "ttlMs": 0,
                "cacheScope": "private",
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "silent", "version": "1"}},
            }
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)


if __name__ == "__main__":
    main()
