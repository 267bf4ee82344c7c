"""`python -m recovery reconcile --close`: clears the journal of what has ended, while a host works on the hub.

Only rows are read, and no message is taken from any queue. Nothing is started or raised.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from recovery.journal import Entry, Journal, OnRecord
from recovery.matching import SKEW, is_given_up
from recovery.passes import passes_of
from taskhub.accounts import Entity
from taskhub.hub import TaskHub
from taskhub.instances import TERMINAL_STATES

CLOSE_AFTER = timedelta(hours=1)  # an end is final when no replication lag can undo it any more
KEEP_CLOSED = timedelta(days=30)
KEEP_A_DAY = timedelta(days=1)  # withdrawn starts, and signals
AT_ONCE = 32  # instances that are read at once


@dataclass
class Closing:
    """What one clearing found and did; without `applied` what it would do."""

    hub: str
    journal: str
    applied: bool
    instances: int = 0
    entries: int = 0
    closed_instances: int = 0
    closed: int = 0
    forgotten: int = 0  # withdrawn starts
    pruned: int = 0  # short records of what was closed long ago
    waits_for_comparison: bool = False


def is_over(row: Entity | None, entries: Sequence[Entry], now: datetime) -> bool:
    """Whether the row shows an end of these requests' run that is older than any replication lag.

    Without a start on record it is a child: a parent that is further behind may yet begin it anew.
    """
    if not entries or row is None or row.get("RuntimeStatus") not in TERMINAL_STATES or is_given_up(row):
        return False
    created, ended = row.get("CreatedTime"), row.get("CompletedTime") or row.get("LastUpdatedTime")
    starts = [entry.moment for entry in entries if entry.kind == "start"]
    if not isinstance(ended, datetime) or (starts and not isinstance(created, datetime)):
        return False
    if isinstance(created, datetime) and any(start > created + SKEW for start in starts):
        return False  # the row is that of an earlier run
    newest = max(entry.moment for entry in entries)
    return max(ended, newest) < now - (CLOSE_AFTER if starts else KEEP_CLOSED)


async def close_what_has_ended(
    hub: TaskHub, journal: Journal, apply: bool, is_live: bool, account: str = ""
) -> Closing:
    """One clearing. JournalOfAnotherHub, RecordsUnreachable, AccountError.

    `is_live`: a host works on the hub, which is noted: what was accepted long before has arrived in any copy.
    """
    await asyncio.to_thread(journal.check, hub.names.hub, account)
    is_compared = (await passes_of(hub)).is_compared
    result = Closing(hub.names.hub, journal.records.description, apply, waits_for_comparison=not is_compared)
    began = hub.clock.now()
    async for some in in_parts(journal):
        rows = await asyncio.gather(*(hub.read_row(one.instance_id) for one in some))
        entities = (row.entity if row else None for row in rows)
        await asyncio.gather(
            *(_clear(journal, one, row, began, is_compared, result) for one, row in zip(some, entities, strict=True))
        )
    if apply:
        if is_live:
            await asyncio.to_thread(journal.note_alive, began)
        result.pruned = await asyncio.to_thread(journal.prune, began - KEEP_CLOSED)
    return result


async def in_parts(journal: Journal) -> AsyncIterator[list[OnRecord]]:
    """What the journal holds, some instances at a time."""
    everything = journal.on_record()
    while some := await asyncio.to_thread(lambda: list(itertools.islice(everything, AT_ONCE))):
        yield some


async def _clear(
    journal: Journal, one: OnRecord, row: Entity | None, now: datetime, is_compared: bool, result: Closing
) -> None:
    result.instances += bool(one.entries)
    result.entries += len(one.entries)
    status, over = _what_is_over(one.entries, row, now, is_compared)
    if over:
        result.closed_instances += 1
        result.closed += len(over)
        if result.applied:
            await asyncio.to_thread(functools.partial(journal.close, one.instance_id, status, over))
    for entry in one.withdrawn if is_compared else ():
        if entry.moment < now - KEEP_A_DAY:
            result.forgotten += 1
            if result.applied:
                await asyncio.to_thread(journal.forget, entry)


def _what_is_over(
    entries: list[Entry], row: Entity | None, now: datetime, is_compared: bool
) -> tuple[str, list[Entry]]:
    """Which entries to close, and as what."""
    if is_over(row, entries, now):
        return str((row or {})["RuntimeStatus"]), entries
    if not is_compared:  # a copy that was not compared yet may lack what these ask for
        return "", []
    if row is None and all(entry.moment < now - KEEP_CLOSED for entry in entries):
        return "Gone", entries
    return "Sent", [x for x in entries if x.kind == "signal" and x.moment < now - KEEP_A_DAY]
