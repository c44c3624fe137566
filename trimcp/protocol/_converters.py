"""One cattrs converter per revision, assembled from the revision's row.

Four layers, each registered below: JSON values and containers, unions, classes, and the few fields
with special rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

import attrs
from cattrs import Converter, override
from cattrs.fns import identity
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from trimcp import types as t

from . import _degrade as degrade
from ._forgiving import null_members, register_icons, register_lists
from ._given import (
    EncodeError,
    class_encoder,
    give_bool,
    give_float,
    give_id,
    give_int,
    give_object,
    give_str,
    given,
    literal_encoder,
    mapping_encoder,
    tuple_encoder,
    union_encoder,
)
from ._names import COMPLETE, INPUT_REQUIRED, RESULT_TYPE, wire_name
from ._strict import (
    Mismatch,
    expected,
    is_literal,
    is_mapping,
    is_optional,
    is_tuple,
    is_union,
    missing,
    one_of,
    register_strict_hooks,
    structure_float,
    structure_object,
    without_none,
)
from ._text_formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._revisions import Revision

    Encoder = Callable[[Any], Any]
    Decoder = Callable[[Any, Any], Any]


def converter_for(revision: Revision, *, forgiving: bool) -> Converter:
    """Build the converter of a revision.

    Args:
        revision: The revision.
        forgiving: Whether it is for a client, which accepts some flaws in what servers send.
    """
    converter = Converter(detailed_validation=True, omit_if_default=True)
    register_strict_hooks(converter)
    _register_values(converter)
    _register_unions(converter, forgiving=forgiving)
    _register_classes(converter, revision, forgiving=forgiving)
    register_icons(converter)
    if forgiving:
        register_lists(converter)
    # Built when it is first used: few programs ask, and it costs more than all the rest.
    converter.register_structure_hook_factory(
        lambda cls: cls is t.InputRequest,
        lambda _: _input_request_decoder(converter, revision, forgiving=forgiving),
    )
    return converter


# -- JSON values and containers ---------------------------------------------------------------


def _register_values(converter: Converter) -> None:
    """Check and encode JSON's own types as they are, and containers item by item."""

    def optional_of(cls: Any) -> Encoder:
        return converter.get_unstructure_hook(without_none(cls))

    def tuple_of(cls: Any) -> Encoder:
        return tuple_encoder(converter.get_unstructure_hook(get_args(cls)[0]))

    def mapping_of(cls: Any) -> Encoder:
        item = get_args(cls)[1]
        if item is Any or cls == t.ElicitContent:
            return give_object
        return mapping_encoder(converter.get_unstructure_hook(item))

    for cls, encode in _VALUES.items():
        converter.register_unstructure_hook(cls, encode)
    converter.register_unstructure_hook_func(lambda cls: cls is Any, identity)
    converter.register_unstructure_hook_func(lambda cls: cls == t.RequestId, give_id)
    converter.register_unstructure_hook_factory(is_literal, literal_encoder)
    converter.register_unstructure_hook_factory(is_tuple, tuple_of)
    converter.register_unstructure_hook_factory(is_mapping, mapping_of)
    converter.register_unstructure_hook_factory(is_optional, optional_of)


_VALUES: Final[dict[type, Encoder]] = {
    str: give_str,
    int: give_int,
    float: give_float,
    bool: give_bool,
}


# -- unions of classes ------------------------------------------------------------------------


def _register_unions(converter: Converter, *, forgiving: bool) -> None:
    def decoder(cls: Any) -> Decoder:
        choose = _union_decoder(converter, get_args(cls))
        return _without_null_tags(choose) if forgiving else choose

    def encoder(cls: Any) -> Encoder:
        return _union_encoder(converter, get_args(cls))

    converter.register_structure_hook_factory(_is_class_union, decoder)
    converter.register_unstructure_hook_factory(_is_class_union, encoder)


def _is_class_union(cls: Any) -> bool:
    return is_union(cls) and all(attrs.has(each) for each in get_args(cls))


def _union_encoder(converter: Converter, members: tuple[type, ...]) -> Encoder:
    return union_encoder({cls: converter.get_unstructure_hook(cls) for cls in members})


#: The optional members that tell the classes of a union apart.
_TAGS: Final = (RESULT_TYPE, "mode", "text", "blob")


def _union_decoder(converter: Converter, members: tuple[type, ...]) -> Decoder:
    """Choose the class by the key that tells the classes of this union apart."""
    hooks = {cls: converter.get_structure_hook(cls) for cls in members}
    if t.InputRequiredResult in members:
        final, _ = hooks.values()
        table = {COMPLETE: final, INPUT_REQUIRED: hooks[t.InputRequiredResult]}
        return _by_tag(RESULT_TYPE, table, COMPLETE)
    if t.TextResourceContents in members:
        return _by_presence(
            {"text": hooks[t.TextResourceContents], "blob": hooks[t.BlobResourceContents]}
        )
    if t.ElicitRequestFormParams in members:
        return _by_tag("mode", _tagged(hooks, "mode"), "form")
    return _by_tag("type", _tagged(hooks, "type"))


def _without_null_tags(choose: Decoder) -> Decoder:
    """Choose the class of a union as if members that are null were absent."""

    def structure_union(value: Any, _: Any) -> Any:
        if type(value) is dict and any(value.get(key, "") is None for key in _TAGS):
            value = {
                key: each for key, each in value.items() if each is not None or key not in _TAGS
            }
        return choose(value, _)

    return structure_union


def _tagged(hooks: Mapping[type, Decoder], field: str) -> dict[str, Decoder]:
    return {getattr(attrs.fields(cls), field).default: hook for cls, hook in hooks.items()}


def _by_tag(key: str, table: Mapping[str, Decoder], absent: str | None = None) -> Decoder:
    """Choose by the string under a key.

    Args:
        key: The key on the wire.
        table: The hook for each string.
        absent: What a missing key means; None if it is required.
    """
    what = one_of(table)

    def structure_tagged(value: Any, _: Any) -> Any:
        tag = structure_object(value, _).get(key, absent)
        hook = table.get(tag) if type(tag) is str else None
        if hook is None:
            raise expected(what, tag, f".{key}") if key in value else missing(f".{key}")
        return hook(value, _)

    return structure_tagged


def _by_presence(table: Mapping[str, Decoder]) -> Decoder:
    """Choose by the first key that is present."""
    names = " or ".join(f'"{key}"' for key in table)

    def structure_present(value: Any, _: Any) -> Any:
        data = structure_object(value, _)
        for key, hook in table.items():
            if key in data:
                return hook(data, _)
        raise Mismatch(f"expected {names} in the object")

    return structure_present


# -- classes ----------------------------------------------------------------------------------


def _register_classes(converter: Converter, revision: Revision, *, forgiving: bool) -> None:
    def encoder(cls: type) -> Encoder:
        return _class_encoder(converter, revision, cls, forgiving=forgiving)

    def decoder(cls: type) -> Decoder:
        return _class_decoder(converter, revision, cls, forgiving=forgiving)

    converter.register_unstructure_hook_factory(attrs.has, encoder)
    converter.register_structure_hook_factory(attrs.has, decoder)


_AS_TEXT: Final[dict[type, Callable[[Any], t.TextContent]]] = {
    t.AudioContent: degrade.audio_as_text,
    t.ResourceLink: degrade.link_as_text,
}


def _class_encoder(
    converter: Converter, revision: Revision, cls: type, *, forgiving: bool
) -> Encoder:
    if cls in revision.unknown_content:
        return _degraded(converter, revision, cls)
    overrides = _overrides(converter, revision, cls, forgiving=forgiving)
    encode: Encoder = make_dict_unstructure_fn(
        cls, converter, _cattrs_omit_if_default=True, **overrides
    )
    required = revision.required.get(cls)
    if required is not None:
        encode = _demanding(encode, required, cls)

    def encode_field(name: str) -> Encoder:
        special = overrides[name].unstruct_hook
        if special is not None or overrides[name].omit:
            return special or identity
        return converter.get_unstructure_hook(getattr(attrs.fields(cls), name).type)

    return class_encoder(cls, encode, encode_field)


def _degraded(converter: Converter, revision: Revision, cls: type) -> Encoder:
    """Encode a block of an unknown kind as text, or refuse it if text cannot replace it."""
    as_text = _AS_TEXT.get(cls)
    encode_text = converter.get_unstructure_hook(t.TextContent)

    def encode_degraded(block: Any) -> Any:
        if as_text is None:
            raise EncodeError(f"{cls.__name__} cannot be said in revision {revision.date}")
        return encode_text(as_text(block if block.__class__ is cls else given(block, cls)))

    return encode_degraded


def _demanding(encode: Encoder, required: frozenset[str], cls: type) -> Encoder:
    def encode_demanding(value: Any) -> Any:
        for name in required:
            if getattr(value, name) is None:
                raise EncodeError(f"{cls.__name__}.{name} is required in this revision")
        return encode(value)

    return encode_demanding


def _class_decoder(
    converter: Converter, revision: Revision, cls: type, *, forgiving: bool, **special: Any
) -> Decoder:
    overrides = _overrides(converter, revision, cls, forgiving=forgiving) | special
    structure: Decoder = make_dict_structure_fn(
        cls, converter, _cattrs_detailed_validation=True, **overrides
    )
    required = [wire_name(name) for name in revision.required.get(cls, ())]
    nulls = null_members(cls, revision, forgiving=forgiving)

    def structure_class(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise expected("an object", value)
        if nulls is not None and None in value.values():
            absent = nulls(value)
            value = {k: each for k, each in value.items() if each is not None or k not in absent}
        for name in required:
            if name not in value:
                raise missing(f".{name}")
        return structure(value, cls)

    return structure_class


def _overrides(
    converter: Converter, revision: Revision, cls: type, *, forgiving: bool
) -> dict[str, Any]:
    """How each field of a class is handled: its wire name and its hooks, or that it is left out."""
    hidden = revision.hidden.get(cls, frozenset())
    rules = _field_rules(converter, revision, cls)
    if not forgiving:
        # A client writes what it has read unchanged, so it does not check the formats.
        rules |= {name: (encode, None) for name, encode in FORMATS.get(cls, ())}
    overrides = {}
    for field in attrs.fields(cls):
        # A discriminator is always sent, although it has a default.
        kept = field.default is not None and field.default is not t.UNSET
        encode, decode = rules.get(field.name, (None, None))
        overrides[field.name] = override(
            rename=wire_name(field.name),
            omit=field.name in hidden,
            omit_if_default=False if kept else None,
            unstruct_hook=encode,
            struct_hook=decode,
        )
    return overrides


# -- fields with special rules ----------------------------------------------------------------

_Rules = dict[str, tuple["Encoder | None", "Decoder | None"]]


def _field_rules(converter: Converter, revision: Revision, cls: type) -> _Rules:
    rules = _range_rules(cls)
    if cls is t.PromptMessage:
        rules["content"] = (_text_or_block(converter), None)
    if cls in (t.SamplingMessage, t.CreateMessageResult):
        rules["content"] = _one_or_many(converter, revision)
    if cls in (t.CallToolRequestParams, t.GetPromptRequestParams, t.ReadResourceRequestParams):
        rules["input_responses"] = (_responses_encoder(converter), None)
    if revision.structured_any:
        return rules
    if cls in (t.CallToolResult, t.ToolResultContent):
        rules["structured_content"] = (degrade.wrap_value, structure_object)
    if cls is t.Tool:
        rules["output_schema"] = (
            lambda schema: degrade.object_schema(give_object(schema)),
            None,
        )
    return rules


#: Numbers that the schema bounds on both sides.
_PRIORITIES: Final[dict[type, tuple[str, ...]]] = {
    t.Annotations: ("priority",),
    t.ModelPreferences: ("cost_priority", "speed_priority", "intelligence_priority"),
}


def _range_rules(cls: type) -> _Rules:
    """Numbers outside their range are never sent, and are read as absent."""
    return {name: (_encode_priority, _structure_priority) for name in _PRIORITIES.get(cls, ())}


def _encode_priority(value: Any) -> float:
    number = give_float(value)
    if not 0 <= number <= 1:
        raise EncodeError(f"expected a number from 0 to 1, got {number}")
    return number


def _structure_priority(value: Any, _: Any) -> float | None:
    number = structure_float(value, _)
    return number if 0 <= number <= 1 else None


def _text_or_block(converter: Converter) -> Encoder:
    """The content of a prompt's message: a plain string becomes a text block."""
    encode = converter.get_unstructure_hook(t.ContentBlock)

    def encode_content(block: Any) -> Any:
        return encode(t.TextContent(block) if isinstance(block, str) else block)

    return encode_content


def _one_or_many(converter: Converter, revision: Revision) -> tuple[Encoder, Decoder]:
    """The content of a sampling message: a single block, or a list of several."""
    encode = converter.get_unstructure_hook(t.SamplingMessageContentBlock)
    decode = converter.get_structure_hook(t.SamplingMessageContentBlock)
    decode_all = converter.get_structure_hook(tuple[t.SamplingMessageContentBlock, ...])

    def encode_content(blocks: tuple[Any, ...]) -> Any:
        if len(blocks) == 1:
            return encode(blocks[0])
        if not revision.content_lists:
            raise EncodeError(
                f"a sampling message in revision {revision.date} has exactly one content block, "
                f"not {len(blocks)}"
            )
        return [encode(block) for block in blocks]

    def decode_content(value: Any, _: Any) -> tuple[Any, ...]:
        return decode_all(value, _) if type(value) is list else (decode(value, _),)

    return encode_content, decode_content


def _responses_encoder(converter: Converter) -> Encoder:
    """Answers are payloads, or mappings in wire form, which are kept verbatim."""

    def encode_responses(responses: Mapping[str, Any]) -> dict[str, Any]:
        return {
            key: converter.unstructure(value) if attrs.has(value.__class__) else value
            for key, value in responses.items()
        }

    return encode_responses


def _input_request_decoder(converter: Converter, revision: Revision, *, forgiving: bool) -> Decoder:
    """Choose the class of the params by the method."""
    hooks: dict[str, Decoder] = {}
    for name, method in revision.input_requests.items():
        hooks[name] = _question_decoder(converter, revision, method.params, forgiving=forgiving)
    return _by_tag("method", hooks)


def _question_decoder(
    converter: Converter, revision: Revision, params: Any, *, forgiving: bool
) -> Decoder:
    def decoder(**how: Any) -> Decoder:
        special = {"params": override(**how)}
        return _class_decoder(converter, revision, t.InputRequest, forgiving=forgiving, **special)

    if params is None:
        return decoder(omit=True)
    decode = decoder(struct_hook=converter.get_structure_hook(params))

    def structure_question(value: Any, _: Any) -> Any:
        if "params" not in value:
            raise missing(".params")
        return decode(value, _)

    return structure_question
