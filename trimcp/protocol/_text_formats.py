"""Texts with a special format: URIs, and bytes in base64."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from trimcp import types as t

from ._given import give_str, unfit

if TYPE_CHECKING:
    from collections.abc import Callable

    Encoder = Callable[[Any], Any]

__all__ = ["FORMATS", "URI_CHARACTERS"]

#: The characters of a URI (RFC 3986, 2), for a set of characters in a regular expression.
URI_CHARACTERS: Final = r"A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-"

_BASE64: Final = (string.ascii_letters + string.digits + "+/").encode()

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_NOT_OF_URIS: Final = re.compile(f"[^{URI_CHARACTERS}]+")


def _give_base64(value: Any) -> str:
    """Bytes in base64, padded, in the alphabet of RFC 4648, section 4."""
    text = give_str(value)
    rest = text.rstrip("=")
    is_padded = len(text) % 4 == 0 and len(text) - len(rest) <= 2
    # Removing all characters of the alphabet at once is much faster than decoding.
    if not is_padded or not text.isascii() or rest.encode().translate(None, _BASE64):
        raise unfit("base64, as base64.b64encode(data).decode() gives it", value)
    return text


def _give_uri(value: Any) -> str:
    """A URI with its scheme; characters that URIs do not have are percent-encoded (RFC 3986)."""
    text = give_str(value)
    if not _SCHEME.match(text):
        raise unfit("a URI with a scheme, such as https://example.com or note://1", value)
    return _NOT_OF_URIS.sub(lambda found: quote(found[0], safe="", errors="strict"), text)


#: Fields that hold a URI, or bytes, with their encoders.
FORMATS: Final[dict[type, tuple[tuple[str, Encoder], ...]]] = {
    t.TextResourceContents: (("uri", _give_uri),),
    t.BlobResourceContents: (("uri", _give_uri), ("blob", _give_base64)),
    t.ResourceLink: (("uri", _give_uri),),
    t.ImageContent: (("data", _give_base64),),
    t.AudioContent: (("data", _give_base64),),
}
