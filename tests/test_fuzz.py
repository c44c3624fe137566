"""Whatever bytes arrive: each request is answered once and rightly, and nothing breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples
from tests.wire import conversing
from tests.wire.conversing import by_stream
from tests.wire.fuzzed import handshake, last_request, make_server
from tests.wire_fuzz import chunks, deserved, streams
from trimcp.protocol import HANDSHAKE_REVISIONS, LATEST

if TYPE_CHECKING:
    from trimcp import Server
    from trimcp.protocol import Revision

# A failure is made as small as can be before it is shown, which takes minutes.
pytestmark = pytest.mark.timeout(1200)


def run(
    server: Server[None], pieces: list[bytes], session: Revision | None, *, mocked: bool = True
) -> None:
    """Say all this, and one good request after it, over a stream."""
    spoken = [*pieces, last_request(session)]
    expected = deserved(b"".join(spoken), session)
    conversing.run(by_stream, server, spoken, expected, session, mocked=mocked)


# -- tests ------------------------------------------------------------------------------------


@examples(200)
@given(pieces=streams((LATEST,)).flatmap(chunks))
def test_stateless(pieces: list[bytes]) -> None:
    run(make_server(threads=False), pieces, None)


@pytest.mark.parametrize("session", HANDSHAKE_REVISIONS, ids=str)
@examples(80)
@given(data=st.data())
def test_session(session: Revision, data: st.DataObject) -> None:
    """With requests of the other era between those of the session."""
    stream = handshake(session) + data.draw(streams((session, session, LATEST)))
    run(make_server(threads=False), data.draw(chunks(stream)), session)


PING = b'{"jsonrpc":"2.0","id":0,"method":"ping"}\n'
MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("session", HANDSHAKE_REVISIONS, ids=str)
@pytest.mark.parametrize("before", [MARK, MARK * 2, MARK + b" ", b" " + MARK, MARK + b"\n"])
def test_marks_before_a_message(session: Revision, before: bytes) -> None:
    pieces = [handshake(session), PING, before + PING, before + b"\n", before + b"{\n", PING]
    run(make_server(threads=False), pieces, session)


@examples(40)
@given(pieces=streams((LATEST,)).flatmap(chunks))
def test_with_threads(pieces: list[bytes]) -> None:
    """Tools in worker threads, which the mock clock would not wait for."""
    run(make_server(threads=True), pieces, None, mocked=False)


@examples(100)
@given(garbage=st.binary(max_size=200), size=st.integers(1, 50))
def test_garbage(garbage: bytes, size: int) -> None:
    pieces = [garbage[at : at + size] for at in range(0, len(garbage), size)]
    run(make_server(threads=False), pieces, None)
