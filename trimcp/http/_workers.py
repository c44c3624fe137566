"""Several processes behind the same sockets.

The supervisor is the program as the user started it; a worker is the same program, started again
with the same command line, that finds an assignment in its environment when it comes to
`serve_http`. So nothing has to be imported by name, and nothing is forked.

::

    supervisor    binds the sockets, passes signals on, starts a crashed worker again
    └── worker    its own application, lifespan and connections; drains when told to end

Signals from a terminal reach the supervisor alone. A worker whose supervisor is gone drains too.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Final

import attrs
import trio

from trimcp.transports import wait_parent_gone

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Assignment", "Supervisor", "assignment_for"]

logger = logging.getLogger("trimcp.http")

_VARIABLE: Final = "TRIMCP_WORKER"

#: Seconds before a worker that has crashed is started again: the first time, and at most.
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 30.0

#: How long a worker must have run for its crash to count as the first one again.
_STEADY_SECONDS: Final = 10.0

#: Seconds that a worker gets for its lifespans, after its requests.
_CLEANUP_SECONDS: Final = 12.0


@attrs.frozen
class Assignment:
    """What a worker is to do.

    Attributes:
        label: Which call of `serve_http` it is for.
        sockets: Descriptors of the listening sockets.
        ready: Where to say that it serves.
        key: A key for what clients carry between requests, the same in all workers.
    """

    label: str
    sockets: tuple[int, ...]
    ready: int
    key: bytes

    def open_listeners(self) -> list[trio.SocketListener]:
        """The shared sockets, to accept connections from."""
        return [
            trio.SocketListener(trio.socket.from_stdlib_socket(socket.socket(fileno=descriptor)))
            for descriptor in self.sockets
        ]

    def say_ready(self) -> None:
        """Tell the supervisor that connections are accepted."""
        os.write(self.ready, b"\n")
        os.close(self.ready)

    async def wait_end(self) -> None:
        """Wait until the supervisor is gone."""
        await wait_parent_gone()
        logger.warning("the supervisor is gone: shutting down")


def assignment_for(label: str) -> Assignment | None:
    """What this process is to do as a worker; None if it is none."""
    text = os.environ.get(_VARIABLE)
    if text is None:
        return None
    given = json.loads(text)
    if given["label"] != label:
        raise ValueError(f"this worker is for {given['label']}, not for {label}")
    sockets = tuple(given["sockets"])
    # Nothing of this is for the processes that a worker may start.
    del os.environ[_VARIABLE]
    for descriptor in (*sockets, given["ready"]):
        os.set_inheritable(descriptor, False)
    return Assignment(label, sockets, given["ready"], bytes.fromhex(given["key"]))


class Supervisor:
    """Keeps a number of workers running.

    Args:
        label: Which call of `serve_http` they are for.
        listeners: The bound sockets.
        count: How many there should be.
        grace: Seconds that their requests get at shutdown.
    """

    def __init__(
        self, label: str, listeners: Sequence[trio.SocketListener], count: int, grace: float
    ) -> None:
        self._label = label
        self._listeners = listeners
        self._count = count
        self._grace = grace
        self._key = secrets.token_bytes(32)
        self._processes: set[trio.Process] = set()
        self._ending = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until told to end by a signal, by a worker that ends in good order, or cancelled.

        Args:
            task_status: Told once all workers serve.

        Raises:
            ChildProcessError: A worker ended before it served for the first time.
        """
        try:
            async with trio.open_nursery() as nursery:
                if threading.current_thread() is threading.main_thread():
                    await nursery.start(self._pass_signals_on)
                async with trio.open_nursery() as workers:
                    for _ in range(self._count):
                        await workers.start(self._keep_one_running)
                    task_status.started()
                nursery.cancel_scope.cancel(reason="all workers have ended")
        finally:
            await self._end_all()

    async def _pass_signals_on(self, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            task_status.started()
            async for number in received:
                logger.info("%s: %d workers end", signal.Signals(number).name, self._count)
                # A second signal is passed on too, and ends them at once.
                self._tell_to_end()

    def _tell_to_end(self) -> None:
        self._ending.set()
        for process in self._processes:
            process.terminate()

    async def _keep_one_running(self, *, task_status: trio.TaskStatus[None]) -> None:
        pause = _FIRST_PAUSE
        is_first = True
        while not self._ending.is_set():
            process, ready = await self._start()
            began = trio.current_time()
            self._processes.add(process)
            try:
                is_ready = await _says_ready(ready)
                if is_ready and is_first:
                    is_first = False
                    task_status.started()
                code = await process.wait()
            finally:
                if process.returncode is not None:
                    self._processes.discard(process)
            if self._ending.is_set():
                break
            if is_first:
                raise ChildProcessError(f"a worker ended before it served, with status {code}")
            if code == 0:
                logger.info("a worker has shut down: the others do too")
                self._tell_to_end()
                break
            if trio.current_time() - began > _STEADY_SECONDS:
                pause = _FIRST_PAUSE
            logger.error("worker %d ended with status %d: another follows", process.pid, code)
            with trio.move_on_after(pause):
                await self._ending.wait()
            pause = min(2 * pause, _LONGEST_PAUSE)
        if is_first:
            task_status.started()

    async def _start(self) -> tuple[trio.Process, int]:
        """A new worker, and where it says that it serves."""
        ready, said = os.pipe()
        try:
            sockets = [listener.socket.fileno() for listener in self._listeners]
            given = {
                "label": self._label,
                "sockets": sockets,
                "ready": said,
                "key": self._key.hex(),
            }
            process = await trio.lowlevel.open_process(
                [sys.executable, *sys.orig_argv[1:]],
                env={**os.environ, _VARIABLE: json.dumps(given)},
                pass_fds=[*sockets, said],
                start_new_session=True,
            )
        except BaseException:
            os.close(ready)
            raise
        finally:
            os.close(said)
        return process, ready

    async def _end_all(self) -> None:
        """Whatever has happened, no worker outlives its supervisor."""
        self._tell_to_end()
        seconds = self._grace + _CLEANUP_SECONDS
        with trio.CancelScope(shield=True, relative_deadline=seconds) as scope:
            for process in list(self._processes):
                await process.wait()
        if scope.cancelled_caught:
            logger.error("workers do not end: killed")
        for process in self._processes:
            process.kill()
        self._processes.clear()


async def _says_ready(descriptor: int) -> bool:
    """Whether a worker came to serve, rather than to its end."""
    async with trio.lowlevel.FdStream(descriptor) as stream:
        return bool(await stream.receive_some(1))
