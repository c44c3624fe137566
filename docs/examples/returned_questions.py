"""Questions that a handler returns instead of waiting for their answers."""

from dataclasses import dataclass

import trio

from trimcp import Context, InputRequired, Server, form_question, sampling_question
from trimcp.types import CreateMessageResult, TextContent

server = Server("returned questions", version="1.0")


@dataclass
class Name:
    name: str


@dataclass
class Guess:
    number: int


@dataclass
class Sure:
    sure: bool


@server.tool
async def greet(ctx: Context) -> str | InputRequired:
    """Greet the user. It runs twice: without an answer, and with it."""
    answer = ctx.input_response("name", Name)
    if answer is None:
        return InputRequired({"name": form_question("What is your name?", Name)})
    return f"Hello, {answer.name}!"


@server.tool
async def praise(ctx: Context) -> str | InputRequired:
    """Two questions at once, one to the user and one to a model."""
    author = ctx.input_response("author", Name)
    poem = ctx.input_response("poem", CreateMessageResult)
    if author is None or poem is None:
        return InputRequired(
            {
                "author": form_question("Who shall have written it?", Name),
                "poem": sampling_question("Write a line about the sea.", max_tokens=50),
            }
        )
    lines = [block.text for block in poem.content if isinstance(block, TextContent)]
    return f"{' '.join(lines)} ({author.name})"


@server.tool
async def guess(ctx: Context) -> str | InputRequired:
    """As many rounds as it takes; the state says what has been tried."""
    tried: list[int] = ctx.request_state or []
    answer = ctx.input_response("guess", Guess)
    if answer is not None:
        tried = [*tried, answer.number]
        if answer.number == 7:
            return f"Found with {len(tried)} guesses."
    hint = f"Not {', '.join(map(str, tried))}." if tried else "I think of a number."
    return InputRequired({"guess": form_question(hint, Guess)}, state=tried)


@server.tool(single_use=True)
async def pay(amount: int, ctx: Context) -> str | InputRequired:
    """The same answer is not taken twice, nor one that nobody was asked for."""
    answer = ctx.input_response("sure", Sure)
    if answer is None or ctx.request_state != "asked":
        return InputRequired({"sure": form_question(f"Pay {amount}?", Sure)}, state="asked")
    return f"Paid {amount}." if answer.sure else "Not paid."


if __name__ == "__main__":
    trio.run(server.serve_stdio)
