"""The command `trimcp`: serve a file, and use a server from the shell.

Each command has a file of its own, which is loaded when the command is used: `trimcp run` starts as
fast as the server, and help needs none of them.
"""

from ._main import main

__all__ = ["main"]
