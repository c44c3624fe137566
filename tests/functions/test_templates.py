"""URI templates: what expands matches again, at a cost that is linear in the URI."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trimcp.functions import InvalidTemplate, compile_template

if TYPE_CHECKING:
    from collections.abc import Callable

# -- an expander after RFC 6570, Appendix A, that knows nothing of the matcher -----------------

RESERVED = ":/?#[]@!$&'()*+,;="
#: First character, separator, whether the name is written, text after the name of an empty value.
OPERATORS = {
    "": ("", ",", False, ""),
    "+": ("", ",", False, ""),
    "#": ("#", ",", False, ""),
    ".": (".", ".", False, ""),
    "/": ("/", "/", False, ""),
    ";": (";", ";", True, ""),
    "?": ("?", "&", True, "="),
    "&": ("&", "&", True, "="),
}

Expression = tuple[str, list[tuple[str, str]]]


def expand(parts: list[str | Expression], values: dict[str, Any]) -> str:
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += quote(part, safe=RESERVED + "%")
            continue
        symbol, variables = part
        first, separator, named, if_empty = OPERATORS[symbol]
        safe = RESERVED if symbol in ("+", "#") else ""
        written = []
        for name, modifier in variables:
            value = values[name]
            items = value if isinstance(value, list) else [value]
            for item in items:
                shown = item[: int(modifier[1:])] if modifier.startswith(":") else item
                encoded = quote(shown, safe=safe)
                if named:
                    encoded = f"{name}={encoded}" if encoded else name + if_empty
                written.append(encoded)
        text += first + separator.join(written)
    return text


def template_of(parts: list[str | Expression]) -> str:
    return "".join(
        part if isinstance(part, str) else "{" + part[0] + ",".join(n + m for n, m in part[1]) + "}"
        for part in parts
    )


#: Everything that people write into values; the literals hold none of the letters.
VALUES = st.text("abAB09-._~ä€𝄞 /%:@+", min_size=1, max_size=8)
#: Between two expressions stands something that no value holds.
GAPS = st.sampled_from(["/!x!/", "!größe!", "!a b!", "(1)"])


@st.composite
def expansions(draw: Any) -> tuple[list[str | Expression], dict[str, Any]]:
    parts: list[str | Expression] = ["doc://host"]
    values: dict[str, Any] = {}
    for index in range(draw(st.integers(1, 4))):
        symbol = draw(st.sampled_from(["", "+", ".", "/", ";"]))
        name = f"v{index}"
        modifier = draw(st.sampled_from(["", "", "*", ":3"]))
        text = VALUES
        if symbol == "+":
            text = st.text("abAB09-._~ä€ ", min_size=1, max_size=8)
        if symbol == "." and modifier == "*":
            text = st.text("abAB09-_~ä€ /", min_size=1, max_size=8)
        if modifier == "*":
            values[name] = draw(st.lists(text, min_size=1, max_size=3))
        elif modifier == ":3":
            values[name] = draw(text)[:3]
        else:
            values[name] = draw(text)
        parts += [draw(GAPS), (symbol, [(name, modifier)])]
    if draw(st.booleans()):
        parts.append(draw(st.sampled_from(["!end", ""])))
    if draw(st.booleans()):
        parts += draw(st.sampled_from([["?fixed=1", ("&", [("q", "")])], [("?", [("q", "")])]]))
        values["q"] = draw(st.text("ab&=#?ä /", max_size=5))
    if draw(st.booleans()):
        parts += draw(st.sampled_from([["#top"], [("#", [("part", "")])]]))
        if not isinstance(parts[-1], str):
            values["part"] = draw(st.text("ab/?ä!", min_size=1, max_size=5))
    return parts, values


@given(expansions())
def test_what_was_expanded_gives_its_values_back(
    expansion: tuple[list[str | Expression], dict[str, Any]],
) -> None:
    parts, values = expansion
    template = compile_template(template_of(parts))
    assert template.match(expand(parts, values)) == values


@given(
    st.lists(
        st.sampled_from(
            ["{a}", "{b}", "{+c}", "{.d}", "{/e}", "{;f}", "{?g}", "{#h}", "{i:3}", "{j*}", "-"]
        ),
        max_size=5,
    ),
    st.text("-,./;?#=&abcdefghij%", max_size=12),
)
def test_whatever_matches_expands_to_the_same_values(pieces: list[str], rest: str) -> None:
    """Whatever is found stands in the URI: nothing is invented, nothing left out."""
    try:
        template = compile_template("x:" + "".join(pieces))
    except InvalidTemplate:
        assume(False)
    found = template.match("x:" + rest)
    if found is None:
        return
    assert set(found) <= set(template.names)
    assert set(template.names) - set(found) <= {"g"}
    for value in found.values():
        assert isinstance(value, (str, list))


@pytest.mark.parametrize(
    ("template", "uri", "values"),
    [
        ("x://a?fixed=1{&q}", "x://a?fixed=1&q=5", {"q": "5"}),
        ("x://a?fixed=1{&q}", "x://a?q=5&fixed=1", {"q": "5"}),
        ("x://a?fixed=1{&q}", "x://a?fixed=1", {}),
        ("x://a?fixed=1{&q}", "x://a?q=5", None),
        ("x://a?a={a}{&b}", "x://a?a=1&b=2", {"a": "1", "b": "2"}),
        ("x://a?a={a}&b={b}", "x://a?a=1&b=2", {"a": "1", "b": "2"}),
        ("x://a{?v}&fixed=1", "x://a?v=1&fixed=1", {"v": "1"}),
        ("x://a{?v}{#part}", "x://a?v=1#here", {"v": "1", "part": "here"}),
        ("x://a{?v}{#part}", "x://a?v=1", None),
        ("x://a{?v}#top", "x://a?v=1#top", {"v": "1"}),
        ("x://a{?v}#top", "x://a#top", {}),
        ("x://a{?v}#top", "x://a?v=1#bottom", None),
        ("x://a{?v}", "x://a?v=1#top", None),
        ("x://{id}#top", "x://5#top", {"id": "5"}),
        ("doc://größe und/{a}", "doc://gr%c3%b6%C3%9Fe%20und/x", {"a": "x"}),
        ("doc://größe und/{a}", "doc://größe und/ä", {"a": "ä"}),
        ("f://x{.ext}", "f://x.tar.gz", {"ext": "tar.gz"}),
        ("f://x{.parts*}", "f://x.tar.gz", {"parts": ["tar", "gz"]}),
        ("f://x{;a}", "f://x;abc", None),
        ("f://x{;a}", "f://x;a", {"a": ""}),
        ("f://x{;a}", "f://x;a=bc", {"a": "bc"}),
        ("f://x{;a,b}", "f://x;a=1;b=2", {"a": "1", "b": "2"}),
        ("f://x{;a*}{;b}", "f://x;a=1;a=2;b=3", {"a": ["1", "2"], "b": "3"}),
        ("f://{a:3}", "f://abcdefghij", None),
        ("f://{a:3}", "f://abcd", None),
        ("f://{a:3}", "f://%C3%A4b%E2%82%AC", {"a": "äb€"}),
        ("f://{a:3}{b}", "f://abcdef", {"a": "abc", "b": "def"}),
        ("f://x{?a:2}", "f://x?a=abc", None),
        ("f://{a}-{b}", "f://1-2-3", {"a": "1-2", "b": "3"}),
        ("f://{+a}/{+b}", "f://1/2/3", {"a": "1/2", "b": "3"}),
        ("f://{a}", "f://", None),
        ("f://a", "f://a", {}),
        ("f://a", "f://b", None),
    ],
)
def test_matching(template: str, uri: str, values: dict[str, Any] | None) -> None:
    assert compile_template(template).match(uri) == values


@pytest.mark.parametrize(
    "template",
    ["x://{", "x://}", "x://{}", "x://{a,}", "x://{=a}", "x://{a}{a}", "x://{a*:3}", "x://{a:0}",
     "x://a{&q}", "x://a?b=1{?q}", "x://a{?q}/b", "x://a#b{?q}"],
)  # fmt: skip
def test_what_is_no_template(template: str) -> None:
    with pytest.raises(InvalidTemplate):
        compile_template(template)


# -- the cost ---------------------------------------------------------------------------------


def steps(work: Callable[[], Any]) -> int:
    """How many lines of the matcher run."""
    count = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.endswith(("_lines.py", "_templates.py")):
            return None
        if event == "line":
            count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


PIECES = ["{a}", "{+b}", "{c,d}", "{.e}", "{/f}", "{;g}", "{h*}", "{/i*}", "{;j*}", "{k:3}",
          "{+l*}", "-", "/", ".json", ";", ",", "=", "%2F"]  # fmt: skip


@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=6, unique=True),
    st.sampled_from(["-", "/", ",", ";j", ".", ";j=", "%2F", "a", "=", ";", "/;j,"]),
    st.sampled_from(["", ".json", "!"]),
)
def test_matching_costs_linear_work(pieces: list[str], repeated: str, end: str) -> None:
    text = "".join(pieces)
    template = compile_template("x:" + text)
    per_variable = 1 + text.count("{") + text.count(",")
    for count in (50, 200):
        uri = "x:" + repeated * count + end
        taken = steps(lambda uri=uri: template.match(uri))  # type: ignore[misc]
        assert taken <= 60 * (len(uri) + 10) * per_variable


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("log://{a}-{b}-{c}.json", "log://" + "-" * 800),
        ("log://{a}-{b}-{c}.json", "log://" + "-" * 800 + ".json?"),
        ("db://{+a}/{+b}/{+c}/{+d}.json", "db://" + "/" * 240),
        ("db://{+a}/{+b}/{+c}/{+d}.json", "db://" + "/" * 240 + ".json "),
        ("db://{+a}/{+b}/{+c}/{+d}x.json", "db://" + "/" * 240 + ".json"),
    ],
)
def test_what_does_not_match_costs_linear_work(template: str, uri: str) -> None:
    compiled = compile_template(template)
    assert steps(lambda: compiled.match(uri)) <= 20 * len(uri) * len(compiled.names)
    assert compiled.match(uri) is None


def test_longer_uris_match_nothing() -> None:
    template = compile_template("x:{+a}")
    assert template.match("x:" + "a" * 8190) is not None
    assert template.match("x:" + "a" * 8191) is None
    assert template.match("x:" + "ä" * 8190) is None
