"""How payloads of the newest revision are expressed in older revisions.

Handlers use the newest vocabulary. What an older revision cannot carry is not dropped but converted
to something that this revision has:

* a content block of an unknown kind becomes a text block that says what it was;
* structured content that is not an object is wrapped as `{"result": value}`;
* an output schema that allows more than objects is wrapped in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw

from trimcp.types import AudioContent, ResourceLink, TextContent

if TYPE_CHECKING:
    from collections.abc import Mapping

RESULT: Final = "result"
"""The only property of a wrapped value; other SDKs use this name too."""


# -- content ----------------------------------------------------------------------------------


def audio_as_text(block: AudioContent) -> TextContent:
    """The text that replaces audio content, where a revision has none."""
    text = f"[{block.mime_type} left out: this protocol revision cannot carry audio]"
    return TextContent(text, block.annotations)


def link_as_text(block: ResourceLink) -> TextContent:
    """The text that replaces a resource link, where a revision has none: its URI."""
    return TextContent(f"Resource {block.title or block.name}: {block.uri}", block.annotations)


# -- structured content -----------------------------------------------------------------------


def wrap_value(value: Any) -> Any:
    """Wrap a structured value that is not an object. The value may be encoded JSON."""
    if isinstance(value, Raw):
        return value if bytes(value)[:1] == b"{" else {RESULT: value}
    return value if isinstance(value, dict) else {RESULT: value}


def describes_objects(schema: Mapping[str, Any]) -> bool:
    """Whether every value that the schema allows is clearly an object.

    Follows references into `$defs` and the branches of unions. For any other schema the answer is
    no.
    """
    return _all_objects(schema, schema, seen=frozenset())


def _all_objects(schema: object, root: Mapping[str, Any], seen: frozenset[str]) -> bool:
    if not isinstance(schema, dict):
        return False
    if "type" in schema:
        return bool(schema["type"] == "object")
    for union in ("anyOf", "oneOf"):
        branches = schema.get(union)
        if branches:
            return all(_all_objects(branch, root, seen) for branch in branches)
    reference = schema.get("$ref")
    if not isinstance(reference, str) or reference in seen:
        return False
    return _all_objects(_definition(reference, root), root, seen | {reference})


def _definition(reference: str, root: Mapping[str, Any]) -> object:
    place, _, name = reference.rpartition("/")
    if place in ("#/$defs", "#/definitions"):
        return root.get(place[2:], {}).get(name)
    return None


def object_schema(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """An output schema whose root says `"type": "object"`.

    A schema that allows only objects gets at most this member; any other becomes the schema of the
    wrapped value, `{"result": …}`.
    """
    if schema.get("type") == "object":
        return schema
    if describes_objects(schema):
        return {"type": "object", **schema}
    return _wrap_schema(schema)


#: Keywords whose values are data, and those whose keys are names of schemas.
_DATA: Final = frozenset({"const", "enum", "default", "examples"})
_BY_NAME: Final = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
)
#: References to the root of the schema that is evaluated; they cannot be rewritten.
_TO_THE_ROOT: Final = (b'"$recursiveRef":', b'"$dynamicRef":"#"')
#: The `$id` of a schema that has to become a resource of its own.
_OWN_ID: Final = "urn:uuid:5d0c1c3e-7a0b-4c61-9a4e-2f3f0c6f9f51"


def _wrap_schema(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    text = msgspec.json.encode(schema)
    if "$id" not in schema and any(each in text for each in _TO_THE_ROOT):
        schema = {"$id": _OWN_ID, **schema}
    # With `$id` it is a resource of its own, and all its references stay valid.
    own = "$id" in schema
    hoisted = ("$schema",) if own else ("$schema", "$defs", "definitions")
    moved = schema if own else _repointed(schema)
    inner = {key: value for key, value in moved.items() if key not in hoisted}
    outer = {key: moved[key] for key in hoisted if key in moved}
    return {"type": "object", "properties": {RESULT: inner}, "required": [RESULT], **outer}


def _repointed(schema: Any) -> Any:
    """Rewrite references to the old root, `#` and `#/…`, to its new place."""
    if isinstance(schema, list):
        return [_repointed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _repointed_value(key, value) for key, value in schema.items()}


def _repointed_value(key: str, value: Any) -> Any:
    if key in _DATA:
        return value
    if key in _BY_NAME and isinstance(value, dict):
        return {name: _repointed(each) for name, each in value.items()}
    return _repoint(value) if key == "$ref" else _repointed(value)


def _repoint(reference: Any) -> Any:
    if not isinstance(reference, str):
        return _repointed(reference)
    if reference.startswith(("#/$defs/", "#/definitions/")):
        return reference
    if reference == "#" or reference.startswith("#/"):
        return f"#/properties/{RESULT}{reference[1:]}"
    return reference
