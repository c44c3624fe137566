"""Experiments with servers over HTTP."""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import h11
import trio

from tests.guarantees.harness import HANDSHAKE, STATELESS
from tests.http.harness import mirrored

from .running import (
    FASTMCP,
    JSON,
    PROMPT,
    NotCarriedOut,
    Outcome,
    Peer,
    Session,
    experiment,
    is_said,
    posted,
    seconds,
    serving_http,
    time_to_end,
    yes,
)

if TYPE_CHECKING:
    from tests.guarantees.harness import Program
    from tests.http.harness import Web

call: Final = HANDSHAKE.call


@experiment(
    1,
    "signals end a server cleanly over HTTP",
    "HTTP, a call that never ends, one SIGTERM: seconds to the end of the process, and whether the "
    "handler's `finally` ran and the lifespan was left (10 s)",
)
async def signals(peer: Peer) -> Outcome:
    """One SIGTERM."""
    async with serving_http(peer) as (program, web):
        session = await Session.open(web)
        async with session.posted(call(1, "hang")):
            await program.stderr.wait("hang began")
            program.signal(signal.SIGTERM)
            took = await time_to_end(program, 15)
            if took is not None:
                await program.stderr.whole()
        told = [text in program.stderr.seen for text in ("hang finally", "lifespan left")]
    return Outcome(
        f"{seconds(took, 15)}, `finally` {yes(told[0])}, lifespan {yes(told[1])}",
        took is not None and took < 10 and all(told),
    )


@experiment(
    9,
    "nobody waits for somebody else's reader",
    "one call of a session sends 20 MB of log messages and its stream is never read; once the "
    "server is idle, seconds to the answer of another call of the session (1 s)",
)
async def unread(peer: Peer) -> Outcome:
    """A stream that nobody reads."""
    async with serving_http(peer) as (program, web):
        session = await Session.open(web)
        async with session.post(call(1, "chat", {"lines": 20_000, "size": 1000})):
            await until_idle(program)
            began = trio.current_time()
            took = None
            with trio.move_on_after(8):
                await session.ask(call(2, "add", {"a": 2, "b": 3}))
                took = trio.current_time() - began
    return Outcome(seconds(took, 8), took is not None and took < PROMPT)


async def until_idle(program: Program) -> None:
    """Wait until a process computes nothing any more: it waits for something, or is done."""
    before = -1
    while (now := processor_ticks(program)) != before:
        before = now
        await trio.sleep(0.5)


def processor_ticks(program: Program) -> int:
    """The processor time that a process has used."""
    stat = Path(f"/proc/{program.process.pid}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return int(user) + int(system)


@experiment(
    10,
    "disconnecting cancels",
    "stateless era, answer as a stream: the client closes its connection in the middle of a call: "
    "seconds until the handler's `finally` has run (1 s)",
)
async def disconnecting(peer: Peer) -> Outcome:
    """The client is gone."""
    async with serving_http(peer) as (program, web):
        message = STATELESS.call(1, "hang")
        async with posted(web, message, web.headers(**mirrored(message), content_type=JSON)):
            await program.stderr.wait("hang began")
        took = await is_said(program, "hang finally", 10)
    return Outcome(seconds(took, 10), took is not None and took < PROMPT)


@experiment(
    12,
    "finished work arrives over HTTP",
    "SIGTERM with a call in flight that ends 1 s later: whether its result arrives",
)
async def finished_work(peer: Peer) -> Outcome:
    """A call that ends inside the grace period."""
    async with serving_http(peer) as (program, web):
        session = await Session.open(web)
        found: list[dict[str, object]] = []

        async def ask() -> None:
            with suppress(trio.TooSlowError, AssertionError, EOFError, h11.RemoteProtocolError):
                found.append(await session.ask(call(1, "wait", {"seconds": 1})))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await program.stderr.wait("wait began")
            program.signal(signal.SIGTERM)
    arrived = any("result" in each for each in found)
    return Outcome("the result arrives" if arrived else "no result", arrived)


@experiment(
    11,
    "subscribers are told",
    "stateless era, `subscriptions/listen` is open, SIGTERM: whether the stream ends with its "
    "result, and after how many seconds",
)
async def subscribers(peer: Peer) -> Outcome:
    """The end of a subscription."""
    listen = STATELESS.request(
        1, "subscriptions/listen", {"notifications": {"toolsListChanged": True}}
    )
    async with serving_http(peer) as (program, web), web.open_post(listen) as opened:
        if opened.status != 200:
            body = (await opened.body()).decode()
            return Outcome(f"no such feature: status {opened.status}, `{body}`", None)
        await opened.message()
        program.signal(signal.SIGTERM)
        began = trio.current_time()
        try:
            while "result" not in await opened.message():
                pass
        except trio.TooSlowError:
            return Outcome("no result within 10 s", False)
        except (AssertionError, EOFError, h11.RemoteProtocolError, trio.BrokenResourceError):
            took = trio.current_time() - began
            return Outcome(f"no result, the stream ends after {took:.2f} s", False)
        took = trio.current_time() - began
    return Outcome(f"a result after {took:.2f} s", True)


@experiment(
    20,
    "hostile HTTP is refused",
    "a foreign Host, a foreign Origin, a body of 64 MB: the status of each (4xx), and whether the "
    "next request is served",
)
async def hostile(peer: Peer) -> Outcome:
    """What no good client sends."""
    statuses, served = await refused(peer)
    text = f"{told(statuses)}; served on {yes(served)}"
    if peer is FASTMCP:
        text += (
            f". With `host_origin_protection=True`: {told((await refused(peer, '--protect'))[0])}"
        )
    return Outcome(text, served and all(400 <= each < 500 for each in statuses.values()))


async def refused(peer: Peer, *arguments: str) -> tuple[dict[str, int], bool]:
    """The statuses, and whether the next request is served."""
    ping = STATELESS.ping(1)
    async with serving_http(peer, *arguments) as (_, web):
        statuses = {
            "Host": (await web.post(ping, host="evil.example")).status,
            "Origin": (await web.post(ping, origin="http://evil.example")).status,
            "body": await big_body(web),
        }
        session = await Session.open(web)
        answer = await session.ask(call(2, "add", {"a": 2, "b": 3}))
    return statuses, "result" in answer


def told(statuses: dict[str, int]) -> str:
    """Statuses in a row."""
    return ", ".join(f"{name} {status}" for name, status in statuses.items())


async def big_body(web: Web) -> int:
    """The status that an enormous request gets; it may come before all of it was sent."""
    params = {"name": "add", "arguments": {"a": 2, "b": 3, "c": "x" * 64_000_000}}
    body = json.dumps(HANDSHAKE.request(1, "tools/call", params)).encode()
    stream = await web.connect()
    async with stream:
        head = (
            "POST /mcp HTTP/1.1\r\n"
            f"host: 127.0.0.1:{web.port}\r\n"
            "content-type: application/json\r\n"
            "accept: application/json, text/event-stream\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_while_it_is_wanted, stream, head.encode() + body)
            data = b""
            with trio.fail_after(30):
                while b"\r\n" not in data:
                    more = await stream.receive_some()
                    if not more:
                        raise NotCarriedOut("the connection was closed without an answer")
                    data += more
            nursery.cancel_scope.cancel()
    return int(data.split()[1])


async def send_while_it_is_wanted(stream: trio.SocketStream, data: bytes) -> None:
    """Send; the other side may close at any time."""
    with suppress(trio.BrokenResourceError):
        await stream.send_all(data)


@experiment(
    20,
    "slow heads are not waited for",
    "a connection that sends half of a head and nothing more: seconds until the server closes it "
    "(40 s)",
)
async def slow_head(peer: Peer) -> Outcome:
    """A head without an end."""
    async with serving_http(peer) as (_, web):
        stream = await web.connect()
        async with stream:
            await stream.send_all(b"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nx-")
            began = trio.current_time()
            took = None
            with trio.move_on_after(45), suppress(trio.BrokenResourceError):
                while await stream.receive_some():
                    pass
                took = trio.current_time() - began
    return Outcome(seconds(took, 45), took is not None and took < 40)
