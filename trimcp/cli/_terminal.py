"""The user at the terminal: what is shown in addition to the result, and questions.

All of it goes to standard error, since standard output belongs to the result.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from trimcp._groups import unwrapping

from ._screen import control, printable
from ._width import clip, ljust, width_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trimcp.runtime import ProgressCallback

__all__ = ["Terminal", "output_width", "progress_line", "waiting_line"]

_BAR: Final = 20
_MARK: Final = 3

#: How many characters of a progress message are used; no terminal has that many columns.
_MOST_WORDS: Final = 1_000

#: What turns while nothing is known of the progress.
_SPINNER: Final = "|/-\\"

#: The columns of `^C`, which the terminal shows behind the line.
_ECHO: Final = 2

#: Seconds until it is shown, and between two of its steps.
_PATIENCE: Final = 0.5
_STEP: Final = 0.1


def output_width() -> int:
    """How many columns standard output has; 80 if it is not a terminal."""
    return shutil.get_terminal_size().columns


def progress_line(progress: float, total: float | None, message: str | None, width: int) -> str:
    """One line that shows progress, at most `width` columns wide."""
    done, all_of_it = _finite(progress), _finite(total or 0)
    if all_of_it:
        share = min(max(done / all_of_it, 0), 1)
        bar = ("#" * round(share * _BAR)).ljust(_BAR, ".")
        numbers = f"{share:4.0%}  {done:,.10g}/{all_of_it:,.10g}"
    else:
        # The total is unknown: the mark only shows that the work goes on.
        place = int(done) % (_BAR - _MARK + 1)
        bar = ("." * place + "#" * _MARK).ljust(_BAR, ".")
        numbers = f"{done:,.10g}"
    words = printable((message or "")[:_MOST_WORDS])
    return clip(f"[{bar}] {numbers}  {words}".rstrip(), width)


def waiting_line(step: int, seconds: float, width: int) -> str:
    """One line that shows that an answer is awaited, at most `width` columns wide."""
    mark = _SPINNER[step % len(_SPINNER)]
    return clip(f"{mark} waiting for the answer, {seconds:.0f} s", width)


def _finite(number: float) -> float:
    """The number as a float; the largest float for a larger number."""
    try:
        return min(max(float(number), -sys.float_info.max), sys.float_info.max)
    except OverflowError:
        return sys.float_info.max if number > 0 else -sys.float_info.max


class Terminal:
    """The terminal on standard error and standard input, if there is one.

    Args:
        has_bar: Whether there may be a progress bar; logs would be written into its line.

    Attributes:
        can_ask: Whether standard error and standard input are a terminal.
    """

    def __init__(self, *, has_bar: bool = False) -> None:
        is_shown = sys.stderr.isatty()
        self.can_ask = is_shown and sys.stdin.isatty()
        self._has_bar = has_bar and is_shown
        self._bar = ""
        self._has_progress = False
        self._is_asking = False
        self._typed = b""

    # -- the progress bar -----------------------------------------------------------------

    @asynccontextmanager
    async def bar(self) -> AsyncIterator[ProgressCallback | None]:
        """A progress callback that draws a bar, or None; the bar is removed at the end.

        Until there is progress, something turns.
        """
        if not self._has_bar:
            yield None
            return
        with unwrapping():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._turn)
                try:
                    yield self._show_progress
                finally:
                    # For good: what turns may be about to draw once more.
                    self.give_way()
                    nursery.cancel_scope.cancel(reason="the answer is there")

    async def _turn(self) -> None:
        """Show that an answer is awaited, until there is progress or something else is shown."""
        began = trio.current_time()
        await trio.sleep(_PATIENCE)
        for step in itertools.count():
            if self._has_progress or not self._has_bar:
                return
            if not self._is_asking:
                seconds = trio.current_time() - began
                self._draw(waiting_line(step, seconds, _bar_width()))
            await trio.sleep(_STEP)

    async def _show_progress(
        self, progress: float, total: float | None, message: str | None
    ) -> None:
        """Draw the bar, unless a question is being asked."""
        self._has_progress = True
        if self._has_bar and not self._is_asking:
            self._draw(progress_line(progress, total, message, _bar_width()))
        await trio.lowlevel.checkpoint()

    def give_way(self) -> None:
        """Remove the bar for good, for example since the result is being written."""
        self._clear()
        self._has_bar = False

    def _clear(self) -> None:
        """Remove the bar."""
        if self._bar:
            self._draw("")
            control("\r")
            sys.stderr.flush()

    def _draw(self, line: str) -> None:
        # Ctrl-C may interrupt the writing; the bar can still be removed then.
        before, self._bar = self._bar, line
        control("\r")
        _write(ljust(line, width_of(before) + (_ECHO if not line else 0)))

    # -- questions ------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Show a line."""
        self._clear()
        _write(f"{text}\n")

    async def ask(self, prompt: str) -> str:
        """Ask for a line.

        Raises:
            EOFError: Ctrl-D instead of an answer.
        """
        self._clear()
        self._is_asking = True
        try:
            _write(prompt)
            return await self._line()
        finally:
            self._is_asking = False

    async def _line(self) -> str:
        """The next line that is typed; what follows it is kept for the next question."""
        while b"\n" not in self._typed:
            data = await _read_input()
            if not data:
                _write("\n")
                raise EOFError
            self._typed += data
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace").strip()


async def _read_input() -> bytes:
    """Wait for input without a thread, since Ctrl-C could not stop a thread."""
    if sys.platform == "win32":
        return await trio.to_thread.run_sync(os.read, 0, 4096, abandon_on_cancel=True)
    await trio.lowlevel.wait_readable(0)
    return os.read(0, 4096)


def _bar_width() -> int:
    """How wide a line may be that is drawn again and again, and has to be removed."""
    return max(_error_width() - 1 - _ECHO, 1)


def _error_width() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
