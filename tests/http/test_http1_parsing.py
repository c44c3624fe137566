"""What counts as a request: both parsers read the same, refuse the same, and find the same end."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.http._http1 import fastest_parser
from trimcp.http._http1._h11 import H11Parser
from trimcp.http._http1._heads import _METHODS, BadRequest, RequestHead
from trimcp.http._http1._llhttp import LlhttpParser
from trimcp.http._http1._parsing import END

LIMIT = 1000

every_parser = pytest.mark.parametrize("make", [LlhttpParser, H11Parser])

GET = b"GET / HTTP/1.1\r\nhost: x\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"


def read(make: Any, *pieces: bytes) -> list[Any]:
    """What a parser says: the first line of a head, the body as one piece, a refusal's status."""
    parser = make(LIMIT)
    said: list[Any] = []
    for event in (event for piece in pieces for event in parser.feed(piece)):
        if isinstance(event, bytes) and said and isinstance(said[-1], bytes):
            said[-1] += event
        elif isinstance(event, BadRequest):
            said.append(event.status)
        elif isinstance(event, RequestHead):
            said.append(f"{event.method} {event.target.decode()} {event.version}")
        else:
            said.append(event)
    return said


def head_of(make: Any, data: bytes) -> RequestHead:
    """The head of a request that is accepted."""
    head = make(LIMIT).feed(data)[0]
    assert isinstance(head, RequestHead), head
    return head


def is_refused(said: list[Any]) -> bool:
    return bool(said) and isinstance(said[-1], int)


# -- what is accepted -------------------------------------------------------------------------

ACCEPTED = {
    "no body": (GET + b"\r\n", ["GET / 1.1", END]),
    "a length": (POST + b"content-length: 3\r\n\r\nabc", ["POST / 1.1", b"abc", END]),
    "a length of zero": (POST + b"content-length: 0\r\n\r\n", ["POST / 1.1", END]),
    "a body of a GET": (GET + b"content-length: 1\r\n\r\na", ["GET / 1.1", b"a", END]),
    "chunks": (CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", ["POST / 1.1", b"abcde", END]),
    "chunks with extensions": (
        CHUNKED + b"3;a=b\r\nabc\r\n0;c\r\n\r\n",
        ["POST / 1.1", b"abc", END],
    ),
    "trailers": (
        CHUNKED + b"1\r\na\r\n0\r\nx: y\r\nhost: z\r\n\r\n" + GET + b"\r\n",
        ["POST / 1.1", b"a", END, "GET / 1.1", END],
    ),
    "empty lines before": (b"\r\n\r\n" + GET + b"\r\n", ["GET / 1.1", END]),
    "several": ((GET + b"\r\n") * 3, ["GET / 1.1", END] * 3),
    "a length, then another request": (
        POST + b"content-length: 1\r\n\r\na" + GET + b"\r\n",
        ["POST / 1.1", b"a", END, "GET / 1.1", END],
    ),
    "HTTP/1.0": (b"GET / HTTP/1.0\r\n\r\n", ["GET / 1.0", END]),
    "a whole URI": (b"GET http://y/a?b HTTP/1.1\r\nhost: x\r\n\r\n", ["GET /a?b 1.1", END]),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", ["OPTIONS * 1.1", END]),
    "something after the last": (
        GET + b"connection: close\r\n\r\n" + GET + b"\r\n",
        ["GET / 1.1", END],
    ),
    "another protocol": (
        GET + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n" + GET + b"\r\n",
        ["GET / 1.1", END] * 2,
    ),
    "another protocol, and a length": (
        POST
        + b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 3\r\n\r\nabc"
        + GET
        + b"\r\n",
        ["POST / 1.1", b"abc", END, "GET / 1.1", END],
    ),
    "another protocol, and chunks": (
        POST
        + b"connection: upgrade\r\nupgrade: h2c\r\ntransfer-encoding: chunked\r\n\r\n"
        + b"3\r\nabc\r\n0\r\n\r\n"
        + GET
        + b"\r\n",
        ["POST / 1.1", b"abc", END, "GET / 1.1", END],
    ),
}


@every_parser
@pytest.mark.parametrize("name", ACCEPTED)
def test_a_request_is_read_whole_and_byte_by_byte(make: Any, name: str) -> None:
    data, said = ACCEPTED[name]
    assert read(make, data) == said
    assert read(make, *(data[at : at + 1] for at in range(len(data)))) == said


@every_parser
def test_headers_have_lower_case_names_and_no_space_around(make: Any) -> None:
    head = head_of(make, b"GET / HTTP/1.1\r\nHoSt:x\r\nA: \t b c\t \r\nA:\r\n\r\n")
    assert head.headers == [(b"host", b"x"), (b"a", b"b c"), (b"a", b"")]


@every_parser
def test_the_authority_of_a_whole_uri_replaces_the_host(make: Any) -> None:
    head = head_of(make, b"GET http://y:1/a HTTP/1.1\r\nhost: x\r\na: b\r\n\r\n")
    assert head.headers == [(b"host", b"y:1"), (b"a", b"b")]


@every_parser
@pytest.mark.parametrize(
    ("version", "connection", "is_last"),
    [
        ("1.1", "", False),
        ("1.1", "connection: close\r\n", True),
        ("1.1", "connection: x, CLOSE\r\n", True),
        ("1.1", "connection: closer\r\n", False),
        ("1.0", "", True),
        ("1.0", "connection: Keep-Alive\r\n", False),
        ("1.0", "connection: keep-alive\r\nconnection: close\r\n", True),
    ],
)
def test_which_request_is_the_last(make: Any, version: str, connection: str, is_last: bool) -> None:
    data = f"GET / HTTP/{version}\r\nhost: x\r\n{connection}\r\n".encode()
    assert head_of(make, data).is_last == is_last


@every_parser
@pytest.mark.parametrize(
    ("version", "value", "expects"),
    [("1.1", "100-continue", True), ("1.1", "100-Continue", True), ("1.0", "100-continue", False)],
)
def test_who_waits_for_an_invitation(make: Any, version: str, value: str, expects: bool) -> None:
    data = f"POST / HTTP/{version}\r\nhost: x\r\nexpect: {value}\r\ncontent-length: 1\r\n\r\n"
    assert head_of(make, data.encode()).expects == expects


WEBSOCKET = GET + b"connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\r\n"


@every_parser
def test_what_follows_a_websocket_s_handshake_is_not_read(make: Any) -> None:
    parser = make(LIMIT)
    (head,) = parser.feed(WEBSOCKET + b"\x81\x00GET / HTTP/1.1\r\n")
    assert head.is_websocket
    assert parser.rest == b"\x81\x00GET / HTTP/1.1\r\n"


@every_parser
@pytest.mark.parametrize(
    ("method", "lines", "is_websocket"),
    [
        ("GET", "connection: upgrade\r\nupgrade: websocket\r\n", True),
        ("POST", "connection: upgrade\r\nupgrade: websocket\r\n", False),
        ("GET", "connection: close\r\nupgrade: websocket\r\n", False),
        ("GET", "connection: upgrade\r\nupgrade: websocket, h2c\r\n", False),
        ("GET", "connection: upgrade\r\n", False),
    ],
)
def test_which_request_is_a_websocket_s_handshake(
    make: Any, method: str, lines: str, is_websocket: bool
) -> None:
    head = head_of(make, f"{method} / HTTP/1.1\r\nhost: x\r\n{lines}\r\n".encode())
    assert head.is_websocket == is_websocket


@every_parser
@pytest.mark.parametrize("method", sorted(_METHODS))
def test_a_method(make: Any, method: bytes) -> None:
    assert read(make, GET.replace(b"GET", method) + b"\r\n")[1:] == [END]


# -- what is refused --------------------------------------------------------------------------

REFUSED = {
    "a line feed alone": b"GET / HTTP/1.1\nhost: x\n\n",
    "a line feed alone in a header": GET + b"a: b\nc: d\r\n\r\n",
    "a line feed alone at the end": GET + b"\n",
    "a carriage return alone": GET + b"a: b\rc: d\r\n\r\n",
    "a folded line": GET + b"a: b\r\n c: d\r\n\r\n",
    "a folded line at the beginning": b"GET / HTTP/1.1\r\n host: x\r\n\r\n",
    "a NUL": GET + b"a: b\0c\r\n\r\n",
    "a control character": GET + b"a: b\x01c\r\n\r\n",
    "a DEL": GET + b"a: b\x7fc\r\n\r\n",
    "a space before the colon": GET + b"a : b\r\n\r\n",
    "no name": GET + b": b\r\n\r\n",
    "no colon": GET + b"ab\r\n\r\n",
    "two hosts": GET + b"host: y\r\n\r\n",
    "the same host twice": GET + b"host: x\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "a length and chunks": CHUNKED[:-2] + b"content-length: 5\r\n\r\n0\r\n\r\n",
    "chunks and a length": POST
    + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length and another coding": POST
    + b"content-length: 3\r\ntransfer-encoding: identity\r\n\r\nabc",
    "two lengths": POST + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabc",
    "the same length twice": POST + b"content-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    "a list of lengths": POST + b"content-length: 3, 3\r\n\r\nabc",
    "a signed length": POST + b"content-length: +3\r\n\r\nabc",
    "no length after the colon": POST + b"content-length:\r\n\r\nabc",
    "a length of 19 digits": POST + b"content-length: 1000000000000000000\r\n\r\nabc",
    "a length in hexadecimal": POST + b"content-length: 0x3\r\n\r\nabc",
    "another coding": POST + b"transfer-encoding: gzip\r\n\r\nabc",
    "another coding as well": POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks twice": POST + b"transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks in two lines": CHUNKED[:-2] + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "nearly chunks": POST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks over HTTP/1.0": b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk without a size": CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n",
    "a chunk with a prefix": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "a chunk's size before a line feed": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "a chunk that is too long": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "a line feed in an extension": CHUNKED + b'3;a="b\nc"\r\nabc\r\n0\r\n\r\n',
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nhost: x\r\n\r\n",
    "HTTP/2": b"GET / HTTP/2.0\r\nhost: x\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a method that nobody knows": b"FOO / HTTP/1.1\r\nhost: x\r\n\r\n",
    "a method in lower case": b"get / HTTP/1.1\r\nhost: x\r\n\r\n",
    "a tunnel": b"CONNECT a:1 HTTP/1.1\r\nhost: x\r\n\r\n",
    "bytes in the target": b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
    "a control character in the target": b"GET /\x01 HTTP/1.1\r\nhost: x\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nhost: x\r\n\r\n",
    "a relative target": b"GET a HTTP/1.1\r\nhost: x\r\n\r\n",
    "a fragment": b"GET /#a HTTP/1.1\r\nhost: x\r\n\r\n",
    "a tab in the first line": b"GET\t/ HTTP/1.1\r\nhost: x\r\n\r\n",
    "a space after the version": b"GET / HTTP/1.1 \r\nhost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a websocket with a body": WEBSOCKET[:-2] + b"content-length: 3\r\n\r\nabc",
}


@every_parser
@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(make: Any, name: str) -> None:
    """And nothing that comes after it is read, in one piece or byte by byte."""
    data = REFUSED[name] + GET + b"\r\n"
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        said = read(make, *pieces)
        assert is_refused(said), said
        assert "GET / 1.1" not in said[1:]


#: What only one parser refuses. The other finds the end where everybody would.
REFUSED_BY_ONE = {
    "two spaces": (H11Parser, b"GET  / HTTP/1.1\r\nhost: x\r\n\r\n"),
    "another protocol's name": (H11Parser, b"GET / RTSP/1.0\r\nhost: x\r\n\r\n"),
    "a space after a chunk's size": (LlhttpParser, CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n"),
    "a line feed after a trailer": (LlhttpParser, CHUNKED + b"0\r\nx: y\n\n"),
    "a length as a trailer": (LlhttpParser, CHUNKED + b"0\r\ncontent-length: 5\r\n\r\n"),
}


@pytest.mark.parametrize("name", REFUSED_BY_ONE)
@every_parser
def test_what_one_parser_refuses(make: Any, name: str) -> None:
    strict, data = REFUSED_BY_ONE[name]
    said = read(make, data)
    assert is_refused(said) if make is strict else said[-1] is END


# -- bounds -----------------------------------------------------------------------------------


@every_parser
@pytest.mark.parametrize(
    "beginning",
    [b"GET /", GET + b"a: ", GET + b"a", CHUNKED + b"0\r\na: ", CHUNKED + b"1;", CHUNKED + b"1;a="],
    ids=["target", "value", "name", "trailer", "extension", "extension's value"],
)
@pytest.mark.parametrize("size", [1, 100, 10 * LIMIT])
def test_what_has_no_end_is_refused_before_it_comes(make: Any, beginning: bytes, size: int) -> None:
    parser = make(LIMIT)
    events = parser.feed(beginning)
    sent = 0
    while not (events and isinstance(events[-1], BadRequest)):
        assert sent <= 2 * LIMIT
        events = parser.feed(b"a" * size)
        sent += size
    assert events[-1].status in (431, 400)


@every_parser
@pytest.mark.parametrize(("extra", "status"), [(0, None), (1, 431)])
def test_a_head_has_so_many_bytes_at_most(make: Any, extra: int, status: int | None) -> None:
    data = GET + b"a: %s\r\n\r\n" % (b"b" * (LIMIT - len(GET) - len(b"a: \r\n\r\n") + extra))
    assert len(data) == LIMIT + extra
    assert read(make, data) == (["GET / 1.1", END] if status is None else [status])


@every_parser
def test_a_body_of_any_length_is_no_head(make: Any) -> None:
    parser = make(LIMIT)
    parser.feed(POST + b"content-length: 100000\r\n\r\n")
    for _ in range(99):
        assert parser.feed(b"a" * 1000) == [b"a" * 1000]
    assert parser.feed(b"a" * 1000) == [b"a" * 1000, END]


# -- whatever comes ---------------------------------------------------------------------------

PARTS = [
    *(data for data, _ in ACCEPTED.values()),
    *REFUSED.values(),
    b"\r\n",
    b"\n",
    b"0\r\n\r\n",
    b"transfer-encoding: chunked\r\n",
    b"content-length: 3\r\n",
    b"connection: close\r\n",
    b"host: x\r\n",
    b"abc",
]

streams = st.lists(st.sampled_from(PARTS) | st.binary(max_size=4), max_size=6).map(b"".join)


@every_parser
@given(data=streams, cuts=st.lists(st.integers(0, 400), max_size=8))
def test_it_does_not_matter_in_which_pieces_it_comes(
    make: Any, data: bytes, cuts: list[int]
) -> None:
    ends = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(ends) if start < end]
    whole, in_pieces = read(make, *([data] if data else [])), read(make, *pieces)
    # A status may differ, if there is more than one reason.
    assert [each for each in whole if not isinstance(each, int)] == [
        each for each in in_pieces if not isinstance(each, int)
    ]
    assert is_refused(whole) == is_refused(in_pieces)


@given(data=streams)
def test_of_two_that_accept_both_find_the_same_end(data: bytes) -> None:
    pieces = [data] if data else []
    by_llhttp, by_h11 = read(LlhttpParser, *pieces), read(H11Parser, *pieces)
    for mine, theirs in zip(by_llhttp, by_h11, strict=False):
        if isinstance(mine, int) or isinstance(theirs, int):
            return
        assert mine == theirs


def test_the_fastest_is_httptools() -> None:
    assert fastest_parser() is LlhttpParser


def test_without_httptools_it_is_h11(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "trimcp.http._http1._llhttp", None)
    assert fastest_parser() is H11Parser
