"""The command `trimcp`: serve a file, and use a server from the shell.

Each command has its own file, which is loaded when the command is used: so `trimcp run` loads only
what the server needs, and the general help loads none of them.
"""

from ._main import main

__all__ = ["main"]
