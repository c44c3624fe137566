"""What a handler returns to ask its client without waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trimcp.types import InputRequest

__all__ = ["InputRequired"]


@attrs.frozen
class InputRequired:
    """Questions that a handler returns instead of awaiting their answers::

        @server.tool
        async def greet(ctx: Context) -> str | InputRequired:
            name = ctx.input_response("name", Name)
            if name is None:
                return InputRequired({"name": form_question("Your name?", Name)})
            return f"Hello, {name.first}!"

    The handler runs again from the start with the answers; no handler waits meanwhile, in this
    process or another. In the handshake era the client is asked by requests, with the same effect.
    `await ctx.elicit(...)` is the other way, which keeps the handler where it is.

    Attributes:
        questions: The questions, by keys that the handler chooses; see `form_question`,
            `url_question`, `sampling_question` and `roots_question`.
        state: Any JSON value; the next run gets it as `ctx.request_state`. The client has it
            encrypted.

    Specification: 2026-07-28, Multi Round-Trip Requests.
    """

    questions: Mapping[str, InputRequest] = attrs.field(factory=dict)
    state: Any = None

    def __attrs_post_init__(self) -> None:
        if not self.questions and self.state is None:
            raise ValueError("InputRequired needs a question or a state")
