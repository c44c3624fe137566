"""What of a request is secret, should the answer repeat it.

Specification: RFC 6749, section 2.3.1; RFC 6819, section 4.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["is_repeated", "secrets_of"]

#: Fields of forms that whoever knows them could use.
_FIELDS: Final = frozenset(
    {
        *("assertion", "client_assertion", "client_secret", "code", "code_verifier"),
        *("refresh_token", "subject_token", "token"),
    }
)
#: Headers, the same.
_HEADERS: Final = ("authorization", "dpop")

#: The shortest text that counts as a secret; a shorter one may stand in any word.
_SHORTEST: Final = 6


def secrets_of(form: Mapping[str, str], headers: Mapping[str, str]) -> list[str]:
    """The secrets in a request as it is sent.

    Args:
        form: Its fields.
        headers: Its headers, by their names in lower case.
    """
    found = [value for name, value in form.items() if name in _FIELDS]
    for value in filter(None, map(headers.get, _HEADERS)):
        scheme, _, credentials = value.partition(" ")
        found.append(credentials or value)
        if scheme == "Basic":
            pair = base64.b64decode(credentials).decode()
            found += (pair, unquote_plus(pair), *_parts(pair))
    return found


def _parts(pair: str) -> tuple[str, str]:
    """The secret of form-encoded credentials, as it is sent and as it is."""
    secret = pair.partition(":")[2]
    return secret, unquote_plus(secret)


def is_repeated(secrets: Iterable[str], text: str) -> bool:
    """Whether a text repeats a secret: as it is, encoded, or in quotes.

    Args:
        secrets: What must not be shown.
        text: What somebody says who knows them.
    """
    texts = {text, unquote(text), unquote_plus(text), html.unescape(text)}
    # What stands in quotes may have escapes.
    texts |= {_plain(each) for each in texts}
    known = {form for each in secrets if len(each) >= _SHORTEST for form in _forms(each)}
    return any(form in each for form in known for each in texts)


def _forms(secret: str) -> set[str]:
    """How a secret may be written. Percent-encoding is undone in the text, in all its ways."""
    data = secret.encode()
    encoded = (base64.b64encode(data), base64.urlsafe_b64encode(data), binascii.hexlify(data))
    written = {secret, _plain(secret), _plain(json.dumps(secret)[1:-1])}
    return written | {each.decode().rstrip("=") for each in encoded}


def _plain(text: str) -> str:
    return text.replace("\\", "")
