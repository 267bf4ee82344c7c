"""Input bindings: the blob or the rows a function asks for, read before it runs."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lab.triggers.context import TriggerContext, TriggerInvalid
from lab.triggers.expressions import fill
from taskhub.accounts import Entity, Query, Value, Where
from taskhub.errors import NotFound

READ_HERE = frozenset(["blob", "table"])
MOST_ROWS = 1000  # of a table input that does not say `take`
_CONDITION = re.compile(r"\s*(\w+)\s+(eq|ne|gt|ge|lt|le)\s+('(?:[^']|'')*'|true|false|-?\d+(?:\.\d+)?)\s*")


async def read(context: TriggerContext, binding: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any] | None:
    """An input's value as {"type", "value"}, None when there is nothing. Unresolved, TriggerInvalid, AccountError."""
    now = context.clock.now()

    def text(key: str) -> str:
        return fill(context.resolve(str(binding.get(key) or "")), names, now)

    if binding["type"] == "blob":
        return await _read_blob(context, text("path"))
    return await _read_table(context, text("tableName"), text("partitionKey"), text("rowKey"), text("filter"),
                             int(binding.get("take") or MOST_ROWS))  # fmt: skip


async def _read_blob(context: TriggerContext, path: str) -> dict[str, Any] | None:
    container, _, name = path.strip("/").partition("/")
    try:
        content = await context.account.blobs.get(container, name)
    except NotFound:
        return None
    return {"type": "bytes", "value": base64.b64encode(content).decode("ascii")}


async def _read_table(
    context: TriggerContext, table: str, partition: str, row: str, condition: str, take: int
) -> dict[str, Any] | None:
    """One row when both keys are given, otherwise the rows that fit, as JSON."""
    tables = context.account.tables
    try:
        if partition and row:
            found = await tables.get(table, partition, row)
            return None if found is None else _json(_plain(found.entity))
        where = [Where("PartitionKey", "eq", partition)] if partition else []
        page = await tables.page(table, Query(where=[*where, *conditions(condition)]), size=min(take, MOST_ROWS))
    except NotFound:
        return None if partition and row else _json([])
    return _json([_plain(one.entity) for one in page.rows])


def conditions(text: str) -> list[Where]:
    """The conditions of an OData filter joined by `and`. TriggerInvalid: it holds more than that."""
    if not text.strip():
        return []
    found = []
    for part in re.split(r"\band\b(?=(?:[^']*'[^']*')*[^']*$)", text):
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise TriggerInvalid(f"the filter {text!r} of a table input holds more than comparisons joined by `and`")
        found.append(Where(match[1], match[2], _literal(match[3])))  # type: ignore[arg-type]
    return found


def _literal(text: str) -> Value:
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    if text in ("true", "false"):
        return text == "true"
    return float(text) if "." in text else int(text)


def _plain(entity: Entity) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in entity.items()}


def _json(value: Any) -> dict[str, Any]:
    return {"type": "json", "value": json.dumps(value)}
