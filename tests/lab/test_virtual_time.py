"""The loop that skips: order is kept, time moves only by waiting, threads hold it still."""

import asyncio
import threading
import time
from datetime import timedelta

import pytest

from lab.virtual_time import START, VirtualClock, run


def test_a_year_of_waiting_takes_no_time() -> None:
    async def main(clock: VirtualClock) -> timedelta:
        await asyncio.sleep(timedelta(days=365).total_seconds())
        return clock.now() - START

    begin = time.monotonic()
    assert run(main) == timedelta(days=365)
    assert time.monotonic() - begin < 60  # a year would be longer


def test_timers_run_in_the_order_of_their_deadlines() -> None:
    async def main(clock: VirtualClock) -> list[str]:
        seen: list[str] = []

        async def note(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append(name)

        await asyncio.gather(note("late", 86_400.0), note("early", 1.0), note("middle", 3600.0))
        return seen

    assert run(main) == ["early", "middle", "late"]


def test_work_in_a_thread_holds_time_still() -> None:
    async def main(clock: VirtualClock) -> timedelta:
        loop = asyncio.get_running_loop()
        timer = asyncio.create_task(asyncio.sleep(3600))
        await loop.run_in_executor(None, sum, range(100_000))
        moved = clock.now() - START
        timer.cancel()
        return moved

    assert run(main) == timedelta(0)


def test_a_failure_comes_out_and_leaves_nothing_running() -> None:
    stopped = []

    async def main(clock: VirtualClock) -> None:
        async def forever() -> None:
            try:
                await asyncio.sleep(1e9)
            finally:
                stopped.append(True)

        waiting = asyncio.create_task(forever())
        await asyncio.sleep(1)
        assert not waiting.done()
        raise LookupError("out")

    with pytest.raises(LookupError):
        run(main)
    assert stopped == [True]


def test_without_threads_such_work_is_done_at_once_and_fails_where_it_is_awaited() -> None:
    async def main(clock: VirtualClock) -> tuple[int, bool]:
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(None, threading.get_ident)
        with pytest.raises(ValueError, match="no"):
            await asyncio.to_thread(int, "no")
        return done.result(), done.done()

    assert run(main, threads=False) == (threading.get_ident(), True)
