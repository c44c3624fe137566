"""Experiments with servers on standard streams."""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from tests.guarantees.harness import HANDSHAKE, cancelled, handshake, line, started

from .running import (
    FASTMCP,
    PROMPT,
    START,
    Message,
    Outcome,
    Peer,
    answer_to,
    experiment,
    is_said,
    seconds,
    serving,
    time_to_end,
    timed,
    words_of,
    yes,
)

if TYPE_CHECKING:
    from tests.guarantees.harness import Program

call: Final = HANDSHAKE.call


# -- the end of a server ----------------------------------------------------------------------


@experiment(
    1,
    "signals end a server cleanly",
    "standard streams, input open, a call that never ends, one signal: seconds to the end of the "
    "process, and whether the handler's `finally` ran and the lifespan was left (3 s)",
    is_quick=True,
)
async def signals(peer: Peer) -> Outcome:
    """One signal each."""
    texts, kept = [], True
    for number in (signal.SIGINT, signal.SIGTERM):
        async with serving(peer) as program:
            await program.send(call(1, "hang"))
            await program.stderr.wait("hang began")
            program.signal(number)
            took = await time_to_end(program, 8)
            told = ["hang finally" in program.stderr.seen, "lifespan left" in program.stderr.seen]
            if took is not None:
                await program.stderr.whole()
                told = [text in program.stderr.seen for text in ("hang finally", "lifespan left")]
        kept &= took is not None and took < 3 and all(told)
        texts.append(
            f"{number.name}: {seconds(took, 8)}, `finally` {yes(told[0])}, lifespan {yes(told[1])}"
        )
    return Outcome("; ".join(texts), kept)


@experiment(
    2,
    "cancelling works",
    "`move_on_after(1)` around serving standard streams, input open: seconds from the deadline to "
    "the return (0.5 s), and whether the process ends",
    is_quick=True,
)
async def cancelling(peer: Peer) -> Outcome:
    """A deadline around the server."""
    async with started(peer.server("deadline")) as program:
        await program.stderr.wait("serving", within=START)
        try:
            text = await program.stderr.wait_for(lambda each: each.startswith("returned"), within=6)
        except trio.TooSlowError:
            return Outcome("not within 5 s of the deadline", False)
        took = float(text.split()[1])
        ended = await time_to_end(program, 5)
    return Outcome(
        f"{took:.2f} s; the process ends after {seconds(ended, 5)}",
        took < 0.5 and ended is not None,
    )


@experiment(
    3,
    "a client that stops reading cannot keep a server alive",
    "an answer of 1 MB is pending, nobody reads it, input is closed: seconds to the end of the "
    "process (10 s)",
)
async def reader_stops(peer: Peer) -> Outcome:
    """Output that nobody reads."""
    async with serving(peer) as program:
        await program.send(call(1, "big", {"size": 1_000_000}))
        assert program.process.stdout is not None
        await trio.lowlevel.wait_readable(program.process.stdout.fileno())  # type: ignore[attr-defined]
        await program.close_stdin()
        took = await time_to_end(program, 15)
    return Outcome(seconds(took, 15), took is not None and took < 10)


@experiment(
    5,
    "end of input drains",
    "`initialize` and 20 calls of 0.2 s on standard input, then its end: answers and exit status",
    is_quick=True,
)
async def end_of_input(peer: Peer) -> Outcome:
    """`printf '…' | server`."""
    calls = [call(number, "wait", {"seconds": 0.2}) for number in range(20)]
    data = b"".join(line(each) for each in (*handshake(), *calls))
    async with started(peer.server("stdio")) as program:
        await program.send(data)
        await program.close_stdin()
        answers = await program.receive_all(START)
        status = None
        with suppress(trio.TooSlowError):
            status, _ = await program.wait_exit(5)
    found = {each["id"] for each in answers if "result" in each} - {"init"}
    return Outcome(
        f"{len(found)} of 20 answered, exit status {status}", len(found) == 20 and status == 0
    )


@experiment(
    12,
    "finished work arrives",
    "SIGTERM on standard streams with a call in flight that ends 0.3 s later: whether its result "
    "arrives",
    is_quick=True,
)
async def finished_work(peer: Peer) -> Outcome:
    """A call that ends inside the grace period."""
    async with serving(peer) as program:
        await program.send(call(1, "wait", {"seconds": 0.3}))
        await program.stderr.wait("wait began")
        program.signal(signal.SIGTERM)
        found = await program.receive_all(5)
    arrived = any(each.get("id") == 1 and "result" in each for each in found)
    return Outcome("the result arrives" if arrived else "no result", arrived)


# -- while it serves --------------------------------------------------------------------------


@experiment(
    4,
    "blocking tools do not block the protocol",
    "100 synchronous tools block for 5 s: seconds to the answer of a ping, of an asynchronous "
    "tool, and of an asynchronous tool that needs a thread itself (1 s each)",
)
async def blocking(peer: Peer) -> Outcome:
    """Threads for tools, and threads for others."""
    async with serving(peer) as program:
        await program.send(*(call(number, "block", {"seconds": 5}) for number in range(100)))
        ping = await timed(program, HANDSHAKE.ping("ping"), 4)
        tool = await timed(program, call("add", "add", {"a": 2, "b": 3}), 4)
        thread = None
        if tool is not None:
            thread = await timed(program, call("thread", "thread"), 4)
    took = (ping, tool, thread)
    names = ("ping", "asynchronous tool", "tool with a thread")
    return Outcome(
        ", ".join(f"{name} {seconds(each, 4)}" for name, each in zip(names, took, strict=True)),
        all(each is not None and each < PROMPT for each in took),
    )


@experiment(
    10,
    "cancelling a request cancels its handler",
    "`notifications/cancelled` on standard streams: seconds until the handler's `finally` has run, "
    "and what is sent for the request afterwards (nothing)",
    is_quick=True,
)
async def cancelled_by_notification(peer: Peer) -> Outcome:
    """The client wants it no longer."""
    async with serving(peer) as program:
        await program.send(call(1, "hang"))
        await program.stderr.wait("hang began")
        await program.send(cancelled(1))
        took = await is_said(program, "hang finally", 5)
        sent: list[Message] = []
        await program.send(HANDSHAKE.ping(2))
        with suppress(trio.TooSlowError):
            while (message := await program.receive(3)).get("id") != 2:
                sent.append(message)
        with suppress(trio.TooSlowError):
            sent.append(await program.receive(0.5))
    said = "; ".join(words_of(each) if "id" in each else str(each) for each in sent) or "nothing"
    return Outcome(
        f"{seconds(took, 5)}; then {said}", took is not None and took < PROMPT and not sent
    )


@experiment(
    14,
    "errors keep their meaning on the server",
    "the errors meant for the model and for the protocol (code 4711), raised in a task group of "
    "the tool's own: what arrives",
    is_quick=True,
)
async def errors_of_tools(peer: Peer) -> Outcome:
    """Errors out of a task group."""
    async with serving(peer) as program:
        await program.send(call(1, "tool_error"), call(2, "request_error"))
        answers = [await answer_to(program, 1, 10)]
        await program.send(call(3, "request_error"))
        answers.append(await answer_to(program, 3, 10))
    model, protocol = answers
    kept = (
        "no such city" in words_of(model)
        and model.get("result", {}).get("isError") is True
        and protocol.get("error", {}).get("code") == 4711
    )
    return Outcome(f"{words_of(model)}; {words_of(protocol)}", kept)


SECRET: Final = "swordfish"


async def leaks(peer: Peer, *arguments: str) -> tuple[Message, bool]:
    """The answer to a call that fails unexpectedly, and whether the log has the reason."""
    async with serving(peer, *arguments) as program:
        await program.send(call(1, "fail"))
        answer = await answer_to(program, 1, 10)
        await program.close_stdin()
        with suppress(trio.TooSlowError):
            await program.wait_exit(8)
        is_logged = any(SECRET in text for text in program.stderr.seen)
    return answer, is_logged


@experiment(
    16,
    "nothing leaks",
    "a tool raises `ValueError('the password is swordfish')`: what the client gets (not that "
    "text), and whether the log has it",
    is_quick=True,
)
async def unexpected_errors(peer: Peer) -> Outcome:
    """An exception that nobody meant to raise."""
    answer, is_logged = await leaks(peer)
    text = f"{words_of(answer)}; in the log {yes(is_logged)}"
    if peer is FASTMCP:
        masked, also_logged = await leaks(peer, "--mask")
        text += (
            f". With `mask_error_details=True`: {words_of(masked)}; in the log {yes(also_logged)}"
        )
    return Outcome(text, SECRET not in json.dumps(answer) and is_logged)


@experiment(
    18,
    "the wire is ours alone",
    "tools that `print` and whose child process reads standard input and writes standard output: "
    "answers, and lines on the wire that are no messages, up to the end of the process",
    is_quick=True,
)
async def noise(peer: Peer) -> Outcome:
    """Output of others on standard output."""
    async with serving(peer) as program:
        await program.send(call(1, "prints"), call(2, "child"), call(3, "add", {"a": 2, "b": 3}))
        lines = await lines_until(program, {1, 2, 3})
        await program.close_stdin()
        lines += await lines_until(program, {None})
    answered = {each["id"] for each in map(parsed, lines) if each is not None and "id" in each}
    strange = [each for each in lines if parsed(each) is None]
    text = f"{len(answered & {1, 2, 3})} of 3 answered, {len(strange)} other lines"
    if strange:
        text += ": " + ", ".join(f"`{each}`" for each in strange)
    return Outcome(text, len(answered & {1, 2, 3}) == 3 and not strange)


def parsed(text: str) -> Message | None:
    """A line as a message, if it is one."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("jsonrpc") == "2.0" else None


async def lines_until(program: Program, wanted: set[int | None]) -> list[str]:
    """What comes on standard output until these are answered, for at most eight seconds."""
    data = b""
    with trio.move_on_after(8):
        async for each in program.receiving:
            data += bytes(each)
            whole = [parsed(text) for text in data.decode(errors="replace").splitlines()]
            if wanted <= {each["id"] for each in whole if each is not None and "id" in each}:
                break
    return data.decode(errors="replace").splitlines()


FLOOD: Final = 5_000


@experiment(
    8,
    "floods are bounded",
    f"{FLOOD:,} calls at once of a tool that never ends: how many handlers began, the growth of "
    "the peak memory, and whether each other call was refused with an error",
    seconds=400,
)
async def pipelined(peer: Peer) -> Outcome:
    """More calls than anybody needs."""
    async with serving(peer) as program:
        before = peak_memory(program)
        refused: list[Message] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood, program)
            started_by_now = -1
            while started_by_now != (now := len(program.stderr.seen_with("hang began"))):
                started_by_now = now
                with suppress(trio.TooSlowError):
                    while len(refused) + now < FLOOD:
                        refused.append(await program.receive(8))
            nursery.cancel_scope.cancel()
        began = len(program.stderr.seen_with("hang began"))
        grown = peak_memory(program) - before
    text = f"{began:,} began, {grown:+.0f} MB"
    if refused:
        text += f"; {len(refused):,} refused: {words_of(refused[0])}"
    errors = [each for each in refused if "error" in each]
    return Outcome(text, began < FLOOD and began + len(errors) == FLOOD)


async def flood(program: Program) -> None:
    """Send all the calls, while somebody reads."""
    for number in range(FLOOD):
        await program.send(call(number, "hang"))


@experiment(
    24,
    "questions that are never answered end with their client",
    "a tool asks and gets no answer, then input is closed: seconds until its `finally` has run, "
    "and until the process has ended (10 s)",
)
async def unanswered(peer: Peer) -> Outcome:
    """The client is asked, says nothing, and goes."""
    hello, initialized = handshake()
    hello["params"]["capabilities"] = {"elicitation": {}}
    async with started(peer.server("stdio")) as program:
        await program.send(hello, initialized)
        await answer_to(program, "init", START)
        await program.send(call(1, "ask"))
        await program.stderr.wait("ask began")
        await program.receive(10)
        await program.close_stdin()
        took = await is_said(program, "ask finally", 12)
        ended = await time_to_end(program, 12)
    return Outcome(
        f"{seconds(took, 12)}, the process {seconds(ended, 12)} later",
        took is not None and ended is not None and took + ended < 10,
    )


# -- bad input --------------------------------------------------------------------------------

#: What is sent in one line, by what is wrong with it.
BAD: Final[dict[str, bytes]] = {
    "broken JSON": b'{"jsonrpc": "2.0", "id": 7, "method": "pi',
    "bad UTF-8": b'{"jsonrpc": "2.0", "id": 7, "method": "ping\xff"}',
    "NaN": b'{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": '
    b'{"name": "wait", "arguments": {"seconds": NaN}}}',
    "nested 100,000 deep": b'{"jsonrpc": "2.0", "id": 7, "method": "ping", "params": '
    + b"[" * 100_000
    + b"]" * 100_000
    + b"}",
    "id of a wrong type": b'{"jsonrpc": "2.0", "id": {"a": 1}, "method": "ping"}',
    "wrong jsonrpc": b'{"jsonrpc": "1.0", "id": 7, "method": "ping"}',
    "no method": b'{"jsonrpc": "2.0", "id": 7}',
    "unknown method": b'{"jsonrpc": "2.0", "id": 7, "method": "no/such"}',
    "a batch": b'[{"jsonrpc": "2.0", "id": 7, "method": "ping"}]',
    "a number": b"42",
}


@experiment(
    19,
    "bad input is answered, not obeyed",
    f"{len(BAD)} bad lines, one after another ({', '.join(BAD)}): how many are answered with an "
    "error, and after how many the next ping is answered",
    seconds=500,
)
async def bad_input(peer: Peer) -> Outcome:
    """One bad line after another; a server that is gone is started again."""
    unanswered, dead = [], []
    waiting = dict(BAD)
    while waiting:
        async with serving(peer) as program:
            for name in list(waiting):
                answer, lives = await bad_line(program, waiting.pop(name), f"ping {name}")
                if answer is None or "error" not in answer:
                    unanswered.append(name)
                if not lives:
                    dead.append(name)
                    break
    count = len(BAD)
    text = f"{count - len(unanswered)} of {count} answered with an error"
    text += f" (not: {', '.join(unanswered)})" if unanswered else ""
    text += f"; served on after {count - len(dead)} of {count}"
    text += f" (not: {', '.join(dead)})" if dead else ""
    return Outcome(text, not unanswered and not dead)


async def bad_line(
    program: Program, data: bytes, ping: str, within: float = 6
) -> tuple[Message | None, bool]:
    """What a line is answered with, and whether the next request is served."""
    answer: Message | None = None
    try:
        await program.send(data + b"\n", HANDSHAKE.ping(ping))
        with trio.fail_after(within):
            while (message := await program.receive(within)).get("id") != ping:
                answer = message if "method" not in message else answer
        # It may be slower than the ping.
        with suppress(trio.TooSlowError):
            while answer is None:
                message = await program.receive(0.5)
                answer = message if "method" not in message else None
    except (trio.TooSlowError, EOFError, trio.BrokenResourceError):
        return answer, False
    return answer, True


@experiment(
    19,
    "a line of 100 MB needs no memory",
    "one line of 100 MB: what it is answered with, the growth of the peak memory of the process "
    "(32 MB), and whether the next ping is answered",
    seconds=150,
)
async def long_line(peer: Peer) -> Outcome:
    """A line that no message needs."""
    async with serving(peer) as program:
        before = peak_memory(program)
        head = b'{"jsonrpc": "2.0", "id": 7, "method": "ping", "params": {"x": "'
        answer, lives = await bad_line(program, head + b"x" * 100_000_000 + b'"}}', "ping", 20)
        grown = peak_memory(program) - before if program.process.returncode is None else None
    said = "not answered" if answer is None else words_of(answer)
    memory = "the process ended" if grown is None else f"{grown:+,.0f} MB"
    return Outcome(
        f"{said}; {memory}; ping answered {yes(lives)}",
        answer is not None and "error" in answer and lives and grown is not None and grown < 32,
    )


def peak_memory(program: Program) -> float:
    """The largest resident size so far, in MB."""
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    (found,) = (each for each in status.splitlines() if each.startswith("VmHWM:"))
    return int(found.split()[1]) / 1000
