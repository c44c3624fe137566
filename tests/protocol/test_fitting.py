"""Nothing that is sent is longer than the limit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.counting import assert_linear, calls_of
from tests.strategies import JSON_VALUES
from trimcp.errors import LimitExceeded
from trimcp.protocol._fitting import fitting_failure, fitting_notification

#: Characters that take one to six bytes in JSON.
TEXTS = st.text('a"\n\x01\u00e9\u20ac\U0001f600', max_size=400)
WHOLE = 10_000


def failure(message: str, data: Any, limit: int) -> Any:
    answer = fitting_failure(7, -32000, message, data, omit_id=True, limit=limit)
    assert len(answer) <= limit
    return json.loads(answer)["error"]


@given(TEXTS, JSON_VALUES, st.integers(90, 600))
def test_errors(message: str, data: Any, limit: int) -> None:
    error = failure(message, data, limit)
    assert error["code"] == -32000
    text, is_cut = error["message"], error["message"].endswith("... (cut)")
    assert message.startswith(text.removesuffix("... (cut)") if is_cut else text)
    if "data" in error:
        assert not is_cut
        assert error["data"] == json.loads(json.dumps(data))
    if len(json.dumps(message, ensure_ascii=False).encode()) < limit - 90:
        assert text == message


def test_as_much_as_fits() -> None:
    error = failure("x" * 1000, None, 500)
    assert len(error["message"]) > 400
    assert failure("\x01" * 1000, None, 500)["message"].count("\x01") > 50


def test_the_limit_is_exact() -> None:
    """What is as long as the limit is sent whole; of longer plain text, as many bytes as fit."""
    text, mark = "x" * 300, "... (cut)"

    def error(limit: int, data: Any = None) -> bytes:
        return fitting_failure(7, -32000, text, data, omit_id=True, limit=limit)

    whole, bare = error(WHOLE, [1]), error(WHOLE)
    assert error(len(whole), [1]) == whole
    assert error(len(whole) - 1, [1]) == error(len(bare)) == bare

    def progress(limit: int) -> bytes:
        wire = {"progressToken": 1, "progress": 1, "message": text}
        return fitting_notification("notifications/progress", wire, limit)

    assert progress(len(progress(WHOLE))) == progress(WHOLE)
    for fitted in (error, progress):
        longest = len(fitted(WHOLE))
        shortest = longest - len(text) + len(mark)
        limits = range(shortest, longest)
        assert [len(fitted(limit)) for limit in limits] == list(limits)
    with pytest.raises(LimitExceeded):
        progress(shortest - 1)


@given(TEXTS, st.integers(130, 600))
def test_progress(message: str, limit: int) -> None:
    wire = {"progressToken": 1, "progress": 0.5, "total": 2, "message": message}
    data = fitting_notification("notifications/progress", wire, limit)
    assert len(data) <= limit
    sent = json.loads(data)["params"]
    assert message.startswith(sent["message"].removesuffix("... (cut)"))
    assert {**sent, "message": message} == wire


@given(JSON_VALUES, TEXTS, st.integers(140, 400))
def test_log_messages(value: Any, text: str, limit: int) -> None:
    wire = {"level": "info", "data": [value, text], "logger": "name"}
    data = fitting_notification("notifications/message", wire, limit)
    assert len(data) <= limit
    sent = json.loads(data)["params"]
    if isinstance(sent["data"], str):
        assert sent["data"].endswith("... (cut)")
        assert sent["data"].startswith("[")


@pytest.mark.parametrize(
    ("method", "wire"),
    [
        ("notifications/com.example/moved", {"by": "x" * 1000}),
        ("notifications/progress", {"progressToken": "x" * 1000, "progress": 1, "message": "m"}),
        ("notifications/progress", {"progressToken": 1, "progress": 1, "_meta": {"a": "x" * 1000}}),
        ("notifications/message", {"level": "info", "data": "d", "logger": "x" * 1000}),
        ("notifications/resources/updated", {"uri": "x" * 1000}),
    ],
)
def test_what_cannot_be_cut_is_refused(method: str, wire: dict[str, Any]) -> None:
    with pytest.raises(LimitExceeded, match="is longer than 500"):
        fitting_notification(method, wire, 500)
    assert fitting_notification(method, wire, WHOLE) == fitting_notification(method, wire, 2000)


@pytest.mark.parametrize("half", ["\x01", "\u20ac", '"', "a"])
def test_cutting_takes_few_turns(half: str) -> None:
    sizes = [1_000, 10_000, 100_000]
    costs = [
        calls_of(lambda size=size: failure("a" * size + half * size, None, size))  # type: ignore[misc]
        for size in sizes
    ]
    assert max(costs) < 400, costs
    assert_linear(sizes, costs)
