"""What the strategies for whole messages call valid is valid by the published schemas.

A fuzzer that begins with invalid messages would only find out that they are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.test_schemas import check, definitions, messages
from tests.strategies import examples
from tests.wire.messages import questions, results, tellings
from tests.wire_fuzz import notifications, requests
from trimcp.protocol import REVISIONS, Revision

if TYPE_CHECKING:
    from trimcp.protocol._revisions import Method

every_revision = pytest.mark.parametrize("revision", REVISIONS, ids=str)
with_questions = pytest.mark.parametrize(
    "revision", [each for each in REVISIONS if each.server_requests], ids=str
)


def every_method() -> list[object]:
    return [
        pytest.param(revision, method, id=f"{revision.date} {method.name}")
        for revision in REVISIONS
        for method in revision.client_requests.values()
    ]


@every_revision
@examples(100)
@given(data=st.data())
def test_requests_of_clients(revision: Revision, data: st.DataObject) -> None:
    """All but `initialize`, which is always malformed there."""
    message = data.draw(requests(revision))
    if message["method"] != "initialize":
        check(revision, messages(revision, "ClientRequest")[message["method"]], message)


@every_revision
@examples(50)
@given(data=st.data())
def test_notifications_of_clients(revision: Revision, data: st.DataObject) -> None:
    message = data.draw(notifications(revision))
    check(revision, messages(revision, "ClientNotification")[message["method"]], message)


@with_questions
@examples(50)
@given(data=st.data())
def test_requests_of_servers(revision: Revision, data: st.DataObject) -> None:
    message = data.draw(questions(revision))
    check(revision, messages(revision, "ServerRequest")[message["method"]], message)


@every_revision
@examples(50)
@given(data=st.data())
def test_notifications_of_servers(revision: Revision, data: st.DataObject) -> None:
    message = data.draw(tellings(revision))
    check(revision, messages(revision, "ServerNotification")[message["method"]], message)


@pytest.mark.parametrize(("revision", "method"), every_method())
@examples(10)
@given(data=st.data())
def test_results_of_servers(revision: Revision, method: Method, data: st.DataObject) -> None:
    result = data.draw(results(revision, method))
    known = definitions(revision)
    envelope = "JSONRPCResultResponse" if "JSONRPCResultResponse" in known else "JSONRPCResponse"
    check(revision, envelope, {"jsonrpc": "2.0", "id": 1, "result": result})
    names = [each.__name__ for each in get_args(method.result) or (method.result,)]
    if result.get("resultType") == "input_required":
        names = ["InputRequiredResult"]
    check(revision, names[0], result)
