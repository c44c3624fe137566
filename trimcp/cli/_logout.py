"""`trimcp logout`: forget a login."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ._errors import CommandError
from ._login import url_of
from ._logins import kept_login
from ._options import Connecting

if TYPE_CHECKING:
    import argparse

__all__ = ["LoggingOut"]


@attrs.frozen(kw_only=True)
class LoggingOut(Connecting):
    """`trimcp logout`."""

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        parser.usage = "trimcp logout [options] URL"
        parser.description = (
            "Forget the tokens for a server, and have its authorization server revoke them."
        )
        Connecting.add_common(parser)

    @classmethod
    def read(cls, found: argparse.Namespace, command: list[str] | None) -> LoggingOut:
        return cls(target=url_of(found.words, command), **cls.read_common(found))

    async def talk(self) -> int:
        """Log out.

        Raises:
            CommandError: There is no login at the server.
            AuthorizationFailed: The tokens are forgotten, but may not be revoked.
        """
        assert isinstance(self.target, str)
        if not await kept_login().log_out(self.target):
            raise CommandError(f"nobody is logged in at {self.target}")
        print("logged out")
        return 0
