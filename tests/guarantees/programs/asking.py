"""Tools that ask their client in the middle of their work."""

from __future__ import annotations

import argparse
from typing import Any

import attrs
import trio
from pydantic import BaseModel

from tests.guarantees.programs.doors import noted_lifespan, say, serve
from trimcp import Context, InputRequired, Limits, Server, form_question


class Answer(BaseModel):
    """What every question asks for."""

    text: str


def make_server(
    keys: list[bytes], *, parked: int = 1000, seconds: float = 600, grace: float | None = None
) -> Server[None]:
    """The server, for this process or another one."""
    server: Server[None] = Server(
        "asking",
        limits=Limits(parked=parked, parked_seconds=seconds),
        state_keys=keys,
        shutdown_grace=grace,
        lifespan=noted_lifespan,
    )
    add_tools(server)
    return server


def add_tools(server: Server[None]) -> None:
    """Register them."""

    @server.tool
    async def ask(label: str, ctx: Context) -> str:
        """One question; the frame that waits says when it ends."""
        try:
            return (await ctx.elicit(f"{label}?", Answer)).text
        finally:
            say(f"{label} finally")

    @server.tool(replay=True)
    async def ask_twice(label: str, ctx: Context) -> str:
        """Two questions, one after the other, in a loop."""
        answers = []
        try:
            for number in range(2):
                answers.append((await ctx.elicit(f"{label} {number}?", Answer)).text)
        finally:
            say(f"{label} finally")
        return " ".join(answers)

    @server.tool(replay=True)
    async def ask_many(label: str, count: int, ctx: Context) -> dict[str, str]:
        """Questions of sibling tasks, half of them worded alike."""
        answers: dict[str, str] = {}

        async def ask(name: str, question: str) -> None:
            answers[name] = (await ctx.elicit(question, Answer, key=name)).text

        async with trio.open_nursery() as nursery:
            for number in range(count):
                question = f"{label} {number}?" if number % 2 else f"{label}?"
                nursery.start_soon(ask, f"{label} {number}", question)
        return answers

    @server.tool
    async def ask_by_returning(label: str, ctx: Context) -> str | InputRequired:
        """Nothing waits for this one's answer."""
        answer = ctx.input_response("answer", Answer)
        if answer is None:
            return InputRequired({"answer": form_question(f"{label}?", Answer)})
        return answer.text

    @server.tool
    async def holds() -> dict[str, Any]:
        """What the server counts."""
        return attrs.asdict(server.statistics())


def main() -> None:
    """`DOOR [--path PATH] [--parked N] [--seconds S] [--grace S] [--key TEXT]…`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("door")
    parser.add_argument("--path")
    parser.add_argument("--parked", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--grace", type=float)
    parser.add_argument("--key", action="append", default=[])
    options = parser.parse_args()
    server = make_server(
        [key.encode() for key in options.key],
        parked=options.parked,
        seconds=options.seconds,
        grace=options.grace,
    )
    trio.run(serve, server, options)


if __name__ == "__main__":
    main()
