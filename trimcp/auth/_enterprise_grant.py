"""The grant of an organization's identity provider: it says who the user is, and lets them in.

Specification: Extensions, Enterprise-Managed Authorization; RFC 8693; RFC 7523, section 2.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import msgspec

from trimcp.errors import AuthorizationFailed

from ._asking import MOST_CHARACTERS, ask
from ._discovery import ServerMetadata
from ._grants import GrantRefused
from ._machine_grants import JWT_BEARER, MachineGrant
from ._token_endpoint import TokenEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._backoff import Backoff
    from ._finding import Finder, Found
    from ._grants import Registered
    from ._registration import Identity

__all__ = ["TOKEN_EXCHANGE", "EnterpriseGrant", "IdentityProvider", "read_id_jag"]

TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"

_ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"
_ID_JAG: Final = "urn:ietf:params:oauth:token-type:id-jag"

#: What the exchanged token is called, since it opens no resource (RFC 8693, section 2.2.1).
_NO_ACCESS_TOKEN: Final = "n_a"

#: Seconds for a user who may have to log in at the identity provider.
_LOGIN_SECONDS: Final = 300.0

_NAME: Final = "the identity provider"


class _Answer(msgspec.Struct):
    access_token: str
    issued_token_type: str
    token_type: str
    scope: str | None = None


def read_id_jag(body: bytes) -> tuple[str, str | None]:
    """The grant that an identity provider gives in exchange, and its scopes if it names them.

    Raises:
        GrantRefused: The answer is malformed, or brings something else. It is not quoted.
    """
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise GrantRefused(f"{_NAME}'s answer cannot be read") from None
    if answer.issued_token_type != _ID_JAG:
        raise GrantRefused(
            f"{_NAME} gave a token of the type {answer.issued_token_type[:100]!a} in place of a "
            "grant for the MCP server (ID-JAG)"
        )
    if answer.token_type.lower() != _NO_ACCESS_TOKEN:
        raise GrantRefused(f"{_NAME} gave a token of the kind {answer.token_type[:50]!a}, not N_A")
    if not 0 < len(answer.access_token) <= MOST_CHARACTERS:
        raise GrantRefused(f"{_NAME}'s grant is empty or too long")
    return answer.access_token, answer.scope


@attrs.frozen
class IdentityProvider:
    """Where an organization says who its users are.

    Attributes:
        finder: Finds it.
        identity: What the client is there.
        issuer: Its identifier.
        token_endpoint: Where tokens are exchanged; None to read that in its metadata.
    """

    finder: Finder
    identity: Identity
    issuer: str
    token_endpoint: str | None

    async def exchanged(self, id_token: str, asked: dict[str, str]) -> tuple[str, str | None]:
        """A grant in exchange for an ID token, and its scopes if they are named.

        Args:
            id_token: It says who the user is.
            asked: What the grant is for: `audience`, `resource`, `scope`.

        Raises:
            GrantRefused, AuthorizationFailed: There is none; the text says who is at fault.
        """
        server = await self._server()
        fields = {
            **asked,
            "grant_type": TOKEN_EXCHANGE,
            "requested_token_type": _ID_JAG,
            "subject_token": id_token,
            "subject_token_type": _ID_TOKEN,
        }
        endpoint = TokenEndpoint(self.finder, self.identity.key, _NAME)
        return read_id_jag(await endpoint.ask(server, self._client(server), fields))

    async def _server(self) -> ServerMetadata:
        if self.token_endpoint is not None:
            return ServerMetadata(self.issuer, "", self.token_endpoint)
        try:
            return await self.finder.known(self.issuer)
        except AuthorizationFailed as error:
            raise AuthorizationFailed(f"{_NAME}: {error}") from error.__cause__

    def _client(self, server: ServerMetadata) -> Registered:
        try:
            client = self.identity.at(server)
        except GrantRefused as error:
            raise GrantRefused(f"{_NAME}: {error}") from None
        assert client is not None
        return client


class EnterpriseGrant(MachineGrant):
    """Brings what the identity provider gives for the user's ID token.

    Args:
        identity: What the client is to the MCP server's authorization server.
        backoff: Lets failures rest.
        id_token: Gives the ID token; may be async.
        provider: The identity provider.
    """

    def __init__(
        self,
        identity: Identity,
        backoff: Backoff,
        id_token: Callable[[], object],
        provider: IdentityProvider,
    ) -> None:
        super().__init__(identity, backoff, f"enterprise {provider.issuer}")
        self._id_token = id_token
        self._provider = provider

    async def _brought(self, found: Found, asked: dict[str, str]) -> dict[str, str]:
        token = await ask(self._id_token, "id_token=", _LOGIN_SECONDS)
        grant, scope = await self._provider.exchanged(
            token, {**asked, "audience": found.server.issuer}
        )
        # The identity provider may allow less than was asked for.
        allowed = {"scope": scope} if scope else {}
        return {"grant_type": JWT_BEARER, "assertion": grant, **allowed}
