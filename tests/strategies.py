"""Hypothesis strategies for every payload, derived from the classes themselves.

`payloads(shape, revision)` builds instances that may be sent in that revision: what a field's
type does not say (a URI, a priority between 0 and 1, the shape of a form) is in `_MEANING`, and
what only some revisions allow is asked of the revision's row.
"""

from __future__ import annotations

import functools
from base64 import b64encode
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from trimcp import types as t
from trimcp.protocol._codec import codec_for
from trimcp.protocol._revisions import LATEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

    from trimcp.protocol._revisions import Method, Revision


def examples(count: int) -> settings:
    """Settings for that many examples, times what the loaded profile asks above its default."""
    factor = settings().max_examples / 100
    return settings(
        max_examples=max(1, round(count * factor)),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


# -- JSON -------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
INTEGERS = st.integers(-(2**53), 2**53)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | INTEGERS
SCALARS = st.none() | st.booleans() | INTEGERS | NUMBERS | TEXT


def objects(values: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    """Small JSON objects."""
    return st.dictionaries(TEXT, values, max_size=2)


JSON_VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | objects(inner), max_leaves=4
)
JSON_OBJECTS = objects(JSON_VALUES)

# The newest JSON Schema's `JSONValue` has neither null nor fractions, unlike its schema.ts. These
# are for the fields that it describes with it.
OPEN_OBJECTS = objects(
    st.recursive(
        st.booleans() | INTEGERS | TEXT,
        lambda inner: st.lists(inner, max_size=2) | objects(inner),
        max_leaves=4,
    )
)

# -- strings and numbers that mean something --------------------------------------------------

NAMES = st.text("abcdefgh-_.", min_size=1, max_size=8)
URIS = NAMES.map(lambda name: f"https://example.com/{name}")
FILE_URIS = NAMES.map(lambda name: f"file:///{name}")
URI_TEMPLATES = NAMES.map(lambda name: f"db://{name}/{{table}}")
BASE64 = st.binary(max_size=6).map(lambda data: b64encode(data).decode())
MIME_TYPES = st.sampled_from(["text/plain", "image/png", "audio/wav", "application/json"])
FRACTIONS = st.floats(0, 1) | st.integers(0, 1)
TIMES = st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")

# -- schemas ----------------------------------------------------------------------------------

PROPERTY_SCHEMAS = st.sampled_from(
    [{}, {"type": "string"}, {"type": "integer", "minimum": 0}, {"enum": ["a", "b"]}]
)
OBJECT_SCHEMAS = st.fixed_dictionaries(
    {"type": st.just("object")},
    optional={
        "properties": st.dictionaries(NAMES, PROPERTY_SCHEMAS, max_size=2),
        "required": st.lists(NAMES, max_size=2, unique=True),
    },
)
OTHER_SCHEMAS = st.sampled_from(
    [
        {"type": "array", "items": {"type": "integer"}},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"type": "array", "items": {"$ref": "#/$defs/Node"}, "$defs": {"Node": {"$ref": "#"}}},
        {"$ref": "#/$defs/Node", "$defs": {"Node": {"type": "object"}}},
    ]
)
FORM_FIELDS = [
    {"type": "string", "title": "Name", "minLength": 1},
    {"type": "string", "format": "email"},
    {"type": "integer", "minimum": 0, "maximum": 9},
    {"type": "number", "description": "a number"},
    {"type": "boolean", "default": True},
    {"type": "string", "enum": ["a", "b"], "enumNames": ["A", "B"]},
]
NEWER_FORM_FIELDS = [
    {"type": "string", "default": "x"},
    {"type": "string", "oneOf": [{"const": "a", "title": "A"}]},
    {"type": "array", "items": {"type": "string", "enum": ["a"]}, "default": ["a"]},
    {"type": "array", "items": {"anyOf": [{"const": "a", "title": "A"}]}, "maxItems": 1},
]


def _forms(revision: Revision, _: bool) -> SearchStrategy[dict[str, Any]]:
    fields = FORM_FIELDS + NEWER_FORM_FIELDS * revision.content_lists
    return st.fixed_dictionaries(
        {
            "type": st.just("object"),
            "properties": st.dictionaries(NAMES, st.sampled_from(fields), max_size=2),
        },
        optional={"required": st.lists(NAMES, max_size=2, unique=True)},
    )


def _form_answers(revision: Revision, _: bool) -> SearchStrategy[dict[str, Any]]:
    # The published JSON Schemas say `integer` where schema.ts says `number`, so no fractions.
    values: SearchStrategy[Any] = TEXT | INTEGERS | st.booleans()
    if revision.content_lists:
        values |= st.lists(TEXT, max_size=2)
    return objects(values)


def _sampling_content(revision: Revision, known_only: bool) -> SearchStrategy[tuple[Any, ...]]:
    if revision.content_lists:
        block = payloads(t.SamplingMessageContentBlock, revision, known_only=known_only)
        return st.lists(block, max_size=2).map(tuple)
    carried = t.TextContent | t.ImageContent | t.AudioContent
    return st.tuples(payloads(carried, revision, known_only=known_only))


def _input_responses(revision: Revision, _: bool) -> SearchStrategy[dict[str, Any]]:
    return objects(payloads(t.InputResponse, revision).map(codec_for(revision).encode))


_MEANING: dict[str, SearchStrategy[Any] | Callable[[Revision, bool], SearchStrategy[Any]]] = {
    "uri": URIS,
    "ElicitRequestURLParams.url": URIS,
    "src": URIS,
    "website_url": URIS,
    "uri_template": URI_TEMPLATES,
    "Root.uri": FILE_URIS,
    "ResourceTemplateReference.uri": URI_TEMPLATES,
    "ImageContent.data": BASE64,
    "AudioContent.data": BASE64,
    "blob": BASE64,
    "mime_type": MIME_TYPES,
    "last_modified": TIMES,
    "priority": FRACTIONS,
    "cost_priority": FRACTIONS,
    "speed_priority": FRACTIONS,
    "intelligence_priority": FRACTIONS,
    "ttl_ms": st.integers(0, 2**31),
    "input_schema": OBJECT_SCHEMAS,
    "output_schema": OBJECT_SCHEMAS | OTHER_SCHEMAS,
    "requested_schema": _forms,
    "ElicitResult.content": _form_answers,
    "SamplingMessage.content": _sampling_content,
    "CreateMessageResult.content": _sampling_content,
    "input_responses": _input_responses,
    "metadata": OPEN_OBJECTS,
    "experimental": objects(OPEN_OBJECTS),
    "extensions": objects(OPEN_OBJECTS),
    "ServerCapabilities.logging": OPEN_OBJECTS,
    "ServerCapabilities.completions": OPEN_OBJECTS,
    "SamplingCapability.context": OPEN_OBJECTS,
    "SamplingCapability.tools": OPEN_OBJECTS,
    "ElicitationCapability.form": OPEN_OBJECTS,
    "ElicitationCapability.url": OPEN_OBJECTS,
    "structured_content": JSON_VALUES | st.just(t.UNSET),
}

# -- payloads ---------------------------------------------------------------------------------


@functools.cache
def payloads(
    shape: Any, revision: Revision = LATEST, *, known_only: bool = False
) -> SearchStrategy[Any]:
    """Instances of a payload class, or of a union of them, that the revision can send.

    Args:
        shape: The class or union.
        revision: The revision.
        known_only: Leave out the fields that the revision does not know, so that what comes
            back from the wire can be equal.
    """
    if not isinstance(shape, type):
        return st.one_of(
            [payloads(member, revision, known_only=known_only) for member in get_args(shape)]
        )
    if shape is t.InputRequest:
        return _questions(revision, known_only)
    hidden = revision.hidden.get(shape, frozenset()) if known_only else frozenset()
    fields = {
        field.name: _values(shape, field, revision, known_only)
        for field in attrs.fields(shape)
        if field.name not in hidden
    }
    return st.builds(shape, **fields)


def _questions(revision: Revision, known_only: bool) -> SearchStrategy[t.InputRequest]:
    """Each method with params of its own kind."""
    methods = revision.input_requests.values()
    return st.one_of([_question(method, revision, known_only) for method in methods])


def _question(
    method: Method, revision: Revision, known_only: bool
) -> SearchStrategy[t.InputRequest]:
    params: SearchStrategy[Any] = st.none()
    if method.params is not None:
        params = payloads(method.params, revision, known_only=known_only)
    return st.builds(t.InputRequest, method=st.just(method.name), params=params)


def _values(
    cls: type, field: attrs.Attribute[Any], revision: Revision, known_only: bool
) -> SearchStrategy[Any]:
    meaning = _MEANING.get(f"{cls.__name__}.{field.name}", _MEANING.get(field.name))
    if meaning is None:
        values = _of_type(field.type, revision, known_only)
    else:
        values = meaning(revision, known_only) if callable(meaning) else meaning
    required = field.name in revision.required.get(cls, frozenset())
    optional = field.default is None and not required
    return st.none() | values if optional else values


def _of_type(cls: Any, revision: Revision, known_only: bool) -> SearchStrategy[Any]:
    if cls in _PLAIN:
        return _PLAIN[cls]
    origin, args = get_origin(cls), get_args(cls)
    if attrs.has(cls):
        return payloads(cls, revision, known_only=known_only)
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(_of_type(args[0], revision, known_only), max_size=2).map(tuple)
    if origin is Mapping:
        return objects(_of_type(args[1], revision, known_only))
    if origin in (Union, UnionType):
        members = (each for each in args if each is not NoneType)
        return st.one_of([_of_type(each, revision, known_only) for each in members])
    raise AssertionError(f"no strategy for {cls}")


_PLAIN: dict[Any, SearchStrategy[Any]] = {
    Any: JSON_VALUES,
    str: TEXT,
    int: INTEGERS,
    float: NUMBERS,
    bool: st.booleans(),
}
