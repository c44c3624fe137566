"""nginx and our HTTP/1.1 find the end of a request at the same byte, or one of them refuses it.

Otherwise a client behind a proxy could hide a request in the body of another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import Limits, Server
from trimcp.http._hosting import host
from trimcp.http._http1._h11 import H11Parser
from trimcp.http._http1._llhttp import LlhttpParser

from .test_http1 import body_of
from .test_http1_parsing import ACCEPTED, CHUNKED, GET, POST, REFUSED, REFUSED_BY_ONE
from .test_nginx import NGINX, behind_nginx

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(NGINX is None, reason="Debian's nginx is not installed")

#: Answers with the target of each request.
ECHO = """        location / {{
            keepalive_timeout 1s;
            client_body_timeout 1s;
            return 200 "<$request_uri>";
        }}
"""

#: The last request, which is hidden if its bytes count as the body of the one before.
LAST = b"GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"

CASES = {
    **{name: data for name, (data, _) in ACCEPTED.items()},
    **REFUSED,
    **{name: data for name, (_, data) in REFUSED_BY_ONE.items()},
    "a length that hides": POST + b"content-length: %d\r\n\r\n" % len(LAST) + LAST,
    "a coding in capitals": CHUNKED.replace(b"chunked", b"CHUNKED") + b"0\r\n\r\n",
    "a coding with a space": CHUNKED.replace(b"chunked", b"chunked ") + b"0\r\n\r\n",
    "an underscore": POST + b"content_length: 3\r\n\r\n",
    "a length of many digits": POST + b"content-length: 0000000003\r\n\r\nabc",
    "an extension in quotes": CHUNKED + b'1;a="\\r"\r\na\r\n0\r\n\r\n',
    "a size of many digits": CHUNKED + b"0000000001\r\na\r\n0\r\n\r\n",
    "an upgrade that hides": GET
    + b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: %d\r\n\r\n" % len(LAST)
    + LAST,
}


async def said_to(port: int, data: bytes) -> tuple[list[bytes], bool]:
    """The targets that were answered, and whether something was refused."""
    answer = b""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    with trio.fail_after(20):
        try:
            await stream.send_all(data + LAST)
            while piece := await stream.receive_some():
                answer += piece
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(stream)
    heads = answer.split(b"HTTP/1.1 ")[1:]
    targets = [head.partition(b"<")[2].partition(b">")[0] for head in heads if head[:1] == b"2"]
    return targets, any(head[:1] in b"45" for head in heads) or not heads


async def tell_target(scope: Any, receive: Any, send: Any) -> None:
    await body_of(receive)
    target = b"<%s%s>" % (scope["raw_path"], b"?" * bool(scope["query_string"]))
    body = target[:-1] + scope["query_string"] + b">"
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize("make", [LlhttpParser, H11Parser], ids=["httptools", "h11"])
async def test_nobody_can_hide_a_request(make: Any, tmp_path: Path) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port: int = listeners[0].socket.getsockname()[1]
    found: dict[str, list[Any]] = {name: [] for name in CASES}
    async with (
        behind_nginx(Server("echo"), tmp_path, location=ECHO) as place,
        trio.open_nursery() as nursery,
    ):

        async def serve(*, task_status: trio.TaskStatus[None]) -> None:
            await host(
                tell_target,
                listeners,
                Limits(header_seconds=1, body_seconds=1),
                accepting=trio.CancelScope,
                started=task_status.started,
                make_parser=make,
            )

        await nursery.start(serve)
        for each in (port, int(place.rpartition(":")[2])):
            async with trio.open_nursery() as asking:

                async def ask(name: str, each: int = each) -> None:
                    found[name].append(await said_to(each, CASES[name]))

                for name in CASES:
                    asking.start_soon(ask, name)
        nursery.cancel_scope.cancel()
    for name, ((ours, we_refuse), (theirs, they_refuse)) in found.items():
        both = min(len(ours), len(theirs))
        assert ours[:both] == theirs[:both], name
        assert len(ours) >= len(theirs) or we_refuse, (name, ours, theirs)
        assert len(theirs) >= len(ours) or they_refuse, (name, ours, theirs)
    accepted = [name for name, ((ours, refused), _) in found.items() if ours and not refused]
    assert len(accepted) >= len(ACCEPTED)
