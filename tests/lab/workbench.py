"""What tests of a host's engine share: the engine at work on an account in memory, in virtual time, and its client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.engine import Engine, Identity
from lab.function_index import FunctionIndex
from lab.host_json import DurableSettings
from lab.virtual_time import VirtualClock
from lab.worker.local import LocalWorker
from taskhub.accounts import Account, Write
from taskhub.accounts.embedded import MEMORY, open_embedded
from taskhub.client import TaskHubClient
from taskhub.instances import InstanceStatus

APP = Path(__file__).resolve().parent.parent / "function_apps" / "sturdy"
WEEK = timedelta(days=7)
SETTINGS = DurableSettings(
    hub="Sturdy", partition_count=1, control_queue_visibility=WEEK, work_item_queue_visibility=WEEK
)
CONTROL, WORK = "sturdy-control-00", "sturdy-workitems"
Play = Callable[..., None]  # of a scenario, see the fixture


class Counting:
    """A service that counts what its `get` found."""

    def __init__(self, service: Any) -> None:
        self._service = service
        self.taken = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    async def get(self, *arguments: Any) -> Any:
        found = await self._service.get(*arguments)
        self.taken += len(found)
        return found


class Bench:
    """What a scenario has in its hands."""

    def __init__(self, account: Account, engine: Engine, queues: Counting) -> None:
        self.account, self.engine, self.queues = account, engine, queues
        self.hub, self.client = engine.hub, TaskHubClient(engine.hub)

    async def start(self, name: str, instance_id: str, data: Any = None) -> None:
        await self.client.start(name, instance_id, json.dumps(json.dumps(data)))

    async def status(self, instance_id: str) -> InstanceStatus:
        status = await self.client.status(instance_id)
        assert status is not None
        return status

    async def ended(self, instance_id: str) -> str:
        """The status an instance ends with; the last one when it does not within ten minutes."""
        for _ in range(600):
            status = await self.status(instance_id)
            if status.is_terminal:
                break
            await asyncio.sleep(1)
        return status.runtime_status

    async def is_waiting(self, instance_id: str) -> None:
        while (await self.status(instance_id)).runtime_status == "Pending":
            await asyncio.sleep(0.1)

    async def goes_on(self) -> None:
        """The host still works: another instance runs through."""
        await self.start("greet", "healthy")
        assert await self.ended("healthy") == "Completed", (await self.status("healthy")).output
        assert not self.engine.failed.is_set()

    async def damage(self, instance_id: str, row: str, **columns: Any) -> None:
        """Overwrites columns of a history row and makes the engine read it anew."""
        entity = {"PartitionKey": instance_id, "RowKey": row, **columns}
        await self.account.tables.write(self.hub.names.history, Write("update", entity, "merge"))
        self.engine.orchestrations.forget({CONTROL})

    async def left(self) -> int:
        """How many messages are in the queues, visible or not."""
        return sum([await self.account.queues.count(queue) for queue in (CONTROL, WORK)])


@asynccontextmanager
async def at_work(
    worker: LocalWorker, clock: VirtualClock, durable: DurableSettings, replicated: bool = False
) -> AsyncIterator[Bench]:
    """An engine that has looked into its queues once and found nothing; `replicated`: a copy follows its account."""
    account = open_embedded(MEMORY, clock, replicated=replicated)
    queues = Counting(account.queues)
    account.queues = queues  # type: ignore[assignment]
    engine = Engine(
        account, durable, worker, FunctionIndex(worker.functions), clock, Identity("sturdy"), 30, lambda _: None,
        _no_http, alone=True,
    )  # fmt: skip
    await engine.start()
    await asyncio.sleep(1)
    try:
        yield Bench(account, engine, queues)
    finally:
        await engine.stop()
        await account.close()


async def _no_http(_: str) -> str:
    raise OSError("there is no network here")
