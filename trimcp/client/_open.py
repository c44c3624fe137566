"""Opening clients: async context managers, each for one kind of server, that yield a `Client`."""

from __future__ import annotations

import functools
import os
import sys
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, Unpack
from urllib.parse import urlsplit

import trio

from trimcp import transports
from trimcp._groups import unwrapping
from trimcp.errors import NotServing, OptionError
from trimcp.limits import Limits
from trimcp.runtime import contained

from ._answers import Answerer
from ._checks import check_callback, check_seconds, check_texts
from ._client import Client
from ._options import (
    DEFAULT_TIMEOUT,
    ClientOptions,
    check_env,
    check_options,
    checked_command,
    checked_file,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from trimcp.transports import ChildProcess, HTTPClient, HTTPLink, MessageChannel
__all__ = [
    "ClientOptions",
    "client_for",
    "open_client",
    "open_http_client",
    "open_memory_client",
    "open_stdio_client",
    "open_stream_client",
    "open_tcp_client",
    "open_unix_client",
    "open_websocket_client",
]

#: Seconds for the last messages of a client that was cancelled, such as its cancellations.
_FAREWELL: Final = 1.0

#: Schemes of URLs of servers that may demand authorization.
_AT_URL: Final = frozenset({"http", "https", "ws", "wss"})

#: The network's grace for requests of an in-process server.
_MEMORY_GRACE = 5.0


class _Application(Protocol):
    @property
    def is_closing(self) -> bool: ...

    async def serve(self, channel: MessageChannel, *, grace: float) -> None: ...


class _Server(Protocol):
    """The interface of a server in the same process."""

    @property
    def limits(self) -> Limits: ...

    def joined(self, *, signals: bool = ...) -> AbstractAsyncContextManager[_Application]: ...


Target: TypeAlias = "_Server | str | os.PathLike[str] | Sequence[str]"


def _client(connector: Any, options: ClientOptions, *, at_url: bool = False) -> Client:
    check_options(options)
    for name in ("auth", "headers"):
        if options.get(name) is not None and not at_url:
            raise OptionError(f"{name}= is for servers at a URL of HTTP or WebSocket")
    return Client(
        connector,
        options.get("limits") or Limits(),
        Answerer(
            elicitation=options.get("elicitation"),
            url=options.get("url_elicitation"),
            sampling=options.get("sampling"),
            sampling_tools=options.get("sampling_tools", False),
            roots=options.get("roots"),
            experimental=options.get("experimental"),
            extensions=_extensions(options),
        ),
        name=options.get("name", "trimcp"),
        version=options.get("version", "0.1.0"),
        revision=options.get("revision"),
        timeout=options.get("timeout", DEFAULT_TIMEOUT),
        probe_timeout=options.get("probe_timeout", 10.0),
        max_rounds=options.get("max_rounds", 20),
        result_types=options.get("result_types", ()),
        logging=options.get("logging"),
        log_level=options.get("log_level"),
    )


def _extensions(options: ClientOptions) -> Mapping[str, Any] | None:
    """The extensions that are declared: the user's, and the one that `auth=` belongs to."""
    given, extension = options.get("extensions"), getattr(options.get("auth"), "extension", None)
    return given if extension is None else {extension: {}, **(given or {})}


def client_for(
    target: Target,
    *,
    on_stderr: Callable[[str], None] | None = None,
    **options: Unpack[ClientOptions],
) -> Client:
    """A client that is not connected yet, for `await nursery.start(client.run)`.

    Args:
        target: As for `open_client`.
        on_stderr: As for `open_stdio_client`, if the target is a command.
        options: See `ClientOptions`.

    Raises:
        OptionError, ValueError: The target or an option cannot be understood.
        FileNotFoundError: There is no such Python file.
    """
    limits = options.get("limits") or Limits()
    if isinstance(target, str | os.PathLike):
        text = os.fspath(target)
        at_url = urlsplit(text).scheme in _AT_URL
        return _client(_connector_for(text, limits, options), options, at_url=at_url)
    if isinstance(target, list | tuple):
        argv = checked_command(target)
        return _client(partial(_process_connector, argv, limits, on_stderr=on_stderr), options)
    if isinstance(target, type) or not hasattr(target, "joined"):
        raise OptionError(
            f"a client is opened to a server, a text or a list, not to {target!r:.100}"
        )
    return _client(partial(_memory_connector, target, limits), options)  # type: ignore[arg-type]


def _connector_for(target: str, limits: Limits, options: ClientOptions) -> Any:
    parts = urlsplit(target)
    if parts.scheme in ("http", "https"):
        return _http_connector(target, limits, options)
    if parts.scheme in ("ws", "wss"):
        return _websocket_connector(target, limits, options)
    if parts.scheme == "tcp" and parts.hostname and parts.port is not None:
        return partial(_tcp_connector, parts.hostname, parts.port, limits)
    if parts.scheme == "unix" and (parts.netloc + parts.path):
        return partial(_unix_connector, parts.netloc + parts.path, limits)
    if target.endswith(".py") and "://" not in target:
        return partial(_process_connector, [sys.executable, checked_file(target)], limits)
    raise ValueError(
        f"cannot tell how to reach {target!r}: give a Python file, http://HOST/PATH, "
        "https://HOST/PATH, ws://HOST:PORT/PATH, tcp://HOST:PORT, unix:PATH, or a list with a "
        "command and its arguments"
    )


@asynccontextmanager
async def open_client(target: Target, **options: Unpack[ClientOptions]) -> AsyncIterator[Client]:
    """Connect to a server, whatever it is.

    Args:
        target: A `Server` in this process, a Python file to run, an `http://`, `https://`,
            `ws://` or `wss://` URL, a `tcp://HOST:PORT` or `unix:PATH` address, or a command with
            its arguments.
        options: See `ClientOptions`.

    Raises:
        OptionError, ValueError: The target or an option cannot be understood.
        OSError: The server cannot be started or reached.
        NoCommonRevision: Client and server share no protocol revision.
        RequestError, RequestTimeout, ConnectionLost, HTTPStatusError, ProtocolViolation: The
            server did not answer the first request as it must.
    """
    async with client_for(target, **options).opened() as client:
        yield client


@asynccontextmanager
async def open_memory_client(
    server: _Server, **options: Unpack[ClientOptions]
) -> AsyncIterator[Client]:
    """Connect to a `Server` in this process, without any IO: for tests, above all."""
    limits = options.get("limits") or Limits()
    async with _client(partial(_memory_connector, server, limits), options).opened() as client:
        yield client


@asynccontextmanager
async def open_stdio_client(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    grace: float = 2.0,
    on_stderr: Callable[[str], None] | None = None,
    **options: Unpack[ClientOptions],
) -> AsyncIterator[Client]:
    """Start a server as a child process and connect to it.

    At the end the child's input is closed, then it gets SIGTERM, then SIGKILL, with `grace`
    seconds between; the signals go to its whole process group.

    Args:
        command: The program and its arguments.
        env: Added to this process's environment.
        cwd: Where the child starts.
        grace: Seconds between these steps; after SIGTERM at least one, and only one if the client
            was cancelled.
        on_stderr: Called with each line of the child's standard error; by default they go to
            the log `trimcp.process`.
        options: See `ClientOptions`.

    Raises:
        OptionError, ValueError: The command or an option is wrong.
        OSError: The program cannot be started.
        ProcessDied: It ended before it answered.
    """
    argv = checked_command(command)
    check_env(env)
    check_seconds("grace=", grace)
    check_callback("on_stderr=", on_stderr)
    limits = options.get("limits") or Limits()
    connector = partial(
        _process_connector, argv, limits, env=env, cwd=cwd, grace=grace, on_stderr=on_stderr
    )
    async with _client(connector, options).opened() as client:
        yield client


@asynccontextmanager
async def open_http_client(
    url: str,
    *,
    http_client: HTTPClient | None = None,
    **options: Unpack[ClientOptions],
) -> AsyncIterator[Client]:
    """Connect to a server over HTTP: Streamable HTTP, or else HTTP with SSE.

    The server's era and transport are found with the first requests. In the stateless era only
    calls use the network.

    Args:
        url: The server's endpoint.
        http_client: An `httpx2.AsyncClient` that makes the connections, with proxies,
            certificates or authorization of its own; it is not closed at the end, and logins
            of `auth=` do not use it. With HTTP/2 a server is not told when a call is left.
        options: See `ClientOptions`.

    Raises:
        ValueError: The URL or an option is wrong.
        HTTPStatusError: The server answered with an HTTP status, without a message of the protocol.
        ConnectionLost: The server cannot be reached; `__cause__` says why.
        AuthorizationFailed: It demands a login, and that has failed.
        NoCommonRevision, RequestError, RequestTimeout, ProtocolViolation: As for `open_client`.
    """
    limits = options.get("limits") or Limits()
    connector = _http_connector(url, limits, options, client=http_client)
    async with _client(connector, options, at_url=True).opened() as client:
        yield client


@asynccontextmanager
async def open_tcp_client(
    host: str, port: int, **options: Unpack[ClientOptions]
) -> AsyncIterator[Client]:
    """Connect to a server on `serve_tcp`. Raises OSError if it cannot be reached."""
    limits = options.get("limits") or Limits()
    async with _client(partial(_tcp_connector, host, port, limits), options).opened() as client:
        yield client


@asynccontextmanager
async def open_unix_client(
    path: str | os.PathLike[str], **options: Unpack[ClientOptions]
) -> AsyncIterator[Client]:
    """Connect to a server on `serve_unix`. Raises OSError if it cannot be reached."""
    limits = options.get("limits") or Limits()
    async with _client(partial(_unix_connector, path, limits), options).opened() as client:
        yield client


@asynccontextmanager
async def open_websocket_client(
    url: str,
    *,
    ssl_context: ssl.SSLContext | None = None,
    **options: Unpack[ClientOptions],
) -> AsyncIterator[Client]:
    """Connect to a server's WebSocket, on `serve_websocket` or any other.

    Args:
        url: `ws://HOST:PORT/PATH` or `wss://…`.
        ssl_context: For `wss`; Python's default by default.
        options: See `ClientOptions`; `timeout` bounds the connecting too.

    Raises:
        ValueError: The URL or a header is invalid.
        OSError: The server cannot be reached.
        HandshakeFailed: The server refused the handshake, or the handshake failed; with its HTTP
            status.
    """
    limits = options.get("limits") or Limits()
    connector = _websocket_connector(url, limits, options, ssl_context=ssl_context)
    async with _client(connector, options, at_url=True).opened() as client:
        yield client


@asynccontextmanager
async def open_stream_client(
    stream: trio.abc.Stream, **options: Unpack[ClientOptions]
) -> AsyncIterator[Client]:
    """Connect over any Trio stream, which is closed at the end."""
    limits = options.get("limits") or Limits()
    async with _client(
        partial(_stream_connector, stream, limits, "stream"), options
    ).opened() as client:
        yield client


# -- connectors -------------------------------------------------------------------------------


@asynccontextmanager
async def _stream_connector(
    stream: trio.abc.Stream, limits: Limits, peer: str
) -> AsyncIterator[tuple[MessageChannel, None]]:
    async with transports.open_stream_channel(
        stream, limits, peer=peer, farewell=_FAREWELL
    ) as channel:
        yield channel, None


def _http_connector(
    url: str, limits: Limits, options: ClientOptions, *, client: HTTPClient | None = None
) -> Any:
    transports.check_url(url)
    headers, auth = options.get("headers"), options.get("auth")

    @asynccontextmanager
    async def connector() -> AsyncIterator[tuple[HTTPLink, None]]:
        opening = functools.partial(transports.open_http_link, url, limits)
        if auth is not None:
            opening = functools.partial(transports.open_authorized_link, url, limits, auth)
        async with opening(headers=headers, client=client) as link:
            yield link, None

    return connector


@asynccontextmanager
async def _tcp_connector(
    host: str, port: int, limits: Limits
) -> AsyncIterator[tuple[MessageChannel, None]]:
    stream = await trio.open_tcp_stream(host, port)
    async with _stream_connector(stream, limits, f"tcp://{host}:{port}") as opened:
        yield opened


@asynccontextmanager
async def _unix_connector(
    path: str | os.PathLike[str], limits: Limits
) -> AsyncIterator[tuple[MessageChannel, None]]:
    stream = await transports.open_unix_stream(path)
    async with _stream_connector(stream, limits, f"unix:{os.fspath(path)}") as opened:
        yield opened


def _websocket_connector(
    url: str,
    limits: Limits,
    options: ClientOptions,
    *,
    ssl_context: ssl.SSLContext | None = None,
) -> Any:
    # Only programs that use a WebSocket load what it needs.
    from trimcp.transports import websocket

    address = websocket.WebSocketAddress.parse(url)
    if ssl_context is not None and not address.is_secure:
        raise ValueError(f"an SSL context is for wss://, not for {url!r}")
    timeout = options.get("timeout", DEFAULT_TIMEOUT)
    check_texts("headers=", options.get("headers"))
    given = websocket.header_list(options.get("headers"))
    auth = options.get("auth")
    connect: Any = partial(websocket.connect_websocket, address, limits)
    if auth is not None:
        connect = partial(websocket.connect_authorized, address, limits, auth)

    @asynccontextmanager
    async def connector() -> AsyncIterator[tuple[MessageChannel, None]]:
        async with connect(headers=given, ssl_context=ssl_context, timeout=timeout) as channel:
            yield channel, None

    return connector


@asynccontextmanager
async def _process_connector(
    command: list[str], limits: Limits, **options: Any
) -> AsyncIterator[tuple[MessageChannel, ChildProcess]]:
    async with transports.open_process_channel(command, limits, **options) as opened:
        yield opened


@asynccontextmanager
async def _memory_connector(
    server: _Server, limits: Limits
) -> AsyncIterator[tuple[MessageChannel, None]]:
    """Serve the client's in-memory connection, which ends before the application."""
    async with (
        server.joined(signals=False) as application,
        transports.open_memory_channels(limits, server.limits) as (ours, theirs),
    ):
        if application.is_closing:
            raise NotServing("the server is shutting down")
        with unwrapping() as whole:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_serve, application, theirs)
                try:
                    with whole.block():
                        yield ours, None
                finally:
                    nursery.cancel_scope.cancel(reason="the client was closed")


async def _serve(application: _Application, channel: MessageChannel) -> None:
    serve = functools.partial(application.serve, channel, grace=_MEMORY_GRACE)
    try:
        # The server's errors are not raised in the client, which only loses its connection.
        await contained("a connection in memory", serve)
    finally:
        # There is no stream whose end would tell the client that the server hung up.
        channel.outbox.close()
        channel.incoming.close()
