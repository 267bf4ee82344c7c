"""The table service of a real account or Azurite."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timezone
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.data.tables import EdmType, EntityProperty, UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient

from taskhub.accounts import MAX_TRANSACTION, Entity, Page, Query, Row, Value, Where, Write
from taskhub.accounts.azure.batches import INT32, Batches
from taskhub.accounts.azure.calls import Caller, error_code
from taskhub.accounts.limits import check_table
from taskhub.errors import AccountError

KEYS = ("PartitionKey", "RowKey")


class AzureTables:
    """Tables behind an endpoint.

    A write that is repeated after its answer was lost can fail with Conflict or PreconditionFailed although it
    took effect, as with every client of the service.
    """

    def __init__(self, client: TableServiceClient, caller: Caller, batches: Batches) -> None:
        self._client = client
        self._batches = batches
        self._caller = caller
        self._tables: dict[str, TableClient] = {}

    async def create(self, table: str) -> bool:
        check_table(table)
        return await self._caller.call(self._create, table)

    async def drop(self, table: str) -> None:
        await self._caller.call(self._table(table).delete_table)

    async def names(self) -> list[str]:
        return sorted(await self._caller.call(self._names))

    async def get(self, table: str, partition: str, row: str) -> Row | None:
        return await self._caller.call(self._get, table, partition, row)

    async def write(self, table: str, write: Write) -> str:
        client, entity = self._table(table), _outgoing(write.entity)
        if write.kind == "delete":  # the client's own delete does not say when the row is missing
            return (await self.transact(table, [write]))[0]
        if write.kind == "insert":
            answer = await self._call(client.create_entity, entity)
        elif write.kind == "upsert":
            answer = await self._call(client.upsert_entity, entity, mode=_mode(write))
        else:
            answer = await self._call(client.update_entity, entity, mode=_mode(write), **_condition(write))
        return str(answer["etag"])

    async def transact(self, table: str, writes: Sequence[Write]) -> list[str]:
        if not writes:
            return []
        if len(writes) > MAX_TRANSACTION:
            raise AccountError(f"A transaction takes {MAX_TRANSACTION} operations, not {len(writes)}.")
        etags = await self._call(self._batches.send, table, writes)
        return ["" if write.kind == "delete" else etag for write, etag in zip(writes, etags, strict=True)]

    async def page(self, table: str, query: Query, token: str | None = None, size: int = 1000) -> Page:
        return await self._caller.call(self._page, table, query, token, size)

    async def rows(self, table: str, query: Query = Query()) -> AsyncIterator[Row]:  # noqa: B008
        token: str | None = None
        while True:
            page = await self.page(table, query, token)
            for row in page.rows:
                yield row
            if (token := page.token) is None:
                return

    def _table(self, table: str) -> TableClient:
        if (client := self._tables.get(table)) is None:
            client = self._tables[table] = self._client.get_table_client(table)
        return client

    async def _call(self, work: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return await self._caller.call(work, *arguments, **options)
        except (TypeError, ValueError) as error:  # the client refuses a value before sending it
            raise AccountError(str(error)) from error

    async def _create(self, table: str) -> bool:
        try:
            await self._table(table).create_table()
        except HttpResponseError as error:
            if error_code(error) == "TableAlreadyExists":
                return False
            raise
        return True

    async def _names(self) -> list[str]:
        return [item.name async for item in self._client.list_tables()]

    async def _get(self, table: str, partition: str, row: str) -> Row | None:
        try:
            return _row(await self._table(table).get_entity(partition, row))
        except HttpResponseError as error:
            if error.status_code == 404 and error_code(error) != "TableNotFound":
                return None
            raise

    async def _page(self, table: str, query: Query, token: str | None, size: int) -> Page:
        client, condition = self._table(table), odata(query)
        select = sorted({*query.select, *KEYS}) if query.select else None
        if condition:
            found = client.query_entities(condition, results_per_page=size, select=select)
        else:
            found = client.list_entities(results_per_page=size, select=select)
        pages = found.by_page(_read_token(token))
        try:
            rows = [_row(entity) async for entity in await anext_page(pages)]
        except StopAsyncIteration:
            return Page([], None)
        following = pages.continuation_token  # type: ignore[attr-defined]
        return Page(rows, json.dumps(following) if following else None)


async def anext_page(pages: Any) -> Any:
    """The next page of one of the SDK's page iterators; StopAsyncIteration: there is none."""
    return await pages.__anext__()


def odata(query: Query) -> str:
    """The query as the table service's filter expression."""
    parts = [_comparison(where) for where in query.where]
    if query.any_of:
        parts.append("(" + " or ".join(_comparison(where) for where in query.any_of) + ")")
    return " and ".join(parts)


def _comparison(where: Where) -> str:
    return f"{where.column} {where.op} {_literal(where.value)}"


def _literal(value: Value) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return f"datetime'{value.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%S.%fZ}'"
    if isinstance(value, int) and not -INT32 <= value < INT32:
        return f"{value}L"
    return str(value)


def _outgoing(entity: Entity) -> dict[str, Any]:
    sent: dict[str, Any] = {}
    for name, value in entity.items():
        if isinstance(value, datetime) and value.tzinfo is None:
            raise AccountError(f"Column {name}: {value.isoformat()} has no time zone; a storage account keeps UTC.")
        if isinstance(value, int) and not isinstance(value, bool) and not -INT32 <= value < INT32:
            sent[name] = EntityProperty(value, EdmType.INT64)
        elif value is not None:
            sent[name] = value
    return sent


def _row(entity: Any) -> Row:
    values = {name: _incoming(value) for name, value in entity.items() if value is not None}
    return Row(values, entity.metadata["etag"], _incoming(entity.metadata["timestamp"]))


def _incoming(value: Any) -> Any:
    if isinstance(value, datetime):  # the client's own subclass carries the text it was read from
        return datetime(*value.timetuple()[:6], value.microsecond, tzinfo=timezone.utc)
    return value.value if isinstance(value, EntityProperty) else value


def _mode(write: Write) -> UpdateMode:
    return UpdateMode.MERGE if write.mode == "merge" else UpdateMode.REPLACE


def _condition(write: Write) -> dict[str, Any]:
    if write.etag in (None, "*"):
        return {"match_condition": MatchConditions.Unconditionally}
    return {"etag": write.etag, "match_condition": MatchConditions.IfNotModified}


def _read_token(token: str | None) -> Any:
    if token is None:
        return None
    try:
        return dict(json.loads(token))
    except (ValueError, TypeError) as error:
        raise AccountError(f"{token!r} is not a continuation token of this account.") from error
