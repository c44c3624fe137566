"""Prepared HTTP requests, and connections whose answers are looked at, not parsed."""

from __future__ import annotations

import json
import re
import selectors
import socket
import time
from typing import TYPE_CHECKING, Any, Final

from .lines import CALL, META
from .processes import STALL_SECONDS, BenchmarkError, deadline

if TYPE_CHECKING:
    from collections.abc import Sequence

READ_SIZE: Final = 65536
_SIZE: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)


def http(port: int, message: dict[str, Any], **headers: str) -> bytes:
    """A request as it goes over the wire. The underscores in names of headers become hyphens."""
    body = json.dumps(message).encode()
    given = {
        "host": f"127.0.0.1:{port}",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        **{name.replace("_", "-"): value for name, value in headers.items()},
        "content-length": str(len(body)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"POST /mcp HTTP/1.1\r\n{lines}\r\n".encode() + body


def stateless(port: int, method: str, params: dict[str, Any], identity: int = 111) -> bytes:
    """A request of the stateless era."""
    params = {**params, "_meta": META}
    message = {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}
    headers = {"mcp_protocol_version": "2026-07-28", "mcp_method": method}
    if "name" in params:
        headers["mcp_name"] = params["name"]
    return http(port, message, **headers)


def call(port: int, identity: int = 111) -> bytes:
    """A call of `add` in the stateless era."""
    return stateless(port, "tools/call", CALL, identity)


def call_in_session(port: int, headers: dict[str, str], identity: int = 111) -> bytes:
    """A call of `add` in a session; ids must differ while they are in use."""
    message = {"jsonrpc": "2.0", "id": identity, "method": "tools/call", "params": CALL}
    return http(port, message, **headers)


def open_session(port: int) -> dict[str, str]:
    """Shake hands; the headers that name the session."""
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1.0.0"},
    }
    hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
    with connected(port) as connection:
        head = ask(connection, http(port, hello))
        found = re.search(rb"\r\nmcp-session-id: *(\S+)\r\n", head, re.IGNORECASE)
        if found is None:
            raise BenchmarkError(f"no session was opened: {head[:2000]!r}")
        headers = {"mcp_session_id": found[1].decode(), "mcp_protocol_version": "2025-11-25"}
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        ask(connection, http(port, note, **headers), is_call=False)
    return headers


def connected(port: int) -> socket.socket:
    """A connection that waits at most so long for anything."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=STALL_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def is_complete(data: bytes) -> bool:
    """Whether the whole answer is there."""
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return False
    head += b"\r\n"
    if _CHUNKED.search(head):
        return body.endswith(b"0\r\n\r\n")
    size = _SIZE.search(head)
    # An answer without a body may leave the length out.
    return len(body) >= (int(size[1]) if size else 0)


def check(data: bytes) -> None:
    """Raise BenchmarkError unless this is the answer of `add`."""
    if b'"text":"5"' not in data.replace(b" ", b"") or not data.startswith(b"HTTP/1.1 200"):
        raise BenchmarkError(f"a wrong answer: {data[:2000]!r}")


def receive(connection: socket.socket) -> bytes:
    """What comes next. Raises BenchmarkError at the end."""
    try:
        data = connection.recv(READ_SIZE)
    except TimeoutError:
        raise BenchmarkError("the server does not answer any more") from None
    if not data:
        raise BenchmarkError("the server has closed the connection")
    return data


def ask(connection: socket.socket, request: bytes, *, is_call: bool = False) -> bytes:
    """Send a request; the whole answer."""
    connection.sendall(request)
    data = b""
    while not is_complete(data):
        data += receive(connection)
    if not data.startswith(b"HTTP/1.1 2"):
        raise BenchmarkError(f"a refusal: {data[:2000]!r}")
    if is_call:
        check(data)
    return data


class Caller:
    """A connection with a request of its own, which it sends again and again.

    Args:
        connection: It is open.
        request: A call of `add`.
    """

    def __init__(self, connection: socket.socket, request: bytes) -> None:
        self.connection = connection
        self._request = request
        self._checked = b""
        self._data = b""

    def send(self) -> None:
        """Ask."""
        self.connection.sendall(self._request)

    def is_answered(self) -> bool:
        """Read what is there; whether this completes the answer, which must be the right one."""
        data = self._data + receive(self.connection) if self._data else receive(self.connection)
        # Most answers are the same bytes as one that was looked at before.
        if data != self._checked:
            if not is_complete(data):
                self._data = data
                return False
            check(data)
            self._checked = data
        self._data = b""
        return True


def load(callers: Sequence[Caller], seconds: float, at_once: int = 0) -> tuple[int, float]:
    """Keep a request in flight on each connection; the number of answers, and how long it took.

    Args:
        callers: The connections.
        seconds: How long this goes on at least. Each connection has had its turn then, too.
        at_once: How many of them have a request in flight at a time, all by default. The next
            request is for the connection whose turn is the longest ago.
    """
    count = len(callers)
    at_once = min(at_once or count, count)
    selector = selectors.DefaultSelector()
    for each in callers:
        selector.register(each.connection, selectors.EVENT_READ, each)
    sent, answered = at_once, 0
    with deadline(seconds + STALL_SECONDS, "the server"), selector:
        began = time.perf_counter()
        for each in callers[:at_once]:
            each.send()
        while answered < sent:
            for key, _ in selector.select():
                if not key.data.is_answered():
                    continue
                answered += 1
                if sent < count or time.perf_counter() - began < seconds:
                    # With all of them busy this is the one that was just answered.
                    (key.data if at_once == count else callers[sent % count]).send()
                    sent += 1
    return answered, time.perf_counter() - began
