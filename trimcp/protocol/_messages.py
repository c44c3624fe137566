"""JSON-RPC 2.0 messages, from bytes and to bytes.

Decoding is done in two steps. The envelope is read strictly, with `params`, `result` and
`error.data` left as raw JSON; only the method that is really handled decodes its payload, once,
with the types it needs. Nothing here raises for bad input: what cannot be read becomes a
`Malformed`, which says how to answer it.

Specification: Overview, Messages (all revisions).
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from trimcp.errors import INVALID_REQUEST, PARSE_ERROR

from ._nesting import is_deeper

RequestId: TypeAlias = int | str


class Request(msgspec.Struct, gc=False):
    """A request; `params` is raw JSON, or None when absent."""

    id: RequestId
    method: str
    params: Raw | None


class Notification(msgspec.Struct, gc=False):
    """A notification; `params` is raw JSON, or None when absent."""

    method: str
    params: Raw | None


class Answer(msgspec.Struct, gc=False):
    """A successful response; `result` is raw JSON."""

    id: RequestId
    result: Raw


class Failure(msgspec.Struct, gc=False):
    """An error response. `id` is None when the peer could not read the request's."""

    id: RequestId | None
    code: int
    message: str
    data: Any = None


class Malformed(msgspec.Struct, gc=False):
    """Input that is no message, and the error that answers it.

    `is_answer` says that it was meant as a response: its id is one of the reader's own, and it
    must not be answered.
    """

    id: RequestId | None
    code: int
    message: str
    is_answer: bool = False


Message: TypeAlias = Request | Notification | Answer | Failure | Malformed


class Batch(msgspec.Struct, gc=False):
    """A JSON array of messages (2025-03-26 only; never empty)."""

    messages: list[Message]


class _Envelope(msgspec.Struct, gc=False):
    jsonrpc: Literal["2.0"]
    id: RequestId | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class _ErrorObject(msgspec.Struct, gc=False):
    code: int
    message: str
    data: Any = None


_decode_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_decode_error: Final = msgspec.json.Decoder(_ErrorObject).decode
_decode_items: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_any: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


def decode(data: bytes, *, nesting: int) -> Message | Batch:
    """Read one line.

    Args:
        data: The bytes between two newlines.
        nesting: The deepest nesting accepted.
    """
    flaw = _unreadable(data, nesting)
    if flaw is not None:
        return Malformed(None, PARSE_ERROR, flaw)
    if data.lstrip(b" \t\r\n")[:1] == b"[":
        return _decode_batch(data)
    return _decode_one(data)


def _decode_one(data: bytes | Raw) -> Message:
    try:
        return _classify(_decode_envelope(data))
    except msgspec.ValidationError as error:
        return _explain(data, str(error))
    except (msgspec.DecodeError, RecursionError) as error:
        return Malformed(None, PARSE_ERROR, f"parse error: {error}")


def _classify(envelope: _Envelope) -> Message:
    """Tell the kinds of message apart by the members that are present."""
    if isinstance(envelope.method, str):
        params = None if envelope.params is UNSET else envelope.params
        if isinstance(envelope.id, UnsetType):
            return Notification(envelope.method, params)
        return Request(envelope.id, envelope.method, params)
    identity = None if isinstance(envelope.id, UnsetType) else envelope.id
    if isinstance(envelope.error, Raw):
        return _failure(identity, envelope.error)
    if isinstance(envelope.result, Raw) and identity is not None:
        return Answer(identity, envelope.result)
    if isinstance(envelope.result, Raw):
        return Malformed(None, INVALID_REQUEST, "invalid response: no id", is_answer=True)
    return Malformed(identity, INVALID_REQUEST, "invalid request: no method, result or error")


def _failure(identity: RequestId | None, error: Raw) -> Message:
    try:
        parsed = _decode_error(error)
    except (msgspec.DecodeError, RecursionError) as flaw:
        text = f"invalid error response: {flaw}"
        return Malformed(identity, INVALID_REQUEST, text, is_answer=True)
    return Failure(identity, parsed.code, parsed.message, parsed.data)


def _explain(data: bytes | Raw, flaw: str) -> Message:
    """Find the id of JSON that is no JSON-RPC message, so that the error can carry it."""
    try:
        value = _decode_any(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        return Malformed(None, PARSE_ERROR, f"parse error: {error}")
    if not isinstance(value, dict):
        return Malformed(None, INVALID_REQUEST, "invalid request: a message is a JSON object")
    identity = value.get("id")
    if identity is None and isinstance(value.get("error"), dict):
        # JSON-RPC answers what it could not read with `"id": null`.
        return _failure(None, Raw(_encode(value["error"])))
    if type(identity) not in (int, str):
        identity = None
    is_answer = "method" not in value and ("result" in value or "error" in value)
    return Malformed(identity, INVALID_REQUEST, f"invalid request: {flaw}", is_answer)


def _decode_batch(data: bytes) -> Message | Batch:
    try:
        items = _decode_items(data)
    except (msgspec.DecodeError, RecursionError) as error:
        return Malformed(None, PARSE_ERROR, f"parse error: {error}")
    if not items:
        return Malformed(None, INVALID_REQUEST, "invalid request: the batch is empty")
    return Batch([_decode_one(item) for item in items])


# -- what the JSON library would not refuse, or only deep inside ------------------------------


def _unreadable(data: bytes, nesting: int) -> str | None:
    """Say why this is no JSON text of ours: not UTF-8, or nested too deeply."""
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return f"parse error: not UTF-8 at byte {error.start}"
    if is_deeper(data, nesting):
        return f"parse error: nested deeper than {nesting} levels"
    return None


_HEAD: Final = re.compile(
    rb'\s*\{\s*"jsonrpc"\s*:\s*"2\.0"\s*,\s*"id"\s*:\s*(-?\d{1,18}|"[^"\\]*")\s*,'
    rb'\s*"(method|params|result|error)"'
)


def malformed_from_head(head: bytes, code: int, flaw: str) -> Malformed:
    """A message whose end is missing, with the id and kind that its beginning clearly tells."""
    found = _HEAD.match(head)
    try:
        identity = None if found is None else _decode_any(found[1])
    except (msgspec.DecodeError, UnicodeDecodeError):
        identity = None
    is_answer = found is not None and found[2] in (b"result", b"error")
    return Malformed(identity, code, flaw, is_answer)


# -- to bytes ---------------------------------------------------------------------------------


def encode_request(identity: RequestId, method: str, params: Any) -> bytes:
    """One line without its newline. `params` is a wire mapping, or None for none."""
    if params is None:
        return _encode({"jsonrpc": "2.0", "id": identity, "method": method})
    return _encode({"jsonrpc": "2.0", "id": identity, "method": method, "params": params})


def encode_notification(method: str, params: Any) -> bytes:
    """One line without its newline. `params` is a wire mapping, or None for none."""
    if params is None:
        return _encode({"jsonrpc": "2.0", "method": method})
    return _encode({"jsonrpc": "2.0", "method": method, "params": params})


def encode_answer(identity: RequestId, result: Any) -> bytes:
    """One line without its newline. `result` is a wire mapping.

    Raises:
        TypeError, ValueError: `result` holds something that JSON cannot.
    """
    return _encode({"jsonrpc": "2.0", "id": identity, "result": result})


def encode_failure(
    identity: RequestId | None, code: int, message: str, data: Any, *, omit_id: bool
) -> bytes:
    """One line without its newline.

    Args:
        identity: The request's id, or None if it could not be read.
        code: The error code.
        message: One sentence.
        data: Detail, or None for none.
        omit_id: Leave an unknown id out, where the revision allows it; otherwise it is null.
    """
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    if identity is None and omit_id:
        return _encode({"jsonrpc": "2.0", "error": error})
    return _encode({"jsonrpc": "2.0", "id": identity, "error": error})


def join_batch(answers: list[bytes]) -> bytes:
    """The single answer to a batch."""
    return b"[" + b",".join(answers) + b"]"
