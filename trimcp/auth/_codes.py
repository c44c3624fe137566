"""The authorization code flow: what the user's browser is sent with, and what comes back.

Specification: 2026-07-28, Authorization, Authorization Response Validation; RFC 6749, 4.1;
RFC 7636; RFC 9207.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs

from ._scopes import OFFLINE_ACCESS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._discovery import ServerMetadata

__all__ = ["Authorization", "CodeRefused", "answer_params", "said"]

#: Parameters of an answer that are looked at, and its characters.
_MOST_PARAMS: Final = 50
_LONGEST_ANSWER: Final = 16 * 1024

#: Bytes of randomness in `state` and in the verifier, which becomes 43 characters.
_RANDOM_BYTES: Final = 32

#: Characters of an error's description that are shown.
_SHOWN: Final = 200


class CodeRefused(Exception):
    """An authorization response gives no code.

    Attributes:
        error: The authorization server's own word, such as `access_denied`; empty if it is not
            the server that refuses. It is set only when the answer was found to be that server's.
    """

    def __init__(self, reason: str, error: str = "") -> None:
        super().__init__(reason)
        self.error = error


def said(error: str, description: str | None) -> str:
    """An error of an authorization server for people: short, and printable."""
    text = error if not description else f"{error}: {description}"
    return "".join(each if each.isprintable() else " " for each in text)[:_SHOWN]


def _random() -> str:
    return secrets.token_urlsafe(_RANDOM_BYTES)


@attrs.frozen
class Authorization:
    """One authorization request, and what its answer is checked against.

    Attributes:
        server: The authorization server, by its validated metadata.
        client_id: The client.
        redirect_uri: Where the answer goes.
        resource: What the token is for, as the server wrote it.
        scopes: Those asked for; None for none named.
        state: What tells this request's answer from others.
        verifier: The secret of PKCE.
    """

    server: ServerMetadata
    client_id: str
    redirect_uri: str
    resource: str
    scopes: Sequence[str] | None
    state: str = attrs.field(factory=_random, repr=False)
    verifier: str = attrs.field(factory=_random, repr=False)

    @property
    def url(self) -> str:
        """Where the user is sent."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        params = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "state": self.state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "resource": self.resource,
        }
        if self.scopes is not None:
            params["scope"] = " ".join(self.scopes)
            if OFFLINE_ACCESS in self.scopes:
                # OpenID Connect gives a refresh token only with consent (Core, section 11).
                params["prompt"] = "consent"
        endpoint = self.server.authorization_endpoint
        joint = "&" if urlsplit(endpoint).query else "?"
        return endpoint + joint + urlencode(params)

    def is_answered_by(self, params: Mapping[str, str]) -> bool:
        """Whether an answer is one to this request, by its `state`."""
        return hmac.compare_digest(params.get("state", "").encode(), self.state.encode())

    def code_of(self, params: Mapping[str, str]) -> str:
        """The code that an answer brings.

        Raises:
            CodeRefused: It is the answer to another request, that of another authorization
                server, or an error.
        """
        if not self.is_answered_by(params):
            raise CodeRefused("the answer belongs to another login (its state is another)")
        self._check_issuer(params.get("iss"))
        if "error" in params:
            error = params["error"]
            words = said(error, params.get("error_description"))
            raise CodeRefused(f"the authorization server refused: {words}", error)
        if not params.get("code"):
            raise CodeRefused("the authorization server gave no code")
        return params["code"]

    def _check_issuer(self, issuer: str | None) -> None:
        """RFC 9207, section 2.4: before anything else of the answer is believed."""
        if issuer is None:
            if self.server.names_itself:
                raise CodeRefused("the answer does not say which authorization server it is of")
        elif issuer != self.server.issuer:
            raise CodeRefused("the answer is one of another authorization server")


def answer_params(url: str) -> dict[str, str]:
    """The parameters of an authorization response, from the URL that the browser was sent to.

    Raises:
        CodeRefused: They are malformed, or one comes twice.
    """
    if len(url) > _LONGEST_ANSWER:
        raise CodeRefused("the answer is too long")
    try:
        pairs = parse_qsl(
            urlsplit(url).query,
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_PARAMS,
        )
    except ValueError:
        raise CodeRefused("the answer cannot be read") from None
    params = dict(pairs)
    if len(params) != len(pairs):
        raise CodeRefused("the answer says something twice")
    return params
