"""Where programs that use MCP servers keep their settings, on each platform."""

from __future__ import annotations

import ntpath
import posixpath
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Machine"]


@attrs.frozen
class Machine:
    """What decides where files are. Nothing here looks at the disk.

    Attributes:
        platform: As `sys.platform`: `win32`, `darwin`, or one of the others, which are like Linux.
        environment: The variables of the environment.
        home: The user's home directory.
    """

    platform: str
    environment: Mapping[str, str]
    home: str

    @property
    def is_windows(self) -> bool:
        return self.platform == "win32"

    def join(self, *parts: str) -> str:
        """A path of this platform."""
        return ntpath.join(*parts) if self.is_windows else posixpath.join(*parts)

    def at_home(self, *parts: str) -> str:
        """A path below the home directory."""
        return self.join(self.home, *parts)

    def below(self, variable: str, *default: str) -> str:
        """The directory that a variable names, or else one below the home directory."""
        return self.environment.get(variable) or self.at_home(*default)

    @property
    def app_data(self) -> str:
        """Where Windows keeps the settings of applications."""
        return self.below("APPDATA", "AppData", "Roaming")

    @property
    def application_support(self) -> str:
        """Where macOS keeps the settings of applications."""
        return self.at_home("Library", "Application Support")

    @property
    def config(self) -> str:
        """Where other systems keep them."""
        return self.below("XDG_CONFIG_HOME", ".config")

    def settings(self, application: str, *parts: str) -> str:
        """A file of a desktop application's settings."""
        if self.is_windows:
            return self.join(self.app_data, application, *parts)
        if self.platform == "darwin":
            return self.join(self.application_support, application, *parts)
        return self.join(self.config, application, *parts)
