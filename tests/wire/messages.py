"""What a server may send: valid results, requests and notifications of every method and revision.

All are made from trimcp's own types by `tests.strategies.payloads`. What a client may send is in
`tests.wire_fuzz`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from hypothesis import strategies as st

from tests.protocol.test_schemas import Case, dressed
from tests.strategies import payloads
from tests.wire_fuzz import in_envelope, params_of
from trimcp.protocol import codec_for

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

    from trimcp.protocol import Revision
    from trimcp.protocol._revisions import Method

Message = dict[str, Any]

#: What a server would call its own requests.
SERVER_IDS = st.integers(0, 5) | st.sampled_from(["s", "t", "", "é"])


@st.composite
def results(draw: DrawFn, revision: Revision, method: Method) -> Message:
    """A result that may be sent for a method, with what the connection adds in that revision."""
    shape = draw(st.sampled_from(get_args(method.result) or (method.result,)))
    result = codec_for(revision).encode(draw(payloads(shape, revision)))
    return dressed(Case(revision, method.name, shape.__name__, shape), result)


@st.composite
def questions(draw: DrawFn, revision: Revision) -> Message:
    """A request of the server; only the handshake era has any."""
    method = draw(st.sampled_from(list(revision.server_requests.values())))
    message = {"jsonrpc": "2.0", "id": draw(SERVER_IDS), "method": method.name}
    return message | in_envelope(method.params, draw(params_of(method.params, revision)))


@st.composite
def tellings(draw: DrawFn, revision: Revision) -> Message:
    """A notification of the server."""
    method = draw(st.sampled_from(list(revision.server_notifications)))
    shape = revision.server_notifications[method]
    message = {"jsonrpc": "2.0", "method": method}
    return message | in_envelope(shape, draw(params_of(shape, revision)))


def unasked(revision: Revision) -> SearchStrategy[Message]:
    """Whatever a server may send that is no answer."""
    if not revision.server_requests:
        return tellings(revision)
    return tellings(revision) | questions(revision)
