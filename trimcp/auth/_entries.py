"""The entries of a token storage: as text, and in a storage of the user's own."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from trimcp.errors import AuthorizationFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ._storage import TokenStorage

__all__ = ["Entries", "StorageFailed", "decoded", "encoded"]

T = TypeVar("T")


class StorageFailed(AuthorizationFailed):
    """A storage has raised an exception, which is the cause."""


class Entries:
    """A storage whose failures say that they are its own. A `TokenStorage`.

    Args:
        storage: The storage, which may be the user's own.
    """

    def __init__(self, storage: TokenStorage) -> None:
        self._storage = storage

    async def load(self, key: str) -> str | None:
        """The entry of this name, or None. Raises StorageFailed."""
        with self._naming("load"):
            return await self._storage.load(key)

    async def save(self, key: str, entry: str | None) -> None:
        """Keep an entry, or forget it. Raises StorageFailed."""
        with self._naming("save"):
            await self._storage.save(key, entry)

    @asynccontextmanager
    async def locked(self, key: str) -> AsyncIterator[None]:
        """See `TokenStorage`; nothing where the storage has no locks. Raises StorageFailed."""
        lock = getattr(self._storage, "locked", None)
        async with AsyncExitStack() as stack:
            if lock is not None:
                with self._naming("locked"):
                    await stack.enter_async_context(lock(key))
            yield

    @contextmanager
    def _naming(self, method: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            name = f"{type(self._storage).__name__}.{method}"
            raise StorageFailed(f"{name} raised {type(error).__name__}: {error}") from error


def encoded(value: Any) -> str:
    """A value as the text that is stored."""
    return msgspec.json.encode(value).decode()


def decoded(entry: str | None, cls: type[T]) -> T | None:
    """What was stored; None if it cannot be read, for example since it is of another version."""
    try:
        return None if entry is None else msgspec.json.decode(entry, type=cls)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
