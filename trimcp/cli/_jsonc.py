"""Changing one member of a JSON document, and nothing else of its text.

Comments, trailing commas, the order of members, indentation and line ends stay as they are: the
document is scanned for where everything stands, and only text is cut out and put in.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "Malformed",
    "Node",
    "parse",
    "with_element",
    "with_member",
    "without",
    "without_elements",
]

#: How deep a document may be nested.
_DEEPEST: Final = 200

_DECODER: Final = json.JSONDecoder()

_BLANK: Final = re.compile(r"[ \t\r\n]+")
_COMMENT: Final = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD: Final = re.compile(r"true|false|null")
_WORDS: Final = {"true": True, "false": False, "null": None}
_INDENT: Final = re.compile(r"[ \t]*")


class Malformed(Exception):
    """The text is no JSON, or has what its reader does not take.

    Attributes:
        text: What is wrong.
        place: The offset of the character where it was noticed.
    """

    def __init__(self, text: str, place: int) -> None:
        super().__init__(text)
        self.text = text
        self.place = place


@attrs.frozen
class Item:
    """A member of an object, or an element of an array.

    Attributes:
        key: The member's name; None for an element.
        start: Where it begins, the name included.
        node: Its value.
        comma: Where the comma after it stands, if there is one.
    """

    key: str | None
    start: int
    node: Node
    comma: int | None


@attrs.frozen
class Node:
    """A value, and where it stands.

    Attributes:
        start: The offset of its first character.
        end: The offset after its last one.
        data: The value, as `json.loads` makes it.
        items: What stands in it, if it is an object or an array.
    """

    start: int
    end: int
    data: Any
    items: tuple[Item, ...] = ()

    def member(self, key: str) -> Item | None:
        """The member of an object that counts: the last one of its name."""
        return next((item for item in reversed(self.items) if item.key == key), None)


def parse(text: str, *, comments: bool = True, trailing_commas: bool = True) -> Node:
    """Scan a document.

    Args:
        text: The document, without a byte order mark.
        comments: Whether comments are allowed.
        trailing_commas: Whether a comma may follow the last member.

    Raises:
        Malformed: The text is invalid.
    """
    scanner = _Scanner(text, comments=comments, trailing_commas=trailing_commas)
    node, place = scanner.value(scanner.skip(0), 0)
    place = scanner.skip(place)
    if place < len(text):
        raise Malformed("more text after the end of the document", place)
    return node


class _Scanner:
    """Reads values at offsets of a text."""

    def __init__(self, text: str, *, comments: bool, trailing_commas: bool) -> None:
        self._text = text
        self._comments = comments
        self._trailing_commas = trailing_commas

    def skip(self, place: int) -> int:
        """The offset of what comes after blanks and comments."""
        while True:
            if found := _BLANK.match(self._text, place):
                place = found.end()
            elif found := _COMMENT.match(self._text, place):
                if not self._comments:
                    raise Malformed("a comment, which this program does not read", place)
                place = found.end()
            else:
                return place

    def value(self, place: int, depth: int) -> tuple[Node, int]:
        """The value at an offset, and the offset after it."""
        if depth > _DEEPEST:
            raise Malformed("nested too deeply", place)
        first = self._text[place : place + 1]
        if first == "{":
            return self._container(place, depth, "}")
        if first == "[":
            return self._container(place, depth, "]")
        data: Any
        if first == '"':
            data, end = self._string(place)
        elif found := _NUMBER.match(self._text, place):
            data, end = json.loads(found[0]), found.end()
        elif found := _WORD.match(self._text, place):
            data, end = _WORDS[found[0]], found.end()
        else:
            raise self._unexpected("a value", place)
        return Node(place, end, data), end

    def _container(self, begin: int, depth: int, closing: str) -> tuple[Node, int]:
        items: list[Item] = []
        place = self.skip(begin + 1)
        comma: int | None = None
        while self._text[place : place + 1] != closing:
            if items and comma is None:
                raise self._unexpected(f"a comma or {closing}", place)
            item, place = self._item(place, depth, named=closing == "}")
            comma = item.comma
            items.append(item)
        if items and comma is not None and not self._trailing_commas:
            raise Malformed("a trailing comma, which this program does not read", comma)
        data: Any = [item.node.data for item in items]
        if closing == "}":
            data = {item.key: item.node.data for item in items}
        return Node(begin, place + 1, data, tuple(items)), place + 1

    def _item(self, begin: int, depth: int, *, named: bool) -> tuple[Item, int]:
        """An item with the comma after it, and the offset of what follows."""
        key, place = None, begin
        if named:
            if self._text[place : place + 1] != '"':
                raise self._unexpected("a name in double quotes or }", place)
            key, place = self._string(place)
            place = self.skip(place)
            if self._text[place : place + 1] != ":":
                raise self._unexpected("a colon", place)
            place = self.skip(place + 1)
        node, place = self.value(place, depth + 1)
        place = self.skip(place)
        if self._text[place : place + 1] != ",":
            return Item(key, begin, node, None), place
        return Item(key, begin, node, place), self.skip(place + 1)

    def _string(self, place: int) -> tuple[str, int]:
        try:
            found, end = _DECODER.raw_decode(self._text, place)
        except json.JSONDecodeError as error:
            raise Malformed(error.msg, error.pos) from None
        return str(found), end

    def _unexpected(self, wanted: str, place: int) -> Malformed:
        found = self._text[place : place + 1]
        return Malformed(f"expected {wanted}, found {found!r}" if found else "it is cut off", place)


# -- changes ----------------------------------------------------------------------------------


def with_member(text: str, path: Sequence[str], value: Any) -> str:
    """The document with a member added or replaced; objects on the way are added too.

    Args:
        text: The document: an object.
        path: The names of the objects, from the outside to the inside, and that of the member.
        value: Its value.

    Raises:
        Malformed: The text is invalid, or something on the way is no object.
    """
    node = parse(text)
    for depth, key in enumerate(path):
        _check_object(node)
        item = node.member(key)
        if item is None:
            rest = value
            for name in reversed(path[depth + 1 :]):
                rest = {name: rest}
            return _with_new(text, node, key, rest)
        node = item.node
    style = _Style(text)
    one_line = not re.search(r"[\r\n]", text[node.start : node.end]) and bool(node.items)
    made = style.dumped(value, style.indent_at(node.start), one_line=one_line)
    return text[: node.start] + made + text[node.end :]


def with_element(text: str, key: str, value: Any) -> str:
    """The document with an element added to an array at the top, which is made if need be.

    Raises:
        Malformed: The text is invalid, or what has that name is no array.
    """
    root = parse(text)
    _check_object(root)
    item = root.member(key)
    if item is None:
        return _with_new(text, root, key, [value])
    if not isinstance(item.node.data, list):
        raise Malformed("expected an array", item.node.start)
    return _with_new(text, item.node, None, value)


def without_elements(text: str, key: str, matches: Callable[[Any], bool]) -> str:
    """The document without the elements of an array at the top that a function chooses."""
    while True:
        item = parse(text).member(key)
        if item is None or not isinstance(item.node.data, list):
            return text
        chosen = [i for i, each in enumerate(item.node.items) if matches(each.node.data)]
        if not chosen:
            return text
        text = _without_item(text, item.node, chosen[-1])


def _check_object(node: Node) -> None:
    if not isinstance(node.data, dict):
        raise Malformed("expected an object", node.start)


def _with_new(text: str, node: Node, key: str | None, value: Any) -> str:
    """The text with a new last member of an object, or element of an array."""
    style = _Style(text)
    inside = text[node.start + 1 : node.end - 1]
    is_empty = not inside.strip(" \t\r\n")
    one_line = bool(node.items) and not re.search(r"[\r\n]", inside)
    outer = style.indent_at(node.start)
    inner = outer + style.unit
    if node.items and not one_line:
        inner = style.indent_of_line(node.items[0].start, inner)
    name = "" if key is None else f"{json.dumps(key, ensure_ascii=False)}: "
    made = name + style.dumped(value, inner, one_line=one_line)
    if is_empty:
        made = f"{style.newline}{inner}{made}{style.newline}{outer}"
        return text[: node.start + 1] + made + text[node.end - 1 :]
    # Behind the last comment, so that a comment at the end of a line stays there.
    end = node.start + 1 + len(inside.rstrip(" \t\r\n"))
    last = node.items[-1] if node.items else None
    comma_at = last.node.end if last is not None and last.comma is None else end
    comma = "," if last is not None and last.comma is None else ""
    trailing = "," if last is not None and last.comma is not None else ""
    gap = " " if one_line else style.newline + inner
    tail = text[end : node.end - 1]
    if not one_line and not re.search(r"[\r\n]", tail):
        # The object ends in the line of its last member or comment.
        tail = style.newline + outer
    return (
        f"{text[: node.start + 1]}{text[node.start + 1 : comma_at]}{comma}{text[comma_at:end]}"
        f"{gap}{made}{trailing}{tail}{text[node.end - 1 :]}"
    )


def without(text: str, path: Sequence[str]) -> str:
    """The document without a member, which has to be there.

    Raises:
        Malformed: The text is invalid.
    """
    while True:
        node = parse(text)
        for key in path[:-1]:
            item = node.member(key)
            if item is None:
                return text
            node = item.node
        places = [i for i, item in enumerate(node.items) if item.key == path[-1]]
        if not places:
            return text
        # Of several with the same name, an earlier one would come back.
        text = _without_item(text, node, places[-1])


def _without_item(text: str, node: Node, index: int) -> str:
    item = node.items[index]
    start, end = item.start, item.node.end
    after = text[end : node.end - 1]
    if len(node.items) == 1 and not (text[node.start + 1 : start] + after).strip(" \t\r\n,"):
        return text[: node.start + 1] + text[node.end - 1 :]
    if item.comma is not None:
        # Between a member and its comma there may be a comment, which stays.
        between = text[end : item.comma]
        text = text[:end] + (between if between.strip() else "") + text[item.comma + 1 :]
    elif index > 0:
        comma = node.items[index - 1].comma
        assert comma is not None
        text = text[:comma] + text[comma + 1 :]
        start, end = start - 1, end - 1
    return _cut(text, start, end)


def _cut(text: str, start: int, end: int) -> str:
    """The text without a part, and without the line or the blanks that it leaves empty."""
    line_ends = re.compile(r"[ \t]*(?=[\r\n]|$)").match(text, end)
    before = re.search(r"(?:\r\n|\n|\r)[ \t]*$", text[:start])
    if before is not None and line_ends is not None:
        return text[: before.start()] + text[line_ends.end() :]
    blank = _INDENT.match(text, end)
    assert blank is not None
    if text[blank.end() : blank.end() + 1] in ("}", "]") and text[start - 1 : start] in (" ", "\t"):
        # The last one of its line: the blank before it goes, the one behind it stays.
        return text[:start].rstrip(" \t") + text[end:]
    return text[:start] + text[blank.end() :]


class _Style:
    """How a document is laid out."""

    def __init__(self, text: str) -> None:
        self._text = text
        found = re.search(r"\r\n|\n|\r", text)
        self.newline = found[0] if found else "\n"
        first = re.search(r"[\r\n]([ \t]+)[^ \t\r\n/*]", text)
        self.unit = first[1] if first else "  "

    def indent_at(self, place: int) -> str:
        """The indentation of the line of an offset."""
        begin = max(self._text.rfind("\n", 0, place), self._text.rfind("\r", 0, place)) + 1
        found = _INDENT.match(self._text, begin)
        assert found is not None
        return found[0]

    def indent_of_line(self, place: int, default: str) -> str:
        """The same if nothing but blanks stand before the offset, else the default."""
        begin = max(self._text.rfind("\n", 0, place), self._text.rfind("\r", 0, place)) + 1
        before = self._text[begin:place]
        return before if begin > 0 and not before.strip(" \t") else default

    def dumped(self, value: Any, indent: str, *, one_line: bool) -> str:
        """A value as it stands behind its name in a line of an indentation."""
        if one_line:
            return json.dumps(value, ensure_ascii=False)
        made = json.dumps(value, ensure_ascii=False, indent=self.unit)
        return made.replace("\n", self.newline + indent)
