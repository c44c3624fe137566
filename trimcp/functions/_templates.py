"""Matching URIs with URI templates: finding the values that expand to a URI.

All operators and modifiers of RFC 6570 are understood. A URI that was expanded from the template
matches. A URI whose reserved characters are not percent-encoded, as people write them, matches too
if it is unambiguous. If several values fit, the first variable gets the longest value.

Specification: Resources, Resource Templates; RFC 6570.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias
from urllib.parse import quote, unquote

import attrs

from trimcp.protocol import URI_CHARACTERS

from ._lines import Line, Slot

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["InvalidTemplate", "UriTemplate", "compile_template", "leads_away"]

#: One value, or all values of an exploded variable.
Value: TypeAlias = "str | list[str]"

_EXPRESSION: Final = re.compile(r"\{([^{}]*)\}")
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)(\*|:[1-9][0-9]{0,3})?")
_NOT_OF_URIS: Final = re.compile(f"[^{URI_CHARACTERS}]+")
_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}")

#: Longer URIs (percent-encoded) match nothing, which bounds the work.
MAX_URI: Final = 8192


#: A path that does not stay below where it is used, on any system.
_AWAY: Final = re.compile(r"\A(?:[/\\]|[A-Za-z]:[/\\])|(?:\A|[/\\])\.\.(?:[/\\]|\Z)|\0")


def leads_away(values: Mapping[str, Value]) -> str | None:
    """The name of a value that, as a path, would lead out of the directory it is used in.

    Such are absolute paths, those with a segment `..`, and those with NUL, which ends a path for
    some systems. None if there is no such value.
    """
    for name, value in values.items():
        pieces = [value] if isinstance(value, str) else [*value, "/".join(value)]
        if any(map(_AWAY.search, pieces)):
            return name
    return None


class InvalidTemplate(ValueError):
    """The text is not a URI template that can be matched; the message says where."""


class _Operator(NamedTuple):
    """How an operator writes its variables (RFC 6570, Appendix A).

    The last three are the characters that end a value: of the only variable of an expression (for
    which the separator is an ordinary character), of one of several variables, and of one item of
    an exploded variable.
    """

    first: str
    separator: str
    named: bool
    alone: str
    several: str
    item: str


_OPERATORS: Final = {
    "": _Operator("", ",", False, "/?#", "/?#,", "/?#,"),
    "+": _Operator("", ",", False, "", ",", ","),
    "#": _Operator("#", ",", False, "", ",", ","),
    ".": _Operator(".", ".", False, "/?#", "/?#", "/?#."),
    "/": _Operator("/", "/", False, "/?#", "/?#", "/?#"),
    ";": _Operator(";", ";", True, "/?#;", "/?#;", "/?#;"),
}


class _Variable(NamedTuple):
    name: str
    explode: bool
    length: int | None


class _Expression(NamedTuple):
    symbol: str
    variables: tuple[_Variable, ...]


#: A template's literals, percent-encoded, and expressions.
_Parts: TypeAlias = "list[str | _Expression]"


class _Piece(NamedTuple):
    """A part of a template whose variables have a fixed order."""

    line: Line
    variables: tuple[_Variable, ...]

    def match(self, text: str) -> dict[str, Value] | None:
        found = self.line.match(text)
        if found is None:
            return None
        return {
            variable.name: [unquote(each) for each in values]
            if variable.explode
            else unquote(values[0])
            for variable, values in zip(self.variables, found, strict=True)
        }


class _Query(NamedTuple):
    """The query of a template, whose pairs may be in any order.

    Attributes:
        fixed: Pairs that are required.
        named: Optional variables, by the names of their pairs.
    """

    fixed: tuple[_Piece, ...]
    named: dict[str, _Variable]

    def match(self, query: str) -> dict[str, Value] | None:
        if "#" in query:
            return None
        pairs = [pair for pair in query.split("&") if pair]
        values: dict[str, Value] = {}
        for piece in self.fixed:
            for index, pair in enumerate(pairs):
                found = piece.match(pair)
                if found is not None:
                    values |= found
                    del pairs[index]
                    break
            else:
                return None
        for pair in pairs:
            name, _, text = pair.partition("=")
            variable = self.named.get(unquote(name))
            if variable is not None and not _add(values, variable, unquote(text)):
                return None
        return values


def _add(values: dict[str, Value], variable: _Variable, value: str) -> bool:
    """Add the value of a pair. Returns False if it is too long."""
    if variable.length is not None and len(value) > variable.length:
        return False
    earlier = values.get(variable.name)
    if not variable.explode:
        values[variable.name] = value
    elif isinstance(earlier, list):
        earlier.append(value)
    else:
        values[variable.name] = [value]
    return True


@attrs.frozen
class UriTemplate:
    """A compiled template.

    Attributes:
        text: The template.
        names: Its variables, in order.
    """

    text: str
    names: tuple[str, ...]
    _path: _Piece
    _query: _Query | None
    _fragment: _Piece | None

    def match(self, uri: str) -> dict[str, Value] | None:
        """The variables' values, decoded; None if the URI does not match.

        Variables of a query are optional and in any order; all others are required.
        """
        if len(uri) > MAX_URI or len(uri := _as_uri(uri)) > MAX_URI:
            return None
        if self._query is None:
            return self._path.match(uri)
        values: dict[str, Value] = {}
        if self._fragment is not None:
            uri, hash_sign, fragment = uri.partition("#")
            found = self._fragment.match(fragment) if hash_sign else None
            if found is None:
                return None
            values |= found
        path, _, query = uri.partition("?")
        for piece, text in ((self._path, path), (self._query, query)):
            found = piece.match(text)
            if found is None:
                return None
            values |= found
        return values


def compile_template(text: str) -> UriTemplate:
    """Read a template.

    Raises:
        InvalidTemplate: It has an unknown operator, an empty or repeated variable, braces that
            do not match, or more than one query.
    """
    parts = _read(text)
    names = tuple(
        variable.name
        for part in parts
        if isinstance(part, _Expression)
        for variable in part.variables
    )
    if len(set(names)) != len(names):
        raise InvalidTemplate(f"{text!r} names a variable twice")
    if not any(_is_query(part) for part in parts):
        return UriTemplate(text, names, _piece(parts), None, None)
    path, query, fragment = _split(parts)
    if fragment is not None and any(_is_query(part) for part in fragment):
        raise InvalidTemplate(f"{text!r}: a query stands before the fragment")
    return UriTemplate(
        text,
        names,
        _piece(path),
        _query(text, query),
        None if fragment is None else _piece(fragment),
    )


# -- reading a template -----------------------------------------------------------------------


def _read(text: str) -> _Parts:
    parts: _Parts = []
    position = 0
    for found in _EXPRESSION.finditer(text):
        parts.append(_literal(text, position, found.start()))
        parts.append(_read_expression(text, found[1]))
        position = found.end()
    parts.append(_literal(text, position, len(text)))
    return parts


def _literal(text: str, start: int, end: int) -> str:
    literal = text[start:end]
    if "{" in literal or "}" in literal:
        raise InvalidTemplate(f"{text!r} has a brace without its partner")
    return _as_uri(literal)


def _as_uri(text: str) -> str:
    """A text percent-encoded as URIs require (RFC 6570, 3.1), with digits in upper case."""
    text = _NOT_OF_URIS.sub(lambda found: quote(found[0], safe="", errors="replace"), text)
    return _ENCODED.sub(lambda found: found[0].upper(), text) if "%" in text else text


def _read_expression(text: str, inside: str) -> _Expression:
    symbol = inside[:1] if inside[:1] in (*_OPERATORS, "?", "&") else ""
    variables = []
    for part in inside[len(symbol) :].split(","):
        found = _VARIABLE.fullmatch(part)
        if found is None:
            raise InvalidTemplate(f"{text!r}: {{{inside}}} is no expression of RFC 6570")
        modifier = found[2] or ""
        length = int(modifier[1:]) if modifier.startswith(":") else None
        variables.append(_Variable(found[1], modifier == "*", length))
    return _Expression(symbol, tuple(variables))


def _is_query(part: str | _Expression) -> bool:
    return isinstance(part, _Expression) and part.symbol in ("?", "&")


def _split(parts: _Parts) -> tuple[_Parts, _Parts, _Parts | None]:
    """The parts before the query, of the query, and after the `#` if there is one."""
    path: _Parts = []
    query: _Parts = []
    fragment: _Parts | None = None
    current = path
    for part in parts:
        if fragment is not None:
            fragment.append(part)
        elif isinstance(part, _Expression):
            if part.symbol == "#":
                # The sign is removed: the fragment is what follows it.
                fragment = [part._replace(symbol="+")]
                continue
            if _is_query(part):
                current = query
            current.append(part)
        else:
            before, hash_sign, after = part.partition("#")
            if current is path and "?" in before:
                head, _, tail = before.partition("?")
                path.append(head)
                query.append("?")
                current, before = query, tail
            current.append(before)
            if hash_sign:
                fragment = [after]
    return path, query, fragment


def _query(text: str, parts: _Parts) -> _Query:
    """The fixed pairs of a query and the variables that may follow.

    Raises:
        InvalidTemplate: The query begins twice or not at all, or something that is not a pair
            follows a variable.
    """
    pairs: list[_Parts] = []
    named: dict[str, _Variable] = {}
    has_begun = after_variables = False
    for part in parts:
        if isinstance(part, _Expression) and _is_query(part):
            if (part.symbol == "?") is has_begun:
                raise InvalidTemplate(f"{text!r}: a query begins once, with '?' or {{?…}}")
            named |= {variable.name: variable for variable in part.variables}
            after_variables = True
        elif part == "?" and not has_begun:
            pairs.append([])
        elif part:
            if after_variables and not (isinstance(part, str) and part.startswith("&")):
                raise InvalidTemplate(f"{text!r}: after {{?…}} and {{&…}} comes '&' or '#'")
            after_variables = False
            _append(pairs, part)
        has_begun = True
    return _Query(tuple(_piece(pair) for pair in pairs if any(pair)), named)


def _append(pairs: list[_Parts], part: str | _Expression) -> None:
    """Add to the last pair; each `&` of a literal begins another one."""
    if not pairs:
        pairs.append([])
    if isinstance(part, _Expression):
        pairs[-1].append(part)
        return
    head, *others = part.split("&")
    pairs[-1].append(head)
    pairs.extend([other] for other in others)


def _piece(parts: _Parts) -> _Piece:
    literals = [""]
    slots: list[Slot] = []
    variables: list[_Variable] = []
    for part in parts:
        if isinstance(part, str):
            literals[-1] += part
            continue
        operator = _OPERATORS[part.symbol]
        literals[-1] += operator.first
        for index, variable in enumerate(part.variables):
            literals[-1] += (operator.separator if index else "") + _name(operator, variable)
            slots.append(_slot(operator, variable, alone=len(part.variables) == 1))
            variables.append(variable)
            literals.append("")
    return _Piece(Line(tuple(literals), tuple(slots)), tuple(variables))


def _name(operator: _Operator, variable: _Variable) -> str:
    return variable.name if operator.named else ""


def _slot(operator: _Operator, variable: _Variable, *, alone: bool) -> Slot:
    if variable.explode:
        again = operator.separator + _name(operator, variable)
        return Slot(operator.item, None, operator.named, again)
    stops = operator.alone if alone else operator.several
    return Slot(stops, variable.length, operator.named)
