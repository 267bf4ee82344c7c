"""Runs the operations of an embedded account: those of one turn of the event loop in one SQLite transaction.

A commit costs several times what an operation does, so everything that the coroutines of one turn ask for is carried
out together and acknowledged after the common commit. An operation checks everything before its first write; one
that refuses therefore leaves nothing behind and does not disturb the others.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from taskhub.accounts.embedded.arrivals import Arrivals
from taskhub.accounts.embedded.times import to_micros
from taskhub.clock import Clock
from taskhub.errors import AccountError, AccountUnreachable, TaskHubError

T = TypeVar("T")

PRIMARY: Final = "primary"
READ_ONLY: Final = "read-only"
UNAVAILABLE: Final = "unavailable"

BUSY_SECONDS = 30.0  # how long other processes may keep the file before we give up
RETRY_SECONDS = 0.001
BATCH = 500  # operations in one transaction, so that neither our loop nor other processes stand still for long


class _Operation:
    """Something to do, and who waits for it."""

    __slots__ = ("future", "work", "arguments", "writes", "result", "error")

    def __init__(
        self, future: asyncio.Future[Any], work: Callable[..., Any], arguments: tuple[Any, ...], writes: bool
    ) -> None:
        self.future = future
        self.work = work
        self.arguments = arguments
        self.writes = writes
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        self.error = None
        try:
            self.result = self.work(*self.arguments)
        except TaskHubError as error:
            self.error = error

    def answer(self) -> None:
        if self.future.done():  # cancelled meanwhile: carried out, but nobody waits for it
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Engine:
    """One connection to an account's file and the transactions on it."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock, description: str) -> None:
        self.db = connection
        self.clock = clock
        self.description = description
        self.now = 0  # microseconds; one moment for all operations of a transaction
        self.replicated = False
        self.touched: set[str] = set()  # queues in which a message may have become visible
        self.arrivals = Arrivals(self, description)
        self._etag_prefix = secrets.token_hex(6)
        self._etags = itertools.count(1)
        self._waiting: list[_Operation] = []
        self._loop: asyncio.AbstractEventLoop | None = None  # where the next flush is due
        self._busy_since: float | None = None
        self._closed = False

    # -- for operations

    def new_etag(self) -> str:
        """Different from every other one, in this file and its copies."""
        return f"{self._etag_prefix}{next(self._etags):x}"

    def log(
        self, service: str, unit: str, change: str, key: str, state: dict[str, Any], content: bytes | None = None
    ) -> None:
        """Notes a write for the secondary, in the same transaction."""
        self.db.execute(
            "INSERT INTO log (time, service, unit, change, key, state, content) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (self.now, service, unit, change, key, json.dumps(state), content),
        )

    # -- for services

    async def read(self, work: Callable[..., T], *arguments: Any) -> T:
        """Runs an operation that changes nothing."""
        return await self._submit(work, arguments, writes=False)

    async def write(self, work: Callable[..., T], *arguments: Any) -> T:
        """Runs an operation that changes something; returns when that is committed."""
        return await self._submit(work, arguments, writes=True)

    def _submit(self, work: Callable[..., T], arguments: tuple[Any, ...], writes: bool) -> asyncio.Future[T]:
        if self._closed:
            raise self.failure(sqlite3.ProgrammingError())
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.append(_Operation(future, work, arguments, writes))
        if self._loop is not loop:
            self._loop = loop
            loop.call_soon(self._flush)
        return future

    def run_now(self, work: Callable[..., T], *arguments: Any, guard: bool | None = True) -> T:
        """Runs one operation in a transaction of its own, for callers outside of a coroutine.

        `guard` says what it is refused for: True a write, False a read, None nothing (it serves the account itself).
        """
        deadline = time.monotonic() + BUSY_SECONDS
        while not self._begin():
            if time.monotonic() > deadline:
                raise self._busy_error()
            time.sleep(RETRY_SECONDS)
        try:
            state = self._state()
            if guard is not None and (refusal := self._refusal(state, guard)):
                raise refusal
            self.now = to_micros(self.clock.now())
            result = work(*arguments)
            self.db.execute("COMMIT")
        except sqlite3.Error as error:
            self._rollback()
            raise self.failure(error) from error
        except UnicodeEncodeError as error:
            self._rollback()
            raise AccountError(f"{error.object[:40]!r} holds half of a character pair and cannot be kept.") from error
        except BaseException:
            self._rollback()
            raise
        self._wake()
        return result

    def check(self) -> None:
        """Raises AccountUnreachable while the account is marked as lost."""
        if refusal := self._refusal(self._state(), writes=False):
            raise refusal

    def close(self) -> None:
        """Carries out what was asked for and lets go of the file."""
        if self._closed:
            return
        while self._waiting:
            self._flush()
            if self._waiting:
                time.sleep(RETRY_SECONDS)
        self._closed = True
        self.arrivals.close()
        self.db.close()

    # -- transactions

    def _flush(self) -> None:
        self._loop = None
        waiting = [operation for operation in self._waiting if not operation.future.cancelled()]
        batch, self._waiting = waiting[:BATCH], waiting[BATCH:]
        if not batch:
            return
        writes = any(operation.writes for operation in batch)
        try:
            if writes and not self._begin():
                self._try_again(batch)
                return
            self._run(batch, writes)
        except sqlite3.Error as error:
            self._rollback()
            if "locked" in str(error):
                self._try_again(batch)
            else:
                self._fail(batch, self.failure(error))
        except AccountError as error:
            self._rollback()
            self._fail(batch, error)
        except Exception:
            # A value that cannot be stored, met half-way: everybody else must not suffer for it.
            self._rollback()
            self._run_each(batch)
        self._wake()
        if self._waiting and self._loop is None:
            self._loop = self._waiting[0].future.get_loop()
            self._loop.call_soon(self._flush)

    def _run(self, batch: list[_Operation], writes: bool) -> None:
        state = self._state()
        self.now = to_micros(self.clock.now())
        for operation in batch:
            if state != PRIMARY and (refusal := self._refusal(state, operation.writes)):
                operation.error = refusal
            else:
                operation.run()
        if writes:
            self.db.execute("COMMIT")
        for operation in batch:
            operation.answer()

    def _run_each(self, batch: list[_Operation]) -> None:
        for operation in batch:
            if operation.future.done():
                continue
            try:
                operation.future.set_result(self.run_now(operation.work, *operation.arguments, guard=operation.writes))
            except Exception as error:
                operation.future.set_exception(error)

    def _begin(self) -> bool:
        if self.db.in_transaction:  # left behind by an interrupt in the middle of one
            self.db.execute("ROLLBACK")
        try:
            self.db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                return False
            raise
        self._busy_since = None
        return True

    def _try_again(self, batch: list[_Operation]) -> None:
        """Another process is writing: its transactions are short, and our loop goes on meanwhile."""
        self._busy_since = self._busy_since or time.monotonic()
        if time.monotonic() - self._busy_since > BUSY_SECONDS:
            self._busy_since = None
            self._fail(batch, self._busy_error())
            return
        self._waiting = batch + self._waiting
        if not self._closed and self._loop is None:
            self._loop = batch[0].future.get_loop()
            self._loop.call_later(RETRY_SECONDS, self._flush)

    def _rollback(self) -> None:
        self.touched.clear()
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")

    def _wake(self) -> None:
        if self.touched:
            self.arrivals.wake(self.touched)
            self.touched.clear()

    # -- refusals

    def _state(self) -> str:
        row = self.db.execute("SELECT state, replicated FROM account").fetchone()
        self.replicated = bool(row[1])
        return str(row[0])

    def _refusal(self, state: str, writes: bool) -> AccountError | None:
        if state == UNAVAILABLE:
            return AccountUnreachable(f"The storage account {self.description} does not answer: its region is lost.")
        if state == READ_ONLY and writes:
            return AccountError(
                f"The storage account {self.description} is a secondary: it can be read, not written. "
                "Write to its primary, or fail the account over first."
            )
        return None

    def _fail(self, batch: list[_Operation], error: AccountError) -> None:
        for operation in batch:
            if not operation.future.done():
                operation.future.set_exception(error)

    def _busy_error(self) -> AccountError:
        return AccountUnreachable(
            f"The storage account {self.description} was locked by another process for {BUSY_SECONDS:.0f} seconds."
        )

    def failure(self, error: sqlite3.Error) -> AccountError:
        """Our error for one of SQLite's."""
        if self._closed:
            return AccountError(f"The storage account {self.description} is closed.")
        return AccountUnreachable(f"The storage account {self.description} fails: {error}.")
