"""The table service of an embedded account."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from taskhub.accounts import MAX_TRANSACTION, Entity, Page, Query, Row, Value, Where, Write
from taskhub.accounts.embedded.engine import Engine
from taskhub.accounts.embedded.times import from_micros, to_micros
from taskhub.accounts.limits import check_table
from taskhub.errors import AccountError, Conflict, NotFound, PreconditionFailed

KEYS = ("PartitionKey", "RowKey")
MAX_KEY = 512  # characters, the service's limit of 1 KiB
MAX_STRING = 32 * 1024  # UTF-16 units, the service's limit of 64 KiB
MAX_INTEGER = 2**63

_BAD_IN_KEY = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")
_JSON = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_COMPARE = {"eq": "=", "ne": "<>", "ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_COLUMNS = {"PartitionKey": "pk", "RowKey": "rk", "Timestamp": "written"}


class Stored(NamedTuple):
    """What the file keeps of an entity besides its keys: its columns, and which of them are date-times."""

    etag: str
    columns: str
    dates: str


def encode(entity: Entity) -> tuple[str, str]:
    """An entity's columns as JSON, and the names of those that are date-times."""
    columns: dict[str, str | int | float] = {}
    dates: list[str] = []
    for name, value in entity.items():
        if value is None or name in KEYS:
            continue
        if isinstance(value, datetime):
            columns[name] = _micros(name, value)
            dates.append(name)
            continue
        if not isinstance(value, str) or len(value) > MAX_STRING // 2:
            _check_value(name, value)
        columns[name] = value
    try:
        return _JSON.encode(columns), ",".join(dates)
    except ValueError as error:
        raise AccountError(f"A column holds a number that cannot be stored: {error}.") from error


def decode(partition: str, row: str, columns: str, dates: str, select: Sequence[str] = ()) -> Entity:
    """The entity again, with the types it was written with."""
    entity: Entity = {"PartitionKey": partition, "RowKey": row, **json.loads(columns)}
    if dates:
        for name in dates.split(","):
            entity[name] = from_micros(entity[name])  # type: ignore[arg-type]
    if select:
        return {name: value for name, value in entity.items() if name in KEYS or name in select}
    return entity


def _check_value(name: str, value: object) -> None:
    if isinstance(value, str):
        if len(value) > MAX_STRING // 2 and len(value.encode("utf-16-le", "surrogatepass")) > 2 * MAX_STRING:
            raise AccountError(f"Column {name} holds {len(value)} characters; a table takes {MAX_STRING}.")
    elif isinstance(value, int):
        if not -MAX_INTEGER <= value < MAX_INTEGER:
            raise AccountError(f"Column {name} holds {value}, which does not fit into 64 bits.")
    elif not isinstance(value, float):
        raise AccountError(f"Column {name} holds a {type(value).__name__}, which a table cannot store.")


def _micros(name: str, value: datetime) -> int:
    try:
        return to_micros(value)
    except ValueError as error:
        raise AccountError(f"Column {name}: {error}.") from error


def _keys(entity: Entity) -> tuple[str, str]:
    partition, row = entity.get("PartitionKey"), entity.get("RowKey")
    if not isinstance(partition, str) or not isinstance(row, str):
        raise AccountError("An entity needs a PartitionKey and a RowKey, both text.")
    for key in (partition, row):
        if len(key) > MAX_KEY or _BAD_IN_KEY.search(key):
            raise AccountError(f"{key[:80]!r} cannot be a key: / \\ # ? and control characters, or too long.")
    return partition, row


class EmbeddedTables:
    """Tables in the account's file."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._db = engine.db

    async def create(self, table: str) -> bool:
        return await self._engine.write(self._create, table)

    async def drop(self, table: str) -> None:
        await self._engine.write(self._drop, table)

    async def names(self) -> list[str]:
        return await self._engine.read(self._names)

    async def get(self, table: str, partition: str, row: str) -> Row | None:
        return await self._engine.read(self._get, table, partition, row)

    async def write(self, table: str, write: Write) -> str:
        return (await self._engine.write(self._transact, table, (write,)))[0]

    async def transact(self, table: str, writes: Sequence[Write]) -> list[str]:
        if len(writes) > MAX_TRANSACTION:
            raise AccountError(f"A transaction takes {MAX_TRANSACTION} operations, not {len(writes)}.")
        return await self._engine.write(self._transact, table, tuple(writes))

    async def page(self, table: str, query: Query, token: str | None = None, size: int = 1000) -> Page:
        return await self._engine.read(self._page, table, query, token, size)

    async def rows(self, table: str, query: Query = Query()) -> AsyncIterator[Row]:  # noqa: B008
        token: str | None = None
        while True:
            page = await self.page(table, query, token)
            for row in page.rows:
                yield row
            if (token := page.token) is None:
                return

    # -- within a transaction

    def _create(self, table: str) -> bool:
        check_table(table)
        added = self._db.execute("INSERT INTO tables VALUES (?, ?) ON CONFLICT DO NOTHING", (table.lower(), table))
        if added.rowcount and self._engine.replicated:
            self._engine.log("table", table, "created", "", {})
        return added.rowcount == 1

    def _drop(self, table: str) -> None:
        key = table.lower()
        if self._engine.replicated and (name := self._name(key)):
            partitions = self._db.execute("SELECT DISTINCT pk FROM entities WHERE tab = ?", (key,)).fetchall()
            for (partition,) in partitions:
                self._engine.log("table", f"{name}/{partition}", "cleared", "", {})
            self._engine.log("table", name, "dropped", "", {})
        self._db.execute("DELETE FROM entities WHERE tab = ?", (key,))
        self._db.execute("DELETE FROM tables WHERE key = ?", (key,))

    def _names(self) -> list[str]:
        return [name for (name,) in self._db.execute("SELECT name FROM tables ORDER BY name")]

    def _name(self, key: str) -> str | None:
        row = self._db.execute("SELECT name FROM tables WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def _existing(self, table: str) -> tuple[str, str]:
        key = table.lower()
        if (name := self._name(key)) is None:
            raise NotFound(f"There is no table {table} in {self._engine.description}.")
        return key, name

    def _get(self, table: str, partition: str, row: str) -> Row | None:
        key, _ = self._existing(table)
        found = self._db.execute(
            "SELECT pk, rk, etag, written, columns, dates FROM entities WHERE tab = ? AND pk = ? AND rk = ?",
            (key, partition, row),
        ).fetchone()
        return None if found is None else _row(found)

    def _transact(self, table: str, writes: Sequence[Write]) -> list[str]:
        key, name = self._existing(table)
        keys = [_keys(write.entity) for write in writes]
        if len(writes) > 1:
            _check_group(keys)
        states = [self._after(key, partition, row, write) for (partition, row), write in zip(keys, writes, strict=True)]
        for (partition, row), state in zip(keys, states, strict=True):
            self._store(key, name, partition, row, state)
        return ["" if state is None else state.etag for state in states]

    def _after(self, key: str, partition: str, row: str, write: Write) -> Stored | None:
        """What the row will be after the write, None when it is deleted; raises what the service would answer."""
        merges = write.mode == "merge" and write.kind in ("upsert", "update")
        current: Stored | None = None
        if write.kind != "upsert" or merges:
            found = self._db.execute(
                "SELECT etag, columns, dates FROM entities WHERE tab = ? AND pk = ? AND rk = ?", (key, partition, row)
            ).fetchone()
            current = None if found is None else Stored(*found)
            _check_condition(write, current, partition, row)
        if write.kind == "delete":
            return None
        if merges and current is not None:
            entity = decode(partition, row, current.columns, current.dates)
            entity.update({name: value for name, value in write.entity.items() if value is not None})
            return Stored(self._new_etag(), *encode(entity))
        return Stored(self._new_etag(), *encode(write.entity))

    def _new_etag(self) -> str:
        return f'W/"{self._engine.new_etag()}"'

    def _store(self, key: str, name: str, partition: str, row: str, state: Stored | None) -> None:
        if state is None:
            self._db.execute("DELETE FROM entities WHERE tab = ? AND pk = ? AND rk = ?", (key, partition, row))
        else:
            self._db.execute(UPSERT, (key, partition, row, state.etag, self._engine.now, state.columns, state.dates))
        if self._engine.replicated:
            after: dict[str, Any] = {} if state is None else {**state._asdict(), "written": self._engine.now}
            self._engine.log("table", f"{name}/{partition}", "deleted" if state is None else "put", row, after)

    def _page(self, table: str, query: Query, token: str | None, size: int) -> Page:
        key, _ = self._existing(table)
        conditions, values = ["tab = ?"], [key]
        for where in query.where:
            # One lower bound is enough for an index; with a token it must be the token's, or every page is read anew.
            unindexed = token is not None and where.column == "PartitionKey" and where.op in ("ge", "gt")
            _condition(where, conditions, values, "+" if unindexed else "")
        if query.any_of:
            alternatives: list[str] = []
            for where in query.any_of:
                _condition(where, alternatives, values)
            conditions.append(f"({' OR '.join(alternatives)})")
        if token is not None:
            _go_on(_read_token(token), query, conditions, values)
        sql = f"SELECT pk, rk, etag, written, columns, dates FROM entities WHERE {' AND '.join(conditions)}"
        found = self._db.execute(f"{sql} ORDER BY pk, rk LIMIT {int(size) + 1}", values).fetchall()
        more = len(found) > size
        rows = [_row(row, query.select) for row in found[:size]]
        return Page(rows, json.dumps(found[size - 1][:2]) if more else None)


UPSERT = (
    "INSERT INTO entities (tab, pk, rk, etag, written, columns, dates) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (tab, pk, rk) DO UPDATE SET etag = excluded.etag, written = excluded.written, "
    "columns = excluded.columns, dates = excluded.dates"
)


def _row(found: tuple[Any, ...], select: Sequence[str] = ()) -> Row:
    partition, row, etag, written, columns, dates = found
    return Row(decode(partition, row, columns, dates, select), etag, from_micros(written))


def _check_group(keys: Sequence[tuple[str, str]]) -> None:
    if len({partition for partition, _ in keys}) > 1:
        raise AccountError("All operations of a transaction need the same PartitionKey.")
    if len(set(keys)) < len(keys):
        raise AccountError("A transaction may name each row only once.")


def _check_condition(write: Write, current: Stored | None, partition: str, row: str) -> None:
    where = f"row {partition!r}, {row!r}"
    if write.kind == "insert" and current is not None:
        raise Conflict(f"The {where} exists already.")
    if write.kind in ("update", "delete"):
        if current is None:
            raise NotFound(f"There is no {where}.")
        if write.etag not in (None, "*", current.etag):
            raise PreconditionFailed(f"The {where} was written by somebody else meanwhile.")


def _go_on(last: list[str], query: Query, conditions: list[str], values: list[Any]) -> None:
    """Adds the condition that a row comes after the last one of the page before."""
    if any(where == Where("PartitionKey", "eq", last[0]) for where in query.where):
        conditions.append("rk > ?")
        values.append(last[1])
    else:
        conditions.append("(pk, rk) > (?, ?)")
        values += last


def _condition(where: Where, conditions: list[str], values: list[Any], prefix: str = "") -> None:
    """Adds one condition; a value of another type than the column's never matches."""
    comparison = _COMPARE[where.op]
    if column := _COLUMNS.get(where.column):
        conditions.append(f"{prefix}{column} {comparison} ?")
        values.append(_plain(where.value))
        return
    path = f'$."{where.column}"'
    kinds = _json_types(where.value)
    conditions.append(f"(json_type(columns, ?) IN ({kinds}) AND json_extract(columns, ?) {comparison} ?)")
    values += [path, path, _plain(where.value)]


def _json_types(value: Value) -> str:
    if isinstance(value, str):
        return "'text'"
    return "'true', 'false'" if isinstance(value, bool) else "'integer', 'real'"


def _plain(value: Value) -> str | int | float:
    return to_micros(value) if isinstance(value, datetime) else value


def _read_token(token: str) -> list[str]:
    try:
        partition, row = json.loads(token)
        return [str(partition), str(row)]
    except (ValueError, TypeError) as error:
        raise AccountError(f"{token!r} is not a continuation token of this account.") from error
