"""What a client repeats is read once, and only the same bytes count as a repetition."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from trimcp.limits import Limits
from trimcp.protocol import META_PREFIX, REVISIONS, Connection, Reply, RequestReceived, Role
from trimcp.types import Implementation

STATELESS: Final = {
    META_PREFIX + "protocolVersion": REVISIONS[-1].date,
    META_PREFIX + "clientCapabilities": {},
}

#: What may be the `_meta` of a request; some of it is refused.
METAS: Final[list[Any]] = [
    None,
    {},
    STATELESS,
    {**STATELESS, "other": 1},
    {**STATELESS, META_PREFIX + "logLevel": "debug"},
    {**STATELESS, META_PREFIX + "logLevel": "error"},
    {**STATELESS, META_PREFIX + "logLevel": "loud"},
    {**STATELESS, META_PREFIX + "clientCapabilities": {"elicitation": {}}},
    {**STATELESS, META_PREFIX + "clientInfo": {"name": "client", "version": "1"}},
    {**STATELESS, META_PREFIX + "clientInfo": {"name": "n" * 2000, "version": "1"}},
    {**STATELESS, META_PREFIX + "protocolVersion": "1999-01-01"},
    {META_PREFIX + "protocolVersion": REVISIONS[-1].date},
    {**STATELESS, "progressToken": 5},
    {**STATELESS, "progressToken": "other"},
    {**STATELESS, "progressToken": []},
    "no object",
]


def server() -> Connection:
    return Connection(Role.SERVER, Implementation("server", "1"), Limits())


def meaning(connection: Connection, identity: int, meta: Any, method: str, *, batch: bool) -> Any:
    """What a request means to a connection, which answers it."""
    params = {} if meta is None else {"_meta": meta}
    message = {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}
    found: list[Any] = []
    for event in connection.receive(json.dumps([message] if batch else message).encode()):
        if isinstance(event, RequestReceived):
            exchange = event.exchange
            found.append((exchange.terms, exchange.progress_token, exchange.params))
            exchange.answer({})
        else:
            assert isinstance(event, Reply)
            found.append(event.data)
    return found


@given(
    st.lists(
        st.tuples(st.sampled_from(METAS), st.sampled_from(["ping", "tools/list"]), st.booleans()),
        max_size=12,
    )
)
def test_each_request_is_read_as_if_it_were_the_first(
    requests: list[tuple[Any, str, bool]],
) -> None:
    used = server()
    for identity, (meta, method, batch) in enumerate(requests):
        expected = meaning(server(), identity, meta, method, batch=batch)
        assert meaning(used, identity, meta, method, batch=batch) == expected
