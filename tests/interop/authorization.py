"""The authorization server on the other side, its users, and our protected server."""

from __future__ import annotations

import html
import json
import os
import re
import ssl
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

import attrs
import httpx2
import trio
import trustme

from tests.ports import free_port
from trimcp import Context, InvalidToken, Server
from trimcp.auth import IntrospectionVerifier, JWTVerifier

from .conftest import HERE, NODE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

    from trimcp import Principal, TokenVerifier

#: That of the client `resource-server`, which asks about tokens.
SECRET: Final = "the secret of the MCP server"

#: Steps of a login, forms and redirects, after which it is given up.
_MOST_STEPS: Final = 20


@attrs.frozen
class AuthorizationServer:
    """One that runs.

    Attributes:
        issuer: Its URL.
        format: What its access tokens are: `jwt` or `opaque`.
        authority: A file with the certificate that its own is signed with.
        certificate: A file with its own.
    """

    issuer: str
    format: str
    authority: Path
    certificate: Path

    @property
    def trusting(self) -> ssl.SSLContext:
        """A context that trusts nobody else."""
        return ssl.create_default_context(cafile=str(self.authority))

    @property
    def environment(self) -> dict[str, str]:
        """What programs of Python and Node trust it with."""
        authority = str(self.authority)
        return {**os.environ, "SSL_CERT_FILE": authority, "NODE_EXTRA_CA_CERTS": authority}

    def verifier(self, url: str) -> TokenVerifier:
        """Accepts its tokens for an MCP server."""
        if self.format == "jwt":
            return JWTVerifier.from_issuer(self.issuer, audience=url, ssl_context=self.trusting)
        return IntrospectionVerifier(
            f"{self.issuer}/token/introspection",
            client_id="resource-server",
            client_secret=SECRET,
            issuer=self.issuer,
            audience=url,
            cache_seconds=0,
            ssl_context=self.trusting,
        )


@contextmanager
def authorization_server(
    token_format: str, directory: Path, machines: Sequence[dict[str, Any]] = ()
) -> Iterator[AuthorizationServer]:
    """Run oidc-provider, with a certificate that is made for it.

    Args:
        token_format: What its access tokens are: `jwt` or `opaque`.
        directory: For its files.
        machines: Clients that it knows besides, as it describes them.
    """
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    files = {name: directory / f"{name}.pem" for name in ("authority", "certificate", "key")}
    authority.cert_pem.write_to_path(str(files["authority"]))
    certificate.cert_chain_pems[0].write_to_path(str(files["certificate"]))
    certificate.private_key_pem.write_to_path(str(files["key"]))
    program = [str(NODE), str(HERE / "authorization_server.mjs"), token_format]
    program += [str(files["certificate"]), str(files["key"])]
    log = directory / "log"
    env = {**os.environ, "MACHINES": json.dumps(machines)}
    with (
        log.open("w") as errors,
        subprocess.Popen(
            program, stdout=subprocess.PIPE, stderr=errors, text=True, env=env
        ) as process,
    ):
        try:
            assert process.stdout is not None
            issuer = process.stdout.readline().strip()
            assert issuer, log.read_text()
            yield AuthorizationServer(
                issuer, token_format, files["authority"], files["certificate"]
            )
        finally:
            process.kill()


@attrs.define
class User:
    """Logs in and agrees, as a browser would: by filling in forms.

    Attributes:
        server: The authorization server.
        name: Under which name.
        visits: The scopes that each login was asked for, sorted, and the answer that it ended
            with: `code`, or an error.
    """

    server: AuthorizationServer
    name: str = "alice"
    visits: list[tuple[str, str]] = attrs.field(factory=list)

    async def visit(self, url: str) -> str:
        """Go where the client sends the user; returns the URL at which that ended."""
        asked = " ".join(sorted(httpx2.URL(url).params["scope"].split()))
        ended = await self._browse(url)
        params = httpx2.URL(ended).params
        self.visits.append((asked, params.get("error", "code")))
        return ended

    async def _browse(self, url: str) -> str:
        async with httpx2.AsyncClient(verify=self.server.trusting, trust_env=False) as browser:
            answer = await browser.get(url)
            for _ in range(_MOST_STEPS):
                if answer.has_redirect_location:
                    url = urljoin(url, answer.headers["location"])
                    if not url.startswith(f"{self.server.issuer}/"):
                        return url
                    answer = await browser.get(url)
                else:
                    assert answer.status_code == 200, answer.text
                    action, fields = self._form(answer.text)
                    answer = await browser.post(urljoin(url, action), data=fields)
        raise AssertionError("the login has no end")

    def _form(self, page: str) -> tuple[str, dict[str, str]]:
        """The form of a page, filled in."""
        [action] = re.findall(r'<form[^>]* action="([^"]*)"', page)
        [prompt] = re.findall(r'name="prompt" value="([^"]*)"', page)
        fields = {"prompt": prompt}
        if prompt == "login":
            fields |= {"login": self.name, "password": "anything"}
        return html.unescape(action), fields


@attrs.define
class Watching:
    """Sees which tokens come, and refuses some.

    Attributes:
        verifier: Judges the others.
        came: All tokens, each once, in order.
        refused: Those that are refused.
    """

    verifier: Any
    came: dict[str, None] = attrs.field(factory=dict)
    refused: set[str] = attrs.field(factory=set)

    @property
    def issuer(self) -> Any:
        return self.verifier.issuer

    @property
    def audience(self) -> Any:
        return self.verifier.audience

    async def verify(self, token: str) -> Principal:
        self.came[token] = None
        if token in self.refused:
            raise InvalidToken("the access token is refused")
        principal: Principal = await self.verifier.verify(token)
        return principal

    @property
    def last(self) -> str:
        """The token that has come last of all new ones."""
        return list(self.came)[-1]


async def logged_in(
    command: Sequence[str], user: User, asks: str = "visit ", **environment: str
) -> list[str]:
    """What a program prints for which a user logs in: the lines of both of its streams.

    Args:
        command: How it is started.
        user: Goes where the program wants its user to go.
        asks: How a line begins that says so; the URL follows.
        environment: More variables of its environment.
    """
    process = await trio.lowlevel.open_process(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**user.server.environment, **environment},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told: list[str] = []
    try:
        async with process.stdin, process.stdout:
            data = b""
            async for piece in process.stdout:
                *lines, data = (data + piece).split(b"\n")
                for line in map(bytes.decode, lines):
                    if line.startswith(asks):
                        ended = await user.visit(line.removeprefix(asks))
                        await process.stdin.send_all(f"{ended}\n".encode())
                    else:
                        told.append(line)
        return told
    finally:
        process.kill()
        with trio.CancelScope(shield=True, relative_deadline=10):
            await process.wait()


def create_server(verifier: TokenVerifier, **options: Any) -> Server[None]:
    """Our protected server: whoever calls may read, and needs more to write."""
    options = {"required_scopes": {"notes:read"}, **options}
    server: Server[None] = Server("protected", version="1.0.0", auth=verifier, **options)

    @server.tool
    async def who(ctx: Context) -> str:
        """Who calls."""
        assert ctx.principal is not None
        return ctx.principal.subject

    @server.tool
    async def client(ctx: Context) -> str | None:
        """Which client calls."""
        assert ctx.principal is not None
        return ctx.principal.client

    @server.tool(scopes={"notes:write"})
    async def write(text: str, ctx: Context) -> str:
        """Write a note."""
        assert ctx.principal is not None
        return f"{ctx.principal.subject} wrote {text}"

    return server


@contextmanager
def their_protected_server(authorization: AuthorizationServer) -> Iterator[str]:
    """Run the protected server of the Python SDK; yields its endpoint."""
    program = [sys.executable, str(HERE / "protected_server_sdk.py"), authorization.issuer, SECRET]
    env = authorization.environment
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, "the server did not start"
            yield url
        finally:
            process.kill()


@attrs.frozen
class Protected:
    """Our protected server.

    Attributes:
        url: Its endpoint.
        watching: Sees its tokens.
    """

    url: str
    watching: Watching


@asynccontextmanager
async def protected_server(
    authorization: AuthorizationServer,
    *,
    audience: str = "/mcp",
    around: Callable[[TokenVerifier], TokenVerifier] | None = None,
    **options: Any,
) -> AsyncIterator[Protected]:
    """Serve over HTTP while the block runs.

    Args:
        authorization: Issues the tokens.
        audience: The path of the URL that tokens are for.
        around: Makes the verifier that asks for more.
        options: Those of `Server`.
    """
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    watching = Watching(authorization.verifier(origin + audience))
    verifier = watching if around is None else around(watching)
    server = create_server(verifier, **options)
    async with trio.open_nursery() as nursery:
        [served] = await nursery.start(server.serve_http, "127.0.0.1", port)
        assert served == origin
        yield Protected(f"{origin}/mcp", watching)
        nursery.cancel_scope.cancel()
