"""A child process whose standard streams carry the messages.

The child is ended in the specification's sequence: close its input, wait, SIGTERM, wait, SIGKILL.
The signals go to the whole process group, so that the child's own children end too. It is the same
if the caller is cancelled, so that the child can still clean up. Its output is read until it has
ended, since it could block on writing otherwise.

Specification: 2026-07-28, stdio, Shutdown.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from trimcp._groups import unwrapping

from ._channel import Incoming, Oversized
from ._lines import LineSplitter, open_stream_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from trimcp.limits import Limits

    from ._channel import MessageChannel

__all__ = ["ChildProcess", "open_process_channel"]

logger = logging.getLogger("trimcp.process")

#: Seconds to wait for a child's end after the end of its output; then it only closed its output.
_EXIT: Final = 0.5

#: Seconds without output after which all output of a dead child counts as read.
_LEFTOVER: Final = 0.1

#: The least number of seconds from SIGTERM to SIGKILL.
_LEAST: Final = 1.0

#: Seconds after the grace within which a child must have ended if its client was cancelled.
_AFTER_GRACE: Final = 2.0

#: Seconds for the last messages of a client that was cancelled, such as its cancellations.
_FAREWELL: Final = 1.0

_CHUNK: Final = 64 * 1024


@attrs.define(eq=False)
class ChildProcess:
    """A running child.

    Attributes:
        process: Trio's handle on it.
        command: Its command, for messages.
        grace: Seconds it gets after each step of its shutdown.
        stderr_tail: The last lines that it wrote to standard error.
    """

    process: trio.Process
    command: Sequence[str]
    grace: float
    stderr_tail: list[str] = attrs.field(factory=list)
    _told_at: float | None = None

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self.process.returncode

    def kill(self) -> None:
        """Kill the child and its own children at once (SIGKILL to the process group)."""
        self._signal_group(_SIGKILL)

    async def ask_to_end(self, began: float, patience: float) -> None:
        """Wait until it has ended, or has ignored SIGTERM for some time.

        Args:
            began: When its input was closed; the grace is counted from then.
            patience: Seconds that it gets after SIGTERM.
        """
        with trio.CancelScope(deadline=began + self.grace):
            await self.process.wait()
        if self._told_at is None:
            # Processes that the child started may still run, so the group always gets the signal.
            self._told_at = trio.current_time()
            self._signal_group(signal.SIGTERM)
        with trio.CancelScope(deadline=self._told_at + patience):
            await self.process.wait()

    async def kill_and_wait(self) -> None:
        """Kill the whole process group, and wait until the child has ended."""
        if self.process.returncode is None:
            logger.warning("%s ignored SIGTERM: killed", self.command[0])
        self.kill()
        await self.process.wait()

    def _signal_group(self, number: int) -> None:
        if sys.platform == "win32":
            if self.process.returncode is None:
                self.process.send_signal(number)
            return
        # The process group exists, under the same number, as long as one of its members.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


@attrs.define(eq=False)
class _Output(trio.abc.ReceiveStream):
    """A child's standard output, which ends only when its exit status is known, or will not be.

    The output of a process that dies is closed first, and its exit status is known a moment later.
    Without the wait, the errors of calls in flight could not contain it. If its own children keep
    the output open, the stream still ends when the process is gone and its output has been read.
    """

    process: trio.Process
    stream: trio.abc.ReceiveStream
    _is_over: bool = False
    _receiving: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if not self._is_over:
            with trio.CancelScope() as self._receiving:
                data = await self.stream.receive_some(max_bytes)
                if not data:
                    with trio.move_on_after(_EXIT):
                        await self.process.wait()
                return data
        with trio.move_on_after(_LEFTOVER):
            return await self.stream.receive_some(max_bytes)
        return b""

    async def watch(self) -> None:
        """Notice the end of the process, even if another process keeps its output open."""
        await self.process.wait()
        self._is_over = True
        self._receiving.cancel(reason="the child process ended")

    async def aclose(self) -> None:
        """Do nothing: the output is read until the child has ended."""
        await trio.lowlevel.checkpoint()

    async def drain(self) -> None:
        """Read the output to its end and discard it."""
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while await self.stream.receive_some(_CHUNK):
                pass


@attrs.define(eq=False)
class _Words:
    """A child's standard error, line by line."""

    child: ChildProcess
    stream: trio.abc.ReceiveStream
    splitter: LineSplitter
    on_line: Callable[[str], None] | None
    ended: trio.Event = attrs.field(factory=trio.Event)

    async def listen(self) -> None:
        """Read to the end in all cases, since the child would block on writing otherwise."""
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while not self.ended.is_set() and (data := await self.stream.receive_some()):
                self._pass_on(self.splitter.feed(bytes(data)))
        if not self.ended.is_set():
            self.ended.set()
            self._pass_on(self.splitter.end())

    def _pass_on(self, lines: list[Incoming]) -> None:
        for line in lines:
            if isinstance(line, Oversized):
                text = f"[a line of {line.size} bytes was skipped]"
            else:
                text = line.decode(errors="replace").rstrip("\r")
            self.child.stderr_tail = [*self.child.stderr_tail[-19:], text]
            if self.on_line is None:
                logger.info("%s: %s", self.child.command[0], text)
            else:
                self.on_line(text)


_SIGKILL: int = getattr(signal, "SIGKILL", signal.SIGTERM)


@asynccontextmanager
async def open_process_channel(
    command: Sequence[str],
    limits: Limits,
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    grace: float = 2.0,
    on_stderr: Callable[[str], None] | None = None,
) -> AsyncIterator[tuple[MessageChannel, ChildProcess]]:
    """Start a child process, and open a message channel over its standard streams.

    Args:
        command: The program and its arguments; no shell is involved.
        limits: Bounds of the channel, and `stderr_bytes`.
        env: Added to this process's environment.
        cwd: The child's working directory; by default that of this process.
        grace: Seconds the child gets to end by itself after its input was closed, and again after
            SIGTERM (at least one, and only one if the caller was cancelled).
        on_stderr: Called with each line that the child writes to standard error; by default the
            lines go to the log `trimcp.process` at level INFO.

    Raises:
        OSError: The program cannot be started.
    """
    process = await trio.lowlevel.open_process(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=None if env is None else {**os.environ, **env},
        **_own_group(),
    )
    child = ChildProcess(process, command, grace)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    output = _Output(process, process.stdout)
    words = _Words(child, process.stderr, LineSplitter(limits.stderr_bytes), on_stderr)
    stream = trio.StapledStream(process.stdin, output)
    with unwrapping() as whole:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(words.listen)
                nursery.start_soon(output.watch)
                try:
                    async with open_stream_channel(
                        stream, limits, peer=command[0], farewell=_FAREWELL
                    ) as channel:
                        with whole.block():
                            yield channel, child
                finally:
                    nursery.cancel_scope.cancel(reason="the channel was closed")
        finally:
            await _see_off(child, output, words)


async def _see_off(child: ChildProcess, output: _Output, words: _Words) -> None:
    """Make a child end. It gets less time if the caller is cancelled."""
    began = trio.current_time()
    try:
        await _attend(child, output, words, began, max(child.grace, _LEAST))
    finally:
        with trio.CancelScope(shield=True, relative_deadline=child.grace + _AFTER_GRACE):
            await _attend(child, output, words, began, _LEAST)
            await child.kill_and_wait()
        for stream in (output.stream, words.stream):
            await trio.aclose_forcefully(stream)


async def _attend(
    child: ChildProcess, output: _Output, words: _Words, began: float, patience: float
) -> None:
    """Ask a child to end, and read its output meanwhile."""
    with unwrapping():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(words.listen)
            nursery.start_soon(output.drain)
            await child.ask_to_end(began, patience)
            # Its last lines on standard error have usually arrived already.
            with trio.move_on_after(_LEFTOVER):
                await words.ended.wait()
            nursery.cancel_scope.cancel(reason="the child process ended")


def _own_group() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}
