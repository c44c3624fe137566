"""Requests to a token endpoint, and what it answers.

Specification: RFC 6749, sections 2.3.1, 4.1.3, 5, 6; RFC 8707, section 2.2; RFC 9449, section 5.
"""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING, Final

import attrs
import msgspec

from ._codes import said
from ._fetch import basic_credentials
from ._sent import is_repeated

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BASIC",
    "NO_SECRET",
    "POST",
    "PRIVATE_KEY",
    "GrantRefused",
    "Registered",
    "Tokens",
    "is_refusal",
    "method_for",
    "read_error",
    "read_tokens",
    "token_form",
]

#: Ways to authenticate at the token endpoint (RFC 7591, section 2).
BASIC: Final = "client_secret_basic"
POST: Final = "client_secret_post"
PRIVATE_KEY: Final = "private_key_jwt"
NO_SECRET: Final = "none"

#: What a token may hold (RFC 6750, section 2.1: b64token; other printable ASCII is met with).
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,16384}")

#: Seconds before its end at which a token is not used any more, and the share of its life.
_MARGIN_SECONDS: Final = 30.0
_MARGIN_SHARE: Final = 0.1


#: Errors that say that a grant, or the client that it was given to, is not good any more.
_FINAL: Final = frozenset({"invalid_grant", "invalid_client", "unauthorized_client"})

#: Errors that say that the authorization server is in trouble, or that it does not believe a proof
#: (DPoP), for example since a clock is wrong.
_TROUBLE: Final = frozenset(
    {
        *("server_error", "slow_down", "temporarily_unavailable"),
        *("invalid_dpop_proof", "use_dpop_nonce"),
    }
)


class GrantRefused(Exception):
    """The token endpoint gave no tokens.

    Attributes:
        error: Its own word, such as `invalid_grant`; empty if it said none.
        is_final: Whether the same grant is refused for good (RFC 6749, section 5.2).
        is_trouble: Whether the authorization server may be in trouble, or something in front of
            it, so that the same request may be answered later. If neither, the request is refused
            for a reason that is not known here.
    """

    def __init__(self, reason: str, error: str = "", *, is_trouble: bool = False) -> None:
        super().__init__(reason)
        self.error = error
        self.is_final = error in _FINAL
        self.is_trouble = not self.is_final and (is_trouble or not error or error in _TROUBLE)


@attrs.frozen
class Registered:
    """What a client is to one authorization server.

    Attributes:
        issuer: The authorization server.
        client_id: How it knows the client; empty if that stands in what the client has.
        client_secret: The secret, if there is one.
        auth_method: How the client authenticates at the token endpoint.
        redirect_uri: Where answers go; empty if it was not registered by the client itself.
        scopes: Those it has registered for.
        expires: When the secret does, in seconds since the Unix epoch; None if it does not.
    """

    issuer: str
    client_id: str
    client_secret: str | None = attrs.field(default=None, repr=False)
    auth_method: str = NO_SECRET
    redirect_uri: str = ""
    scopes: tuple[str, ...] = ()
    expires: float | None = None

    def is_good_at(self, issuer: str) -> bool:
        """Whether an authorization server still takes it, as far as that is known."""
        return issuer == self.issuer and (self.expires is None or self.expires > time.time())


@attrs.frozen
class Tokens:
    """What a login has brought.

    Attributes:
        issuer: The authorization server.
        client_id: The client that it gave them to.
        resource: What they are for.
        access_token: Sent with every request.
        refresh_token: For the next access token, if there is one.
        requested: The scopes that were asked for.
        stale: When the access token is to be replaced, in seconds since the Unix epoch; None if
            that is not known.
        client: What the client had registered as, if it had registered itself: another login at
            the authorization server may register anew.
        key: The private key that they are bound to, as it is stored; None if they are not.
        got: When they were asked for, in seconds since the Unix epoch.
    """

    issuer: str
    client_id: str
    resource: str
    access_token: str = attrs.field(repr=False)
    refresh_token: str | None = attrs.field(default=None, repr=False)
    requested: tuple[str, ...] = ()
    stale: float | None = None
    client: Registered | None = None
    key: str | None = attrs.field(default=None, repr=False)
    got: float = 0.0

    def is_new(self, seconds: float) -> bool:
        """Whether they were got so many seconds ago at most."""
        # A clock may have been set back.
        return 0 <= time.time() - self.got < seconds

    def is_of(self, client: Registered) -> bool:
        """Whether they were given to this client."""
        return (self.issuer, self.client_id) == (client.issuer, client.client_id)

    @property
    def header(self) -> str:
        """The value of the header `Authorization`."""
        return f"{'Bearer' if self.key is None else 'DPoP'} {self.access_token}"


def method_for(
    offered: tuple[str, ...] | None, *, has_secret: bool, has_key: bool = False
) -> str | None:
    """How a client authenticates at a token endpoint; None if it knows no way.

    Args:
        offered: The ways that the authorization server takes; None if it does not say.
        has_secret: Whether the client has a secret.
        has_key: Whether it has a key.
    """
    ways = (PRIVATE_KEY,) if has_key else (BASIC, POST) if has_secret else (NO_SECRET,)
    if offered is None:
        return ways[0]
    return next((each for each in ways if each in offered), None)


def token_form(client: Registered, fields: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The form and the headers of a request to a token endpoint.

    What a client signs is not among them.

    Args:
        client: Who asks.
        fields: What it asks for.
    """
    secret = client.client_secret or ""
    if client.auth_method == BASIC:
        return fields, {"authorization": basic_credentials(client.client_id, secret)}
    form = {**fields, **({"client_id": client.client_id} if client.client_id else {})}
    if client.auth_method == POST:
        form["client_secret"] = secret
    return form, {}


class _Answer(msgspec.Struct):
    access_token: str
    token_type: str
    expires_in: float | str | None = None
    refresh_token: str | None = None


class _Error(msgspec.Struct):
    error: str
    error_description: str | None = None


def read_tokens(
    body: bytes,
    client: Registered,
    resource: str,
    requested: tuple[str, ...],
    now: float,
    key: str | None = None,
    *,
    is_demanded: bool = False,
) -> Tokens:
    """The tokens of a successful answer.

    Args:
        body: The answer.
        client: Who asked.
        resource: What it asked for a token for.
        requested: The scopes that were asked for.
        now: When it was asked, in seconds since the Unix epoch.
        key: The private key that was proved, as it is stored; None if none was.
        is_demanded: Whether tokens that are not bound to the key are refused.

    Raises:
        GrantRefused: The answer is malformed, or brings a token of a kind that is not known or
            was not asked for.
    """
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # What cannot be read is not quoted: it may hold a token.
        raise GrantRefused("the answer of the token endpoint cannot be read") from None
    kind = answer.token_type.lower()
    if kind == "bearer" and is_demanded:
        raise GrantRefused("the token is not bound to a key (DPoP), although that is demanded")
    if kind == "dpop" and key is None:
        raise GrantRefused("the token is bound to a key (DPoP), and none was proved")
    if kind not in ("bearer", "dpop"):
        raise GrantRefused(f"the token is of the type {answer.token_type[:50]!a}, not Bearer")
    if not answer.access_token:
        raise GrantRefused("the token is empty")
    for token in (answer.access_token, answer.refresh_token):
        if token and not _TOKEN.fullmatch(token):
            raise GrantRefused("the token holds what cannot be sent")
    return Tokens(
        client.issuer,
        client.client_id,
        resource,
        answer.access_token,
        answer.refresh_token or None,
        requested,
        _stale(answer.expires_in, now),
        client if client.redirect_uri else None,
        key if kind == "dpop" else None,
        now,
    )


def is_refusal(body: bytes) -> bool:
    """Whether an answer is an error and brings no token; some servers send it with status 200."""
    return not _is(_Answer, body) and _is(_Error, body)


def _is(cls: type, body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=cls)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def _stale(expires_in: float | str | None, now: float) -> float | None:
    """When a token is to be replaced; a life that makes no sense is as good as none."""
    try:
        seconds = float(expires_in if expires_in is not None else math.inf)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return now + seconds - min(_MARGIN_SECONDS, seconds * _MARGIN_SHARE)


def read_error(status: int, body: bytes, who: str, secrets: Sequence[str] = ()) -> GrantRefused:
    """The refusal of an endpoint of an authorization server.

    Args:
        status: The HTTP status.
        body: The answer.
        who: Who answered, for people.
        secrets: What it was sent and must not be shown, should it repeat that.
    """
    try:
        answer = msgspec.json.decode(body, type=_Error)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return GrantRefused(f"{who} answered with HTTP status {status}")
    # Another status than those of OAuth may come from something in front of it.
    is_trouble = status not in (200, 400, 401)
    if is_repeated(secrets, answer.error):
        return GrantRefused(
            f"{who} refused, and repeats a secret that it was sent", is_trouble=is_trouble
        )
    description = answer.error_description
    if is_repeated(secrets, description or ""):
        description = "a text with a secret in it"
    words = said(answer.error, description)
    return GrantRefused(f"{who} refused: {words}", answer.error, is_trouble=is_trouble)
