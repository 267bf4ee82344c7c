"""An event loop whose time jumps: when everybody waits, the clock moves to the next deadline at once."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

T = TypeVar("T")
START = datetime(2026, 1, 5, 9, 0, tzinfo=timezone.utc)
_THREAD_WAIT = 0.05  # real seconds between looks while a thread is at work


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop that never waits for a timer: it skips to it. Work in threads holds time still until it is done.

    Without `threads` such work is done at once on the loop's own thread, so that everything has one order.
    """

    def __init__(self, threads: bool = True) -> None:
        self._with_threads = threads
        self._now = 0.0
        self._threads = 0
        super().__init__(_SkippingSelector(self))
        # Timers this close together run together: after months, a float's last digit is coarser than asyncio's own.
        # Less than a clock's microsecond: who waits for the last one must not be woken before it.
        self._clock_resolution = 1e-7

    def time(self) -> float:
        """Seconds of virtual time since the loop was made."""
        return self._now

    def skip(self, seconds: float) -> None:
        """Moves virtual time forward."""
        self._now += seconds

    @property
    def threads_at_work(self) -> int:
        """How many calls are running in threads."""
        return self._threads

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        if not self._with_threads:
            return self._done_at_once(func, *args)
        future: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_done)
        return future

    def _done_at_once(self, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self._threads -= 1


class _SkippingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self._loop.threads_at_work:
            return super().select(_THREAD_WAIT)
        self._loop.skip(timeout)
        return []


class VirtualClock:
    """The loop's virtual time as a moment."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start: datetime = START) -> None:
        self._loop = loop
        self._start = start

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._loop.time())


def run(main: Callable[[VirtualClock], Coroutine[Any, Any, T]], start: datetime = START, threads: bool = True) -> T:
    """Runs a coroutine to its end in virtual time."""
    loop = VirtualTimeLoop(threads)
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main(VirtualClock(loop, start)))
    finally:
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        asyncio.set_event_loop(None)
