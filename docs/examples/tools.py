"""Tools: arguments, results, errors, threads, bounded time."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import trio
from pydantic import Field

from trimcp import Server, ToolError
from trimcp.types import ImageContent, TextContent, ToolAnnotations

server = Server("tools", version="1.0")

READINGS = {"Bergen": 7.5, "Lima": 19.0, "Oulu": -4.0}


@dataclass
class Weather:
    city: str
    degrees: float
    unit: str


@server.tool
async def weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> Weather:
    """Tell how warm it is.

    Args:
        city: Its English name.
        unit: Of the answer.
    """
    if city not in READINGS:
        raise ToolError(f"No readings of {city}. There are some of {', '.join(READINGS)}.")
    degrees = READINGS[city]
    return Weather(city, degrees if unit == "celsius" else degrees * 9 / 5 + 32, unit)


@server.tool
async def shout(
    text: str, times: Annotated[int, Field(ge=1, le=3, description="How often.")]
) -> str:
    """Say it louder."""
    return " ".join([text.upper()] * times)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def digest(text: str, rounds: int = 10) -> str:
    """Compute a slow hash. It is not async: it runs in a worker thread."""
    key = text.encode()
    for _ in range(rounds):
        trio.from_thread.check_cancelled()
        key = hashlib.pbkdf2_hmac("sha256", key, b"salt", 1000)
    return key.hex()


@server.tool(timeout=5)
async def warmest(cities: list[str]) -> Weather:
    """Ask for the weather of several cities at once."""
    found: list[Weather] = []

    async def ask(city: str) -> None:
        found.append(await weather(city))

    async with trio.open_nursery() as nursery:
        for city in cities:
            nursery.start_soon(ask, city)
    return max(found, key=lambda each: each.degrees)


PIXEL = base64.b64decode("R0lGODlhAQABAIAAAP8AAP///ywAAAAAAQABAAACAkQBADs=")


@server.tool
async def draw(colour: Literal["red"]) -> list[TextContent | ImageContent]:
    """Draw a picture."""
    data = base64.b64encode(PIXEL).decode()
    return [TextContent(f"One {colour} pixel:"), ImageContent(data, "image/gif")]


@server.tool(
    input_schema={
        "type": "object",
        "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
        "additionalProperties": False,
        "minProperties": 1,
    },
    output_schema={"type": "object", "properties": {"sum": {"type": "number"}}},
)
async def total(arguments: Mapping[str, Any]) -> dict[str, float]:
    """Add whatever there is."""
    return {"sum": sum(arguments.values())}


if __name__ == "__main__":
    trio.run(server.serve_stdio)
