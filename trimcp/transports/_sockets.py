"""TCP and Unix sockets: connecting and listening.

Specification: 2026-07-28, Custom Transports (byte streams reuse the stdio framing).
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Sequence

__all__ = [
    "addresses_of",
    "encrypted",
    "listening_on",
    "open_tcp_listeners",
    "open_unix_stream",
    "unix_listener",
]


#: Descriptors of listening sockets that belong to the parent process.
_handed_on: ContextVar[Sequence[int] | None] = ContextVar("handed on", default=None)


@contextmanager
def listening_on(descriptors: Sequence[int]) -> Iterator[None]:
    """Make servers that start in this task during the block use sockets that are already bound.

    The parent process keeps these sockets, and the files of Unix sockets.

    Args:
        descriptors: The sockets to listen on, whatever address is given; closed at the end.
    """
    token = _handed_on.set(descriptors)
    try:
        yield
    finally:
        _handed_on.reset(token)


def _listeners_handed_on(descriptors: Sequence[int]) -> list[trio.SocketListener]:
    return [
        trio.SocketListener(trio.socket.from_stdlib_socket(socket.socket(fileno=each)))
        for each in descriptors
    ]


#: The last port of TCP.
_LAST_PORT: Final = 65_535


async def open_tcp_listeners(host: str, port: int) -> list[trio.SocketListener]:
    """Listen on a host and port; for port 0 the system chooses one, the same for all families.

    Raises:
        OSError: The address cannot be bound.
        ValueError: There is no such port.
    """
    if not 0 <= port <= _LAST_PORT:
        # The system would take the remainder.
        raise ValueError(f"a port is 0 to {_LAST_PORT}, not {port}")
    if (descriptors := _handed_on.get()) is not None:
        await trio.lowlevel.checkpoint()
        return _listeners_handed_on(descriptors)
    return await trio.open_tcp_listeners(port, host=host)


def addresses_of(listeners: Sequence[trio.SocketListener]) -> list[tuple[str, int]]:
    """The actual `(host, port)` pairs of the listeners."""
    return [listener.socket.getsockname()[:2] for listener in listeners]


def encrypted(
    listeners: Sequence[trio.SocketListener], context: ssl.SSLContext | None
) -> list[trio.abc.Listener[Any]]:
    """The same listeners, with TLS if there is a context."""
    if context is None:
        return list(listeners)
    return [trio.SSLListener(each, context, https_compatible=True) for each in listeners]


@contextmanager
def unix_listener(path: str | os.PathLike[str]) -> Iterator[trio.SocketListener]:
    """Listen on a Unix socket to which only this user may connect; remove it at the end.

    A socket file left behind by a dead process is replaced; one that is in use is not.

    Raises:
        OSError: The path is in use, is not a socket, or cannot be bound.
    """
    if sys.platform == "win32":
        raise OSError(errno.ENOTSUP, "there are no Unix sockets on this platform")
    if (descriptors := _handed_on.get()) is not None:
        (listener,) = _listeners_handed_on(descriptors)
        with listener.socket:
            yield listener
        return
    path = os.fspath(path)
    _remove_stale(path)
    plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Restricted to the owner from the start: between bind and chmod others could connect.
        mask = os.umask(0o177)
        try:
            plain.bind(path)
        finally:
            os.umask(mask)
        plain.listen(128)
        plain.setblocking(False)
        inode = os.stat(path).st_ino
        try:
            yield trio.SocketListener(trio.socket.from_stdlib_socket(plain))
        finally:
            _remove_own(path, inode)
    finally:
        plain.close()


def _remove_stale(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "exists and is not a socket", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        else:
            raise OSError(errno.EADDRINUSE, "another process is listening on", path)


def _remove_own(path: str, inode: int) -> None:
    """Remove the socket file, unless another file has replaced it."""
    try:
        if os.stat(path).st_ino == inode:
            os.unlink(path)
    except FileNotFoundError:
        return


async def open_unix_stream(path: str | os.PathLike[str]) -> trio.SocketStream:
    """Connect to a Unix socket. Raises OSError."""
    return await trio.open_unix_socket(os.fspath(path))
