"""JSON-RPC 2.0 messages, from bytes and to bytes.

Decoding has two steps. The envelope is read strictly, with `params`, `result` and `error.data` left
as raw JSON; the payload is decoded later, once, by the method that handles it. Nothing here raises
for bad input: input that cannot be read becomes a `Malformed`, which holds the error that answers
it.

Specification: Overview, Messages (all revisions).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from trimcp.errors import INVALID_REQUEST, PARSE_ERROR

from ._given import EncodeError
from ._nesting import is_deeper
from ._strict import step

if TYPE_CHECKING:
    from collections.abc import Iterator

RequestId: TypeAlias = int | str

#: Ids and progress tokens are repeated in every message about a request, so a long one would be
#: sent many times. The decoder itself bounds the digits of numbers.
LONGEST_ID: Final = 16 * 1024
ShortId: TypeAlias = int | Annotated[str, msgspec.Meta(max_length=LONGEST_ID)]

#: How many bytes of input that is not a message are kept, to be shown.
_SHOWN: Final = 200


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
    """Input that is not a message, and the error that answers it.

    `is_answer` says that it was meant as a response: its id is of a request of the reader, and it
    must not be answered. `is_request` says that it names a method, so its id is of a request of the
    peer. `head` is its beginning.
    """

    id: RequestId | None
    code: int
    message: str
    is_answer: bool = False
    is_request: bool = False
    head: bytes = b""


Message: TypeAlias = Request | Notification | Answer | Failure | Malformed


class Batch(msgspec.Struct, gc=False):
    """A JSON array of messages (2025-03-26 only; never empty). `head` is its beginning.

    The items are read one by one, so that the receiver can count them before.
    """

    items: list[Raw]
    head: bytes = b""

    def messages(self) -> Iterator[Message]:
        """Read the items."""
        return map(_decode_one, self.items)


class _Envelope(msgspec.Struct, gc=False):
    jsonrpc: Literal["2.0"]
    id: ShortId | UnsetType = UNSET
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
_encode_any: Final = msgspec.json.Encoder().encode


def decode(data: bytes, *, nesting: int) -> Message | Batch:
    """Read one line.

    Args:
        data: The bytes between two newlines. A byte order mark before them is ignored (RFC 8259,
            8.1).
        nesting: The maximum nesting that is accepted, in levels.
    """
    flaw = _unreadable(data, nesting)
    if flaw is None:
        # Nearly everything that is received is one well-formed message.
        try:
            message = _classify(_decode_envelope(data))
        except (msgspec.DecodeError, RecursionError):
            return _decode_other(data, flaw, nesting)
        if not isinstance(message, Malformed):
            return message
    return _decode_other(data, flaw, nesting)


def _decode_other(data: bytes, flaw: str | None, nesting: int) -> Message | Batch:
    """Read a batch, or say what is wrong with a line.

    Args:
        data: The line.
        flaw: What `_unreadable` says of it.
        nesting: See `decode`.
    """
    message = _decode(data, flaw)
    if isinstance(message, Malformed) and data.startswith(_BOM):
        rest = data.removeprefix(_BOM)
        message = _decode(rest, _unreadable(rest, nesting))
    if isinstance(message, Malformed) and message.code == PARSE_ERROR:
        message = _broken_answer(data, message.message) or message
    if isinstance(message, Malformed | Batch):
        message.head = data[:_SHOWN]
    return message


def _decode(data: bytes, flaw: str | None) -> Message | Batch:
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
    has_result = isinstance(envelope.result, Raw)
    # Some servers always write both members, with null in the one that does not apply.
    if isinstance(envelope.error, Raw) and not (has_result and bytes(envelope.error) == b"null"):
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
    """Find the id in JSON that is not a JSON-RPC message, so that the error can carry it."""
    try:
        value = _decode_any(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        return Malformed(None, PARSE_ERROR, f"parse error: {error}")
    if not isinstance(value, dict):
        return Malformed(None, INVALID_REQUEST, "invalid request: a message is a JSON object")
    identity = value.get("id")
    if identity is None and isinstance(value.get("error"), dict):
        # JSON-RPC answers a request that could not be read with `"id": null`.
        return _failure(None, Raw(_encode_any(value["error"])))
    if type(identity) not in (int, str) or len(str(identity)) > LONGEST_ID:
        identity = None
    is_request = "method" in value
    is_answer = not is_request and ("result" in value or "error" in value)
    return Malformed(identity, INVALID_REQUEST, f"invalid request: {flaw}", is_answer, is_request)


def _decode_batch(data: bytes) -> Message | Batch:
    try:
        items = _decode_items(data)
    except (msgspec.DecodeError, RecursionError) as error:
        return Malformed(None, PARSE_ERROR, f"parse error: {error}")
    if not items:
        return Malformed(None, INVALID_REQUEST, "invalid request: the batch is empty")
    return Batch(items)


# -- what the JSON library does not refuse, or only after much work ----------------------------


def _unreadable(data: bytes, nesting: int) -> str | None:
    """Say why the bytes are not read as JSON: not UTF-8, or nested too deeply."""
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return f"parse error: not UTF-8 at byte {error.start}"
    if is_deeper(data, nesting):
        return f"parse error: nested deeper than {nesting} levels"
    return None


_BOM: Final = b"\xef\xbb\xbf"
_ID: Final = rb'"id"\s*:\s*(-?\d{1,18}|"[^"\\]*")'
_VERSION: Final = rb'"jsonrpc"\s*:\s*"2\.0"'
_HEAD: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*\{\s*"
    + _VERSION
    + rb"\s*,\s*"
    + _ID
    + rb'\s*,\s*"(method|params|result|error)"'
)

#: How many bytes at each end of a broken answer are searched for its id.
_END: Final = 256
_EITHER: Final = rb"(?:" + _VERSION + rb"|" + _ID + rb")"
_ANSWER_HEAD: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*\{\s*(?:" + _EITHER + rb'\s*,\s*){0,2}"(?:result|error)"\s*:'
)
#: Quotes within a string are escaped, so a match is a member of the outermost object.
_ANSWER_TAIL: Final = re.compile(rb"(?:,\s*" + _EITHER + rb"\s*){1,2}\}\s*\Z")


def malformed_from_ends(head: bytes, tail: bytes, code: int, flaw: str) -> Malformed:
    """A message whose middle is missing, with its id and kind if its ends show them clearly."""
    found = _HEAD.match(head)
    if found is None:
        return _broken_answer(head + tail, flaw, code) or Malformed(
            None, code, flaw, head=head[:_SHOWN]
        )
    is_answer = found[2] in (b"result", b"error")
    return Malformed(_identity(found[1]), code, flaw, is_answer, not is_answer, head[:_SHOWN])


def _broken_answer(data: bytes, flaw: str, code: int = PARSE_ERROR) -> Malformed | None:
    """A response that cannot be read, with the id from one of its ends; None if it is no response.

    A request that cannot be read is answered with null for its id (JSON-RPC 2.0, 5), but the call
    that waits for a response must learn of it.
    """
    begins = _ANSWER_HEAD.match(data[:_END])
    if begins is None:
        return None
    ends = _ANSWER_TAIL.search(data[-_END:])
    written = begins[1] or (ends and ends[1])
    identity = _identity(written) if written else None
    return Malformed(identity, code, flaw, is_answer=True)


def _identity(written: bytes) -> RequestId | None:
    try:
        identity: RequestId = _decode_any(written)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return identity


# -- to bytes ---------------------------------------------------------------------------------


def _encode(message: Any) -> bytes:
    data = _encode_any(message)
    if b"null" in data:
        # The JSON library writes NaN and infinities as null.
        refuse_non_finite(message)
    return data


def refuse_non_finite(value: Any) -> None:
    """Raise ValueError if there is a NaN or an infinity anywhere, since JSON has neither.

    Args:
        value: A value of dictionaries, lists and the like that will be encoded as JSON.
    """
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, float):
            if not math.isfinite(each):
                raise ValueError(f"{each} cannot be written as JSON: send a number, null or text")
        elif isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, (list, tuple, set, frozenset)):
            waiting.extend(each)


def encode_request(identity: RequestId, method: str, params: Any) -> bytes:
    """One line without its newline. `params` is a wire mapping, or None for none.

    Raises:
        EncodeError: `params` holds something that JSON cannot express; the error says where.
    """
    if params is None:
        return _encode({"jsonrpc": "2.0", "id": identity, "method": method})
    try:
        return _encode({"jsonrpc": "2.0", "id": identity, "method": method, "params": params})
    except (TypeError, ValueError):
        raise _flaw_in(params) from None


def _flaw_in(value: Any) -> EncodeError:
    """The error for what cannot be written as JSON, with its place."""
    try:
        _encode(value)
    except (TypeError, ValueError) as error:
        flaw = EncodeError(f"JSON cannot express it: {error}")
    else:
        return EncodeError("JSON cannot express it")
    for key, each in value.items() if isinstance(value, dict) else ():
        if not _is_writable(key) or not _is_writable(each):
            return (_flaw_in(each) if _is_writable(key) else flaw).at(step(key))
    for index, each in enumerate(value if isinstance(value, (list, tuple)) else ()):
        if not _is_writable(each):
            return _flaw_in(each).at(step(index))
    return flaw


def _is_writable(value: Any) -> bool:
    try:
        _encode(value)
    except (TypeError, ValueError):
        return False
    return True


def encode_notification(method: str, params: Any) -> bytes:
    """One line without its newline. `params` is a wire mapping, or None for none."""
    if params is None:
        return _encode({"jsonrpc": "2.0", "method": method})
    return _encode({"jsonrpc": "2.0", "method": method, "params": params})


def encode_answer(identity: RequestId, result: Any) -> bytes:
    """One line without its newline. `result` is a wire mapping.

    Raises:
        TypeError, ValueError: `result` holds something that JSON cannot express.
    """
    return _encode({"jsonrpc": "2.0", "id": identity, "result": result})


def join_answer(identity: RequestId, members: bytes) -> bytes:
    """The same for the members of a result that are JSON already."""
    return b'{"jsonrpc":"2.0","id":%b,"result":{%b}}' % (_encode_any(identity), members)


def encode_failure(
    identity: RequestId | None, code: int, message: str, data: Any, *, omit_id: bool
) -> bytes:
    """One line without its newline.

    Args:
        identity: The request's id, or None if it could not be read.
        code: The error code.
        message: One sentence.
        data: More detail, or None.
        omit_id: Whether an unknown id is left out, as some revisions allow; otherwise it is null.
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
