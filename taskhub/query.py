"""Which instances a list or a purge means: conditions on rows of the Instances table, and tokens between pages."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from taskhub.accounts import Page, Query, Row, Tables, Where
from taskhub.errors import AccountError
from taskhub.instances import TERMINAL_STATES
from taskhub.layout import escape_key

MAX_PAGE = 1000  # rows that the table service returns at once
_WITHOUT_INPUT = (
    "ExecutionId", "Name", "Version", "RuntimeStatus", "Output", "CustomStatus", "CreatedTime", "LastUpdatedTime",
    "CompletedTime", "Generation", "ScheduledStartTime",
)  # fmt: skip


@dataclass(frozen=True)
class StatusQuery:
    """Which instances to list: all conditions hold; times are inclusive; an empty field is no condition."""

    created_from: datetime | None = None
    created_to: datetime | None = None
    statuses: Sequence[str] = ()
    prefix: str = ""

    def rows(self, show_input: bool = True) -> Query:
        """The rows of the Instances table that are meant."""
        where = prefix_conditions(self.prefix)
        if self.created_from is not None:
            where.append(Where("CreatedTime", "ge", self.created_from))
        if self.created_to is not None:
            where.append(Where("CreatedTime", "le", self.created_to))
        any_of = [Where("RuntimeStatus", "eq", status) for status in self.statuses]
        return Query(where, any_of, () if show_input else _WITHOUT_INPUT)

    def only_ended(self) -> StatusQuery:
        """The same instances, where statuses that are not terminal do not count (if none is left: any status)."""
        statuses = [status for status in self.statuses if status in TERMINAL_STATES]
        return StatusQuery(self.created_from, self.created_to, statuses, self.prefix)


def prefix_conditions(prefix: str) -> list[Where]:
    """The conditions on the key that select the instance ids beginning with a text."""
    if not prefix:
        return []
    key = escape_key(prefix)
    conditions = [Where("PartitionKey", "ge", key)]
    if after := _after(key):
        conditions.append(Where("PartitionKey", "lt", after))
    return conditions


def _after(key: str) -> str:
    """The first text behind all that begin with the key; empty when there is none."""
    while key:
        following = ord(key[-1]) + 1
        if following == 0xD800:  # surrogates are no characters
            following = 0xE000
        if following <= 0x10FFFF:
            return key[:-1] + chr(following)
        key = key[:-1]
    return ""


async def page(tables: Tables, table: str, query: Query, top: int, token: str | None) -> tuple[list[Row], str | None]:
    """Up to `top` rows in key order, and the token of what follows (None: nothing).

    A table service may return a page that is not full; those are put together. ValueError: the token is not ours, or
    `top` is not positive.
    """
    if top < 1:
        raise ValueError("a page holds at least one instance")
    found = await _first_page(tables, table, query, min(top, MAX_PAGE), token)
    rows, inner = found.rows, found.token
    while inner is not None and len(rows) < top:
        found = await tables.page(table, query, inner, min(top - len(rows), MAX_PAGE))
        rows, inner = rows + found.rows, found.token
    return rows, None if inner is None else _outer_token(inner)


async def _first_page(tables: Tables, table: str, query: Query, size: int, token: str | None) -> Page:
    inner = _inner_token(token)
    try:
        return await tables.page(table, query, inner, size)
    except AccountError as error:
        if inner is None or type(error) is not AccountError:  # its subclasses say what else is wrong
            raise
        raise ValueError(f"{token!r} is not a continuation token of this hub: {error}") from error


def _outer_token(inner: str) -> str:
    return base64.b64encode(json.dumps({"next": inner}).encode()).decode("ascii")


def _inner_token(token: str | None) -> str | None:
    if not token:
        return None
    try:
        inner = json.loads(base64.b64decode(token, validate=True))["next"]
    except (binascii.Error, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{token[:60]!r} is not a continuation token of this hub") from error
    if not isinstance(inner, str):
        raise ValueError(f"{token[:60]!r} is not a continuation token of this hub")
    return inner
