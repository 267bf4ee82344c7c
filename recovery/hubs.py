"""Which task hub an account holds, how large it is, and who works on it now."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime

from recovery.errors import HubNotFound, HubNotReadable
from taskhub.accounts import Account, Query
from taskhub.clock import Clock
from taskhub.errors import TaskHubError
from taskhub.hub import HubSettings, TaskHub
from taskhub.layout import MAX_PARTITIONS, HubNames


async def find_hub(account: Account, name: str | None, clock: Clock | None = None) -> TaskHub:
    """The hub in an account, with as many partitions as it has.

    Without a name the account must hold exactly one. HubNotFound says which hubs there are.
    """
    tables = await account.tables.names()
    lower = {table.lower() for table in tables}
    hubs = sorted(
        table[: -len("Instances")]
        for table in tables
        if table.endswith("Instances") and f"{table[: -len('Instances')]}History".lower() in lower
    )
    found = [hub for hub in hubs if name is None or hub.lower() == name.lower()]
    if len(found) != 1:
        raise HubNotFound(_not_one_hub(account.description or account.name, name, hubs))
    hub = found[0]
    return TaskHub(account, HubSettings(hub, await _partition_count(account, hub)), clock)


def _not_one_hub(account: str, name: str | None, hubs: list[str]) -> str:
    if not hubs:
        wanted = f"task hub '{name}'" if name else "task hub"
        return f"There is no {wanted} in {account}, nor any other. Is it the right account?"
    wanted = f"no task hub '{name}'" if name else "more than one task hub"
    return f"There is {wanted} in {account}; there is: {', '.join(hubs)}. Name it with --hub."


async def _partition_count(account: Account, hub: str) -> int:
    names = HubNames(hub)
    with suppress(TaskHubError, ValueError, KeyError, TypeError):
        count = int(json.loads(await account.blobs.get(names.leases, "taskhub.json"))["PartitionCount"])
        if 1 <= count <= MAX_PARTITIONS:
            return count
    queues = [queue for queue in await account.queues.names(f"{hub.lower()}-control-")]
    if not queues:
        raise HubNotReadable(f"The hub {hub} has tables but no control queues; it was never created completely.")
    return len(queues)


async def live_leases(hub: TaskHub) -> list[str]:
    """Who works on the hub now, in words: leases on its partitions, in blobs or in the table."""
    found = []
    async for blob in hub.account.blobs.list(hub.names.leases):
        if blob.leased:
            found.append(f"the lease {blob.name} is held")
    table = f"{hub.names.hub}Partitions"
    if table.lower() in {name.lower() for name in await hub.account.tables.names()}:
        async for row in hub.account.tables.rows(table, Query()):
            expires = row.entity.get("ExpiresAt")
            if row.entity.get("CurrentOwner") and isinstance(expires, datetime) and expires > hub.clock.now():
                found.append(
                    f"{row.entity['RowKey']} belongs to {row.entity['CurrentOwner']} until {expires:%H:%M:%S}Z"
                )
    return found


async def count_instances(hub: TaskHub) -> int:
    """How many rows the Instances table has: enough for a bar, and read from the keys alone."""
    count = 0
    async for _ in hub.account.tables.rows(hub.names.instances, Query(select=["RowKey"])):
        count += 1
    return count
