"""The queue service of an embedded account."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from taskhub.accounts import MAX_GET, NO_DELAY, QueueMessage
from taskhub.accounts.embedded.engine import Engine
from taskhub.accounts.embedded.times import MICROSECOND, from_micros
from taskhub.accounts.limits import check_queue, check_text
from taskhub.errors import AccountError, NotFound

MAX_VISIBILITY = timedelta(days=7)

_FIELDS = "seq, id, receipt, dequeued, inserted, visible, text"


class EmbeddedQueues:
    """Queues in the account's file. A pop receipt is the message's place in the file and a random word."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._db = engine.db

    async def create(self, queue: str) -> bool:
        return await self._engine.write(self._create, queue)

    async def drop(self, queue: str) -> None:
        await self._engine.write(self._drop, queue)

    async def names(self, prefix: str = "") -> list[str]:
        return await self._engine.read(self._names, prefix)

    async def put(self, queue: str, text: str, delay: timedelta = NO_DELAY) -> QueueMessage:
        check_text(text)
        return await self._engine.write(self._put, queue, text, _micros(delay))

    async def get(self, queue: str, count: int, visibility: timedelta) -> list[QueueMessage]:
        _check_count(count)
        if visibility <= NO_DELAY:
            raise AccountError("A message that is taken needs a visibility timeout of at least one second.")
        return await self._engine.write(self._get, queue, count, _micros(visibility))

    async def update(
        self, queue: str, message: QueueMessage, visibility: timedelta, text: str | None = None
    ) -> QueueMessage:
        if text is not None:
            check_text(text)
        return await self._engine.write(self._update, queue, message, _micros(visibility), text)

    async def delete(self, queue: str, message: QueueMessage) -> None:
        await self._engine.write(self._delete, queue, message)

    async def peek(self, queue: str, count: int = MAX_GET) -> list[QueueMessage]:
        _check_count(count)
        return await self._engine.read(self._peek, queue, count)

    async def count(self, queue: str) -> int:
        return await self._engine.read(self._count, queue)

    async def clear(self, queue: str) -> None:
        await self._engine.write(self._clear, queue)

    async def arrived(self, queues: Sequence[str], timeout: float) -> None:
        await self._engine.arrivals.wait(queues, timeout)

    # -- within a transaction

    def _create(self, queue: str) -> bool:
        check_queue(queue)
        added = self._db.execute("INSERT INTO queues VALUES (?) ON CONFLICT DO NOTHING", (queue,)).rowcount == 1
        if added and self._engine.replicated:
            self._engine.log("queue", queue, "created", "", {})
        return added

    def _drop(self, queue: str) -> None:
        self._db.execute("DELETE FROM messages WHERE queue = ?", (queue,))
        dropped = self._db.execute("DELETE FROM queues WHERE name = ?", (queue,)).rowcount == 1
        if dropped and self._engine.replicated:
            self._engine.log("queue", queue, "dropped", "", {})

    def _names(self, prefix: str) -> list[str]:
        found = self._db.execute("SELECT name FROM queues ORDER BY name").fetchall()
        return [name for (name,) in found if name.startswith(prefix)]

    def _check(self, queue: str) -> None:
        if self._db.execute("SELECT 1 FROM queues WHERE name = ?", (queue,)).fetchone() is None:
            raise NotFound(f"There is no queue {queue} in {self._engine.description}.")

    def _put(self, queue: str, text: str, delay: int) -> QueueMessage:
        self._check(queue)
        now, message_id, word = self._engine.now, _new_id(), _word()
        added = self._db.execute(
            "INSERT INTO messages (queue, id, receipt, dequeued, inserted, visible, text) VALUES (?, ?, ?, 0, ?, ?, ?)",
            (queue, message_id, word, now, now + delay, text),
        )
        self._engine.touched.add(queue)
        if self._engine.replicated:
            self._log(queue, message_id, seq=added.lastrowid, dequeued=0, inserted=now, visible=now + delay, text=text)
        return _message((added.lastrowid, message_id, word, 0, now, now + delay, text))

    def _get(self, queue: str, count: int, visibility: int) -> list[QueueMessage]:
        self._check(queue)
        now = self._engine.now
        found = self._db.execute(
            f"SELECT {_FIELDS} FROM messages WHERE queue = ? AND visible <= ? ORDER BY visible, seq LIMIT ?",
            (queue, now, count),
        ).fetchall()
        taken = []
        for seq, message_id, _, dequeued, inserted, _, text in found:
            row = (seq, message_id, _word(), dequeued + 1, inserted, now + visibility, text)
            self._change(queue, row, None)
            taken.append(_message(row))
        return taken

    def _update(self, queue: str, message: QueueMessage, visibility: int, text: str | None) -> QueueMessage:
        self._check(queue)
        seq, message_id, _, dequeued, inserted, _, old = self._held(queue, message)
        visible = self._engine.now + visibility
        row = (seq, message_id, _word(), dequeued, inserted, visible, old if text is None else text)
        self._change(queue, row, text)
        self._engine.touched.add(queue)
        return _message(row)

    def _change(self, queue: str, row: tuple[Any, ...], text: str | None) -> None:
        seq, message_id, word, dequeued, inserted, visible, _ = row
        if text is None:
            self._db.execute(
                "UPDATE messages SET receipt = ?, dequeued = ?, visible = ? WHERE seq = ?",
                (word, dequeued, visible, seq),
            )
        else:
            self._db.execute(
                "UPDATE messages SET receipt = ?, visible = ?, text = ? WHERE seq = ?", (word, visible, text, seq)
            )
        if self._engine.replicated:
            self._log(queue, message_id, seq=seq, dequeued=dequeued, inserted=inserted, visible=visible, text=text)

    def _delete(self, queue: str, message: QueueMessage) -> None:
        self._check(queue)
        seq = self._held(queue, message)[0]
        self._db.execute("DELETE FROM messages WHERE seq = ?", (seq,))
        if self._engine.replicated:
            self._engine.log("queue", queue, "deleted", message.id, {"seq": seq})

    def _held(self, queue: str, message: QueueMessage) -> tuple[Any, ...]:
        """The message as it is now, if the caller's pop receipt is still the current one."""
        seq, _, word = message.pop_receipt.partition(".")
        row: tuple[Any, ...] | None = self._db.execute(
            f"SELECT {_FIELDS} FROM messages WHERE seq = ? AND queue = ? AND receipt = ? AND id = ?",
            (seq, queue, word, message.id),
        ).fetchone()
        if row is None:
            raise NotFound(f"Message {message.id} of queue {queue} is gone, or somebody else took it.")
        return row

    def _peek(self, queue: str, count: int) -> list[QueueMessage]:
        self._check(queue)
        found = self._db.execute(
            f"SELECT {_FIELDS} FROM messages WHERE queue = ? AND visible <= ? ORDER BY visible, seq LIMIT ?",
            (queue, self._engine.now, count),
        )
        return [_message(row, peeked=True) for row in found]

    def _count(self, queue: str) -> int:
        self._check(queue)
        return int(self._db.execute("SELECT count(*) FROM messages WHERE queue = ?", (queue,)).fetchone()[0])

    def _clear(self, queue: str) -> None:
        self._check(queue)
        self._db.execute("DELETE FROM messages WHERE queue = ?", (queue,))
        if self._engine.replicated:
            self._engine.log("queue", queue, "cleared", "", {})

    def _log(self, queue: str, message_id: str, **state: Any) -> None:
        if state["text"] is None:
            del state["text"]
        self._engine.log("queue", queue, "put", message_id, state)


def _message(row: tuple[Any, ...], peeked: bool = False) -> QueueMessage:
    seq, message_id, word, dequeued, inserted, visible, text = row
    receipt = "" if peeked else f"{seq}.{word}"
    return QueueMessage(message_id, text, receipt, dequeued, from_micros(inserted), from_micros(visible))


def _word() -> str:
    return os.urandom(8).hex()


def _new_id() -> str:
    word = os.urandom(16).hex()
    return f"{word[:8]}-{word[8:12]}-{word[12:16]}-{word[16:20]}-{word[20:]}"


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_GET:
        raise AccountError(f"A queue gives 1 to {MAX_GET} messages at once, not {count}.")


def _micros(visibility: timedelta) -> int:
    if not NO_DELAY <= visibility <= MAX_VISIBILITY:
        raise AccountError(f"A message is invisible for 0 seconds to 7 days, not for {visibility}.")
    return visibility // MICROSECOND
