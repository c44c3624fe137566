"""What every experiment needs: the peers, the table, and ways to drive servers and clients."""

from __future__ import annotations

import importlib.metadata
import json
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from tests.guarantees.harness import HANDSHAKE, Program, Wire, handshake, started
from tests.http.harness import Opened, Web
from tests.interop.environments import programs_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

PROGRAMS: Final = Path(__file__).resolve().parents[1] / "peers"

#: A program of no peer, for experiments with clients.
RAW_SERVER: Final = [sys.executable, str(PROGRAMS / "promises_raw_server.py")]

#: Seconds within which something counts as done at once: the machine may be busy.
PROMPT: Final = 1.0

JSON: Final = "application/json"

#: Seconds for the start of a program.
START: Final = 90

#: Seconds for a step of a client, which may start several servers.
STEP: Final = 150

Message = dict[str, Any]


class NotCarriedOut(Exception):
    """The experiment could not be carried out; this says nothing about the peer."""


# -- the peers --------------------------------------------------------------------------------


def here() -> str:
    """The interpreter that runs this."""
    return sys.executable


def there() -> str:
    """The interpreter of FastMCP's environment, which is made when it is first wanted."""
    return str(programs_of("fastmcp") / "python")


def version_of(python: str, package: str) -> str:
    """The version of a package in an interpreter's environment."""
    if python == sys.executable:
        return importlib.metadata.version(package)
    ask = f"import importlib.metadata as m; print(m.version({package!r}))"
    found = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    return found.stdout.strip()


@attrs.frozen
class Peer:
    """One of those that are compared.

    Attributes:
        name: As it is called on the command line.
        package: The distribution that has the version.
        python: The interpreter of its environment.
        suffix: The end of its programs' names.
    """

    name: str
    package: str
    python: Callable[[], str]
    suffix: str

    @property
    def version(self) -> str:
        """What is installed."""
        return version_of(self.python(), self.package)

    def server(self, *arguments: object) -> list[str]:
        """The command that starts its server."""
        return self._command("promises", arguments)

    def client(self, *arguments: object) -> list[str]:
        """The command that starts its client."""
        return self._command("promises_client", arguments)

    def _command(self, kind: str, arguments: Iterable[object]) -> list[str]:
        program = PROGRAMS / f"{kind}_{self.suffix}.py"
        return [self.python(), str(program), *map(str, arguments)]


TRIMCP: Final = Peer("trimcp", "trimcp", here, "trimcp")
SDK: Final = Peer("python-sdk", "mcp", here, "python_sdk")
FASTMCP: Final = Peer("fastmcp", "fastmcp", there, "fastmcp")
PEERS: Final = (TRIMCP, SDK, FASTMCP)


# -- the experiments --------------------------------------------------------------------------


@attrs.frozen
class Outcome:
    """What came out.

    Attributes:
        text: What was measured.
        is_kept: Whether the promise was kept; None where the peer has no such feature.
    """

    text: str
    is_kept: bool | None


@attrs.frozen
class Experiment:
    """One row of the table.

    Attributes:
        number: Of the guarantee.
        promise: What should be so.
        measured: What is done and measured.
        run: Does it with a peer.
        seconds: The deadline for all of it.
        is_quick: Whether it is part of a quick run.
    """

    number: int
    promise: str
    measured: str
    run: Callable[[Peer], Awaitable[Outcome]]
    seconds: float
    is_quick: bool


EXPERIMENTS: Final[list[Experiment]] = []


def experiment(
    number: int, promise: str, measured: str, *, seconds: float = 200, is_quick: bool = False
) -> Callable[[Callable[[Peer], Awaitable[Outcome]]], Callable[[Peer], Awaitable[Outcome]]]:
    """Add a function to the table."""

    def add(run: Callable[[Peer], Awaitable[Outcome]]) -> Callable[[Peer], Awaitable[Outcome]]:
        EXPERIMENTS.append(Experiment(number, promise, measured, run, seconds, is_quick))
        return run

    return add


def yes(value: bool) -> str:
    """A boolean for people."""
    return "yes" if value else "no"


def seconds(value: float | None, most: float = 0) -> str:
    """A time, or that it took longer than was waited."""
    return f"not within {most:g} s" if value is None else f"{value:.2f} s"


# -- servers ----------------------------------------------------------------------------------


@asynccontextmanager
async def serving(peer: Peer, *arguments: object) -> AsyncIterator[Program]:
    """The peer's server on standard streams, with a session open."""
    async with started(peer.server("stdio", *arguments)) as program:
        await program.send(*handshake())
        await answer_to(program, "init", START)
        yield program


@asynccontextmanager
async def serving_http(peer: Peer, *arguments: object) -> AsyncIterator[tuple[Program, Web]]:
    """The peer's server at a free port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    async with started(peer.server("http", port, *arguments)) as program:
        web = Web(port)
        with trio.fail_after(START):
            while True:
                try:
                    await trio.aclose_forcefully(await web.connect())
                except OSError:
                    await trio.sleep(0.05)
                else:
                    break
        yield program, web


@asynccontextmanager
async def posted(web: Web, message: Message, headers: dict[str, str]) -> AsyncIterator[None]:
    """Post a message, read nothing, and close the connection in the end."""
    body = json.dumps(message).encode()
    stream = await web.connect()
    try:
        opened = Opened(stream)
        await opened.send("POST", "/mcp", {**headers, "content-length": str(len(body))}, body)
        yield
    finally:
        await trio.aclose_forcefully(stream)


@attrs.frozen
class Session:
    """A session of the handshake era over HTTP."""

    web: Web
    headers: dict[str, str]

    @classmethod
    async def open(cls, web: Web) -> Session:
        """Shake hands."""
        hello, initialized = handshake()
        reply = await web.post(json.dumps(hello).encode())
        headers = {
            "mcp-session-id": reply.headers["mcp-session-id"],
            "mcp-protocol-version": HANDSHAKE.revision,
            "content-type": JSON,
        }
        session = cls(web, headers)
        async with session.post(initialized) as opened:
            if opened.status != 202:
                raise NotCarriedOut(f"the session was refused with status {opened.status}")
        return session

    def post(self, message: Message) -> Any:
        """Send a message and read the head of the answer."""
        return self.web.open("POST", body=json.dumps(message).encode(), **self.headers)

    def posted(self, message: Message) -> Any:
        """Send a message and leave the answer unread."""
        return posted(self.web, message, self.web.headers(**self.headers))

    async def ask(self, message: Message) -> Message:
        """Send a request; its answer, whatever stands before it."""
        async with self.post(message) as opened:
            if opened.headers["content-type"].startswith("application/json"):
                found: Message = json.loads(await opened.body())
                return found
            while True:
                found = await opened.message()
                if found.get("id") == message["id"] and "method" not in found:
                    return found


async def answer_to(wire: Wire, identity: Any, within: float) -> Message:
    """The answer to a request; what else comes is left out. Raises trio.TooSlowError."""
    with trio.fail_after(within):
        while True:
            message = await wire.receive(within)
            if message.get("id") == identity and "method" not in message:
                return message


async def timed(wire: Wire, request: Message, within: float) -> float | None:
    """Seconds until the answer to a request; None when it takes longer than that."""
    began = trio.current_time()
    try:
        await wire.send(request)
        await answer_to(wire, request["id"], within)
    except trio.TooSlowError:
        return None
    return trio.current_time() - began


async def time_to_end(program: Program, within: float) -> float | None:
    """Seconds until a process ends; None when it takes longer than that."""
    try:
        return (await program.wait_exit(within))[1]
    except trio.TooSlowError:
        return None


async def is_said(program: Program, text: str, within: float = PROMPT) -> float | None:
    """Seconds until a program says this on standard error; None when it does not."""
    began = trio.current_time()
    try:
        await program.stderr.wait(text, within=within)
    except trio.TooSlowError:
        return None
    return trio.current_time() - began


def words_of(answer: Message) -> str:
    """What a peer answers, in its own words."""
    if "error" in answer:
        return f"{answer['error']['code']} `{answer['error']['message']}`"
    content = answer["result"].get("content", [])
    return f"`{content[0]['text']}`" if content else "an empty result"


# -- clients ----------------------------------------------------------------------------------


async def told_by(peer: Peer, step: str, target: Iterable[object]) -> Message:
    """What the peer's client tells in JSON about a step; an error if that takes too long."""
    async with started(peer.client(step, *target)) as program:
        try:
            found: Message = await program.receive(STEP)
        except trio.TooSlowError:
            return {"error": f"nothing within {STEP} s"}
        except EOFError:
            said = (await program.stderr.whole())[-1000:]
            raise NotCarriedOut(f"the client says nothing, but on standard error: {said}") from None
        return found
