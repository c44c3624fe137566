"""What the codec writes is valid by the specification's own JSON Schemas, in every revision."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, get_args

import attrs
import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples, payloads
from trimcp import types as t
from trimcp.protocol._codec import (
    CACHE_SCOPE,
    COMPLETE,
    INPUT_REQUIRED,
    META,
    META_CLIENT_CAPABILITIES,
    META_CLIENT_INFO,
    META_PROTOCOL_VERSION,
    META_SERVER_INFO,
    META_SUBSCRIPTION_ID,
    RESULT_TYPE,
    TTL_MS,
    codec_for,
    wire_name,
)
from trimcp.protocol._revisions import REVISIONS, Era

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimcp.protocol._revisions import Method, Revision

#: The published schemas without their prose; `strip.py` beside them takes newer ones over.
SCHEMAS = Path(__file__).resolve().parents[1] / "schemas"

# -- the published schemas --------------------------------------------------------------------


@functools.cache
def schema(revision: Revision) -> dict[str, Any]:
    published: dict[str, Any] = json.loads((SCHEMAS / f"{revision.date}.json").read_text())
    return published


def definitions(revision: Revision) -> dict[str, Any]:
    published = schema(revision)
    found: dict[str, Any] = published.get("$defs") or published["definitions"]
    return found


def refuse(uri: str) -> NoReturn:
    raise AssertionError(f"the schema refers to {uri}")


@functools.cache
def validator(revision: Revision, name: str) -> jsonschema_rs.Validator:
    published = schema(revision)
    key = "$defs" if "$defs" in published else "definitions"
    pointer = {"$schema": published["$schema"], "$ref": f"#/{key}/{name}"}
    return jsonschema_rs.validator_for(
        pointer | {key: published[key]}, validate_formats=True, retriever=refuse
    )


def check(revision: Revision, name: str, value: dict[str, Any]) -> None:
    """Fail with all that is wrong; `name` is a definition."""
    value = json.loads(json.dumps(value))
    errors = [
        f"{error.message} @ {error.instance_path}"
        for error in validator(revision, name).iter_errors(value)
    ]
    assert not errors, (name, errors, value)


def messages(revision: Revision, group: str) -> dict[str, str]:
    """The definitions in a group such as `ClientRequest`, by method name, without tasks."""
    published = definitions(revision)
    if group not in published:
        return {}
    if "anyOf" in published[group]:
        names = [member["$ref"].rpartition("/")[2] for member in published[group]["anyOf"]]
    else:
        # A group of one is written out in place.
        names = [group]
    return {
        published[name]["properties"]["method"]["const"]: name
        for name in names
        if "Task" not in name
    }


# -- every method of every revision -----------------------------------------------------------


class Case(NamedTuple):
    revision: Revision
    name: str
    definition: str
    shape: Any
    """A payload class, a union of them, or None."""

    def __str__(self) -> str:
        return f"{self.revision.date} {self.name}"


def requests() -> Iterator[Case]:
    for revision in REVISIONS:
        for group, table in (
            ("ClientRequest", revision.client_requests),
            ("ServerRequest", revision.server_requests),
            ("InputRequest", revision.input_requests),
        ):
            names = messages(revision, group)
            for method in table.values():
                yield Case(revision, method.name, names[method.name], method.params)


def notifications() -> Iterator[Case]:
    for revision in REVISIONS:
        for group, table in (
            ("ClientNotification", revision.client_notifications),
            ("ServerNotification", revision.server_notifications),
        ):
            names = messages(revision, group)
            for method, shape in table.items():
                yield Case(revision, method, names[method], shape)


def all_methods(revision: Revision) -> Iterator[Method]:
    yield from revision.client_requests.values()
    yield from revision.server_requests.values()
    yield from revision.input_requests.values()


def results() -> Iterator[Case]:
    for revision in REVISIONS:
        for method in all_methods(revision):
            members = get_args(method.result) or (method.result,)
            for cls in members:
                yield Case(revision, method.name, cls.__name__, cls)


def cases(make: Any) -> list[Any]:
    return [pytest.param(case, id=str(case)) for case in make()]


# -- the envelopes that the connection would add ----------------------------------------------


def request_meta(revision: Revision) -> dict[str, Any]:
    if revision.era is Era.HANDSHAKE:
        return {"progressToken": 1}
    return {
        META_PROTOCOL_VERSION: revision.date,
        META_CLIENT_CAPABILITIES: codec_for(revision).encode(t.ClientCapabilities()),
        META_CLIENT_INFO: codec_for(revision).encode(t.Implementation("test", "1")),
    }


def dressed(case: Case, result: dict[str, Any]) -> dict[str, Any]:
    """A result as its era sends it."""
    revision = case.revision
    if revision.era is Era.HANDSHAKE or case.name in revision.input_requests:
        return result
    is_question = case.shape is t.InputRequiredResult
    result = result | {RESULT_TYPE: INPUT_REQUIRED if is_question else COMPLETE}
    meta: dict[str, Any] = {
        META_SERVER_INFO: codec_for(revision).encode(t.Implementation("test", "1"))
    }
    if case.shape is t.SubscriptionsListenResult:
        meta[META_SUBSCRIPTION_ID] = 1
    result[META] = result.get(META, {}) | meta
    if case.name in revision.cacheable and not is_question:
        result = {TTL_MS: 0, CACHE_SCOPE: "private"} | result
    return result


# -- tests ------------------------------------------------------------------------------------


def test_schemas_present() -> None:
    assert {path.stem for path in SCHEMAS.glob("*.json")} == {each.date for each in REVISIONS}


@pytest.mark.parametrize("case", cases(requests))
@examples(25)
@given(data=st.data())
def test_request(case: Case, data: st.DataObject) -> None:
    encode = codec_for(case.revision).encode
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": case.name}
    message["params"] = {META: request_meta(case.revision)}
    if case.shape is not None:
        message["params"] |= encode(data.draw(payloads(case.shape, case.revision)))
    check(case.revision, case.definition, message)


@pytest.mark.parametrize("case", cases(notifications))
@examples(25)
@given(data=st.data())
def test_notification(case: Case, data: st.DataObject) -> None:
    encode = codec_for(case.revision).encode
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": case.name}
    if case.shape is not None:
        message["params"] = encode(data.draw(payloads(case.shape, case.revision)))
    check(case.revision, case.definition, message)


@pytest.mark.parametrize("case", cases(results))
@examples(25)
@given(data=st.data())
def test_result(case: Case, data: st.DataObject) -> None:
    result = codec_for(case.revision).encode(data.draw(payloads(case.shape, case.revision)))
    check(case.revision, case.definition, dressed(case, result))


@pytest.mark.parametrize("revision", REVISIONS, ids=str)
def test_methods_are_those_of_the_schema(revision: Revision) -> None:
    assert set(revision.client_requests) == set(messages(revision, "ClientRequest"))
    assert set(revision.server_requests) == set(messages(revision, "ServerRequest"))
    assert set(revision.input_requests) == set(messages(revision, "InputRequest"))
    assert set(revision.client_notifications) == set(messages(revision, "ClientNotification"))
    assert set(revision.server_notifications) == set(messages(revision, "ServerNotification"))


# -- fields -----------------------------------------------------------------------------------

# Envelope members that the connection adds, and tasks, which are not part of the vocabulary.
NOT_FIELDS = {RESULT_TYPE, "task", "tasks", "execution"}


def schemas_of_classes(revision: Revision) -> Iterator[tuple[type, dict[str, Any]]]:
    """Each payload class of a revision with the schema that describes it."""
    published = definitions(revision)
    for cls in vars(t).values():
        if attrs.has(cls) and cls.__name__ in published and cls is not t.InputRequest:
            described = published[cls.__name__]
            if "$ref" in described:
                described = published[described["$ref"].rpartition("/")[2]]
            yield cls, described
    for case in (*requests(), *notifications()):
        if case.revision is revision and attrs.has(case.shape):
            params = published[case.definition]["properties"]["params"]
            if "$ref" not in params:
                yield case.shape, params
    yield from nested(published)


def nested(published: dict[str, Any]) -> Iterator[tuple[type, dict[str, Any]]]:
    """The classes whose schemas stand inside another's."""
    for owner, name, cls in (
        ("ClientCapabilities", "roots", t.RootsCapability),
        ("ClientCapabilities", "sampling", t.SamplingCapability),
        ("ClientCapabilities", "elicitation", t.ElicitationCapability),
        ("ServerCapabilities", "prompts", t.PromptsCapability),
        ("ServerCapabilities", "resources", t.ResourcesCapability),
        ("ServerCapabilities", "tools", t.ToolsCapability),
        ("CompleteResult", "completion", t.Completion),
    ):
        properties = published[owner]["properties"]
        if name in properties:
            yield cls, properties[name]
    if "ResourceReference" in published:
        yield t.ResourceTemplateReference, published["ResourceReference"]


def is_params(cls: type) -> bool:
    return cls.__name__.endswith("Params")


@pytest.mark.parametrize("revision", REVISIONS, ids=str)
def test_fields_are_those_of_the_schema(revision: Revision) -> None:
    for cls, described in schemas_of_classes(revision):
        properties = set(described.get("properties", ())) - NOT_FIELDS
        if is_params(cls):
            properties.discard(META)
        hidden = revision.hidden.get(cls, frozenset())
        fields = {field.name for field in attrs.fields(cls)} - hidden
        assert {wire_name(name) for name in fields} == properties, (revision, cls)


@pytest.mark.parametrize("revision", REVISIONS, ids=str)
def test_required_fields_are_those_of_the_schema(revision: Revision) -> None:
    for cls, described in schemas_of_classes(revision):
        required = set(described.get("required", ())) - NOT_FIELDS - {TTL_MS, CACHE_SCOPE, META}
        demanded = revision.required.get(cls, frozenset())
        fields = {
            wire_name(field.name)
            for field in attrs.fields(cls)
            if field.default is attrs.NOTHING or field.name in demanded or is_discriminator(field)
        }
        assert fields - {"mode"} == required - {"mode"}, (revision, cls)


def is_discriminator(field: attrs.Attribute[Any]) -> bool:
    return isinstance(field.default, str) and NoneType not in get_args(field.type)
