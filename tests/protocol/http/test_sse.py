"""Server-sent events: written, cut anywhere, read."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.strategies import examples
from trimcp.protocol.http import ServerSentEvent, SSEDecoder, encode_comment, encode_event

#: Pieces that mean something to a reader, and some that do not.
STREAMS = st.lists(
    st.sampled_from(
        [
            b"\n", b"\r", b"\r\n", b"\n\n", b":", b" ", b"data", b"data:", b"data: ", b"data: abc",
            b"event: e\n", b"id: 7\n", b"id\n", b"id: a\x00b\n", b"retry: 12\n", b"retry: x\n",
            b"retry: 0099999999999999\n",
            b": comment\n", b"\xef\xbb\xbf", b"\xff", b"datax: 1\n", b"data:" + b"y" * 40 + b"\n\n",
        ]
    ),
    max_size=25,
).map(b"".join)  # fmt: skip


def read(pieces: list[bytes], limit: int = 1000) -> tuple[list[ServerSentEvent], str, int | None]:
    decoder = SSEDecoder(limit)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events, decoder.last_id, decoder.retry


def simply(
    stream: bytes, limit: int
) -> tuple[list[tuple[bytes | None, str, str]], str, int | None]:
    """The same, simply: whole stream at once, with data that is too long left out."""
    events: list[Any] = []
    data: list[bytes] = []
    event, last_id, retry = "", "", None
    pending: str | None = None
    *lines, _ = re.split(rb"\r\n|\r|\n", stream.removeprefix(b"\xef\xbb\xbf"))
    for line in lines:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event" and len(line) <= limit:
            event = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value and len(line) <= limit:
            pending = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit():
            retry = min(int(value), 10**12)
        if line:
            continue
        last_id = last_id if pending is None else pending
        whole = b"\n".join(data)
        if whole:
            kept = whole if len(whole) <= limit else None
            events.append((kept, event or "message", last_id))
        data, event, pending = [], "", None
    return events, last_id, retry


@examples(400)
@given(STREAMS, st.lists(st.integers(0, 200), max_size=8), st.integers(8, 60))
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [8, 9, 10], 60)
@example(b"\n\xef\xbb\xbfdata: no field\n\n", [], 60)
def test_any_chunking_gives_the_same_events(stream: bytes, cuts: list[int], limit: int) -> None:
    ends = [*sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    whole = read([stream], limit)
    assert read(pieces, limit) == whole
    assert read([bytes([byte]) for byte in stream], limit) == whole
    events, last_id, retry = whole
    shown = [(None if each.is_oversized else each.data, each.event, each.id) for each in events]
    assert (shown, last_id, retry) == simply(stream, limit)


@given(
    st.binary(max_size=30).filter(lambda data: b"\r" not in data and data.strip(b"\n")),
    st.none() | st.text("abc é", min_size=1, max_size=5),
    st.none() | st.text("0123 é", max_size=5),
    st.none() | st.integers(0, 10**6),
)
def test_what_is_written_is_read(
    data: bytes, event: str | None, id: str | None, retry: int | None
) -> None:
    stream = encode_comment("hello\r\nworld") + encode_event(data, event=event, id=id, retry=retry)
    events, last_id, waited = read([stream])
    assert events == [ServerSentEvent(data, event or "message", id or "", len(data))]
    assert (last_id, waited) == (id or "", retry)


def test_the_bytes_themselves() -> None:
    assert encode_event(b"{}") == b"data: {}\n\n"
    assert encode_event(b"a\r\nb\rc\nd", event="e", id="1", retry=5) == (
        b"event: e\nid: 1\nretry: 5\ndata: a\ndata: b\ndata: c\ndata: d\n\n"
    )
    assert encode_event(b"", id="1") == b"id: 1\ndata: \n\n"
    assert encode_event(retry=100) == b"retry: 100\n\n"
    assert encode_comment() == b":\n\n"


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b"])
def test_what_would_end_a_line(text: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        encode_event(b"{}", id=text)
    with pytest.raises(ValueError, match="one line"):
        encode_event(b"{}", event=text)


def test_a_type_belongs_to_one_event() -> None:
    """Also where the event itself is not dispatched, since it has no data."""
    decoder = SSEDecoder(1000)
    events = decoder.feed(b"event: a\ndata: 1\n\ndata: 2\n\nevent: b\n\ndata: 3\n\n")
    assert [(each.event, each.data) for each in events] == [
        ("a", b"1"),
        ("message", b"2"),
        ("message", b"3"),
    ]


def test_priming_takes_the_id_and_dispatches_nothing() -> None:
    assert read([encode_event(b"", id="7", retry=500)]) == ([], "7", 500)
    assert read([b"id: 8\n\n"]) == ([], "8", None)


def test_an_id_counts_only_once_its_event_is_complete() -> None:
    assert read([b"id: 1\ndata: a\n\nid: 2\ndata: b\n"])[1] == "1"
    assert read([b"id: 1\n\nid\n\n"])[1] == ""
    assert read([b"id: 1\n\ndata: a\n\n"])[0][0].id == "1"


def test_events_come_as_soon_as_they_end() -> None:
    decoder = SSEDecoder(100)
    assert decoder.feed(b"data: a\r") == []
    assert [event.data for event in decoder.feed(b"\r")] == [b"a"]
    assert decoder.feed(b"\ndata: b") == []
    assert [event.data for event in decoder.feed(b"\n\n")] == [b"b"]


def test_no_field_but_data_may_be_long() -> None:
    long = b"x" * 500
    stream = b"event: " + long + b"\nid: " + long + b"\n:" + long + b"\ndata: a\n\n"
    assert read([stream], 20) == ([ServerSentEvent(b"a", "message", "", 1)], "", None)
    assert read([b"retry: " + b"9" * 5000 + b"\n"], 100)[2] is None


@pytest.mark.parametrize("limit", [1, 10, 300, 1000])
def test_limit_is_exact(limit: int) -> None:
    written = encode_event(b"x" * limit)
    # The longest line that can be valid begins with a byte order mark.
    for stream in (written, b"\xef\xbb\xbf" + written):
        for pieces in ([stream], [bytes([byte]) for byte in stream]):
            (fits,) = read(pieces, limit)[0]
            assert fits.data == b"x" * limit
            assert not fits.is_oversized
    (over,) = read([encode_event(b"x" * (limit + 1))], limit)[0]
    assert over.is_oversized
    assert over.size == limit + 1
    assert over.data == b"x" * min(limit, 256)


def test_a_flood_costs_no_memory_and_the_stream_goes_on() -> None:
    decoder = SSEDecoder(1000)
    for begin in (b"data: ", b"\ndata: ", b"\n:", b"\nid: "):
        decoder.feed(begin)
        for _ in range(100):
            decoder.feed(b"z" * 1000)
    assert len(decoder._line) + len(decoder._data) < 3000
    (event,) = decoder.feed(b"\n\n")
    assert event.size == 200_001
    assert [each.data for each in decoder.feed(b"data: a\n\n")] == [b"a"]


def test_many_small_lines_are_bounded_too() -> None:
    decoder = SSEDecoder(100)
    decoder.feed(b"data\n" * 10_000)
    assert len(decoder._data) <= 512
    (event,) = decoder.feed(b"\n")
    assert event.is_oversized


@pytest.mark.parametrize(
    ("written", "milliseconds"),
    [
        (b"0", 0),
        (b"0001500", 1500),
        (b"999999999999", 999_999_999_999),
        (b"99999999999999999999", 10**12),
        (b"9" * 900, 10**12),
    ],
)
def test_every_retry_of_digits_is_respected(written: bytes, milliseconds: int) -> None:
    assert read([b"retry: " + written + b"\n"])[2] == milliseconds
