"""A hub that a host worked on, to be damaged and mended: in virtual time, with an app whose code is replayed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.engine import Engine, Identity
from lab.function_index import FunctionIndex
from lab.simulation.parts import Killed, dying_after
from lab.testing import ReplacedActivities
from lab.virtual_time import VirtualClock, run
from lab.worker.local import LocalWorker
from recovery.examination import Doctor, Repaired
from recovery.replay import load_app
from taskhub import messages as m
from taskhub.accounts import Query, Where, Write
from taskhub.accounts.embedded import open_embedded
from taskhub.client import TaskHubClient
from taskhub.hub import TaskHub
from taskhub.layout import row_key
from taskhub.messages import Event, TaskMessage
from tests.recovery import cuts, standby

APP = Path(__file__).resolve().parent.parent / "function_apps" / "mended"
DURABLE = standby.settings("Mended")


class Mending:
    """A hub, its hosts one after the other, and what can be done to what they leave."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.account = open_embedded(":memory:", clock)
        self.worker = ReplacedActivities(LocalWorker(APP, {}), {})
        self.engine = self._engine()
        self.hub = self.engine.hub
        self.client = TaskHubClient(self.hub)
        self.app = load_app(APP)

    def _engine(self) -> Engine:
        async def no_http(_: str) -> str:
            raise OSError("no HTTP here")

        functions = FunctionIndex(self.worker.functions)
        return Engine(
            self.account, DURABLE, self.worker, functions, self.clock, Identity("mended"), 30, lambda _: None, no_http,
            alone=True,
        )  # fmt: skip

    async def host(self, *events: tuple[str, str, Any], minutes: float = 5) -> None:
        """A host works for some time, and clients raise events meanwhile."""
        self.engine = self._engine()
        await self.engine.start()
        await asyncio.sleep(60)
        for instance_id, name, data in events:
            await self.tell(instance_id, name, data)
            await asyncio.sleep(60)
        await asyncio.sleep(minutes * 60)
        await self.engine.stop()

    async def start(self, name: str, instance_id: str, data: Any = None) -> None:
        await self.client.start(name, instance_id, json.dumps(json.dumps(data)))

    async def tell(self, instance_id: str, name: str, data: Any) -> None:
        await self.client.raise_event(instance_id, name, json.dumps(data))

    async def signal(self, entity_id: str, operation: str, data: Any) -> None:
        await self.client.signal_entity(entity_id, operation, json.dumps(json.dumps(data)))

    async def tell_nobody(self, instance_id: str, name: str, data: Any) -> None:
        """An event for an instance that has no row yet."""
        event = m.event(m.EVENT_RAISED, self.clock.now(), Name=name, Input=json.dumps(data), ParentTraceContext=None)
        await self.hub.send(TaskMessage(event, instance_id, None))

    async def output(self, instance_id: str) -> Any:
        """What an instance ended with."""
        status = await self.client.status(instance_id)
        assert status is not None and status.runtime_status == "Completed", status
        return json.loads(status.output or "null")

    def runs(self) -> int:
        """How many activities have run since the last time."""
        count = len(self.worker.calls)
        self.worker.calls.clear()
        return count

    # what was lost

    async def lose_blobs(self, prefix: str, part: str = "") -> int:
        blobs = [x.name async for x in self.account.blobs.list(self.hub.names.large_messages)]
        lost = [name for name in blobs if name.startswith(prefix) and part in name]
        for name in lost:
            await self.account.blobs.delete(self.hub.names.large_messages, name)
        return len(lost)

    async def lose_messages(self) -> None:
        for queue in (*self.hub.names.control_queues, self.hub.names.workitems):
            while found := await self.account.queues.get(queue, 32, timedelta(seconds=30)):
                for message in found:
                    await self.account.queues.delete(queue, message)

    async def lose_history(self, instance_id: str, *positions: int) -> None:
        """Some rows of a history, or all of it."""
        if not positions:
            await self.hub.delete_history(instance_id)
        for position in positions:
            row = {"PartitionKey": instance_id, "RowKey": row_key(position)}
            await self.account.tables.write(self.hub.names.history, Write("delete", row))

    async def change_row(self, instance_id: str, replace: bool = False, **columns: Any) -> None:
        row = {"PartitionKey": instance_id, "RowKey": "", **columns}
        mode = "replace" if replace else "merge"
        await self.account.tables.write(self.hub.names.instances, Write("upsert", row, mode=mode))

    async def position_of(self, instance_id: str, kind: str) -> int:
        """Where a history has its first row of a kind."""
        query = Query(where=[Where("PartitionKey", "eq", instance_id), Where("EventType", "eq", kind)])
        keys = [str(x.entity["RowKey"]) async for x in self.account.tables.rows(self.hub.names.history, query)]
        return int(keys[0], 16)

    # what is there

    async def row(self, instance_id: str) -> dict[str, Any]:
        row = await self.hub.read_row(instance_id)
        assert row is not None
        return dict(row.entity)

    async def events(self, instance_id: str) -> list[tuple[str, Any]]:
        """The queued events of an instance, in the order of their queue: (name, data)."""
        return [(str(x["Name"]), json.loads(str(x["Input"]))) for x in await self.raised(instance_id)]

    async def raised(self, instance_id: str) -> list[Event]:
        found = []
        for queue in self.hub.names.control_queues:
            for message in await self.account.queues.peek(queue, 32):
                task = await self.hub.read(message)
                if task.kind == m.EVENT_RAISED and task.instance_id == instance_id:
                    found.append(task.event)
        return found

    # the doctor

    async def doctor(self, **options: Any) -> Repaired:
        await asyncio.sleep(1)
        doctor = Doctor(self.hub, self.app.replay, **options)
        return await doctor.repair(await doctor.examine())

    async def killed_doctor(self, writes: int) -> bool:
        """A doctor whose process ends after some writes; whether it came so far."""
        await asyncio.sleep(1)
        account = dying_after(self.account, writes)
        doctor = Doctor(TaskHub(account, self.hub.settings, self.clock), self.app.replay)
        try:
            await doctor.repair(await doctor.examine())
        except Killed:
            return True
        return False


Scenario = Callable[[Mending], Awaitable[None]]


def play(scenario: Scenario) -> None:
    """Plays one scenario in virtual time."""

    async def main(clock: VirtualClock) -> None:
        mending = Mending(clock)
        await mending.hub.create()
        try:
            await scenario(mending)
        finally:
            await mending.account.close()

    run(main, cuts.NOW)


def killed_anywhere(damaged: Scenario, mended: Scenario) -> int:
    """Plays a scenario with a doctor who is killed after every number of writes, and another one after him."""
    deaths = 0
    went_on = True

    async def once(mending: Mending) -> None:
        nonlocal went_on
        await damaged(mending)
        went_on = await mending.killed_doctor(deaths)
        repaired = await mending.doctor()
        assert repaired.is_clean, (deaths, repaired.left)
        try:
            await mended(mending)
        except AssertionError as error:
            raise AssertionError(f"after {deaths} writes: {error}") from error

    while went_on:
        play(once)
        deaths += 1
    return deaths - 1
