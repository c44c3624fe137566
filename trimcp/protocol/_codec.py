"""Payload classes to and from wire dictionaries, one codec per revision.

The only place, with the HTTP binding, that knows the wire's camelCase keys. Encoding leaves out
fields that are absent or unknown in the revision, and converts what else the revision cannot carry
(see `_degrade`). Decoding is strict about types, ignores unknown fields, and refuses null for an
optional field: absent is not null. Only the codecs with which clients read accept that, and a few
other flaws (see `_forgiving`).

The work is done by one cattrs converter per revision and kind of reader, built in `_converters`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_args, overload

import attrs
from cattrs import BaseValidationError

from . import _degrade as degrade
from ._converters import converter_for
from ._given import EncodeError, exact, give_object
from ._names import (
    CACHE_SCOPE,
    COMPLETE,
    CONNECTION_META,
    INPUT_REQUIRED,
    META,
    META_CHUNK,
    META_CLIENT_CAPABILITIES,
    META_CLIENT_INFO,
    META_LOG_LEVEL,
    META_PREFIX,
    META_PROTOCOL_VERSION,
    META_SERVER_INFO,
    META_SUBSCRIPTION_ID,
    PROGRESS_TOKEN,
    RESULT_TYPE,
    TTL_MS,
    wire_name,
)
from ._strict import Mismatch, is_union, problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._revisions import Revision

__all__ = [
    "CACHE_SCOPE",
    "COMPLETE",
    "CONNECTION_META",
    "INPUT_REQUIRED",
    "META",
    "META_CHUNK",
    "META_CLIENT_CAPABILITIES",
    "META_CLIENT_INFO",
    "META_LOG_LEVEL",
    "META_PREFIX",
    "META_PROTOCOL_VERSION",
    "META_SERVER_INFO",
    "META_SUBSCRIPTION_ID",
    "PROGRESS_TOKEN",
    "RESULT_TYPE",
    "TTL_MS",
    "Codec",
    "DecodeError",
    "EncodeError",
    "codec_for",
    "reader_for",
    "wire_name",
]

T = TypeVar("T")


class DecodeError(ValueError):
    """Data from the wire is not what the protocol defines.

    Args:
        message: What was expected and what came.
        path: The place of the flaw, such as `$.arguments`.
        others: Further problems, each with its path in the text.
    """

    def __init__(self, message: str, path: str = "$", others: tuple[str, ...] = ()) -> None:
        super().__init__(message, path, others)
        self.message = message
        self.path = path
        self.others = others

    def __str__(self) -> str:
        return "; ".join((f"{self.message} @ {self.path}", *self.others))


class Codec:
    """Encodes and decodes the payloads of one revision. Use `codec_for`, or `reader_for`."""

    def __init__(self, revision: Revision, *, forgiving: bool = False) -> None:
        self.revision = revision
        self._converter = converter_for(revision, forgiving=forgiving)
        self._encoders: dict[type, Callable[[Any], Any]] = {}
        methods = (*revision.client_requests.values(), *revision.server_requests.values())
        self._results = {method.name: method.result for method in methods}
        self._decoders: dict[Any, Callable[[Any, Any], Any]] = {}

    def encode(self, value: Any) -> dict[str, Any]:
        """Turn a payload into its wire dictionary.

        Verbatim mappings (schemas, `meta`, arguments) are passed through, not copied.

        Raises:
            EncodeError: The revision cannot express this, or requires a field that is absent.
        """
        encoder = self._encoders.get(value.__class__)
        if encoder is None:
            encoder = self._encoders[value.__class__] = exact(self._encoder(value.__class__))
        try:
            return encoder(value)  # type: ignore[no-any-return]
        except EncodeError:
            # Encoded again by the slower encoder, whose error says where the flaw is.
            self._encoder(value.__class__)(value)
            raise

    def _encoder(self, cls: type) -> Callable[[Any], Any]:
        if not attrs.has(cls):
            raise EncodeError(f"{cls.__name__} is no payload class")
        return self._converter.get_unstructure_hook(cls)

    def encode_as(self, value: Any, cls: Any) -> Any:
        """Turn a value of a given type, or what can be converted to it, into wire form.

        Args:
            value: A payload, or a mapping with wire names or with the names of our fields.
            cls: A payload class, a union of them, or the type of a field.

        Raises:
            EncodeError: The value is not of this type and cannot be converted to it.
        """
        return self._converter.get_unstructure_hook(cls)(value)

    def encode_result(self, method: str, result: Any) -> dict[str, Any]:
        """Turn the result of a method into its wire dictionary.

        Args:
            method: The method of the request.
            result: A payload of the method's result class, or a mapping in wire form; for a method
                that the revision does not have, any payload or mapping.

        Raises:
            EncodeError: It is not a result of that method, or the revision cannot express it.
        """
        expected = self._results.get(method)
        if expected is None:
            return give_object(result) if isinstance(result, Mapping) else self.encode(result)
        if result.__class__ in members_of(expected):
            return self.encode(result)
        if isinstance(result, Mapping):
            return self._wire_result(dict(result), expected)
        return self.encode_as(result, expected)  # type: ignore[no-any-return]

    def _wire_result(self, wire: dict[str, Any], expected: Any) -> dict[str, Any]:
        """A mapping unchanged if it is a valid result in wire form, else converted to one."""
        if wire.get(RESULT_TYPE, COMPLETE) not in (COMPLETE, INPUT_REQUIRED):
            # A kind of result that an extension defines: it is not checked here.
            return wire
        try:
            self.decode(wire, expected)
        except DecodeError:
            return self.encode_as(wire, members_of(expected)[0])  # type: ignore[no-any-return]
        return wire

    def structured(self, value: Any, output_schema: Mapping[str, Any] | None) -> Any:
        """Wrap a tool's structured value if this revision has to wrap its output schema.

        `encode` looks at the value alone. That is wrong for an object whose schema also allows
        other values, since that schema is wrapped. So the value of a tool with an output schema
        goes through here first.
        """
        if self.revision.structured_any or output_schema is None:
            return value
        return value if degrade.describes_objects(output_schema) else {degrade.RESULT: value}

    @overload
    def decode(self, data: object, cls: type[T], path: str = "$") -> T: ...

    @overload
    def decode(self, data: object, cls: Any, path: str = "$") -> Any: ...

    def decode(self, data: object, cls: Any, path: str = "$") -> Any:
        """Turn wire data into a payload.

        Args:
            data: Decoded JSON.
            cls: A payload class, or a union of payload classes, as in `Method`.
            path: The place of the data in the message, for the error's text.

        Raises:
            DecodeError: The data is not what the protocol defines.
        """
        decoder = self._decoders.get(cls)
        if decoder is None:
            decoder = self._decoders[cls] = self._converter.get_structure_hook(cls)
        try:
            return decoder(data, cls)
        except (Mismatch, BaseValidationError) as error:
            raise _decode_error(error, path) from None


def _decode_error(error: Exception, path: str) -> DecodeError:
    (message, where), *others = problems(error, path, wire_name)
    return DecodeError(message, where, tuple(f"{text} @ {at}" for text, at in others))


@functools.cache
def members_of(cls: Any) -> tuple[type, ...]:
    """The classes of a union; for a class, the class alone."""
    return get_args(cls) if is_union(cls) else (cls,)


@functools.cache
def codec_for(revision: Revision) -> Codec:
    """The codec of a revision."""
    return Codec(revision)


@functools.cache
def reader_for(revision: Revision) -> Codec:
    """The codec with which a client reads the messages of servers in a revision."""
    return Codec(revision, forgiving=True)
