"""The host of the state machines: what lives on between calls, and how time passes."""

from __future__ import annotations

import pytest
import trio

from tests.tasks import tasks_below

from .host import TrioHost, names_of


class Broken(Exception):
    """Something that happens in a task."""


def test_a_task_lives_on_between_calls() -> None:
    host = TrioHost()
    said: list[str] = []
    event = host.call(trio.Event)

    async def wait() -> None:
        await event.wait()
        said.append("heard")

    host.call(host.nursery.start_soon, wait)
    assert any(name.endswith("wait") for name in names_of(tasks_below(host.root)))
    assert said == []
    host.call(event.set)
    assert said == ["heard"]
    assert not any(name.endswith("wait") for name in names_of(tasks_below(host.root)))
    host.close()


def test_a_call_gives_back_what_its_function_returns_or_raises() -> None:
    host = TrioHost()

    async def double(number: int) -> int:
        await trio.lowlevel.checkpoint()
        return 2 * number

    async def fail() -> None:
        raise Broken

    assert host.call(double, 21) == 42
    assert host.call(int, "3") == 3
    with pytest.raises(Broken):
        host.call(fail)
    assert host.call(double, 1) == 2
    host.close()


def test_time_passes_only_when_it_is_told_to_and_deadline_by_deadline() -> None:
    host = TrioHost()
    seen: list[float] = []

    async def sleep(seconds: float) -> None:
        await trio.sleep(seconds)
        seen.append(trio.current_time())
        await trio.sleep(seconds)
        seen.append(trio.current_time())

    began = host.now
    host.call(host.nursery.start_soon, sleep, 10)
    host.call(trio.lowlevel.checkpoint)
    assert host.now == began
    host.pass_time(15)
    assert seen == [began + 10]
    host.pass_time(15)
    assert seen == [began + 10, began + 20]
    assert host.now == began + 30
    host.close()


def test_an_error_in_a_task_ends_the_call_in_which_it_happens() -> None:
    host = TrioHost()

    async def fail_later() -> None:
        await trio.sleep(5)
        raise Broken

    host.call(host.nursery.start_soon, fail_later)
    with pytest.raises(ExceptionGroup) as caught:
        host.pass_time(10)
    assert caught.group_contains(Broken)
    with pytest.raises(RuntimeError, match="over"):
        host.call(int)
    host.close()


def test_closing_cancels_what_still_runs() -> None:
    host = TrioHost()
    ended: list[str] = []

    async def wait() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True, relative_deadline=10):
                await trio.sleep_forever()
            ended.append("ended")

    host.call(host.nursery.start_soon, wait)
    host.close()
    assert ended == ["ended"]
    with pytest.raises(RuntimeError, match="over"):
        host.call(int)
