"""Azurite as a measured storage account: starting one, and what a plain client gets out of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable

from bench.accounts import azurite
from bench.parts import Figures
from bench.running import together

__all__ = ["azurite", "plain_client"]

TASKS = 16
TEXT = "x" * 1_000


async def plain_client(connection_string: str, seconds: float) -> Figures:
    """Queue puts and table upserts per second of the official clients, a few requests at once, nothing else running."""
    from azure.data.tables.aio import TableServiceClient
    from azure.storage.queue.aio import QueueServiceClient

    async with (
        QueueServiceClient.from_connection_string(connection_string) as queues,
        TableServiceClient.from_connection_string(connection_string) as tables,
    ):
        name = f"plain{uuid.uuid4().hex}"
        queue, table = queues.get_queue_client(name), tables.get_table_client(name)
        await queue.create_queue()
        await table.create_table()

        async def put(number: int) -> None:
            await queue.send_message(TEXT)

        async def upsert(number: int) -> None:
            await table.upsert_entity({"PartitionKey": f"p{number % 100}", "RowKey": str(number), "Text": TEXT})

        try:
            return {
                "plain client, queue puts/s": await _rate(put, seconds / 2),
                "plain client, table upserts/s": await _rate(upsert, seconds / 2),
            }
        finally:  # messages that stay, in whatever queue, make every queue operation of Azurite slower
            await queue.delete_queue()
            await table.delete_table()


async def _rate(work: Callable[[int], Awaitable[None]], seconds: float) -> float:
    """Per second; as many as a first few show to fit into the time."""
    few = TASKS * 2
    begin = time.perf_counter()
    await together(TASKS, work, few)
    times = max(few, int(few / (time.perf_counter() - begin) * seconds))
    begin = time.perf_counter()
    await together(TASKS, work, times)
    return times / (time.perf_counter() - begin)
