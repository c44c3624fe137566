"""A child process whose standard streams carry the messages.

Leaving is the specification's sequence: close its input, wait, SIGTERM, wait, SIGKILL; the
signals go to the whole process group, so that the child's own children end too.

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

#: Seconds between the end of a child's output and its own; longer, and it only closed its output.
_EXIT: Final = 0.5

#: Seconds without output after which nothing is left of what a dead child wrote.
_LEFTOVER: Final = 0.1

#: Seconds from SIGTERM to SIGKILL when the caller was itself cancelled.
_HURRY = 0.2


@attrs.define(eq=False)
class ChildProcess:
    """A running child.

    Attributes:
        process: Trio's handle on it.
        command: What was started, for messages.
        grace: Seconds it gets after each step of leaving.
        stderr_tail: The last lines it wrote to standard error.
        stderr_ended: Set when it can write no more.
    """

    process: trio.Process
    command: Sequence[str]
    grace: float
    stderr_tail: list[str] = attrs.field(factory=list)
    stderr_ended: trio.Event = attrs.field(factory=trio.Event)

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self.process.returncode

    def kill(self) -> None:
        """End it and its own children at once, whatever they are doing."""
        self._signal_group(_SIGKILL)

    async def leave(self) -> None:
        """Wait for it to end by itself, then see to it. A cancelled caller waits less."""
        grace = self.grace
        try:
            with trio.move_on_after(grace):
                await self.process.wait()
        except trio.Cancelled:
            grace = _HURRY
            raise
        finally:
            # What the child started may have outlived it, so the group is told in any case.
            with trio.CancelScope(shield=True, relative_deadline=2 * grace + 1):
                await self._end(grace)

    async def _end(self, grace: float) -> None:
        self._signal_group(signal.SIGTERM)
        with trio.move_on_after(grace):
            await self.process.wait()
        if self.process.returncode is None:
            logger.warning("%s ignored SIGTERM for %.1f s: killed", self.command[0], grace)
        self._signal_group(_SIGKILL)
        await self.process.wait()

    def _signal_group(self, number: int) -> None:
        if sys.platform == "win32":
            if self.process.returncode is None:
                self.process.send_signal(number)
            return
        # The group lives on, under the same number, as long as one of its members does.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


@attrs.define(eq=False)
class _Output(trio.abc.ReceiveStream):
    """A child's standard output, which ends when its exit status is known, or is not to come.

    A process that dies closes its output first and can be waited for a moment later, so without
    the wait the errors of the calls in flight could not say how it ended. Where its own children
    hold on to the output, the stream ends all the same once the process is gone and what it
    wrote has been read.
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
        """Notice the end of the process, whoever else holds its output."""
        await self.process.wait()
        self._is_over = True
        self._receiving.cancel(reason="the child process ended")

    async def aclose(self) -> None:
        await self.stream.aclose()


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
    """Start a child and talk to it over its standard streams.

    Args:
        command: The program and its arguments; no shell is involved.
        limits: Bounds of the channel, and `stderr_bytes`.
        env: Added to this process's environment.
        cwd: Where the child starts; here by default.
        grace: Seconds the child gets to end by itself once its input is closed, and again
            after SIGTERM.
        on_stderr: Called with each line the child writes to standard error; by default they go
            to the log `trimcp.process` at level INFO.

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
    output = _Output(process, process.stdout)
    stream = trio.StapledStream(process.stdin, output)
    with unwrapping():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pump_stderr, child, limits.stderr_bytes, on_stderr)
            nursery.start_soon(output.watch)
            try:
                async with open_stream_channel(stream, limits, peer=command[0]) as channel:
                    yield channel, child
            finally:
                try:
                    await child.leave()
                    # Its last words are usually there already.
                    with trio.move_on_after(_LEFTOVER):
                        await child.stderr_ended.wait()
                finally:
                    nursery.cancel_scope.cancel(reason="the child process ended")


def _own_group() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


async def _pump_stderr(
    child: ChildProcess, limit: int, on_stderr: Callable[[str], None] | None
) -> None:
    """Read standard error to its end whatever happens, or the child would block on writing."""
    stream = child.process.stderr
    assert stream is not None
    splitter = LineSplitter(limit)
    async with stream:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await stream.receive_some():
                _pass_on(child, splitter.feed(bytes(data)), on_stderr)
    _pass_on(child, splitter.end(), on_stderr)
    child.stderr_ended.set()


def _pass_on(
    child: ChildProcess, lines: list[Incoming], on_stderr: Callable[[str], None] | None
) -> None:
    for line in lines:
        if isinstance(line, Oversized):
            text = f"[a line of {line.size} bytes was skipped]"
        else:
            text = line.decode(errors="replace").rstrip("\r")
        child.stderr_tail = [*child.stderr_tail[-19:], text]
        if on_stderr is None:
            logger.info("%s: %s", child.command[0], text)
        else:
            on_stderr(text)
