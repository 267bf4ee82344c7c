"""Whether a hub has the layout that the tools know; one of another version is told apart before anything is touched.

No version is stored in a hub: it is known by its shape. Known is what DurableTask.AzureStorage 1.x and 2.x leave
(Durable extension 2.x and 3.x), with each of their three partition managers.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable

from recovery.errors import HubNotReadable
from taskhub.accounts import Entity, Query
from taskhub.errors import NotFound
from taskhub.hub import TaskHub
from taskhub.layout import MAX_PARTITIONS, SENTINEL
from taskhub.messages import EVENT_NUMBERS

SAMPLE = 20  # rows of each table
INFO = "taskhub.json"
INFO_KEYS = {"TaskHubName", "CreatedAt", "PartitionCount"}
LEASE_FOLDERS = ("intent/", "ownership/", "default/")  # of the partition managers that keep blobs
LEASE_COLUMNS = {"CurrentOwner", "NextOwner", "OwnedSince", "LastRenewal", "ExpiresAt", "IsDraining"}
SYSTEM_COLUMNS = {"PartitionKey", "RowKey", "Timestamp"}
ROW_NUMBER = re.compile(r"[0-9A-Fa-f]{16}")


async def ensure_known_version(hub: TaskHub) -> None:
    """HubNotReadable: the hub is of another version; the text says by what that is seen. Only reads."""
    for look in (_info, _leases, _partitions, _instances, _history):
        strange = await look(hub)
        if strange:
            raise HubNotReadable(
                f"The hub {hub.names.hub} is of a version that these tools do not know: {strange}. They know what the "
                "Durable extensions 2.x and 3.x write to Azure Storage. Nothing was changed; update the tools."
            )


async def _info(hub: TaskHub) -> str:
    try:
        text = await hub.account.blobs.get(hub.names.leases, INFO)
    except NotFound:
        return ""  # lost on the way, or never written: not every partition manager has one
    try:
        info = json.loads(text.decode("utf-8-sig"))
    except ValueError:
        return f"{INFO} is no JSON"
    if not isinstance(info, dict) or not INFO_KEYS <= set(info):
        return f"{INFO} does not say {', '.join(sorted(INFO_KEYS))}"
    more = sorted(set(info) - INFO_KEYS)
    if more:
        return f"{INFO} says also {', '.join(more)}"
    count = info["PartitionCount"]
    if not isinstance(count, int) or not 1 <= count <= MAX_PARTITIONS:
        return f"{INFO} says that there are {count!r} partitions, where 1 to {MAX_PARTITIONS} are known"
    return ""


async def _leases(hub: TaskHub) -> str:
    async for blob in hub.account.blobs.list(hub.names.leases):
        if blob.name != INFO and not blob.name.startswith(LEASE_FOLDERS):
            return f"{hub.names.leases} holds {blob.name}, which belongs to no partition manager that is known"
    return ""


async def _partitions(hub: TaskHub) -> str:
    table = f"{hub.names.hub}Partitions"
    if table.lower() not in {name.lower() for name in await hub.account.tables.names()}:
        return ""
    async for row in _rows(hub, table):
        more = sorted(set(row) - LEASE_COLUMNS - SYSTEM_COLUMNS)
        if more:
            return f"{table} has the columns {', '.join(more)}"
    return ""


async def _instances(hub: TaskHub) -> str:
    return await _sampled(hub, hub.names.instances, lambda row: row["RowKey"] == "")


async def _history(hub: TaskHub) -> str:
    return await _sampled(hub, hub.names.history, _is_history)


def _is_history(row: Entity) -> bool:
    key = str(row["RowKey"])
    return key == SENTINEL or bool(ROW_NUMBER.fullmatch(key)) and str(row.get("EventType")) in EVENT_NUMBERS


async def _sampled(hub: TaskHub, table: str, is_known: Callable[[Entity], bool]) -> str:
    """Rows that cannot be read are named one by one later on; here none of the first can."""
    found = [row async for row in _rows(hub, table)]
    if not found or any(is_known(row) for row in found):
        return ""
    return (
        f"none of the first rows of {table} has the known form ({found[0]['PartitionKey']!r}, {found[0]['RowKey']!r})"
    )


async def _rows(hub: TaskHub, table: str) -> AsyncIterator[Entity]:
    count = 0
    async for row in hub.account.tables.rows(table, Query()):
        yield row.entity
        count += 1
        if count == SAMPLE:
            return
