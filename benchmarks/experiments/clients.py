"""Experiments with clients, against a server of the same peer or of none."""

from __future__ import annotations

import os
import re
import signal
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from tests.guarantees.harness import Lines, started, witness
from tests.guarantees.relay import relayed

from .running import (
    PROMPT,
    RAW_SERVER,
    START,
    NotCarriedOut,
    Outcome,
    Peer,
    experiment,
    seconds,
    serving_http,
    told_by,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


@asynccontextmanager
async def heard(command: Sequence[str]) -> AsyncIterator[tuple[list[str], Lines]]:
    """A command whose standard error goes to a named pipe, and the lines that come out of it.

    The lines end when the process and all that it started have ended, and a client that starts the
    command need not pass them on.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "heard"
        os.mkfifo(path)
        lines = Lines()
        async with (
            trio.lowlevel.FdStream(os.open(path, os.O_RDONLY | os.O_NONBLOCK)) as stream,
            trio.open_nursery() as nursery,
        ):

            async def pump() -> None:
                # Until somebody writes, the pipe looks as if it had ended.
                await trio.lowlevel.wait_readable(stream.fileno())
                await lines.pump(stream)

            nursery.start_soon(pump)
            yield ["sh", "-c", 'exec "$@" 2> "$0"', str(path), *command], lines
            nursery.cancel_scope.cancel()


# -- callbacks --------------------------------------------------------------------------------


async def callbacks(peer: Peer, step: str, may_skip: bool) -> Outcome:
    """In which order they began, and which had ended when the call returned."""
    told = await told_by(peer, step, peer.server("stdio"))
    if "error" in told:
        return Outcome(told["error"], False)
    began, ended = ([int(each) for each in told[name]] for name in ("began", "ended"))
    is_whole = bool(began) and (began[-1] == 5 if may_skip else began == [1, 2, 3, 4, 5])
    return Outcome(
        f"began {numbers(began)}, ended before the return {numbers(ended)}",
        is_whole and began == sorted(began) and ended == began,
    )


def numbers(found: list[int]) -> str:
    """Numbers in a row."""
    return " ".join(map(str, found)) or "none"


@experiment(
    7,
    "progress callbacks come in order and are finished",
    "five reports, a callback that awaits, the first ones longest: the order, and which had ended "
    "when the call returned (reports may be skipped, the last one may not)",
)
async def progress(peer: Peer) -> Outcome:
    """Progress."""
    return await callbacks(peer, "progress", may_skip=True)


@experiment(
    7,
    "log callbacks come in order and are finished",
    "five log messages, a callback that awaits, the first ones longest: the order, and which had "
    "ended when the call returned",
)
async def logs(peer: Peer) -> Outcome:
    """Log messages."""
    return await callbacks(peer, "logs", may_skip=False)


# -- opening and closing ----------------------------------------------------------------------


async def opened_and_closed(peer: Peer, step: str) -> Outcome:
    """Whether the call between was answered and nothing was raised."""
    told = await told_by(peer, step, peer.server("stdio"))
    is_kept = told.get("text") == "5"
    return Outcome("no error" if is_kept else f"`{told.get('error')}`", is_kept)


@experiment(
    13,
    "clients may be closed in any order",
    "two clients opened in one task; the first is closed, then the second is used and closed",
)
async def first_out(peer: Peer) -> Outcome:
    """First in, first out."""
    return await opened_and_closed(peer, "first_out")


@experiment(
    13,
    "clients may be opened in one task and closed in another",
    "opened in one task; used and closed in another",
)
async def other_task(peer: Peer) -> Outcome:
    """Two tasks."""
    return await opened_and_closed(peer, "other_task")


@experiment(
    14,
    "errors keep their meaning in the client",
    "a user's exception `Mine` inside of `async with` the client: the type that comes out",
)
async def bare(peer: Peer) -> Outcome:
    """The user's own exception."""
    told = await told_by(peer, "bare", peer.server("stdio"))
    found = told.get("type", told.get("error"))
    return Outcome(f"`{found}`", found == "Mine")


# -- silence ----------------------------------------------------------------------------------


async def silent(peer: Peer, step: str, least: float, most: float, within: float) -> Outcome:
    """How long a call to a server that never answers takes."""
    async with (
        heard(RAW_SERVER) as (command, lines),
        started(peer.client(step, *command)) as client,
    ):
        await lines.wait_for(lambda text: text.startswith("hang began"), within=START)
        try:
            told = await client.receive(within)
        except trio.TooSlowError:
            return Outcome(f"no end within {within:g} s", False)
    error = f", `{told['error']}`" if "error" in told else ""
    return Outcome(f"{told['seconds']:.2f} s{error}", least <= told["seconds"] <= most)


@experiment(
    15,
    "silence is bounded by default",
    "a server that never answers, a client without options: seconds until the call ends (65 s)",
    seconds=180,
)
async def default(peer: Peer) -> Outcome:
    """Nobody thought of a timeout."""
    return await silent(peer, "silence", 1, 65, 70)


@experiment(
    15,
    "silence is bounded by a timeout of the call",
    "the same with a timeout of 1 s for the call (2 s)",
)
async def timeout(peer: Peer) -> Outcome:
    """For one call."""
    return await silent(peer, "timeout", 1, 2, 15)


@experiment(
    15,
    "silence is bounded by the caller",
    "the same inside a deadline of 2 s of the caller's (3 s)",
)
async def outer(peer: Peer) -> Outcome:
    """A cancel scope, or asyncio's timeout."""
    return await silent(peer, "outer", 1.9, 3, 15)


# -- processes --------------------------------------------------------------------------------


@experiment(
    17,
    "a child that dies fails its calls",
    "SIGKILL to the server in the middle of a call: seconds until the call fails (1 s), and with "
    "what",
)
async def killed(peer: Peer) -> Outcome:
    """The child dies."""
    async with (
        heard(RAW_SERVER) as (command, lines),
        started(peer.client("silence", *command)) as program,
    ):
        said = await lines.wait_for(lambda text: text.startswith("hang began"), within=START)
        found = re.search(r"\d+", said)
        assert found is not None
        began = trio.current_time()
        os.kill(int(found[0]), signal.SIGKILL)
        try:
            told = await program.receive(15)
        except trio.TooSlowError:
            return Outcome("no end within 15 s", False)
        took = trio.current_time() - began
    return Outcome(f"{took:.2f} s, `{told['error']}`", took < PROMPT)


@experiment(
    17,
    "a client that leaves leaves nobody behind",
    "a server that ignores SIGTERM and the end of its input, and so does its child; the client "
    "leaves `async with` and lives on: seconds until both are gone (10 s)",
)
async def leave(peer: Peer) -> Outcome:
    """A stubborn family."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "alive"
        async with (
            witness(path) as alive,
            started(peer.client("leave", *RAW_SERVER, "stubborn", path)) as program,
        ):
            told = await program.receive(START)
            began = trio.current_time()
            try:
                await alive.wait_all_gone(15)
            except trio.TooSlowError:
                return Outcome("one of them lives 15 s after the block was left", False)
            took = told["seconds"] + trio.current_time() - began
    return Outcome(f"{took:.2f} s", took < 10)


@experiment(
    17,
    "a server ends with its parent",
    "SIGKILL to a client whose call is in flight: seconds until its server is gone (8 s)",
)
async def orphan(peer: Peer) -> Outcome:
    """The parent dies."""
    async with (
        heard(peer.server("stdio")) as (command, lines),
        started(peer.client("silence", *command)) as program,
    ):
        await lines.wait("hang began", within=START)
        program.signal(signal.SIGKILL)
        began = trio.current_time()
        try:
            with trio.fail_after(15):
                await lines.ended.wait()
        except trio.TooSlowError:
            return Outcome(seconds(None, 15), False)
        took = trio.current_time() - began
    return Outcome(seconds(took), took < 8)


# -- a transport fault ------------------------------------------------------------------------


@experiment(
    6,
    "a transport fault stays where it is",
    "three calls over HTTP, the connection of one is cut: what that one ends with (a result or an "
    "error within 10 s), its siblings, and a call afterwards",
)
async def fault(peer: Peer) -> Outcome:
    """One dropped connection."""
    async with serving_http(peer) as (server, web), relayed(web.port) as relay:
        command = peer.client("siblings", f"http://127.0.0.1:{relay.port}/mcp")
        async with started(command) as program:
            await server.stderr.wait_for(
                lambda _: server.stderr.seen.count("wait began") == 3, within=START
            )
            if relay.cut(b"1.25") == 0:
                raise NotCarriedOut("no connection was found to cut")
            try:
                told = await program.receive(60)
            except trio.TooSlowError:
                return Outcome("the client tells nothing within 60 s", False)
    names = ("victim", "left", "right", "after")
    text = f"`{told['victim']}`; siblings `{told['left']}`, `{told['right']}`; afterwards "
    kept = told["victim"] != "TimeoutError: " and "TooSlow" not in told["victim"]
    return Outcome(
        f"{text}`{told['after']}`", kept and all(told[name] == "waited" for name in names[1:])
    )
