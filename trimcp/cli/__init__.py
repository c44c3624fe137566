"""The command `trimcp`: serve a file, and use a server from the shell.

What a command needs is imported when it runs, so that `trimcp run` starts as fast as the server.
"""

from ._main import main

__all__ = ["main"]
