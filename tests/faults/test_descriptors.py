"""No descriptors are left: a server goes on accepting when there are some again.

It does not spin meanwhile, and says once what is the matter. Guarantees 6 and 8.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import trio

from tests.guarantees.harness import STATELESS, command, connect_to, started, stream_wire

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

#: Descriptors that the server may have, and connections that are opened.
FEW, MANY = 30, 60


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("door", ["tcp", "websocket", "http"])
async def test_the_accept_loop_goes_on(door: str) -> None:
    limited = ["sh", "-c", f'ulimit -n {FEW}; exec "$@"', "sh", *command("waiting", door)]
    async with started(limited) as program:
        port = await program.port(door)
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(MANY)]
        await program.stderr.wait_for(lambda line: "Too many open files" in line)
        before = processor_seconds(program.process.pid)
        await trio.sleep(3)
        # Thirty attempts; a loop without a pause would take all of a processor that it can get.
        assert processor_seconds(program.process.pid) - before < 0.15
        told = [line for line in program.stderr.seen if "Too many open files" in line]
        assert len(told) == 1, told
        for stream in streams:
            await trio.aclose_forcefully(stream)
        with trio.fail_after(20):
            if door == "http":
                async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                    await stream.send_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
                    assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
            else:
                async with stream_wire(await connect_to(door, port)) as again:
                    await again.ask(STATELESS.ping("again"))
