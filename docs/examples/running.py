"""A server that starts without a line of async code.

python docs/examples/running.py http
"""

import sys

from trimcp import Server

server = Server("thermometer", version="1.0")


@server.tool
def fahrenheit(celsius: float) -> float:
    """Convert a temperature to degrees Fahrenheit."""
    return celsius * 9 / 5 + 32


if __name__ == "__main__":
    if sys.argv[1:] == ["http"]:
        server.run("http", host="127.0.0.1", port=8000)
    else:
        server.run()
