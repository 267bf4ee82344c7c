"""Waits for messages: woken by puts of this process, by delays that end, and by other processes' commits."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskhub.accounts.embedded.file import MEMORY
from taskhub.accounts.embedded.times import to_micros

if TYPE_CHECKING:
    from taskhub.accounts.embedded.engine import Engine

TICK_SECONDS = 0.025  # how often the file is asked whether somebody else wrote


# Accounts of one file in one process wake each other at once, whatever the loop's time does.
_OPEN: weakref.WeakValueDictionary[str, weakref.WeakSet[Arrivals]] = weakref.WeakValueDictionary()


class _Waiter:
    """Somebody who waits: for which queues, and when the next message in them is due."""

    __slots__ = ("future", "queues", "due")

    def __init__(self, future: asyncio.Future[None], queues: frozenset[str], due: int | None) -> None:
        self.future = future
        self.queues = queues
        self.due = due

    def wake(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class Arrivals:
    """Who waits for which queue."""

    def __init__(self, engine: Engine, path: str) -> None:
        self._engine = engine
        self._waiters: set[_Waiter] = set()
        self._tick: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tick_seconds = TICK_SECONDS
        self._tick_began = 0.0
        self._version = 0
        self._kin: weakref.WeakSet[Arrivals] = weakref.WeakSet()
        if path != MEMORY:
            self._kin = _OPEN.setdefault(os.path.realpath(path), self._kin)
        self._kin.add(self)

    async def wait(self, queues: Sequence[str], timeout: float) -> None:
        """Returns when one of the queues has a visible message, at the latest after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            due, remaining = self._look_once(loop, queues), deadline - loop.time()
            wait = remaining if due is None else min(remaining, (due - self._now()) / 1_000_000)
            if wait <= 0:
                return
            await self._changed(loop, _Waiter(loop.create_future(), frozenset(queues), due), wait)

    def wake(self, queues: set[str]) -> None:
        """Those in this process who wait for one of the queues look again."""
        for kin in self._kin_here():
            for waiter in kin._waiters:
                if not queues.isdisjoint(waiter.queues):
                    waiter.wake()

    def wake_all(self) -> None:
        """Everybody in this process looks again."""
        for kin in self._kin_here():
            for waiter in kin._waiters:
                waiter.wake()

    def close(self) -> None:
        """Lets go of the timer; who still waits looks again and meets a closed account."""
        for waiter in self._waiters:
            waiter.wake()
        self._kin.discard(self)
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def _kin_here(self) -> list[Arrivals]:
        """The accounts of this file that wait in the loop that runs now; another thread's futures are not ours."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return []
        return [kin for kin in self._kin if kin._loop is loop]

    def _look_once(self, loop: asyncio.AbstractEventLoop, queues: Sequence[str]) -> int | None:
        """When the first message of the queues is visible; raises what an operation would raise now."""
        try:
            if self._tick is None or self._loop is not loop:
                self._version = self._data_version()  # before looking: what is written afterwards counts as new
            self._engine.check()
            return self._next_due(queues)
        except sqlite3.Error as error:
            raise self._engine.failure(error) from error

    def _now(self) -> int:
        return to_micros(self._engine.clock.now())

    def _next_due(self, queues: Sequence[str]) -> int | None:
        execute = self._engine.db.execute
        rows = [execute("SELECT min(visible) FROM messages WHERE queue = ?", (queue,)).fetchone() for queue in queues]
        return min((row[0] for row in rows if row[0] is not None), default=None)

    async def _changed(self, loop: asyncio.AbstractEventLoop, waiter: _Waiter, seconds: float) -> None:
        self._waiters.add(waiter)
        timer = loop.call_later(seconds, waiter.wake)
        if self._tick is None or self._loop is not loop:
            self._tick_seconds = TICK_SECONDS
            self._schedule(loop)
        try:
            await waiter.future
        finally:
            timer.cancel()
            self._waiters.discard(waiter)

    # -- other processes, and a clock that somebody moves

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tick_began = time.monotonic()
        self._tick = loop.call_later(self._tick_seconds, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._tick = None
        if not self._waiters:
            return
        now = self._now()
        try:
            version = self._data_version()
        except sqlite3.Error:
            self.wake_all()  # they meet the error themselves
            return
        if version != self._version:
            self._version = version
            self.wake_all()
        for waiter in self._waiters:
            if waiter.due is not None and waiter.due <= now:
                waiter.wake()
        if time.monotonic() - self._tick_began < self._tick_seconds / 2:
            self._tick_seconds *= 2  # the loop's time is not real time: do not walk through years in small steps
        else:
            self._tick_seconds = TICK_SECONDS
        self._schedule(loop)

    def _data_version(self) -> int:
        return int(self._engine.db.execute("PRAGMA data_version").fetchone()[0])
