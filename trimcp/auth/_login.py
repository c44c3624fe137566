"""The login of one open client: which token its requests carry, and when another is needed.

Getting tokens is the work of one task at a time in the login's own nursery, a *flight*. Requests
wait for it only if they need what it brings. A request that is cancelled leaves the flight alone,
so nothing that an authorization server has given out is lost.

Specification: 2026-07-28, Authorization, Scope Challenge Handling; Refresh Tokens.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs
import trio

from trimcp.errors import AuthorizationFailed

from ._backoff import reason_of
from ._challenges import Demand, demand_of
from ._dpop import Nonces, credentials_of
from ._entries import StorageFailed
from ._grants import GrantRefused
from ._turns import Turn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from trimcp.transports import Credentials, Refusal

    from ._finding import Found
    from ._flow import Flow
    from ._grants import Tokens

__all__ = ["Login", "LoginTurn", "new_turn"]

logger = logging.getLogger("trimcp.auth")

#: What a server says that believes a token and not its proof, for example since a clock is wrong:
#: another token would not help.
_WRONG_PROOF: Final = "invalid_dpop_proof"

#: How often one request is authorized anew before its refusal stands.
_MOST_REFUSALS: Final = 3

#: Seconds before a refresh that failed for an unknown reason is tried again.
_RETRY_SECONDS: Final = 10.0

#: Seconds for what is under way when the client is closed, and for revoking what was replaced.
_FAREWELL: Final = 5.0


@attrs.frozen
class _Need:
    """What a refused request needs.

    Attributes:
        demand: What the server's challenges say.
        hint: Where the server says that its metadata are.
        tried: The headers that were refused.
        may_refresh: Whether a refreshed token may do: not where one has been refused already.
        may_wait: Whether there may be a login.
        is_for_scopes: Whether the token was good, but lacked scopes.
        is_anew: Whether the client leaves stored tokens alone.
    """

    demand: Demand
    hint: str | None
    tried: frozenset[str | None] = attrs.field(repr=False)
    may_refresh: bool
    may_wait: bool
    is_for_scopes: bool
    is_anew: bool

    @property
    def scopes(self) -> tuple[str, ...] | None:
        """Those that the server names; None if it names none."""
        return self.demand.scopes

    def is_met_by(self, tokens: Tokens | None) -> bool:
        """Whether a request with these tokens may be taken."""
        return tokens is not None and tokens.header not in self.tried and self.is_asked_by(tokens)

    def is_asked_by(self, tokens: Tokens) -> bool:
        """Whether the tokens were asked for with all scopes."""
        return set(self.scopes or ()) <= set(tokens.requested)


def _covers(failed: _Need | None, need: _Need | None) -> bool:
    """Whether the failure to meet a need is the answer to another one as well.

    Args:
        failed: The one that was not met; None for a refresh that nobody has demanded.
        need: The other one.
    """
    if failed is None or need is None:
        return failed is need
    return (
        (failed.hint, failed.is_anew) == (need.hint, need.is_anew)
        and failed.may_wait >= need.may_wait
        and set(need.scopes or ()) <= set(failed.scopes or ())
    )


#: Whose turn it is among the clients of one user at one server.
LoginTurn: TypeAlias = "Turn[_Need | None]"


def new_turn() -> LoginTurn:
    """Where it is nobody's turn yet."""
    return Turn(_covers)


class _Flight:
    """Tokens on their way.

    Attributes:
        need: What they are for; None for a refresh that nobody has demanded.
        done: Set at the end.
        failure: Why there are none.
    """

    def __init__(self, need: _Need | None) -> None:
        self.need = need
        self.done = trio.Event()
        self.failure: Exception | None = None

    def serves(self, need: _Need) -> bool:
        """Whether its failure is the answer to this need as well."""
        return _covers(self.need, need)


class Login:
    """Authorizes the requests of one client to one server.

    Args:
        flow: Gets tokens.
        nursery: Where that is done.
        turn: Taken to get tokens; shared by the logins of one user at one server.
        is_anew: Whether tokens that are stored are left alone until there has been a login.
    """

    def __init__(
        self, flow: Flow, nursery: trio.Nursery, turn: LoginTurn, *, is_anew: bool
    ) -> None:
        self._flow = flow
        self._nursery = nursery
        self._turn = turn
        self._tokens: Tokens | None = None
        self._nonces = Nonces()  # of the MCP server
        self._made: tuple[Tokens, Credentials] | None = None
        self._is_anew = self._is_loaded = is_anew
        self._flight: _Flight | None = None
        self._next_refresh = 0.0
        self._hint: str | None = None
        self._from_login: str | None = None  # the header that the last login brought
        self._callbacks: list[Callable[[], object]] = []

    def on_login(self, callback: Callable[[], object]) -> None:
        """See `trimcp.transports.Authorizer`."""
        self._callbacks.append(callback)

    def close(self) -> None:
        """The client is being closed: end what is under way, an exchange within seconds."""
        self._flow.hurry(_FAREWELL)

    # -- for requests -----------------------------------------------------------------------

    def take_nonce(self, url: str, nonce: str) -> None:
        """See `trimcp.transports.Authorizer`."""
        self._nonces.take(url, nonce)

    async def authorization(
        self, refusals: Sequence[Refusal], *, may_wait: bool
    ) -> Credentials | None:
        """See `trimcp.transports.Authorizer`."""
        if not refusals:
            return await self._usual()
        if _wants_nonce(refusals[-1]):
            return self._again(refusals)
        refusals = [each for each in refusals if not _wants_nonce(each)]
        need = self._need_of(refusals, may_wait)
        if need is None:
            return None
        while not need.is_met_by(self._tokens):
            flight = self._flight
            is_own = flight is None
            if flight is None:
                flight = self._start(need, self._get, need)
            await flight.done.wait()
            if flight.failure is not None and (is_own or flight.serves(need)):
                raise _failed(flight.failure)
            if is_own:
                break
        return self._credentials() if need.is_met_by(self._tokens) else None

    def _credentials(self) -> Credentials | None:
        """What requests carry with the tokens at hand."""
        tokens = self._tokens
        if tokens is None:
            return None
        if self._made is None or self._made[0] is not tokens:
            self._made = tokens, credentials_of(tokens, self._nonces)
        return self._made[1]

    def _again(self, refusals: Sequence[Refusal]) -> Credentials | None:
        """The same once more, after a proof that lacked the newest nonce; that is no failure.

        Raises:
            AuthorizationFailed: The newest nonce was in the proof, or there is none.
        """
        sent = refusals[-1].sent
        if self._nonces.of(refusals[-1].url) is None:
            raise AuthorizationFailed("the server wants a nonce in each proof, and names none")
        if sum(each.sent == sent and _wants_nonce(each) for each in refusals) > 1:
            raise AuthorizationFailed("the server refuses each proof and wants another nonce")
        return self._credentials()

    async def _usual(self) -> Credentials | None:
        """What a request carries that has not been refused."""
        if not self._is_loaded:
            try:
                tokens = await self._flow.usable()
            except Exception as error:
                raise _failed(error) from error
            if not self._is_loaded:
                self._tokens, self._is_loaded = tokens, True
        if self._is_stale():
            # A login that is under way may take long, and the token may still do.
            flight = self._flight or self._start(None, self._renew)
            if flight.need is None:
                await flight.done.wait()
        return self._credentials()

    def _is_stale(self) -> bool:
        tokens = self._tokens
        return (
            tokens is not None
            and tokens.stale is not None
            and (tokens.refresh_token is not None or not self._flow.asks_user)
            and tokens.stale <= time.time()
            and self._next_refresh <= trio.current_time()
        )

    def _need_of(self, refusals: Sequence[Refusal], may_wait: bool) -> _Need | None:
        """What the last refusal demands; None if nothing that we could get would help."""
        last = refusals[-1]
        demand = demand_of(last.challenges, last.sent)
        if len(refusals) > _MOST_REFUSALS or demand.params.get("error") == _WRONG_PROOF:
            return None
        if last.status == 401:
            if last.sent is not None and self._has_just_got(last.sent, refusals):
                return None
        elif demand.params.get("error") != "insufficient_scope":
            return None
        if last.url == self._flow.finder.url:
            # Of an endpoint to which the server has turned its client, the metadata may be others.
            self._hint = demand.params.get("resource_metadata")
        need = _Need(
            demand,
            self._hint,
            frozenset(each.sent for each in refusals),
            len({each.sent for each in refusals} - {None}) < 2,
            may_wait or not self._flow.asks_user,
            last.status == 403,
            self._is_anew,
        )
        tokens = self._tokens
        has_asked = tokens is not None and tokens.header == last.sent and need.is_asked_by(tokens)
        # What was asked for and not given is not asked for again.
        return None if last.status == 403 and (need.scopes is None or has_asked) else need

    def _has_just_got(self, refused: str, refusals: Sequence[Refusal]) -> bool:
        """Whether a token is so new that another one would not help either."""
        if len(refusals) > 1 and refused == self._from_login:
            return True
        # A server that refuses all tokens does not have a new one made for each request, nor for
        # each client.
        tokens = None if self._flow.asks_user else self._tokens
        return tokens is not None and tokens.header == refused and tokens.is_new(_RETRY_SECONDS)

    # -- flights ----------------------------------------------------------------------------

    def _start(
        self, need: _Need | None, job: Callable[..., Awaitable[None]], *args: object
    ) -> _Flight:
        self._flight = flight = _Flight(need)
        self._nursery.start_soon(self._fly, flight, job, args)
        return flight

    async def _fly(
        self, flight: _Flight, job: Callable[..., Awaitable[None]], args: tuple[object, ...]
    ) -> None:
        try:
            await job(*args)
        except AuthorizationFailed as error:
            flight.failure = error
        except Exception as error:
            # Hooks and storages raise AuthorizationFailed: this is something else.
            logger.exception("no access token could be got")
            flight.failure = error
        finally:
            self._flight = None
            flight.done.set()

    async def _renew(self) -> None:
        """Replace the access token before it expires."""
        try:
            async with self._turn.trying(None):
                if await self._has_changed() or self._tokens is None:
                    return
                if not self._flow.asks_user:
                    self._tokens = await self._flow.log_in_again(self._tokens)
                    return
                if await self._refreshed(self._tokens, None):
                    return
        except AuthorizationFailed as error:
            logger.warning("%s", error)
        self._next_refresh = trio.current_time() + _RETRY_SECONDS

    async def _get(self, need: _Need) -> None:
        """Get tokens that meet a need."""
        async with self._turn.trying(need):
            if await self._has_changed() and need.is_met_by(self._tokens):
                return
            requested = () if self._tokens is None else self._tokens.requested
            with self._flow.trying((*(need.scopes or ()), *requested)):
                await self._try(need)

    async def _try(self, need: _Need) -> None:
        """Get them by a refresh if that can do, else from the user."""
        # A server may have another authorization server now, so it is asked each time.
        found = await self._flow.finder.discover(need.hint)
        tokens = self._tokens
        if tokens is not None and (tokens.issuer, tokens.resource) != found.names:
            # They are those of another authorization server, or for another resource.
            tokens = None
        may_refresh = (
            tokens is not None
            and need.may_refresh
            and need.is_asked_by(tokens)
            and self._flow.may_refresh(tokens, need.demand, found)
        )
        if tokens is not None and may_refresh:
            is_refreshed = await self._refreshed(tokens, found)
            if is_refreshed and need.is_met_by(self._tokens):
                return
        if not need.may_wait:
            return
        requested = () if tokens is None else tokens.requested
        replaced = await self._flow.kept() if self._is_anew else None
        try:
            self._tokens = await self._flow.log_in(found, need.demand, requested)
        except AuthorizationFailed as error:
            if not need.is_for_scopes:
                raise
            needed = " ".join(need.scopes or ())
            words = f"{error} (scopes that are needed: {needed})"
            raise AuthorizationFailed(words) from error.__cause__
        self._is_anew = False
        self._from_login = self._tokens.header
        self._tell()
        if replaced is not None:
            with trio.move_on_after(_FAREWELL):
                await self._flow.give_back(replaced)

    async def _has_changed(self) -> bool:
        """Whether another client has stored other tokens; they are used from now on."""
        kept = None if self._is_anew else await self._flow.usable()
        if kept is None or kept == self._tokens:
            return False
        self._tokens = kept
        self._tell()
        return True

    async def _refreshed(self, tokens: Tokens, found: Found | None) -> bool:
        """Try to get the next access token; False if only another login can bring one.

        Raises:
            AuthorizationFailed: It may be had later; the refresh token is kept.
        """
        if tokens.refresh_token is None:
            return False
        try:
            refreshed = await self._flow.refresh(tokens, found)
        except GrantRefused as error:
            refusal = error
        except StorageFailed:
            raise
        except AuthorizationFailed as error:
            raise _later(error) from error
        else:
            if refreshed is None:
                return await self._has_changed()
            self._tokens = refreshed
            return True
        if await self._has_changed():
            # Another program was faster.
            return True
        if refusal.is_trouble:
            raise _later(refusal)
        logger.info("the login at %s has ended: %s", tokens.issuer, refusal)
        if refusal.is_final:
            self._tokens = await self._flow.retire(tokens)
        return False

    def _tell(self) -> None:
        for callback in self._callbacks:
            callback()


def _wants_nonce(refusal: Refusal) -> bool:
    """Whether only the proof of the request lacked the right nonce (RFC 9449, section 9)."""
    if refusal.status != 401 or not (refusal.sent or "").startswith("DPoP "):
        return False
    demand = demand_of(refusal.challenges, refusal.sent)
    return demand.params.get("error") == "use_dpop_nonce"


def _later(error: Exception) -> AuthorizationFailed:
    """The error for a refresh that an authorization server in trouble does not answer."""
    return AuthorizationFailed(
        f"the access token cannot be refreshed now, and the login is kept: {error}"
    )


def _failed(error: Exception) -> AuthorizationFailed:
    """An error of its own for each request that waited."""
    failure = AuthorizationFailed(reason_of(error))
    failure.__cause__ = error.__cause__ if isinstance(error, AuthorizationFailed) else error
    return failure
