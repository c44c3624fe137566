"""A change of a JSON document touches nothing but what is to change."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.cli._jsonc import (
    Malformed,
    parse,
    with_element,
    with_member,
    without,
    without_elements,
)

ENTRY = {"command": "python", "args": ["-m", "x"]}
ADDED = (
    '"new": {\n      "command": "python",\n      "args": [\n        "-m",\n        "x"\n'
    "      ]\n    }"
)

COMMENT = re.compile(r"/\*c\d+\*/|//c\d+")


def added(text: str) -> str:
    return with_member(text, ["servers", "new"], ENTRY)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # What is around it stays: a comment at the end of a line, a trailing comma, line ends.
        (
            '{\n  // why\n  "servers": {\n    "a": {} // last\n  }\n}\n',
            f'{{\n  // why\n  "servers": {{\n    "a": {{}}, // last\n    {ADDED}\n  }}\n}}\n',
        ),
        (
            '{\n  "servers": {\n    "a": {},\n  },\n}',
            f'{{\n  "servers": {{\n    "a": {{}},\n    {ADDED},\n  }},\n}}',
        ),
        (
            '{\r\n  "servers": {\r\n    "a": {}\r\n  }\r\n}',
            f'{{\n  "servers": {{\n    "a": {{}},\n    {ADDED}\n  }}\n}}'.replace("\n", "\r\n"),
        ),
        # What is missing on the way is made.
        ('{\n  "x": 1\n}\n', f'{{\n  "x": 1,\n  "servers": {{\n    {ADDED}\n  }}\n}}\n'),
        ("{}", f'{{\n  "servers": {{\n    {ADDED}\n  }}\n}}'),
        # A document on one line stays on one line.
        (
            '{"servers": {"a": {}}}',
            '{"servers": {"a": {}, "new": {"command": "python", "args": ["-m", "x"]}}}',
        ),
    ],
)
def test_a_member_is_put_in_and_taken_out_again(before: str, after: str) -> None:
    assert added(before) == after
    if '"servers"' in before:
        assert without(after, ["servers", "new"]) == before


def test_tabs_and_four_blanks_are_kept() -> None:
    for indent in ("\t", "    "):
        before = json.dumps({"servers": {"a": {"b": 1}}}, indent=indent)
        after = json.dumps({"servers": {"a": {"b": 1}, "new": ENTRY}}, indent=indent)
        assert added(before) == after
        assert without(after, ["servers", "new"]) == before


def test_a_member_is_replaced_where_it_stands() -> None:
    before = '{\n  "servers": {\n    "new": {"old": 1}, // first\n    "b": {}\n  }\n}'
    after = added(before)
    assert list(parse(after).data["servers"]) == ["new", "b"]
    assert parse(after).data["servers"]["new"] == ENTRY
    assert "// first" in after


def test_of_two_members_with_one_name_the_last_counts_and_both_go() -> None:
    text = '{"servers": {"new": 1, "new": 2, "b": 3}}'
    assert parse(added(text)).data["servers"]["new"] == ENTRY
    assert without(text, ["servers", "new"]) == '{"servers": {"b": 3}}'


def test_an_object_that_becomes_empty_has_no_blanks() -> None:
    for before in ('{"servers": {}}', '{\n  "servers": {},\n}', '{\r\n\t"servers": {}}'):
        assert without(added(before), ["servers", "new"]) == before


def test_elements_of_an_array_come_and_go() -> None:
    before = '{\n  "inputs": [\n    // mine\n    {"id": "a"}\n  ]\n}'
    after = with_element(before, "inputs", {"id": "b"})
    assert [each["id"] for each in parse(after).data["inputs"]] == ["a", "b"]
    assert without_elements(after, "inputs", lambda each: each["id"] == "b") == before
    assert parse(with_element("{}", "inputs", 1)).data == {"inputs": [1]}


@pytest.mark.parametrize(
    ("text", "words", "place"),
    [
        ("", "cut off", 0),
        ('{"a": 1', "cut off", 7),
        ('{"a" 1}', "a colon, found '1'", 5),
        ('{"a": 1 "b": 2}', "a comma or }", 8),
        ("{'a': 1}", "double quotes", 1),
        ('{"a": tru}', "a value, found 't'", 6),
        ('{"a": 1} x', "more text", 9),
        ('{"a": "b\n"}', "Invalid control character", 8),
        ("[" * 1000, "too deeply", 201),
        ("{} /* open", "more text", 3),
    ],
)
def test_what_is_malformed_is_refused_with_its_place(text: str, words: str, place: int) -> None:
    with pytest.raises(Malformed) as caught:
        parse(text)
    assert words in caught.value.text
    assert caught.value.place == place


def test_what_its_reader_does_not_take_is_refused() -> None:
    with pytest.raises(Malformed, match="a comment"):
        parse("{} // c", comments=False)
    with pytest.raises(Malformed, match="a trailing comma"):
        parse('{"a": 1,}', trailing_commas=False)


def test_what_is_no_object_is_not_replaced() -> None:
    for text in ("null", "[]", '{"servers": null}', '{"servers": [1]}'):
        with pytest.raises(Malformed, match="expected an object"):
            added(text)


# -- any document -----------------------------------------------------------------------------


class Writer:
    """Writes objects as people do: blanks, comments and trailing commas anywhere."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._newline = self._random.choice(["\n", "\r\n"])
        self._comments = 0

    def document(self) -> str:
        data = {name: self._value(2) for name in "xy" if self._random.random() < 0.4}
        if self._random.random() < 0.8:
            data["servers"] = {
                name: self._value(2) for name in ("a", 'b"', "é") if self._random.random() < 0.5
            }
        return self._blank() + self._text(data) + self._blank()

    def _value(self, depth: int) -> Any:
        leaves = [None, True, -1.5e3, 10**20, "", 'quoted " // no comment', "\\", "é😀"]
        kind = self._random.randrange(4) if depth else 3
        count = self._random.randrange(3)
        if kind == 0:
            return [self._value(depth - 1) for _ in range(count)]
        if kind == 1:
            return {str(i): self._value(depth - 1) for i in range(count)}
        return self._random.choice(leaves)

    def _text(self, value: Any) -> str:
        if isinstance(value, dict):
            parts = [
                f"{json.dumps(name)}{self._blank()}:{self._blank()}{self._text(each)}"
                for name, each in value.items()
            ]
            return "{" + self._joined(parts) + "}"
        if isinstance(value, list):
            return "[" + self._joined([self._text(each) for each in value]) + "]"
        return json.dumps(value, ensure_ascii=self._random.random() < 0.5)

    def _joined(self, parts: list[str]) -> str:
        trailing = "," if parts and self._random.random() < 0.3 else ""
        inside = ",".join(f"{self._blank()}{part}{self._blank()}" for part in parts)
        return inside + trailing + self._blank()

    def _blank(self) -> str:
        kind = self._random.randrange(10)
        self._comments += 1
        if kind == 0:
            return f" /*c{self._comments}*/ "
        if kind == 1:
            return f" //c{self._comments}{self._newline}"
        return self._random.choice(["", " ", self._newline, f"{self._newline}  "])


documents = st.integers(0, 2**32).map(lambda seed: Writer(seed).document())


@given(documents)
def test_in_any_document_only_the_member_changes(text: str) -> None:
    expected = parse(text).data
    expected = {**expected, "servers": {**expected.get("servers", {}), "new": ENTRY}}
    after = added(text)
    assert parse(after).data == expected
    assert COMMENT.findall(after) == COMMENT.findall(text)
    again = without(after, ["servers", "new"])
    del expected["servers"]["new"]
    assert parse(again).data == expected
    assert COMMENT.findall(again) == COMMENT.findall(text)


@given(documents)
def test_any_member_can_be_taken_out(text: str) -> None:
    servers = parse(text).member("servers")
    for item in servers.node.items if servers else ():
        assert item.key is not None
        expected = parse(text).data
        del expected["servers"][item.key]
        after = without(text, ["servers", item.key])
        assert parse(after).data == expected
        # Comments inside of the member go with it, all others stay.
        inside = set(COMMENT.findall(text[item.start : item.node.end]))
        gone = set(COMMENT.findall(text)) - set(COMMENT.findall(after))
        assert gone == inside
