"""Several processes that serve the same sockets.

The supervisor is the program as the user started it. A worker is the same program, started again
with the same command line; when it calls `serve_http`, it finds an assignment in its environment.
So nothing has to be imported by name, and nothing is forked.

::

    supervisor    binds the sockets, passes signals on, starts a crashed worker again
    └── worker    its own application, lifespan and connections; drains when told to end

Signals from a terminal reach the supervisor alone. A worker whose supervisor is gone drains too.
A worker reports when it serves and when it begins to clean up. A worker that has not begun to clean
up at the end of the grace is killed, since it cannot react, such as when its event loop is blocked.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

import attrs
import trio

from trimcp.transports import wait_parent_gone

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Assignment", "Supervisor", "assignment_for"]

logger = logging.getLogger("trimcp.http")

_VARIABLE: Final = "TRIMCP_WORKER"

#: Seconds before a crashed worker is started again: the first time, and the maximum.
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 30.0

#: How long a worker must have run for its crash to count as the first one again.
_STEADY_SECONDS: Final = 10.0

#: Seconds that a worker gets for its lifespans, after its requests.
_CLEANUP_SECONDS: Final = 12.0

#: Seconds that a worker gets to react to a signal: after the grace, or after a second signal.
_NOTICE_SECONDS: Final = 1.0

#: The reports of a worker, as bytes.
_SERVING: Final = b"s"
_LEAVING: Final = b"l"


@attrs.frozen
class Assignment:
    """The task of a worker.

    Attributes:
        label: The call of `serve_http` for which it is.
        sockets: Descriptors of the listening sockets.
        said: The descriptor to which it reports that it serves, and that it cleans up.
        key: The key of sealed states, the same in all workers.
    """

    label: str
    sockets: tuple[int, ...]
    said: int
    key: bytes

    def open_listeners(self) -> list[trio.SocketListener]:
        """The shared sockets, to accept connections from."""
        return [
            trio.SocketListener(trio.socket.from_stdlib_socket(socket.socket(fileno=descriptor)))
            for descriptor in self.sockets
        ]

    def say_serving(self) -> None:
        """Tell the supervisor that connections are accepted."""
        self._say(_SERVING)

    def say_leaving(self) -> None:
        """Tell the supervisor that all requests have ended."""
        self._say(_LEAVING)

    def _say(self, mark: bytes) -> None:
        try:
            os.write(self.said, mark)
        except BrokenPipeError:
            logger.debug("the supervisor is gone")

    async def wait_end(self) -> None:
        """Wait until the supervisor is gone."""
        await wait_parent_gone()
        logger.warning("the supervisor is gone: shutting down")


def assignment_for(label: str) -> Assignment | None:
    """The assignment of this process; None if it is not a worker."""
    text = os.environ.get(_VARIABLE)
    if text is None:
        return None
    given = json.loads(text)
    if given["label"] != label:
        raise ValueError(f"this worker is for {given['label']}, not for {label}")
    sockets = tuple(given["sockets"])
    # Processes that a worker starts must not inherit any of this.
    del os.environ[_VARIABLE]
    for descriptor in (*sockets, given["said"]):
        os.set_inheritable(descriptor, False)
    return Assignment(label, sockets, given["said"], bytes.fromhex(given["key"]))


class _Worker:
    """A process that serves.

    Args:
        process: The process.
        heard: The stream of its reports.
    """

    def __init__(self, process: trio.Process, heard: trio.lowlevel.FdStream) -> None:
        self.process = process
        self.heard = heard

    async def says(self, mark: bytes) -> bool:
        """Wait for this report. Returns False if the worker ends without it."""
        while said := await self.heard.receive_some(1):
            if said == mark:
                return True
        return False

    async def wait_end(self, seconds: float) -> None:
        """Wait until it has ended, or until it is too late for it to begin to clean up."""
        with trio.move_on_after(seconds) as begins:
            await self.says(_LEAVING)
        if not begins.cancelled_caught:
            await self.process.wait()


class Supervisor:
    """Keeps a number of workers running.

    Args:
        label: The call of `serve_http` for which they are.
        count: How many there should be.
        grace: Seconds that their requests get at shutdown.
    """

    def __init__(self, label: str, count: int, grace: float) -> None:
        self._label = label
        self._listeners: Sequence[trio.SocketListener] = ()
        self._count = count
        self._grace = grace
        self._key = secrets.token_bytes(32)
        self._workers: set[_Worker] = set()
        self._signals = 0
        self._running = trio.CancelScope()
        self._ending = trio.CancelScope(shield=True)

    async def run(
        self,
        listeners: Sequence[trio.SocketListener],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run until a signal, or a worker that ends with status 0, ends it, or it is cancelled.

        Args:
            listeners: The bound sockets.
            task_status: Set when all workers serve, or must end before they do.

        Raises:
            ChildProcessError: A worker ended before it served for the first time.
        """
        self._listeners = listeners
        is_told = False
        try:
            with self._running:
                async with trio.open_nursery() as nursery:
                    for _ in range(self._count):
                        await nursery.start(self._keep_one_running)
                    task_status.started()
                    is_told = True
        finally:
            await self._end_all()
        if not is_told:
            task_status.started()

    def on_signal(self, name: str) -> None:
        """Let the workers drain after the first signal; end them at once after a second one."""
        self._signals += 1
        if self._signals == 1:
            logger.info("%s: %d workers end", name, self._count)
            self._running.cancel(reason=name)
        else:
            logger.warning("%s again: the workers end at once", name)
            # A different signal, since two equal signals at the same time may count as one.
            self._tell_to_end(signal.SIGINT)
            seconds = _NOTICE_SECONDS if self._signals == 2 else 0
            deadline = trio.current_time() + seconds
            self._ending.deadline = min(self._ending.deadline, deadline)

    def _tell_to_end(self, number: signal.Signals = signal.SIGTERM) -> None:
        for worker in self._workers:
            worker.process.send_signal(number)

    async def _keep_one_running(self, *, task_status: trio.TaskStatus[None]) -> None:
        pause = _FIRST_PAUSE
        is_first = True
        while True:
            worker = await self._start()
            began = trio.current_time()
            if await worker.says(_SERVING) and is_first:
                is_first = False
                task_status.started()
            code = await worker.process.wait()
            self._workers.discard(worker)
            worker.heard.close()
            if is_first:
                raise ChildProcessError(f"a worker ended before it served, with status {code}")
            if code == 0:
                logger.info("a worker has shut down: the others do too")
                self._running.cancel(reason="a worker has shut down")
                return
            if trio.current_time() - began > _STEADY_SECONDS:
                pause = _FIRST_PAUSE
            logger.error(
                "worker %d ended with status %d: another follows", worker.process.pid, code
            )
            await trio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _start(self) -> _Worker:
        """Start a worker, and add it at once to the workers that are ended at the end."""
        heard, said = os.pipe()
        try:
            sockets = [listener.socket.fileno() for listener in self._listeners]
            given = {
                "label": self._label,
                "sockets": sockets,
                "said": said,
                "key": self._key.hex(),
            }
            process = await trio.lowlevel.open_process(
                [sys.executable, *sys.orig_argv[1:]],
                env={**os.environ, _VARIABLE: json.dumps(given)},
                pass_fds=[*sockets, said],
                start_new_session=True,
            )
        except BaseException:
            os.close(heard)
            raise
        finally:
            os.close(said)
        worker = _Worker(process, trio.lowlevel.FdStream(heard))
        self._workers.add(worker)
        return worker

    async def _end_all(self) -> None:
        """End all workers in all cases, so that none outlives its supervisor."""
        self._tell_to_end()
        seconds = self._grace + _NOTICE_SECONDS
        deadline = trio.current_time() + seconds + _CLEANUP_SECONDS
        self._ending.deadline = min(self._ending.deadline, deadline)
        with self._ending:
            async with trio.open_nursery() as nursery:
                for worker in self._workers:
                    nursery.start_soon(worker.wait_end, seconds)
        for worker in self._workers:
            if worker.process.returncode is None:
                logger.error("worker %d does not end: killed", worker.process.pid)
                worker.process.kill()
            worker.heard.close()
        with trio.CancelScope(shield=True, relative_deadline=_NOTICE_SECONDS):
            for worker in self._workers:
                await worker.process.wait()
