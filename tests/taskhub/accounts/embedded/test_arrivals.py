"""Waiting for messages of an embedded account."""

from __future__ import annotations

import asyncio
import heapq
import math
import selectors
import subprocess
import sys
import time
from collections.abc import Coroutine
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from taskhub.accounts.embedded import EmbeddedAccount, open_embedded
from taskhub.clock import ManualClock
from taskhub.errors import AccountError

ROOT = Path(__file__).resolve().parents[4]
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer when nothing is ready; also a clock."""

    def __init__(self) -> None:
        super().__init__(selectors.SelectSelector())
        self._elapsed = 0.0

    def time(self) -> float:
        return self._elapsed

    def now(self) -> datetime:
        return START + timedelta(seconds=self._elapsed)

    def _run_once(self) -> None:
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        while timers and timers[0].cancelled():
            heapq.heappop(timers)._scheduled = False  # type: ignore[attr-defined]
        if not self._ready and timers:  # type: ignore[attr-defined]
            # Just past it: a timer that is due exactly now does not run when the time is a large number.
            self._elapsed = max(self._elapsed, math.nextafter(timers[0].when(), math.inf))
        super()._run_once()  # type: ignore[misc]


def in_virtual_time(loop: VirtualTimeLoop, work: Coroutine[Any, Any, None]) -> None:
    try:
        loop.run_until_complete(asyncio.wait_for(work, 10 * 365 * 86400))
    finally:
        loop.close()


async def with_queue(account: EmbeddedAccount) -> EmbeddedAccount:
    await account.queues.create("q-1")
    return account


@pytest.mark.asyncio
async def test_a_visible_message_is_not_waited_for() -> None:
    account = await with_queue(open_embedded(":memory:"))
    await account.queues.put("q-1", "x")
    await asyncio.wait_for(account.queues.arrived(["q-1"], 60), 5)


@pytest.mark.parametrize("place", ["memory", "file"])
def test_a_wait_ends_when_a_delayed_message_is_due(place: str, tmp_path: Path) -> None:
    loop = VirtualTimeLoop()

    async def scenario() -> None:
        path = ":memory:" if place == "memory" else tmp_path / "account.db"
        account = await with_queue(open_embedded(path, loop))
        await account.queues.put("q-1", "x", timedelta(days=6))
        await account.queues.arrived(["q-1", "q-2"], 365 * 86400)
        assert loop.time() == pytest.approx(6 * 86400)
        assert len(await account.queues.peek("q-1")) == 1
        await account.close()

    in_virtual_time(loop, scenario())


@pytest.mark.parametrize("place", ["memory", "file"])
def test_years_of_virtual_time_pass_in_a_moment(place: str, tmp_path: Path) -> None:
    loop = VirtualTimeLoop()

    async def scenario() -> None:
        path = ":memory:" if place == "memory" else tmp_path / "account.db"
        account = await with_queue(open_embedded(path, loop))
        began = time.monotonic()
        for _ in range(10):
            await account.queues.arrived(["q-1"], 0.5 * 365 * 86400)
        assert loop.time() == pytest.approx(5 * 365 * 86400)
        assert time.monotonic() - began < 5
        await account.close()

    in_virtual_time(loop, scenario())


def test_a_message_put_with_a_delay_shortens_a_wait_that_began_before() -> None:
    loop = VirtualTimeLoop()

    async def scenario() -> None:
        account = await with_queue(open_embedded(":memory:", loop))
        waiter = asyncio.ensure_future(account.queues.arrived(["q-1"], 1000))
        await asyncio.sleep(1)
        await account.queues.put("q-1", "x", timedelta(seconds=10))
        await waiter
        assert loop.time() == pytest.approx(11)

    in_virtual_time(loop, scenario())


def test_a_message_that_is_given_back_ends_a_wait() -> None:
    loop = VirtualTimeLoop()

    async def scenario() -> None:
        account = await with_queue(open_embedded(":memory:", loop))
        await account.queues.put("q-1", "x")
        (taken,) = await account.queues.get("q-1", 1, timedelta(minutes=5))
        waiter = asyncio.ensure_future(account.queues.arrived(["q-1"], 1000))
        await asyncio.sleep(1)
        await account.queues.update("q-1", taken, timedelta(0))
        await waiter
        assert loop.time() == pytest.approx(1)

    in_virtual_time(loop, scenario())


def test_two_accounts_on_one_file_wake_each_other_whatever_the_loops_time_does(tmp_path: Path) -> None:
    loop = VirtualTimeLoop()

    async def scenario() -> None:
        one = await with_queue(open_embedded(tmp_path / "account.db", loop))
        two = open_embedded(tmp_path / "account.db", loop)
        waiter = asyncio.ensure_future(two.queues.arrived(["q-1"], 365 * 86400))
        await asyncio.sleep(86400)
        await one.queues.put("q-1", "x")
        await waiter
        assert loop.time() == pytest.approx(86400)
        await one.close()
        await two.close()

    in_virtual_time(loop, scenario())


@pytest.mark.asyncio
async def test_a_put_into_another_queue_wakes_nobody() -> None:
    account = await with_queue(open_embedded(":memory:"))
    await account.queues.create("q-2")
    waiter = asyncio.ensure_future(account.queues.arrived(["q-1"], 60))
    await asyncio.sleep(0)
    await account.queues.put("q-2", "x")
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiter.done()
    waiter.cancel()


@pytest.mark.asyncio
async def test_a_clock_that_is_moved_ends_a_wait() -> None:
    clock = ManualClock()
    account = await with_queue(open_embedded(":memory:", clock))
    await account.queues.put("q-1", "x", timedelta(days=1))
    waiter = asyncio.ensure_future(account.queues.arrived(["q-1"], 3600))
    await asyncio.sleep(0)
    clock.advance(timedelta(days=1))
    await asyncio.wait_for(waiter, 5)


@pytest.mark.asyncio
async def test_a_put_of_another_process_ends_a_wait(tmp_path: Path) -> None:
    account = await with_queue(open_embedded(tmp_path / "account.db"))
    script = (
        "import asyncio, sys; from taskhub.accounts import open_account\n"
        "async def main(): await (await open_account(sys.argv[1])).queues.put('q-1', 'x')\n"
        "asyncio.run(main())"
    )
    waiter = asyncio.ensure_future(account.queues.arrived(["q-1"], 3600))
    await asyncio.sleep(0)
    process = subprocess.Popen([sys.executable, "-c", script, account.path], cwd=ROOT)
    await asyncio.wait_for(waiter, 20)
    assert process.wait(20) == 0
    assert len(await account.queues.peek("q-1")) == 1
    await account.close()


@pytest.mark.asyncio
async def test_one_who_waits_on_an_account_that_is_closed_is_told() -> None:
    account = await with_queue(open_embedded(":memory:"))
    waiter = asyncio.ensure_future(account.queues.arrived(["q-1"], 3600))
    await asyncio.sleep(0)
    await account.close()
    with pytest.raises(AccountError, match="closed"):
        await asyncio.wait_for(waiter, 5)
