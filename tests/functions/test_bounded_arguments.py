"""Validating what a client sent costs about as much as decoding it, whatever it holds."""

from __future__ import annotations

import json
import typing
import uuid
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from trimcp.functions import BadArguments, compile_form, compile_function, compile_message


class Context:
    """Stands for the server's."""


class First(BaseModel):
    a: int


class Second(BaseModel):
    b: int


class Lists(BaseModel):
    model_config = ConfigDict(extra="forbid")
    inner: list[int] = []


@dataclass
class Pairs:
    pairs: dict[str, tuple[int, int]]


class Tree(BaseModel):
    model_config = ConfigDict(extra="forbid")
    value: int
    trees: list[Tree] = []


@dataclass(frozen=True)
class Point:
    x: int
    y: int


def taking(hint: Any) -> Any:
    def tool(x: Any = None) -> None: ...

    tool.__annotations__["x"] = hint
    return compile_function(tool, Context)


def refuse(function: Any, raw: bytes) -> str:
    with pytest.raises(BadArguments) as caught:
        function.bind(raw)
    return str(caught.value)


def flawed(count: int, item: Any) -> Any:
    return [item] * count


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (list[First | Second | int | str], flawed(2_000, {})),
        (list[int], flawed(2_000, "a")),
        (set[int], flawed(2_000, "a")),
        (frozenset[int], flawed(2_000, "a")),
        (tuple[int, ...], flawed(2_000, "a")),
        (dict[str, int], {f"k{number}": "a" for number in range(2_000)}),
        (Lists, {"inner": flawed(2_000, "a")}),
        (list[Lists], [{"inner": flawed(2_000, "a")}] * 2),
        (Pairs, {"pairs": {f"k{number}": ["a", "b"] for number in range(2_000)}}),
        (Tree, {"value": 1, "trees": flawed(2_000, {"trees": [{}, {}]})}),
        (list[int] | list[bool], flawed(2_000, "a")),
    ],
)  # fmt: skip
def test_flaws_are_bounded_before_they_are_made(hint: Any, value: Any) -> None:
    # Of a list the first flawed item only: in each of the types that it might have been.
    told = refuse(taking(hint), json.dumps({"x": value}).encode()).splitlines()
    assert len(told) <= 4
    assert all(line.startswith("$.x") for line in told)


def test_a_flaw_is_told_with_its_place() -> None:
    assert refuse(taking(list[int]), b'{"x": [1, "a", "b"]}').startswith("$.x[1]: ")
    assert "$.x.inner[2]: " in refuse(taking(Lists), b'{"x": {"inner": [1, 2, "a"]}}')


@pytest.mark.parametrize("text", [True, False])
def test_unknown_names_are_not_all_described(text: bool) -> None:
    function = taking(int)
    names: dict[str, Any] = {f"k{number}": "1" for number in range(2_000)}
    raw = json.dumps(names).encode()
    with pytest.raises(BadArguments, match=r"^\$: more than 1000 flaws$"):
        function.bind_text(names) if text else function.bind(raw)


def test_flaws_of_text_forms_and_messages_are_bounded() -> None:
    many = flawed(2_000, "a")
    text = json.dumps(many)
    function = taking(list[int])
    with pytest.raises(BadArguments, match=r"\$\.x\[0\]"):
        function.bind_text({"x": text})

    class Asked(BaseModel):
        chosen: list[typing.Literal["b", "c"]]

    form = compile_form(Asked)
    with pytest.raises(BadArguments) as caught:
        form.read({"chosen": many})
    assert len(str(caught.value).splitlines()) == 1

    async def method(params: Lists) -> None: ...

    message = compile_message(method, "method", ())
    with pytest.raises(BadArguments) as caught:
        message.bind({"inner": many})
    assert len(str(caught.value).splitlines()) == 1


# -- equal hashes -----------------------------------------------------------------------------

PRIME = 2**61 - 1
NUMBERS = [PRIME * number for number in range(1, 5_000)]
UUIDS = [str(uuid.UUID(int=number)) for number in NUMBERS]


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (set[int], NUMBERS),
        (frozenset[int], NUMBERS),
        (set[int | str], NUMBERS),
        (set[int | None], NUMBERS),
        (set[Decimal], NUMBERS),
        (set[float], NUMBERS),
        (set[Any], NUMBERS),
        (set, NUMBERS),
        (set[tuple[int]], [[number] for number in NUMBERS]),
        (set[Point], [{"x": number, "y": 1} for number in NUMBERS]),
        (set[uuid.UUID], UUIDS),
        (dict[int, int], dict.fromkeys(NUMBERS, 1)),
        (dict[int | str, int], dict.fromkeys(NUMBERS, 1)),
        (dict[Decimal, int], dict.fromkeys(NUMBERS, 1)),
        (dict[uuid.UUID, int], dict.fromkeys(UUIDS, 1)),
            ],
)  # fmt: skip
def test_numbers_of_one_hash(hint: Any, value: Any) -> None:
    try:
        bound = taking(hint).bind(json.dumps({"x": value}).encode())["x"]
    except BadArguments:
        return
    assert max(Counter(map(hash, bound)).values()) < 100


@pytest.mark.parametrize(
    ("hint", "value", "count"),
    [
        (set[int], list(range(-5000, 5000)), 10_000),
        (set[int], [2**63 - 1, 1 - 2**63], 2),
        (set[str], [str(number) for number in range(10_000)], 10_000),
        (set[Decimal], ["1.5", 2, "9" * 18], 3),
        (set[float], [number / 7 for number in range(10_000)], 10_000),
        (set[uuid.UUID], UUIDS[:1000], 1000),
        (typing.Annotated[set[uuid.UUID], Field(max_length=1500)], UUIDS[:1500], 1500),
        (dict[int, int], {number: 1 for number in range(10_000)}, 10_000),
        (dict[str, int], dict.fromkeys(map(str, range(10_000)), 1), 10_000),
        (dict, dict.fromkeys(map(str, range(10_000)), 1), 10_000),
        (set[int | str], ["a", 1, "b"], 3),
    ],
)  # fmt: skip
def test_what_is_hashed_as_usual(hint: Any, value: Any, count: int) -> None:
    bound = taking(hint).bind(json.dumps({"x": value}).encode())
    assert len(bound["x"]) == count


@pytest.mark.parametrize("hint", [set[int], dict[int, int]])
def test_an_integer_beyond_the_bound_is_named(hint: Any) -> None:
    value = [2**63] if hint == set[int] else {2**63: 1}
    assert "less than or equal to" in refuse(taking(hint), json.dumps({"x": value}).encode())
    assert taking(int).bind(json.dumps({"x": 2**70}).encode()) == {"x": 2**70}
