"""Compare HTTP servers of `add` in one run: throughput with 32 connections, memory of what idles.

A separate process keeps one request in flight on each of 32 connections. It sends prepared bytes
and searches the answers for the expected text, so that what is measured is the server. See
README.md.

The script is not called `http.py`: beside the other scripts that name would hide the standard
library's package.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import platform
import selectors
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PEERS: Final = Path(__file__).resolve().parent / "peers"

CONNECTIONS: Final = 32
IDLE: Final = 500

ECHO, OURS, HANDSHAKE, SDK = "bare-echo", "trimcp", "trimcp, in a session", "python-sdk"

META: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "load", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass(frozen=True)
class Peer:
    """A server.

    Attributes:
        name: What it is called.
        file: Its program.
        is_session: Whether it is asked within a session of the handshake era.
    """

    name: str
    file: str
    is_session: bool = False


PEER_LIST: Final = (
    Peer(ECHO, "http_echo.py"),
    Peer(OURS, "http_trimcp.py"),
    Peer(HANDSHAKE, "http_trimcp.py", is_session=True),
    Peer(SDK, "http_python_sdk.py"),
)


@contextmanager
def serving(peer: Peer) -> Iterator[tuple[int, int]]:
    """Start a server; yields its process id and port."""
    command = [sys.executable, str(PEERS / peer.file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGKILL)


def http(port: int, body: bytes, headers: dict[str, str], method: str = "POST") -> bytes:
    """A request as it goes over the wire."""
    given = {
        "host": f"127.0.0.1:{port}",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        **headers,
        "content-length": str(len(body)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{method} /mcp HTTP/1.1\r\n{lines}\r\n".encode() + body


def stateless(method: str, params: dict[str, Any], port: int) -> bytes:
    """A request of the stateless era."""
    message = {"jsonrpc": "2.0", "id": 111, "method": method, "params": {**params, "_meta": META}}
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": method}
    if "name" in params:
        headers["mcp-name"] = params["name"]
    return http(port, json.dumps(message).encode(), headers)


CALL: Final = {"name": "add", "arguments": {"a": 2, "b": 3}}


def open_session(port: int) -> dict[str, str]:
    """Shake hands; the headers that name the session."""
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "load", "version": "1"},
    }
    hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(http(port, json.dumps(hello).encode(), {}))
        head = connection.recv(65536).decode()
        [id] = [
            line.partition(":")[2].strip()
            for line in head.splitlines()
            if line.lower().startswith("mcp-session-id:")
        ]
        headers = {"mcp-session-id": id, "mcp-protocol-version": "2025-11-25"}
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        connection.sendall(http(port, json.dumps(note).encode(), headers))
        connection.recv(65536)
    return headers


def request_for(peer: Peer, port: int) -> bytes:
    """What is sent again and again."""
    if not peer.is_session:
        return stateless("tools/call", CALL, port)
    message = {"jsonrpc": "2.0", "id": 111, "method": "tools/call", "params": CALL}
    return http(port, json.dumps(message).encode(), open_session(port))


def load(port: int, request: bytes, seconds: float, told: Any) -> None:
    """Keep a request in flight on each connection; tell how many were answered per second."""
    selector = selectors.DefaultSelector()
    for number in range(CONNECTIONS):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # In a session ids must differ while they are in use.
        own = request.replace(b'"id": 111', b'"id": %d' % (111 + number))
        selector.register(connection, selectors.EVENT_READ, (bytearray(), own))
        connection.sendall(own)
    answered = 0
    began = time.perf_counter()
    while (now := time.perf_counter()) - began < seconds:
        for key, _ in selector.select(1):
            connection = key.fileobj  # type: ignore[assignment]
            data, own = key.data
            data.extend(connection.recv(65536))
            head, found, body = data.partition(b"\r\n\r\n")
            if not found or not complete(head, body):
                continue
            if b'"text":"5"' not in body.replace(b" ", b""):
                raise SystemExit(f"a wrong answer: {bytes(data)!r}")
            answered += 1
            data.clear()
            connection.sendall(own)
    told.put(answered / (now - began))


def complete(head: bytes, body: bytes) -> bool:
    """Whether the whole answer is there."""
    lowered = head.lower()
    if b"transfer-encoding: chunked" in lowered:
        return body.endswith(b"0\r\n\r\n")
    size = lowered.partition(b"content-length:")[2].partition(b"\r\n")[0]
    return len(body) >= int(size)


def measure(port: int, request: bytes, seconds: float) -> float:
    """Requests per second, from a process of its own."""
    told: Any = multiprocessing.Queue()
    process = multiprocessing.Process(target=load, args=(port, request, seconds, told))
    process.start()
    rate: float = told.get(timeout=seconds + 30)
    process.join()
    return rate


# -- what idles ----------------------------------------------------------------------------------


def memory_of(pid: int) -> int:
    """Resident bytes of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no memory told")


def processor_time(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_listens(port: int, pid: int) -> float:
    """Bytes for each open `subscriptions/listen`."""
    request = stateless("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, port)
    return _idle(pid, lambda: _open(port, request, b"acknowledged"))


def idle_sessions(port: int, pid: int) -> float:
    """Bytes for each session without an open stream."""
    return _idle(pid, lambda: open_session(port))


def _idle(pid: int, make: Any) -> float:
    kept = [make() for _ in range(20)]
    before = memory_of(pid)
    kept += [make() for _ in range(IDLE)]
    return (memory_of(pid) - before) / IDLE


def _open(port: int, request: bytes, mark: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(request)
    data = b""
    while mark not in data:
        data += connection.recv(65536)
    return connection


# -- the run ---------------------------------------------------------------------------------------


@dataclass
class Figures:
    """What was measured of one server."""

    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    @property
    def cost(self) -> float:
        """Seconds of the server's processor time for a request, the median of the rounds."""
        return median(self.costs)

    @property
    def rate(self) -> float:
        """The median of the rounds."""
        return median(self.rates)


def run(rounds: int, seconds: float) -> dict[str, Figures]:
    """Load each server in turn, again and again; the order rotates."""
    figures = {peer.name: Figures() for peer in PEER_LIST}
    for number in range(rounds):
        order = PEER_LIST[number % len(PEER_LIST) :] + PEER_LIST[: number % len(PEER_LIST)]
        for peer in order:
            with serving(peer) as (pid, port):
                request = request_for(peer, port)
                measure(port, request, 0.3)
                before = processor_time(pid)
                rate = measure(port, request, seconds)
                figures[peer.name].rates.append(rate)
                spent = processor_time(pid) - before
                figures[peer.name].costs.append(spent / (rate * seconds))
            print(
                f"round {number + 1}: {peer.name} {figures[peer.name].rates[-1]:,.0f}/s",
                file=sys.stderr,
            )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--quick", action="store_true", help="does it still run?")
    options = parser.parse_args()
    rounds, seconds = (1, 0.5) if options.quick else (options.rounds, options.seconds)
    figures = run(rounds, seconds)
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("hypercorn", "mcp", "trio")
    )
    print(f"Python {platform.python_version()}, {versions}; {os.cpu_count()} cores.\n")
    print(f"| server | requests/s, {CONNECTIONS} connections | of the bare echo |", end="")
    print(" processor time of the server |\n|---|---|---|---|")
    for name, each in figures.items():
        spread = f"{min(each.rates):,.0f} to {max(each.rates):,.0f}"
        share = each.rate / figures[ECHO].rate
        cost = f"{each.cost * 1e6:,.0f} µs each ({figures[ECHO].cost / each.cost:.2f})"
        print(f"| {name} | {each.rate:,.0f} ({spread}) | {share:.2f} | {cost} |")
    for what, measure_idle in (("listen stream", idle_listens), ("session", idle_sessions)):
        with serving(PEER_LIST[1]) as (pid, port):
            print(f"\nEach idle {what}: {measure_idle(port, pid) / 1000:.1f} kB.")


if __name__ == "__main__":
    main()
