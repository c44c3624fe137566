"""What a connection to an HTTP server knows of authorization: what is sent, and was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

__all__ = ["Authorizer", "Authorizing", "Credentials", "Refusal"]


@attrs.frozen
class Credentials:
    """What requests are authorized with. It is the same as long as the header is.

    Attributes:
        header: The value of the header `Authorization`.
        prove: Makes the header `DPoP` of one request from its method and its URL; None if
            requests need none.
    """

    header: str = attrs.field(repr=False)
    prove: Callable[[str, str], str] | None = attrs.field(default=None, eq=False, repr=False)

    def headers(self, method: str, url: str) -> dict[str, str]:
        """The headers of one request, with a proof of its own if it needs one.

        Args:
            method: Its method.
            url: Where it goes, as HTTP names it.
        """
        if self.prove is None:
            return {"authorization": self.header}
        return {"authorization": self.header, "dpop": self.prove(method, url)}


@attrs.frozen
class Refusal:
    """An answer with which a server demands authorization, or more of it.

    Attributes:
        url: The endpoint that was asked, as HTTP names it.
        status: The HTTP status, 401 or 403.
        challenges: The values of `WWW-Authenticate`.
        sent: The header `Authorization` of the request; None if it had none.
    """

    url: str
    status: int
    challenges: tuple[str, ...]
    sent: str | None = attrs.field(repr=False)


class Authorizer(Protocol):
    """Authorizes the requests to one server, for as long as a client is open."""

    async def authorization(
        self, refusals: Sequence[Refusal], *, may_wait: bool
    ) -> Credentials | None:
        """What a request is authorized with.

        Args:
            refusals: What the server has said to this request so far, the oldest first.
            may_wait: Whether the request may wait for the user to log in.

        Returns:
            The credentials; None if there are none, after a refusal: none that would be better.

        Raises:
            AuthorizationFailed: The login has failed.
        """

    def take_nonce(self, url: str, nonce: str) -> None:
        """Use a nonce of the server in the next proofs for it.

        Args:
            url: Where the answer came from that named it, as HTTP names it.
            nonce: The value of its header `DPoP-Nonce`.
        """

    def on_login(self, callback: Callable[[], object]) -> None:
        """Call a function whenever requests begin to be those of another login."""


class Authorizing(Protocol):
    """What a user gives to a client as `auth=`."""

    def opened(self, url: str) -> AbstractAsyncContextManager[Authorizer]:
        """Authorize the requests to a server while the block runs.

        Args:
            url: The server's endpoint, http or https.
        """
