"""What an embedded account keeps for a second copy of itself: the log of its writes, and the state of its file.

A replicated account notes every write in the transaction that makes it. Leases are not noted: Azure does not say
that they are copied, and a lease of a lost region's host must not hold back the promoted account.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from taskhub.accounts import Entity
from taskhub.accounts.embedded import EmbeddedAccount
from taskhub.accounts.embedded.blobs import PUT_BLOB
from taskhub.accounts.embedded.engine import PRIMARY, READ_ONLY, UNAVAILABLE
from taskhub.accounts.embedded.tables import UPSERT, decode
from taskhub.accounts.embedded.times import from_micros
from taskhub.errors import AccountNotUsable

Service = Literal["blob", "queue", "table"]
Change = Literal["created", "dropped", "put", "deleted", "cleared"]
State = Literal["primary", "read-only", "unavailable"]
T = TypeVar("T")

__all__ = [
    "PRIMARY", "READ_ONLY", "UNAVAILABLE", "LoggedWrite", "applied", "apply", "copy_account", "last_sequence",
    "log_since", "set_replicated", "set_state", "state", "trim_log",
]  # fmt: skip


@dataclass(frozen=True)
class LoggedWrite:
    """One write, as the state it left behind.

    | service | unit                  | key        | changes                                            |
    | table   | name/PartitionKey     | RowKey     | put, deleted; cleared (its table was dropped)      |
    | table   | name                  |            | created, dropped                                   |
    | queue   | name                  | message id | put (also: taken, updated), deleted                |
    | queue   | name                  |            | created, dropped, cleared                          |
    | blob    | container/name        | blob name  | put, deleted                                       |
    | blob    | container             |            | created, dropped                                   |

    Order means something only inside one unit.
    """

    sequence: int
    time: datetime
    service: Service
    unit: str
    change: Change
    key: str
    state: dict[str, Any] = field(default_factory=dict)
    content: bytes | None = None

    @property
    def name(self) -> str:
        """The table, queue or container."""
        return self.unit.partition("/")[0]

    @property
    def partition(self) -> str:
        """The PartitionKey of a row, or the blob's name."""
        return self.unit.partition("/")[2]

    def entity(self) -> Entity | None:
        """The row after the write, None when it is gone or this is not about a row."""
        if self.service != "table" or self.change != "put":
            return None
        return decode(self.partition, self.key, self.state["columns"], self.state["dates"])

    def text(self) -> str | None:
        """The message's text when the write set it; None for a message that was only taken, hidden or deleted."""
        return self.state.get("text") if self.service == "queue" else None

    def visible(self) -> datetime | None:
        """When the message is visible again."""
        return from_micros(self.state["visible"]) if self.service == "queue" and self.change == "put" else None


# -- the log


def log_since(account: EmbeddedAccount, sequence: int, limit: int = 1000) -> list[LoggedWrite]:
    """Up to `limit` writes after that one, in order; also of an account that is marked as lost."""
    found = account.engine.db.execute(
        "SELECT sequence, time, service, unit, change, key, state, content FROM log WHERE sequence > ? "
        "ORDER BY sequence LIMIT ?",
        (sequence, limit),
    ).fetchall()
    return [_logged(*row) for row in found]


def _logged(
    sequence: int, time: int, service: Service, unit: str, change: Change, key: str, after: str, content: bytes | None
) -> LoggedWrite:
    return LoggedWrite(sequence, from_micros(time), service, unit, change, key, json.loads(after), content)


def last_sequence(account: EmbeddedAccount) -> int:
    """The sequence of the last write noted, 0 when there was none; trimming does not change it."""
    return _last_sequence(account.engine.db)


def _last_sequence(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'log'").fetchone()
    return 0 if row is None else int(row[0])


def trim_log(account: EmbeddedAccount, sequence: int) -> None:
    """Forgets the writes up to and with that one: the secondary has them."""
    _run(account, lambda: account.engine.db.execute("DELETE FROM log WHERE sequence <= ?", (sequence,)))


# -- the copy


def apply(account: EmbeddedAccount, writes: Sequence[LoggedWrite]) -> int:
    """Repeats writes of the primary on its copy, in one transaction; returns how many were new.

    Etags, timestamps, message ids, insertion times and dequeue counts are the primary's; pop receipts are not.
    A write whose unit has come further already is passed over, so applying twice changes nothing; units may come in
    any order. What a write needs and a lost one should have made (the table of a row) is made with it.
    """
    return _run(account, lambda: sum(_apply_new(account, write) for write in writes))


def applied(account: EmbeddedAccount) -> dict[tuple[str, str], int]:
    """How far the copy is: the last sequence applied of each (service, unit)."""
    found = account.engine.db.execute("SELECT service, unit, sequence FROM applied")
    return {(service, unit): sequence for service, unit, sequence in found}


def _apply_new(account: EmbeddedAccount, write: LoggedWrite) -> bool:
    db = account.engine.db
    noted = db.execute(
        "INSERT INTO applied (service, unit, sequence) VALUES (?, ?, ?) "
        "ON CONFLICT (service, unit) DO UPDATE SET sequence = excluded.sequence WHERE excluded.sequence > sequence",
        (write.service, write.unit, write.sequence),
    )
    if noted.rowcount == 0:
        return False
    _APPLY[write.service](account, write)
    return True


def _apply_table(account: EmbeddedAccount, write: LoggedWrite) -> None:
    db, key = account.engine.db, write.name.lower()
    if write.change == "dropped":
        db.execute("DELETE FROM tables WHERE key = ?", (key,))
    elif write.change == "cleared":
        db.execute("DELETE FROM entities WHERE tab = ? AND pk = ?", (key, write.partition))
    elif write.change == "deleted":
        db.execute("DELETE FROM entities WHERE tab = ? AND pk = ? AND rk = ?", (key, write.partition, write.key))
    else:
        db.execute("INSERT INTO tables VALUES (?, ?) ON CONFLICT DO NOTHING", (key, write.name))
    if write.change == "put":
        row = write.state
        values = (row["etag"], row["written"], row["columns"], row["dates"])
        db.execute(UPSERT, (key, write.partition, write.key, *values))


def _apply_queue(account: EmbeddedAccount, write: LoggedWrite) -> None:
    db = account.engine.db
    if write.change == "deleted":
        db.execute("DELETE FROM messages WHERE seq = ?", (write.state["seq"],))
    elif write.change in ("cleared", "dropped"):
        db.execute("DELETE FROM messages WHERE queue = ?", (write.unit,))
    if write.change == "dropped":
        db.execute("DELETE FROM queues WHERE name = ?", (write.unit,))
    if write.change in ("created", "put"):
        db.execute("INSERT INTO queues VALUES (?) ON CONFLICT DO NOTHING", (write.unit,))
    if write.change == "put":
        _apply_message(db, write)
        account.engine.touched.add(write.unit)


def _apply_message(db: sqlite3.Connection, write: LoggedWrite) -> None:
    state = {"text": None, **write.state, "queue": write.unit, "id": write.key}
    changed = db.execute(
        "UPDATE messages SET dequeued = :dequeued, visible = :visible, text = coalesce(:text, text) WHERE seq = :seq",
        state,
    )
    # Without its text the put was lost on the way: there is no message to change.
    if changed.rowcount == 0 and state["text"] is not None:
        db.execute(
            "INSERT INTO messages (seq, queue, id, receipt, dequeued, inserted, visible, text) "
            "VALUES (:seq, :queue, :id, '', :dequeued, :inserted, :visible, :text)",
            state,
        )


def _apply_blob(account: EmbeddedAccount, write: LoggedWrite) -> None:
    db, container = account.engine.db, write.name
    if write.change == "dropped":
        db.execute("DELETE FROM containers WHERE name = ?", (container,))
    elif write.change == "deleted":
        db.execute("DELETE FROM blobs WHERE container = ? AND name = ?", (container, write.partition))
    else:
        db.execute("INSERT INTO containers VALUES (?) ON CONFLICT DO NOTHING", (container,))
    if write.change == "put":
        content = write.content or b""
        values = (write.state["etag"], write.state["written"], len(content), content)
        db.execute(PUT_BLOB, (container, write.partition, *values))


_APPLY: dict[Service, Callable[[EmbeddedAccount, LoggedWrite], None]] = {
    "table": _apply_table,
    "queue": _apply_queue,
    "blob": _apply_blob,
}


def copy_account(account: EmbeddedAccount, path: str | Path, new_state: State = READ_ONLY) -> int:
    """Makes the first copy for a secondary: everything but leases. Returns the sequence of the last write in it.

    Later writes reach it through `apply`. AccountNotUsable: the file exists already.
    """
    target = Path(path)
    if target.exists():
        raise AccountNotUsable(f"{target} exists already; a secondary begins as a new file.")
    target.parent.mkdir(parents=True, exist_ok=True)
    copy = sqlite3.connect(target, isolation_level=None)
    try:
        account.engine.db.backup(copy)
        copy.execute("PRAGMA journal_mode = WAL")
        copy.execute("BEGIN IMMEDIATE")
        reached = _last_sequence(copy)
        for table in ("leases", "log", "applied"):
            copy.execute(f"DELETE FROM {table}")
        copy.execute("DELETE FROM sqlite_sequence WHERE name = 'log'")
        copy.execute("UPDATE account SET state = ?, replicated = 0", (new_state,))
        copy.execute("COMMIT")
    finally:
        copy.close()
    return reached


# -- the state, kept in the file: every process that has it open notices with its next operation


def state(account: EmbeddedAccount) -> State:
    """primary, read-only (a secondary) or unavailable (the lost primary)."""
    (found,) = account.engine.db.execute("SELECT state FROM account").fetchone()
    return found  # type: ignore[no-any-return]


def set_state(account: EmbeddedAccount, new_state: State) -> None:
    """Makes the account a primary, a secondary that only reads, or a lost one.

    Promoting a secondary is `set_state(account, "primary")`. Waiting readers wake up at once.
    """
    _run(account, lambda: account.engine.db.execute("UPDATE account SET state = ?", (new_state,)))
    account.engine.arrivals.wake_all()


def set_replicated(account: EmbeddedAccount, replicated: bool) -> None:
    """Begins or ends noting writes, for every process that has the account open; the sequence goes on."""
    _run(account, lambda: account.engine.db.execute("UPDATE account SET replicated = ?", (int(replicated),)))


def _run(account: EmbeddedAccount, work: Callable[[], T]) -> T:
    return account.engine.run_now(work, guard=None)
