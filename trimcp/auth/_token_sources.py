"""Where a platform puts its tokens."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import trio

from trimcp.errors import AuthorizationFailed

from ._asking import MOST_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["token_from_environment", "token_from_file"]


def token_from_file(path: str | os.PathLike[str]) -> Callable[[], Awaitable[str]]:
    """Reads a token from a file each time, since platforms replace it before it expires.

    White space around it is left out.

    Args:
        path: The file, as that of a service account of Kubernetes.

    Returns:
        What `WorkloadIdentity(token=…)` and `EnterpriseManaged(id_token=…)` take. It raises
        AuthorizationFailed if the file cannot be read, or is empty or larger than 64 KiB.
    """
    name = os.fspath(path)

    def read() -> bytes:
        with open(name, "rb") as file:
            return file.read(MOST_CHARACTERS + 1)

    async def token() -> str:
        try:
            found = (await trio.to_thread.run_sync(read, abandon_on_cancel=True)).decode("ascii")
        except OSError as error:
            raise AuthorizationFailed(f"no token can be read: {error}") from None
        except UnicodeDecodeError:
            raise AuthorizationFailed(f"the file {name!r} holds no token") from None
        if not found.strip() or len(found) > MOST_CHARACTERS:
            raise AuthorizationFailed(f"the file {name!r} is empty, or too large for a token")
        return found.strip()

    return token


def token_from_environment(name: str) -> Callable[[], str]:
    """Reads a token from a variable of the environment each time.

    Args:
        name: The variable.

    Returns:
        What `WorkloadIdentity(token=…)` and `EnterpriseManaged(id_token=…)` take. It raises
        AuthorizationFailed if the variable is not there, or is empty.
    """

    def token() -> str:
        found = os.environ.get(name, "").strip()
        if not found:
            raise AuthorizationFailed(f"the environment has no {name}, or it is empty")
        return found

    return token
