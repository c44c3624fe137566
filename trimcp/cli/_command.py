"""What every command of the command line consists of."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import argparse
    from typing import Self

__all__ = ["Command"]


class Command:
    """A command with its options. Each has a file of its own, which is loaded when it is used.

    Attributes:
        has_result: Whether it writes a result to standard output.
        verbosity: How many `-v` were given.
    """

    has_result: ClassVar[bool] = True
    verbosity: int

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Give the command's parser its texts and options."""
        raise NotImplementedError

    @classmethod
    def read(cls, found: argparse.Namespace, command: list[str] | None) -> Self:
        """The command with the options that were given.

        Args:
            found: What the parser has found; `words` are those that belong to no option, `given`
                all of them.
            command: What follows the bare `--`, if there is one.

        Raises:
            ValueError: They make no sense.
        """
        raise NotImplementedError

    def run(self) -> int:
        """Perform it; returns the exit status. What goes wrong leaves as an exception."""
        raise NotImplementedError
