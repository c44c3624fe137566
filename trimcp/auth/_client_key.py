"""How a client proves with a key who it is, where others have a secret.

Specification: RFC 7523, section 2.2; RFC 7521, section 4.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from trimcp.errors import OptionError

from ._asking import ask
from ._given import check_function, check_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._discovery import ServerMetadata

__all__ = ["ASSERTION_TYPE", "ClientKey", "PrivateKey", "checked_key"]

#: A PEM text, a JWK, or a function that gets an issuer and gives back a signed assertion for it.
PrivateKey: TypeAlias = "str | bytes | Mapping[str, Any] | Callable[[str], object]"

#: The value of `client_assertion_type`.
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

#: Seconds that a function may take, which may ask another computer to sign.
_SECONDS: Final = 30.0


class ClientKey(Protocol):
    """Makes the assertions with which a client authenticates."""

    async def assertion(self, client_id: str, server: ServerMetadata) -> str:
        """A new assertion, for one request.

        Args:
            client_id: How the authorization server knows the client.
            server: The authorization server.

        Raises:
            GrantRefused: The authorization server takes no signature of this key.
            AuthorizationFailed: A function of the user's gives none.
        """


class _Function:
    """A function of the user's that makes assertions."""

    def __init__(self, function: Callable[[str], object], option: str) -> None:
        self._function = function
        self._option = option

    async def assertion(self, client_id: str, server: ServerMetadata) -> str:
        """See `ClientKey`."""
        return await ask(self._function, self._option, _SECONDS, server.issuer)


def checked_key(
    secret: str | None, given: PrivateKey | None, algorithm: str | None, prefix: str = ""
) -> ClientKey | None:
    """The key of a client that has a secret, a key or neither.

    Args:
        secret: The secret.
        given: The key, or a function that signs.
        algorithm: The only one to sign with; None for what fits the key and the server.
        prefix: How the names of these options begin, for people.

    Raises:
        OptionError: Both are given, or a secret that is no text, or what is no private key, or not
            one for the algorithm.
        ModuleNotFoundError: joserfc is not installed.
    """
    check_text(f"{prefix}client_secret", secret)
    if given is None:
        if algorithm is not None:
            raise OptionError(f"{prefix}algorithm= is for {prefix}private_key=, which is missing")
        return None
    if secret is not None:
        raise OptionError(f"give {prefix}client_secret= or {prefix}private_key=, not both")
    option = f"{prefix}private_key="
    if callable(given):
        if algorithm is not None:
            raise OptionError(f"{option} as a function signs by itself: leave out the algorithm")
        what = "a key, or a function of an issuer that gives a signed assertion"
        check_function(f"{prefix}private_key", given, what, "")
        return _Function(given, option)
    try:
        # It is slow to load.
        from ._assertions import SigningKey
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("joserfc"):
            raise
        raise ModuleNotFoundError(
            f"{option} needs joserfc: pip install 'trimcp[auth]'", name=error.name
        ) from None
    return SigningKey(given, algorithm, option)
