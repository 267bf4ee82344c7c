"""What a snapshot reads with: queues as they lie in an account, sorted streams side by side, rows that make sense."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from recovery.observed import EPOCH
from taskhub import messages as m
from taskhub.accounts import Account, Entity, QueueMessage
from taskhub.instances import ALL_STATES

PAGE = 500
_ROW_KEY = re.compile(r"[0-9A-Fa-f]{16}")
_NUMBERS = ("EventId", "TaskScheduledId", "TimerId")
ROW_TIMES = ("CreatedTime", "LastUpdatedTime", "CompletedTime", "ScheduledStartTime")
_ROW_TEXTS = ("Name", "ExecutionId", "Input", "Output")


def problems(rows: list[Entity], sentinel: Entity | None = None, instance: Entity | None = None) -> Iterator[str]:
    """What is wrong with an instance's rows, in words: those of its history, its sentinel, its Instances row."""
    for column in wrong_in_row(instance or {}):
        yield f"its row in the Instances table cannot be read ({column} {str((instance or {}).get(column))[:40]!r})"
    if sentinel is not None and not isinstance(sentinel.get("ExecutionId"), str):
        yield f"the history's sentinel cannot be read (ExecutionId {str(sentinel.get('ExecutionId'))[:40]!r})"
    for row in rows:
        wrong = next(_wrong_columns(row), None)
        if wrong is not None:
            yield f"history row {str(row.get('RowKey'))[:40]} cannot be read ({wrong} {str(row.get(wrong))[:40]!r})"


def wrong_in_row(row: Entity) -> Iterator[str]:
    """The columns of an Instances row, or of a part of one, that no host can read; a missing one is not wrong."""
    present = {column: value for column, value in row.items() if value is not None}
    if present.get("RuntimeStatus", "Running") not in ALL_STATES:
        yield "RuntimeStatus"
    yield from (column for column in ROW_TIMES if not isinstance(present.get(column, EPOCH), datetime))
    yield from (column for column in _ROW_TEXTS if not isinstance(present.get(column, ""), str))


def _wrong_columns(row: Entity) -> Iterator[str]:
    if not _ROW_KEY.fullmatch(str(row.get("RowKey"))):
        yield "RowKey"
    if row.get("EventType") not in m.EVENT_NUMBERS:
        yield "EventType"
    if not isinstance(row.get("_Timestamp"), datetime):
        yield "_Timestamp"
    yield from (column for column in _NUMBERS if column in row and not isinstance(row[column], int))
    if row.get("EventType") == "TimerCreated" and not isinstance(row.get("FireAt"), datetime):
        yield "FireAt"


class Ahead:
    """The next entry of a sorted stream."""

    def __init__(self, stream: AsyncIterator[tuple[str, Any]]) -> None:
        self._stream = stream
        self.key: str | None = None
        self._value: Any = None

    async def next(self) -> None:
        """Goes on by one entry; `key` is None at the end."""
        try:
            self.key, self._value = await self._stream.__anext__()
        except StopAsyncIteration:
            self.key, self._value = None, None

    async def take(self, key: str) -> Any:
        """What the stream has under this key, None when it has nothing; goes on behind it."""
        if self.key != key:
            return None
        value = self._value
        await self.next()
        return value


def direct_reader(account: Account, queue: str) -> AsyncIterator[list[QueueMessage]] | None:
    """A queue whole, invisible messages too, some at a time, where the account can be read so: an embedded one."""
    engine = getattr(account, "engine", None)
    return None if engine is None else _pages(engine, queue)


async def _pages(engine: Any, queue: str) -> AsyncIterator[list[QueueMessage]]:
    columns = "seq, id, receipt, dequeued, inserted, visible, text"
    condition = "WHERE queue = ? AND seq > ? ORDER BY seq LIMIT ?"
    last = -1

    def read() -> Any:
        return engine.db.execute(f"SELECT {columns} FROM messages {condition}", (queue, last, PAGE)).fetchall()

    while found := await engine.read(read):
        last = found[-1][0]
        yield [
            QueueMessage(id_, text, f"{seq}.{receipt}", dequeued, _moment(inserted), _moment(visible))
            for seq, id_, receipt, dequeued, inserted, visible, text in found
        ]


def _moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=micros)
