"""The servers of docs/examples, used by the clients of other SDKs, in both eras."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from .conftest import HERE, NODE, SDKS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXAMPLES = HERE.parents[1] / "docs" / "examples"

Facts = dict[str, Any]

by_client = pytest.mark.parametrize(
    ("sdk", "era"), [(sdk, era) for sdk in SDKS for era in ("handshake", "stateless")]
)


@attrs.frozen
class Used:
    """What a client saw of a server.

    Attributes:
        era: `handshake` or `stateless`.
        facts: What it told.
    """

    era: str
    facts: Facts

    def __getitem__(self, label: str) -> Any:
        """The result of a step."""
        outcome = self.facts[label]
        assert "error" not in outcome, outcome["error"]
        return outcome["result"]

    def said(self, label: str) -> str:
        """The text of a tool's result, which is no error."""
        result = self[label]
        assert not result.get("isError"), result
        (content,) = result["content"]
        text: str = content["text"]
        return text


@pytest.fixture
def use(node_modules: None, tmp_path: Path) -> Callable[..., Used]:
    """Let a client do its steps with an example that `trimcp run` serves."""

    def use(sdk: str, era: str, example: str, **steps: Facts) -> Used:
        if sdk == "typescript":
            program = [str(NODE), str(HERE / "features_client.mjs"), era]
        else:
            backend = sdk.removeprefix("python-")
            program = [sys.executable, str(HERE / "features_client_sdk.py"), era, backend]
        server = [sys.executable, "-m", "trimcp", "run", str(EXAMPLES / example)]
        ran = subprocess.run(
            [*program, json.dumps(steps), "--", *server],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        used = Used(era, json.loads(ran.stdout))
        assert used.facts["unexpected"] == []
        return used

    return use


def call(name: str, /, **arguments: Any) -> Facts:
    return {"op": "call", "name": name, "arguments": arguments}


def request(method: str, **params: Any) -> Facts:
    return {"op": "request", "method": method, "params": params}


def changing(changes: int, name: str, /, **arguments: Any) -> Facts:
    return {"name": name, "arguments": arguments, "changes": changes}


@by_client
def test_notifications(use: Callable[..., Used], sdk: str, era: str) -> None:
    calls = [
        changing(1, "add_message", content="two"),
        changing(2, "edit_message", id=1, content="one"),
        changing(2, "shout"),
        changing(1, "learn", word="moo"),
    ]
    used = use(
        sdk,
        era,
        "notifications.py",
        told={"op": "listen", "resources": ["messages://all", "message://1"], "calls": calls},
        again={"op": "listen", "resources": ["message://2"], "calls": [changing(1, "shout")]},
        moo=call("say_moo"),
        read={"op": "read", "uri": "message://2"},
    )
    assert used["told"] == [
        ["messages://all"],
        ["message://1", "messages://all"],
        ["message://1", "messages://all"],
        ["tools"],
    ]
    assert used["again"] == [["message://2"]], "what was subscribed to before is over"
    assert used.said("moo") == "moo"
    assert json.loads(used["read"]["contents"][0]["text"]) == {"id": 2, "content": "TWO"}


@by_client
def test_extension(use: Callable[..., Used], sdk: str, era: str) -> None:
    used = use(
        sdk,
        era,
        "extension.py",
        identity={"op": "identify"},
        doubled=request("experimental/customAction", value=21),
        flawed=request("experimental/customAction", value="x"),
        path=request("com.example/path"),
    )
    capabilities = used["identity"]["capabilities"]
    assert capabilities["experimental"] == {"customAction": {}}
    if era == "stateless":
        assert capabilities["extensions"] == {"com.example/action": {}}
    doubled = used["doubled"]
    assert (doubled["status"], doubled["result"]) == ("success", 42)
    assert used.facts["flawed"]["error"]["code"] == -32602
    assert used["path"]["path"] == []


@by_client
def test_awaited_questions(use: Callable[..., Used], sdk: str, era: str) -> None:
    used = use(
        sdk,
        era,
        "questions.py",
        book=call("book", day="Friday"),
        introduce=call("introduce"),
        sign=call("sign", document="a will"),
    )
    assert used.said("book") == "Booked: Friday, 3 guests, inside."
    assert used.said("introduce") == "text, this is text."
    assert used.said("sign") == "a will was signed by text."


@by_client
def test_returned_questions(use: Callable[..., Used], sdk: str, era: str) -> None:
    used = use(sdk, era, "returned_questions.py", greet=call("greet"), pay=call("pay", amount=5))
    assert used.said("greet") == "Hello, text!"
    assert used.said("pay") == "Paid 5."


@by_client
def test_streaming_and_progress(use: Callable[..., Used], sdk: str, era: str) -> None:
    """Chunks are progress to a client that knows of none, and the result is the same."""
    used = use(sdk, era, "streaming.py", stream=call("stream_data", items=3, delay=0.1))
    assert used["stream"]["structuredContent"] == {
        "message": "Completed 3 items",
        "status": "done",
    }
    assert [step["progress"] for step in used.facts["stream"]["progress"]] == [1, 2, 3]


@by_client
def test_lifespan_and_sessions(use: Callable[..., Used], sdk: str, era: str) -> None:
    rows = use(sdk, era, "lifespan.py", query=call("query", sql="SELECT 'x' AS a"))
    assert json.loads(rows.said("query")) == [{"a": "x"}]
    shop = use(
        sdk,
        era,
        "sessions.py",
        take=call("take", fruit="pear"),
        again=call("take", fruit="pear"),
        left=call("left"),
    )
    assert json.loads(shop.said("again")) == {"pear": 2}
    assert json.loads(shop.said("left")) == {"apple": 3}


@by_client
def test_middleware(use: Callable[..., Used], sdk: str, era: str) -> None:
    rolls = {f"roll {number}": call("roll", sides=6) for number in range(7)}
    used = use(sdk, era, "middleware.py", **rolls)
    assert used.said("roll 4") == "4"
    errors = [used.facts[label].get("error", {}).get("code") for label in rolls]
    assert errors == [None] * 5 + [-31001] * 2
