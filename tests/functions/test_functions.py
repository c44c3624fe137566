"""A user's function as a tool: schemas, arguments, results, and what is refused."""

from __future__ import annotations

import datetime
import enum
import functools
import json
from collections.abc import Callable  # noqa: TC003  annotations are read at run time
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar, Union

import attrs
import pydantic
import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict  # the one that pydantic reads before Python 3.12

from trimcp.errors import RegistrationError
from trimcp.functions import BadArguments, Function, compile_form, compile_function
from trimcp.types import (
    UNSET,
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

T = TypeVar("T")


class Context(Generic[T]):
    """Stands for the server's."""


def compiled(function: Callable[..., Any], **options: Any) -> Function:
    return compile_function(function, Context, **options)


def properties(function: Callable[..., Any]) -> dict[str, Any]:
    found: dict[str, Any] = compiled(function).input_schema["properties"]
    return found


def bind(function: Callable[..., Any], arguments: Any) -> dict[str, Any]:
    return compiled(function).bind(json.dumps(arguments).encode())


def structured(result: CallToolResult) -> Any:
    return json.loads(bytes(result.structured_content))


def text(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


# -- kinds of functions -----------------------------------------------------------------------


def plain(a: int, b: int = 2) -> str:
    """Adds."""
    return str(a + b)


async def waiting(a: int, b: int = 2) -> str:
    """Adds."""
    return str(a + b)


class Calculator:
    """Not the tool's description."""

    def method(self, a: int, b: int = 2) -> str:
        """Adds."""
        return str(a + b)

    @classmethod
    def of_class(cls, a: int, b: int = 2) -> str:
        """Adds."""
        return str(a + b)

    @staticmethod
    def static(a: int, b: int = 2) -> str:
        """Adds."""
        return str(a + b)

    def __call__(self, a: int, b: int = 2) -> str:
        """Adds."""
        return str(a + b)


class AsyncCalculator:
    async def __call__(self, a: int, b: int = 2) -> str:
        """Adds."""
        return str(a + b)


def adds_more(c: int, a: int, b: int = 2) -> str:
    """Adds."""
    return str(a + b + c)


KINDS: list[tuple[Any, str, bool]] = [
    (plain, "plain", False),
    (waiting, "waiting", True),
    (Calculator().method, "method", False),
    (Calculator.of_class, "of_class", False),
    (Calculator.static, "static", False),
    (Calculator(), "Calculator", False),
    (AsyncCalculator(), "AsyncCalculator", True),
    (functools.partial(adds_more, 0), "adds_more", False),
    (functools.partial(functools.partial(waiting)), "waiting", True),
]


@pytest.mark.parametrize(("function", "name", "is_async"), KINDS, ids=lambda kind: str(kind)[:30])
def test_kinds_of_functions(function: Any, name: str, is_async: bool) -> None:
    tool = compiled(function)
    assert tool.name == name
    assert tool.is_async == is_async
    assert tool.description == "Adds."
    assert tool.parameters == ("a", "b")
    assert tool.context is None
    assert tool.input_schema == {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 2}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert tool.bind(b'{"a": 1}') == {"a": 1, "b": 2}
    if not is_async:
        assert tool.call(**tool.bind(b'{"a": 1}')) == "3"


def test_partial_by_name() -> None:
    tool = compiled(functools.partial(plain, b=5))
    assert tool.call(**tool.bind(b'{"a": 1}')) == "6"
    assert tool.call(**tool.bind(b'{"a": 1, "b": 1}')) == "2"


def test_own_name() -> None:
    assert compiled(plain, name="other").name == "other"
    assert compiled(lambda: None, name="x").input_schema["properties"] == {}


def test_no_arguments() -> None:
    def tool() -> None: ...

    assert compiled(tool).bind(None) == {}
    assert compiled(tool).bind(b"{}") == {}
    assert compiled(tool).input_schema["type"] == "object"


OLD_UNION: Any = Union[str, None]  # noqa: UP007  how many still write it
OLD_CONTEXT: Any = Union[Context[int], None]  # noqa: UP007


# -- schemas of arguments ---------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Pair:
    x: int
    y: list[str]


class Options(TypedDict, total=False):
    deep: bool


class Model(BaseModel):
    x: int = Field(alias="theX")


@attrs.frozen
class Frozen:
    x: int
    y: str = "z"


@pytest.mark.parametrize(
    ("annotation", "schema", "good", "value", "bad"),
    [
        (str, {"type": "string"}, "a", "a", 1),
        (int, {"type": "integer"}, 5, 5, "x"),
        (float, {"type": "number"}, 5, 5.0, "x"),
        (bool, {"type": "boolean"}, True, True, "perhaps"),
        (list[int], {"type": "array", "items": {"type": "integer"}}, [1], [1], ["x"]),
        (dict[str, int], None, {"a": 1}, {"a": 1}, {"a": "x"}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}, None, None, "x"),
        (OLD_UNION, {"anyOf": [{"type": "string"}, {"type": "null"}]}, "a", "a", 1),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}, "a", "a", "c"),
        (Colour, {"$ref": "#/$defs/Colour"}, "red", Colour.RED, "green"),
        (Pair, {"$ref": "#/$defs/Pair"}, {"x": 1, "y": []}, Pair(1, []), {"x": "a", "y": []}),
        (Options, {"$ref": "#/$defs/Options"}, {"deep": True}, {"deep": True}, {"deep": "deep"}),
        (Frozen, None, {"x": 1}, Frozen(1), {"x": 1, "w": 2}),
        (list[Frozen], None, [{"x": 1, "y": "a"}], [Frozen(1, "a")], [{"y": "a"}]),
        (Annotated[int, Field(ge=1)], {"type": "integer", "minimum": 1}, 1, 1, 0),
        (Any, {}, [None], [None], None),
    ],
    ids=str,
)
def test_annotations(annotation: Any, schema: Any, good: Any, value: Any, bad: Any) -> None:
    def tool(a: Any) -> None: ...

    tool.__annotations__["a"] = annotation
    if schema is not None:
        assert properties(tool)["a"] == schema
    assert bind(tool, {"a": good}) == {"a": value}
    if bad is not None:
        with pytest.raises(BadArguments, match=r"\$\.a"):
            bind(tool, {"a": bad})


def test_model_with_alias() -> None:
    def tool(a: Model) -> None: ...

    assert bind(tool, {"a": {"theX": 1}})["a"].x == 1
    definition = compiled(tool).input_schema["$defs"]["Model"]
    assert list(definition["properties"]) == ["theX"]


def test_defaults() -> None:
    def tool(
        a: int = 1,
        b: str | None = None,
        c: list[int] = [1],  # noqa: B006  never changed
        d: Annotated[int, Field(default=5)] = 6,
        e: int = Field(default=7, description="seven"),
    ) -> None: ...

    schema = compiled(tool).input_schema
    assert "required" not in schema
    defaults = {name: each.get("default") for name, each in schema["properties"].items()}
    assert defaults == {"a": 1, "b": None, "c": [1], "d": 6, "e": 7}
    assert schema["properties"]["e"]["description"] == "seven"
    assert bind(tool, {}) == {"a": 1, "b": None, "c": [1], "d": 6, "e": 7}


def test_unannotated() -> None:
    def tool(a, b=1):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return a

    assert properties(tool) == {"a": {}, "b": {"default": 1}}
    assert bind(tool, {"a": {"x": [1]}}) == {"a": {"x": [1]}, "b": 1}


@pytest.mark.parametrize(
    "name",
    ["model_config", "model_dump", "schema", "json", "copy", "self_", "validate", "_x", "__x__"],
)
def test_names_that_mean_something_to_pydantic(name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"def tool({name}: int): return {name}", namespace)
    tool = compiled(namespace["tool"])
    assert list(tool.input_schema["properties"]) == [name]
    assert tool.bind(json.dumps({name: 5}).encode()) == {name: 5}


def test_keyword_only() -> None:
    def tool(*, a: int) -> None: ...

    assert bind(tool, {"a": 1}) == {"a": 1}


def test_schema_has_no_noise() -> None:
    """No titles that only repeat the names."""
    assert "title" not in json.dumps(compiled(plain).input_schema)


# -- docstrings -------------------------------------------------------------------------------


def google(a: int, b: int) -> None:
    """Does it.

    And more.

    Args:
        a: The first,
            on two lines.
        b: The second.

    Returns:
        Nothing.
    """


def numpy(a: int, b: int) -> None:
    """Does it.

    And more.

    Parameters
    ----------
    a : int
        The first, on two lines.
    b
        The second.
    """


def sphinx(a: int, b: int) -> None:
    """Does it.

    And more.

    :param a: The first, on two lines.
    :param b: The second.
    :returns: Nothing.
    """


@pytest.mark.parametrize("function", [google, numpy, sphinx])
def test_docstrings(function: Callable[..., Any]) -> None:
    tool = compiled(function)
    assert tool.description == "Does it.\n\nAnd more."
    described = {name: each["description"] for name, each in properties(function).items()}
    assert described == {"a": "The first, on two lines.", "b": "The second."}


def google_with_more(a: int) -> None:
    """Does it.

    Args:
        a: The first.

            Of two paragraphs.

    Returns:
        Nothing.

    It is slow, so do not
    call it twice.

    Note:
        Careful: no section.

    Args:
    """


def numpy_with_more(a: int) -> None:
    """Does it.

    Parameters
    ----------
    a : int
        The first.

    Returns
    -------
    None

    Notes
    -----
    It is slow.
    """


def sphinx_with_more(a: int) -> None:
    """Does it.

    :param a: The first,
        on two lines.
    :raises ValueError: sometimes
    :returns: nothing

    It is slow.

    :note: it is
    """


def only_arguments(a: int) -> None:
    """
    Args:
        a: The first.
    """


@pytest.mark.parametrize(
    ("function", "description"),
    [
        (
            google_with_more,
            "Does it.\n\nIt is slow, so do not\ncall it twice.\n\n"
            "Note:\n    Careful: no section.\n\nArgs:",
        ),
        (numpy_with_more, "Does it.\n\nNotes\n-----\nIt is slow."),
        (sphinx_with_more, "Does it.\n\nIt is slow."),
        (only_arguments, None),
    ],
)
def test_prose_after_the_arguments_is_kept(
    function: Callable[..., Any], description: str | None
) -> None:
    assert compiled(function).description == description
    assert properties(function)["a"]["description"].startswith("The first")


def test_prose_stays_as_it_is() -> None:
    def tool() -> None:
        """Reads: whatever.

        * a list
        * of things: two
        """

    assert compiled(tool).description == "Reads: whatever.\n\n* a list\n* of things: two"

    def without() -> None: ...

    assert compiled(without).description is None


def test_field_wins_over_docstring() -> None:
    def tool(a: Annotated[int, Field(description="field")], b: Annotated[int, Field(ge=0)]) -> None:
        """Does it.

        Args:
            a: docstring
            b: docstring
        """

    assert properties(tool)["a"]["description"] == "field"
    assert properties(tool)["b"] == {
        "type": "integer",
        "minimum": 0,
        "description": "docstring",
    }


# -- the context ------------------------------------------------------------------------------


class Special(Context[T]):
    """A context of the user's own."""


@pytest.mark.parametrize(
    "annotation",
    [
        Context,
        Context[int],
        Special,
        Special[str],
        Context | None,
        OLD_CONTEXT,
        Annotated[Context, "note"],
    ],
    ids=str,
)
def test_context(annotation: Any) -> None:
    def tool(a: int, where: Any = None) -> None: ...

    tool.__annotations__["where"] = annotation
    function = compiled(tool)
    assert function.context == "where"
    assert function.parameters == ("a",)
    assert list(function.input_schema["properties"]) == ["a"]
    assert function.bind(b'{"a": 1}') == {"a": 1}
    with pytest.raises(BadArguments, match="where"):
        function.bind(b'{"a": 1, "where": 2}')


@pytest.mark.parametrize("annotation", [int, list[int], dict[str, Any], Any], ids=str)
def test_no_context(annotation: Any) -> None:
    def tool(a: Any) -> None: ...

    tool.__annotations__["a"] = annotation
    assert compiled(tool).context is None


# -- bad arguments ----------------------------------------------------------------------------


def nested(a: int, b: list[Pair]) -> None: ...


@pytest.mark.parametrize(
    ("arguments", "paths"),
    [
        ({}, ["$.a", "$.b"]),
        ({"a": 1}, ["$.b"]),
        ({"a": "x", "b": []}, ["$.a"]),
        ({"a": None, "b": []}, ["$.a"]),
        ({"a": 1, "b": [], "c": 1}, ["$.c"]),
        ({"a": 1, "b": [{"x": 1, "y": []}, {"x": 1, "y": ["a", 5]}]}, ["$.b[1].y[1]"]),
        ([], ["$"]),
        (None, ["$"]),
        ("x", ["$"]),
    ],
)
def test_bad_arguments(arguments: Any, paths: list[str]) -> None:
    with pytest.raises(BadArguments) as caught:
        bind(nested, arguments)
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == paths
    assert all(line.partition(": ")[2] for line in lines)


def test_bad_arguments_are_not_repeated() -> None:
    with pytest.raises(BadArguments) as caught:
        bind(nested, {"a": "hunter2", "b": "hunter3"})
    assert "hunter" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_number_of_flaws_is_bounded() -> None:
    def tool(a: list[int]) -> None: ...

    with pytest.raises(BadArguments) as caught:
        bind(tool, {"a": ["x"] * 1000})
    assert len(str(caught.value).splitlines()) <= 20


@pytest.mark.parametrize("raw", [b"", b"{", b'{"a": NaN}', b"\xff", b"[" * 1000])
def test_broken_json(raw: bytes) -> None:
    with pytest.raises(BadArguments):
        compiled(plain).bind(raw)


# -- arguments as text ------------------------------------------------------------------------


def test_text_is_read_as_the_parameters_type() -> None:
    def tool(a: int, b: str, c: list[int], d: bool = False) -> None: ...

    bound = compiled(tool).bind_text({"a": "5", "b": "5", "c": "[1, 2]", "d": "true"})
    assert bound == {"a": 5, "b": "5", "c": [1, 2], "d": True}
    with pytest.raises(BadArguments, match=r"\$\.a"):
        compiled(tool).bind_text({"a": "x", "b": "", "c": "[]"})


class Strict(BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    day: datetime.date
    size: int


@pytest.mark.parametrize(
    ("given", "flaw"),
    [
        ('{"day": "2024-02-29"}', r"\$\.a\.size: Field required"),
        ('{"day": "2024-02-29", "size": "x"}', r"\$\.a\.size: .*integer"),
        ("[1]", r"\$\.a: .*(object|dictionary)"),
        ("text", r"\$\.a: .*(object|dictionary)"),
    ],
)
def test_text_for_a_model_is_told_which_field_is_wrong(given: str, flaw: str) -> None:
    def tool(a: Strict, b: int = 0) -> None: ...

    function = compiled(tool)
    with pytest.raises(BadArguments, match=flaw) as caught:
        function.bind_text({"a": given})
    assert len(str(caught.value).splitlines()) == 1
    bound = function.bind_text({"a": '{"day": "2024-02-29", "size": 1}', "b": "2"})
    assert bound == {"a": Strict(day=datetime.date(2024, 2, 29), size=1), "b": 2}


# -- refused at registration ------------------------------------------------------------------


class Opaque:
    """Nothing that JSON has."""


def with_star(*args: int) -> None: ...
def with_kwargs(**kwargs: int) -> None: ...
def positional(a: int, /) -> None: ...
def opaque(a: int, b: Opaque) -> None: ...
def opaque_inside(b: dict[str, list[Opaque]]) -> None: ...
def function_argument(b: Callable[[int], str]) -> None: ...


@pytest.mark.parametrize(
    ("function", "parameter"),
    [
        (with_star, "args"),
        (with_kwargs, "kwargs"),
        (positional, "a"),
        (opaque, "b"),
        (opaque_inside, "b"),
        (function_argument, "b"),
    ],
)
def test_bad_signatures(function: Any, parameter: str) -> None:
    with pytest.raises(RegistrationError) as caught:
        compiled(function)
    assert f"tool {function.__name__!r}, parameter {parameter!r}: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_bad_result() -> None:
    def tool() -> dict[str, Opaque]: ...  # type: ignore[empty-body]

    with pytest.raises(RegistrationError, match="tool 'tool', its result: "):
        compiled(tool)


def test_unknown_names() -> None:
    def tool(a: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(RegistrationError, match=r"tool 'tool'.*Nowhere"):
        compiled(tool)


@pytest.mark.parametrize("thing", [5, "x", None, object()])
def test_no_function(thing: Any) -> None:
    with pytest.raises(RegistrationError):
        compiled(thing)


# -- results ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "value", "expected", "kind"),
    [
        (int, 5, 5, "integer"),
        (float, 1.5, 1.5, "number"),
        (bool, True, True, "boolean"),
        (list[int], [1, 2], [1, 2], "array"),
        (dict[str, int], {"a": 1}, {"a": 1}, "object"),
        (Pair, Pair(1, ["a"]), {"x": 1, "y": ["a"]}, "object"),
        (Options, {"deep": True}, {"deep": True}, "object"),
        (Model, Model(theX=1), {"theX": 1}, "object"),
        (Frozen, Frozen(1), {"x": 1, "y": "z"}, "object"),
        (list[Pair], [Pair(1, [])], [{"x": 1, "y": []}], "array"),
        (Colour, Colour.RED, "red", "string"),
        (int | None, None, None, None),
    ],
    ids=str,
)
def test_structured_results(annotation: Any, value: Any, expected: Any, kind: Any) -> None:
    def tool() -> Any: ...

    tool.__annotations__["return"] = annotation
    function = compiled(tool)
    assert function.output_schema is not None
    assert function.output_schema.get("type") == kind
    assert "title" not in function.output_schema
    result = function.result(value)
    assert structured(result) == expected
    assert json.loads(text(result)) == expected
    assert not result.is_error


def untyped() -> Any: ...
def texts() -> str: ...  # type: ignore[empty-body]
def nothing() -> None: ...
def contents() -> list[TextContent | ImageContent]: ...  # type: ignore[empty-body]
def one_content() -> TextContent: ...  # type: ignore[empty-body]
def full() -> CallToolResult: ...  # type: ignore[empty-body]


IMAGE = ImageContent("AAAA", "image/png")


@pytest.mark.parametrize(
    ("function", "value", "content"),
    [
        (texts, "hello", (TextContent("hello"),)),
        (untyped, "hello", (TextContent("hello"),)),
        (nothing, None, ()),
        (untyped, None, ()),
        (one_content, TextContent("x"), (TextContent("x"),)),
        (contents, [TextContent("x"), IMAGE], (TextContent("x"), IMAGE)),
        (untyped, [IMAGE, "x"], (IMAGE, TextContent("x"))),
        (untyped, ("a", "b"), (TextContent("a"), TextContent("b"))),
        (untyped, AudioContent("AAAA", "audio/wav"), (AudioContent("AAAA", "audio/wav"),)),
        (untyped, ResourceLink("a", "b://c"), (ResourceLink("a", "b://c"),)),
        (untyped, [], (TextContent("[]"),)),
        (untyped, [1, "x"], (TextContent('[1,"x"]'),)),
        (untyped, 5, (TextContent("5"),)),
    ],
)
def test_content_results(function: Any, value: Any, content: Any) -> None:
    tool = compiled(function)
    assert tool.output_schema is None
    result = tool.result(value)
    assert result.content == content
    assert result.structured_content is UNSET


def test_embedded_resource() -> None:
    block = EmbeddedResource(TextResourceContents("a://b", "text"))
    assert compiled(untyped).result(block).content == (block,)


def test_object_without_annotation_is_structured() -> None:
    assert structured(compiled(untyped).result({"a": [1]})) == {"a": [1]}
    assert structured(compiled(untyped).result(Pair(1, []))) == {"x": 1, "y": []}


def test_whole_result_is_passed_on() -> None:
    result = CallToolResult((TextContent("x"),), is_error=True)
    for function in (full, untyped, texts):
        assert compiled(function).result(result) is result


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, "x"),
        (int, None),
        (list[int], ["x"]),
        (Pair, {"x": "a"}),
        (Pair, Opaque()),
        (Frozen, Opaque()),
        (dict[str, int], {"a": "b"}),
    ],
    ids=str,
)
def test_wrong_output(annotation: Any, value: Any) -> None:
    def tool() -> Any: ...

    tool.__annotations__["return"] = annotation
    with pytest.raises((TypeError, ValueError)):
        compiled(tool).result(value)


def test_output_that_json_lacks() -> None:
    with pytest.raises((TypeError, ValueError)):
        compiled(untyped).result(Opaque())


def test_promised_structure_is_checked_in_whole_results() -> None:
    def tool() -> Pair: ...  # type: ignore[empty-body]

    function = compiled(tool)
    failed = CallToolResult((TextContent("no"),), is_error=True)
    assert function.result(failed) is failed
    good = CallToolResult((), structured_content={"x": 1, "y": []})
    assert function.result(good) is good
    for bad in (CallToolResult(()), CallToolResult((), structured_content={"x": "a"})):
        with pytest.raises(ValueError, match=r"structured content|validation error"):
            function.result(bad)


# -- given schemas ----------------------------------------------------------------------------

GIVEN = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def takes_all(arguments: dict[str, Any], ctx: Context[None]) -> Any:
    return arguments


def test_given_input_schema() -> None:
    tool = compiled(takes_all, input_schema=GIVEN)
    assert tool.input_schema == GIVEN
    assert tool.context == "ctx"
    assert tool.bind(b'{"a": 1, "b": 2}') == {"arguments": {"a": 1, "b": 2}}
    with pytest.raises(BadArguments, match=r"\$\.a"):
        tool.bind(b'{"a": "x"}')
    with pytest.raises(BadArguments):
        tool.bind(b"{}")
    with pytest.raises(BadArguments):
        tool.bind(b"{")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"},
        {},
        {"type": "object", "properties": 5},
        {"type": "object", "$ref": "https://example.com/schema"},
        {"type": "object", "$schema": "https://example.com/unknown"},
    ],
)
def test_bad_input_schema(schema: dict[str, Any]) -> None:
    with pytest.raises(RegistrationError, match="tool 'takes_all'"):
        compiled(takes_all, input_schema=schema)


def test_given_input_schema_wants_one_parameter() -> None:
    with pytest.raises(RegistrationError, match="takes one mapping"):
        compiled(plain, input_schema=GIVEN)


def test_given_output_schema() -> None:
    tool = compiled(untyped, output_schema=GIVEN)
    assert tool.output_schema == GIVEN
    assert structured(tool.result({"a": 1})) == {"a": 1}
    with pytest.raises(ValueError, match=r"\$\.a"):
        tool.result({"a": "x"})
    with pytest.raises(RegistrationError, match="its output schema"):
        compiled(untyped, output_schema={"type": "nothing"})


# -- forms ------------------------------------------------------------------------------------


class FormModel(BaseModel):
    name: str = Field(description="Yours", min_length=1)


def test_form() -> None:
    @dataclass
    class Asked:
        name: str
        colour: Colour
        tags: list[Literal["a", "b"]]
        sure: bool = False

    form = compile_form(Asked)
    assert form.schema["type"] == "object"
    assert form.schema["required"] == ["name", "colour", "tags"]
    described = form.schema["properties"]
    assert described["name"] == {"type": "string"}
    assert described["colour"]["enum"] == ["red", "blue"]
    assert described["tags"]["items"]["enum"] == ["a", "b"]
    assert described["sure"] == {"type": "boolean", "default": False}
    assert "$ref" not in json.dumps(form.schema)
    answer = form.read({"name": "n", "colour": "red", "tags": ["a"]})
    assert answer == Asked("n", Colour.RED, ["a"])
    with pytest.raises(BadArguments, match=r"\$\.colour"):
        form.read({"name": "n", "colour": "green", "tags": []})


def test_form_of_a_model() -> None:
    form = compile_form(FormModel)
    assert form.schema["properties"]["name"]["description"] == "Yours"
    assert form.read({"name": "x"}) == FormModel(name="x")
    with pytest.raises(BadArguments):
        form.read({"name": ""})


@dataclass
class Deep:
    pair: Pair


@dataclass
class Listed:
    numbers: list[int]


@pytest.mark.parametrize("asked", [int, list[str], dict[str, int], Deep, Listed, Opaque, 5])
def test_no_form(asked: Any) -> None:
    with pytest.raises(RegistrationError):
        compile_form(asked)


def test_no_pydantic_error_leaves() -> None:
    """Users need not know what it is made of."""
    with pytest.raises(RegistrationError) as caught:
        compiled(opaque)
    assert not isinstance(caught.value, pydantic.errors.PydanticUserError)
