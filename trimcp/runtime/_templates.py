"""URI templates, read backwards: which values would expand to this URI?

All operators and modifiers of RFC 6570 are understood. A URI that was expanded from the template
matches, and so does one whose reserved characters were not percent-encoded where that leaves no
doubt: people write such URIs.

Specification: Resources, Resource Templates; RFC 6570.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import unquote

import attrs

__all__ = ["InvalidTemplate", "UriTemplate", "compile_template"]

#: One value, or all values of an exploded variable.
Value: TypeAlias = "str | list[str]"

_EXPRESSION: Final = re.compile(r"\{([^{}]*)\}")
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)(\*|:[1-9][0-9]{0,3})?")

#: Longer URIs match nothing; it bounds the work of matching.
MAX_URI: Final = 8192


class InvalidTemplate(ValueError):
    """The text is no URI template that can be matched; the message says where."""


class _Operator(NamedTuple):
    """How an operator writes its variables (RFC 6570, Appendix A).

    `inside` is what one value may consist of, and `alone` what it may consist of when it is the
    only value of its expression, so that the separator is an ordinary character.
    """

    first: str
    separator: str
    named: bool
    inside: str
    alone: str


_OPERATORS: Final = {
    "": _Operator("", ",", False, r"[^/?#,]", r"[^/?#]"),
    "+": _Operator("", ",", False, r"[^,]", "."),
    "#": _Operator("#", ",", False, r"[^,]", "."),
    ".": _Operator(".", ".", False, r"[^/?#.]", r"[^/?#.]"),
    "/": _Operator("/", "/", False, r"[^/?#]", r"[^/?#]"),
    ";": _Operator(";", ";", True, r"[^/?#;]", r"[^/?#;]"),
    "?": _Operator("?", "&", True, r"[^#&]", r"[^#&]"),
    "&": _Operator("&", "&", True, r"[^#&]", r"[^#&]"),
}


class _Variable(NamedTuple):
    name: str
    explode: bool
    length: int | None


@attrs.frozen
class UriTemplate:
    """A compiled template.

    Attributes:
        text: The template.
        names: Its variables, in order.
    """

    text: str
    names: tuple[str, ...]
    _pattern: re.Pattern[str]
    _groups: tuple[tuple[str, _Variable, _Operator], ...]
    _query: dict[str, _Variable]

    def match(self, uri: str) -> dict[str, Value] | None:
        """The variables' values, decoded; None if the URI is not of this template.

        Variables of a query are optional, in any order; the others must be there.
        """
        if len(uri) > MAX_URI:
            return None
        query = ""
        if self._query:
            uri, _, query = uri.partition("?")
        found = self._pattern.fullmatch(uri)
        if found is None:
            return None
        values: dict[str, Value] = {}
        for group, variable, operator in self._groups:
            values[variable.name] = _decode(found[group], variable, operator)
        return values | self._match_query(query)

    def _match_query(self, query: str) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for pair in filter(None, query.split("&")):
            name, _, value = pair.partition("=")
            variable = self._query.get(unquote(name))
            if variable is None:
                continue
            decoded = unquote(value)
            if variable.explode:
                earlier = values.get(variable.name, [])
                values[variable.name] = [*earlier, decoded]
            else:
                values[variable.name] = decoded
        return values


def _decode(text: str, variable: _Variable, operator: _Operator) -> Value:
    if not variable.explode:
        return unquote(text)
    parts = text.split(operator.separator)
    if operator.named:
        parts = [part.partition("=")[2] for part in parts]
    return [unquote(part) for part in parts]


def compile_template(text: str) -> UriTemplate:
    """Read a template.

    Raises:
        InvalidTemplate: It has an unknown operator, an empty or repeated variable, or braces
            that do not match.
    """
    pattern: list[str] = []
    groups: list[tuple[str, _Variable, _Operator]] = []
    query: dict[str, _Variable] = {}
    names: list[str] = []
    position = 0
    for expression in _EXPRESSION.finditer(text):
        pattern.append(_literal(text, position, expression.start()))
        position = expression.end()
        symbol, variables = _read_expression(text, expression[1])
        names += [variable.name for variable in variables]
        if symbol in ("?", "&"):
            query |= {variable.name: variable for variable in variables}
        else:
            pattern.append(_pattern_of(_OPERATORS[symbol], variables, groups))
    pattern.append(_literal(text, position, len(text)))
    if len(set(names)) != len(names):
        raise InvalidTemplate(f"{text!r} names a variable twice")
    return UriTemplate(
        text, tuple(names), re.compile("".join(pattern), re.DOTALL), tuple(groups), query
    )


def _literal(text: str, start: int, end: int) -> str:
    literal = text[start:end]
    if "{" in literal or "}" in literal:
        raise InvalidTemplate(f"{text!r} has a brace without its partner")
    return re.escape(literal)


def _read_expression(text: str, inside: str) -> tuple[str, list[_Variable]]:
    symbol = inside[:1] if inside[:1] in _OPERATORS else ""
    variables = []
    for part in inside[len(symbol) :].split(","):
        found = _VARIABLE.fullmatch(part)
        if found is None:
            raise InvalidTemplate(f"{text!r}: {{{inside}}} is no expression of RFC 6570")
        modifier = found[2] or ""
        length = int(modifier[1:]) if modifier.startswith(":") else None
        variables.append(_Variable(found[1], modifier == "*", length))
    return symbol, variables


def _pattern_of(
    operator: _Operator,
    variables: list[_Variable],
    groups: list[tuple[str, _Variable, _Operator]],
) -> str:
    """The regular expression of one expression; its groups are added to the list."""
    parts = []
    for variable in variables:
        group = f"v{len(groups)}"
        groups.append((group, variable, operator))
        alone = len(variables) == 1
        parts.append(_variable_pattern(operator, variable, group, alone=alone))
    return re.escape(operator.first) + re.escape(operator.separator).join(parts)


def _variable_pattern(operator: _Operator, variable: _Variable, group: str, *, alone: bool) -> str:
    name = f"{re.escape(variable.name)}=" if operator.named else ""
    inside = operator.alone if alone and not variable.explode else operator.inside
    if variable.explode:
        item = f"{name}{inside}*" if operator.named else f"{inside}+"
        return f"(?P<{group}>{item}(?:{re.escape(operator.separator)}{item})*)"
    if operator.named:
        # A name without a value is written without the equals sign (`;`).
        return f"{name}?(?P<{group}>{inside}*)"
    # A length counts characters; an encoded one takes up to twelve.
    count = "+" if variable.length is None else f"{{1,{variable.length * 12}}}"
    return f"(?P<{group}>{inside}{count})"
