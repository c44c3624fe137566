"""A client over HTTP. A function plays the server, so that the program needs no network."""

import json
from typing import Any

import httpx2
import trio

from trimcp import HTTPStatusError, RequestError, open_http_client

TOOL = {
    "name": "weather",
    "inputSchema": {
        "type": "object",
        "properties": {"city": {"type": "string", "x-mcp-header": "City"}},
    },
}
RESULTS: dict[str, dict[str, Any]] = {
    "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}},
    "tools/list": {"tools": [TOOL]},
    "tools/call": {"content": [{"type": "text", "text": "sunny"}]},
}


def play(request: httpx2.Request) -> httpx2.Response:
    """What a server answers that knows one tool and one token."""
    if request.headers.get("authorization") != "Bearer let-me-in":
        return httpx2.Response(401, text="who are you?")
    asked = json.loads(request.content)
    answer = {"jsonrpc": "2.0", "id": asked["id"]}
    if asked["method"] not in RESULTS:
        error = {"code": -32601, "message": "Method not found"}
        return httpx2.Response(404, json={**answer, "error": error})
    if "mcp-param-city" in request.headers:
        print("on its way:", request.headers["mcp-name"], request.headers["mcp-param-city"])
    hints = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    return httpx2.Response(200, json={**answer, "result": {**hints, **RESULTS[asked["method"]]}})


async def main() -> None:
    url = "https://weather.example/mcp"
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(play)) as http:
        try:
            async with open_http_client(url, http_client=http):
                pass
        except HTTPStatusError as error:
            print(error.status, error.text)

        token = {"Authorization": "Bearer let-me-in"}
        async with open_http_client(url, headers=token, http_client=http) as client:
            print(client.revision, [tool.name for tool in await client.list_tools()])
            print((await client.call_tool("weather", {"city": "Lima"})).content[0])
            try:
                await client.list_prompts()
            except RequestError as error:
                print(error, "with HTTP status", error.http_status)


if __name__ == "__main__":
    trio.run(main)
