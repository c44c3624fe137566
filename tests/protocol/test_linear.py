"""Whatever a peer sends costs linear time and memory: inputs that grow by tens, counted."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.counting import assert_linear, bytes_taken, calls_of
from trimcp.limits import Limits
from trimcp.protocol import LATEST, META_PREFIX, Connection, RequestReceived, Role
from trimcp.protocol._messages import LONGEST_ID
from trimcp.protocol.http import SSEDecoder, accepts, decode_value, fold_headers
from trimcp.transports import Budget, PartialMessage
from trimcp.transports._lines import LineSplitter
from trimcp.types import Implementation

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES: Final = [1_000, 10_000, 100_000]
META: Final = {
    META_PREFIX + "protocolVersion": LATEST.date,
    META_PREFIX + "clientCapabilities": {},
}


def connection() -> Connection:
    return Connection(Role.SERVER, Implementation("s", "1"), Limits())


def receive(wire: Any) -> None:
    for event in connection().receive(json.dumps(wire).encode()):
        if isinstance(event, RequestReceived):
            event.exchange.answer({})


def request(**params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"_meta": META, **params}}


def notification(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": f"notifications/{method}", "params": params}


def declaring(capabilities: Any) -> dict[str, Any]:
    return request(_meta={**META, META_PREFIX + "clientCapabilities": capabilities})


#: Each makes an input of about that size, and takes it.
MESSAGES: Final[dict[str, Callable[[int], Any]]] = {
    "a string": lambda size: request(a="x" * size),
    "many members": lambda size: request(**{f"m{number}": 1 for number in range(size // 8)}),
    "many items": lambda size: request(a=[1] * (size // 3)),
    "arrays side by side": lambda size: request(a=[[]] * (size // 4)),
    "a long method": lambda size: {**request(), "method": "m" * size},
    "a long id": lambda size: {**request(), "id": "i" * size},
    "a long progress token": lambda size: request(_meta={**META, "progressToken": "t" * size}),
    "a long revision": lambda size: request(
        _meta={**META, META_PREFIX + "protocolVersion": "v" * size}
    ),
    "a long log level": lambda size: request(_meta={**META, META_PREFIX + "logLevel": "l" * size}),
    "capabilities": lambda size: declaring({"experimental": {"a": {"b": "c" * size}}}),
    "capabilities of the wrong kind": lambda size: declaring({"roots": ["r"] * (size // 5)}),
    "many extensions": lambda size: declaring(
        {"extensions": {f"com.example/{number}": {} for number in range(size // 24)}}
    ),
    "a batch": lambda size: [{"jsonrpc": "2.0", "id": n, "method": "p"} for n in range(size // 40)],
    "a batch of nonsense": lambda size: [[1]] * (size // 5),
    "no message": lambda size: {"id": 1, "error": [0] * (size // 3)},
    "an answer to nothing": lambda size: {"jsonrpc": "2.0", "id": 5, "result": {"a": "x" * size}},
    "an error that answers nothing": lambda size: {
        "jsonrpc": "2.0",
        "id": "i" * size,
        "error": {"code": 1, "message": "m" * size, "data": [1] * (size // 3)},
    },
    "a cancellation of nothing": lambda size: notification(
        "cancelled", requestId="i" * size, reason="r" * size
    ),
    "progress of nothing": lambda size: notification(
        "progress", progressToken="t" * size, progress=1, message="m" * size
    ),
    "a notification": lambda size: notification("x" * size, a=["x"] * (size // 5)),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message(name: str) -> None:
    costs, peaks, sizes = [], [], []
    for size in SIZES:
        data = json.dumps(MESSAGES[name](size)).encode()
        sizes.append(len(data))
        costs.append(calls_of(lambda data=data: connection().receive(data)))  # type: ignore[misc]
        with bytes_taken() as taken:
            connection().receive(data)
        peaks.append(taken.peak)
    assert_linear(sizes, costs)
    assert_linear(sizes, peaks, slack=200_000)


@pytest.mark.parametrize("length", [16_385, 163_850])
def test_ids_and_tokens_are_not_repeated_where_they_are_long(length: int) -> None:
    for wire in (
        {**request(), "id": "i" * length},
        request(_meta={**META, "progressToken": "t" * length}),
    ):
        [reply] = connection().receive(json.dumps(wire).encode())
        assert len(reply.data) < 300  # type: ignore[union-attr]
    longest = {
        **request(_meta={**META, "progressToken": "t" * LONGEST_ID}),
        "id": "\u20ac" * LONGEST_ID,
    }
    [event] = connection().receive(json.dumps(longest).encode())
    assert isinstance(event, RequestReceived)


@pytest.mark.parametrize("number", ["9" * 5_000, "-" + "9" * 5_000, "1e999", "0." + "1" * 50_000])
def test_numbers_that_python_would_not_read(number: str) -> None:
    for wire in ('"id":{}', '"id":1,"params":{{"_meta":{{"progressToken":{}}}}}'):
        data = f'{{"jsonrpc":"2.0","method":"ping",{wire.format(number)}}}'
        [reply] = connection().receive(data.encode())
        assert len(reply.data) < 300  # type: ignore[union-attr]


# -- pieces -----------------------------------------------------------------------------------


def lines(data: bytes, size: int) -> None:
    splitter = LineSplitter(1 << 24)
    for start in range(0, len(data), size):
        splitter.feed(data[start : start + size])
    assert splitter.feed(b"\n") == [data]


def fragments(data: bytes, size: int) -> None:
    partial = PartialMessage(1 << 24, Budget())
    for start in range(0, len(data), size):
        partial.add(data[start : start + size])
    assert partial.finish() == data


def events(data: bytes, size: int) -> None:
    decoder = SSEDecoder(1 << 24)
    whole = b"data: " + data + b"\n\n"
    found = []
    for start in range(0, len(whole), size):
        found += decoder.feed(whole[start : start + size])
    assert [event.data for event in found] == [data]


def lines_of_an_event(data: bytes, size: int) -> None:
    decoder = SSEDecoder(1 << 24)
    for start in range(0, len(data), 1_000):
        pieces = data[start : start + 1_000]
        decoder.feed(b"".join(b"data:%b\n" % pieces[:size] for _ in range(1 + 900 // (size + 1))))
    assert len(decoder.feed(b"\n")) == 1


@pytest.mark.parametrize("take", [lines, fragments, events, lines_of_an_event])
@pytest.mark.parametrize("size", [1, 2, 3, 1_000])
def test_small_pieces_take_the_room_of_the_whole(
    take: Callable[[bytes, int], None], size: int
) -> None:
    sizes = [10_000, 100_000, 400_000]
    peaks = []
    for length in sizes:
        data = b"x" * length
        with bytes_taken() as taken:
            take(data, size)
        peaks.append(taken.peak)
    assert_linear(sizes, peaks, slack=50_000)
    # While it is put together, and once more for the whole; an event's line is copied too.
    assert peaks[-1] < 5.5 * sizes[-1], peaks


# -- headers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "take",
    [
        lambda size: fold_headers([(b"a", b"b")] * size),
        lambda size: fold_headers([(b"a%d" % number, b"b") for number in range(size)]),
        lambda size: accepts(", ".join(["text/html"] * size), "application/json"),
        lambda size: accepts("text/html;" + ";" * size, "application/json"),
        lambda size: accepts("q=0" * size, "application/json"),
    ],
)
def test_headers(take: Callable[[int], Any]) -> None:
    costs, peaks = [], []
    for size in SIZES:
        costs.append(calls_of(lambda size=size: take(size)))  # type: ignore[misc]
        with bytes_taken() as taken:
            take(size)
        peaks.append(taken.peak)
    assert_linear(SIZES, costs)
    assert_linear(SIZES, peaks, slack=50_000)


def test_a_header_that_is_repeated_is_joined_once(monkeypatch: pytest.MonkeyPatch) -> None:
    folded = fold_headers([(b"A", b"1"), (b"b", b" 2"), (b"a", b"3\t"), (b"a", b"")])
    assert folded == {"a": "1, 3, ", "b": "2"}


@pytest.mark.parametrize("text", ["=?base64?", "=?base64?{}?=", "{}", "=?base64?{}"])
def test_values_in_base64(text: str) -> None:
    costs = []
    for size in SIZES:
        value = text.format("QUFB" * size)
        costs.append(calls_of(lambda value=value: decode_value(value)))  # type: ignore[misc]
    assert max(costs) - min(costs) < 50, costs
    assert sys.getsizeof(decode_value("=?base64?" + "QUFB" * 1_000 + "?=")) < 5_000
