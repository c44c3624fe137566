"""Exchanges with the endpoints of an authorization server that know the client.

Specification: RFC 6749, section 5; RFC 7009; RFC 9449, sections 5 and 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trimcp.errors import AuthorizationFailed

from ._client_key import ASSERTION_TYPE
from ._dpop import Nonces
from ._fetch import FetchFailed
from ._grants import PRIVATE_KEY, GrantRefused, is_refusal, read_error, token_form
from ._sent import secrets_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._client_key import ClientKey
    from ._discovery import ServerMetadata
    from ._fetch import Fetched
    from ._finding import Finder
    from ._grants import Registered, Tokens
    from ._proofs import ProofKey

__all__ = ["TokenEndpoint", "refusal_of"]

#: The answer of an authorization server that wants another nonce in the proof.
_USE_NONCE: Final = "use_dpop_nonce"


class TokenEndpoint:
    """Where authorization servers give out tokens, and take them back.

    Args:
        finder: Knows how to reach each authorization server.
        key: Signs for clients that authenticate with a key.
        name: What it is called, for people.
    """

    def __init__(
        self, finder: Finder, key: ClientKey | None, name: str = "the authorization server"
    ) -> None:
        self._finder = finder
        self._key = key
        self._name = name
        self._nonces = Nonces()

    async def ask(
        self,
        server: ServerMetadata,
        client: Registered,
        fields: dict[str, str],
        bound_to: ProofKey | None = None,
    ) -> bytes:
        """Ask for tokens.

        Args:
            server: The authorization server.
            client: Who asks.
            fields: What it asks for.
            bound_to: The key that the tokens are to be bound to, if they are.

        Returns:
            The body of the answer.

        Raises:
            GrantRefused: The authorization server refuses.
            AuthorizationFailed: It gives no answer, or is in trouble.
        """
        url = server.token_endpoint
        until_now = self._nonces.of(url)
        try:
            answer, secrets = await self._post(server, client, url, fields, bound_to)
            has_new = self._nonces.of(url) not in (until_now, None)
            if bound_to is not None and has_new and _wants_nonce(answer):
                # Nothing has happened yet: what is asked with is still good. Once is enough, since
                # the newest nonce is in the proof now.
                answer, secrets = await self._post(server, client, url, fields, bound_to)
        except FetchFailed as error:
            raise AuthorizationFailed(f"{self._name}: {error}") from error
        if answer.status != 200 or is_refusal(answer.body):
            raise refusal_of(answer, self._name, secrets)
        return answer.body

    async def revoke(self, server: ServerMetadata, client: Registered, tokens: Tokens) -> None:
        """Have tokens revoked where that is offered.

        Raises:
            AuthorizationFailed: Whether they were is not known.
        """
        if server.revocation_endpoint is None:
            return
        # With a refresh token go the access tokens that it has brought.
        token = tokens.refresh_token or tokens.access_token
        url = server.revocation_endpoint
        try:
            answer, secrets = await self._post(server, client, url, {"token": token})
        except (FetchFailed, GrantRefused) as error:
            raise AuthorizationFailed(f"the tokens may not be revoked: {error}") from error
        if answer.status != 200:
            refusal = read_error(answer.status, answer.body, "the revocation", secrets)
            raise AuthorizationFailed(f"the tokens may not be revoked: {refusal}")

    async def _post(
        self,
        server: ServerMetadata,
        client: Registered,
        url: str,
        fields: dict[str, str],
        bound_to: ProofKey | None = None,
    ) -> tuple[Fetched, list[str]]:
        """Send a form; returns the answer, and what it must not show."""
        form, headers = token_form(client, fields)
        if client.auth_method == PRIVATE_KEY:
            assert self._key is not None
            form["client_assertion_type"] = ASSERTION_TYPE
            form["client_assertion"] = await self._key.assertion(client.client_id, server)
        if bound_to is not None:
            proof = bound_to.proof("POST", url, nonce=self._nonces.of(url))
            headers = {**headers, "dpop": proof}
        fetcher = self._finder.fetcher_for(server.issuer)
        answer = await fetcher.post_form(url, form, headers=headers)
        self._nonces.take(url, answer.headers.get("dpop-nonce"))
        return answer, secrets_of(form, headers)


def _wants_nonce(answer: Fetched) -> bool:
    """Whether the proof lacked the right nonce (RFC 9449, section 8)."""
    if answer.status not in (400, 401):
        return False
    return read_error(answer.status, answer.body, "the token endpoint").error == _USE_NONCE


def refusal_of(
    answer: Fetched, who: str, secrets: Sequence[str] = ()
) -> GrantRefused | AuthorizationFailed:
    """The error for an answer that is no success; of a failing server nothing is known.

    Args:
        answer: The answer.
        who: Who gave it, for people.
        secrets: What it was sent and must not be shown.
    """
    refusal = read_error(answer.status, answer.body, who, secrets)
    if answer.status >= 500 or answer.status in (408, 425, 429):
        return AuthorizationFailed(str(refusal))
    return refusal
