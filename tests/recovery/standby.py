"""A standby host for the doctor's tests: the lab's engine on a hub as it is, in virtual time, activities counted."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lab.engine import Engine, Identity
from lab.function_index import FunctionIndex
from lab.host_json import DurableSettings
from lab.testing import ReplacedActivities
from lab.virtual_time import VirtualClock, run
from lab.worker.local import LocalWorker
from taskhub.accounts import open_account
from taskhub.client import TaskHubClient
from taskhub.hub import TaskHub
from taskhub.instances import InstanceStatus
from tests.recovery import cuts

GOLDEN = Path(__file__).resolve().parent.parent / "function_apps" / "golden"
VISIBILITY = timedelta(days=7)


@dataclass
class Standby:
    """What became of a hub."""

    status: dict[str, InstanceStatus | None]
    runs: Counter[str]  # activity -> how often it ran
    left: int  # messages that are still queued

    def output(self, instance_id: str) -> Any:
        status = self.status[instance_id]
        return json.loads(status.output) if status and status.output else None

    def state(self, instance_id: str) -> str | None:
        status = self.status[instance_id]
        return status.runtime_status if status else None


Prepare = Callable[[TaskHub, VirtualClock], Awaitable[None]]
Event = tuple[str, str, Any]  # instance, name, data


def settings(hub: str = cuts.HUB, partitions: int = 1) -> DurableSettings:
    return DurableSettings(
        hub=hub, partition_count=partitions, control_queue_visibility=VISIBILITY, work_item_queue_visibility=VISIBILITY
    )


def take_over(
    prepare: Prepare,
    watched: Iterable[str],
    events: Iterable[Event] = (),
    lasting: timedelta = timedelta(hours=2),
    app: Path = GOLDEN,
    durable: DurableSettings | None = None,
    start: datetime = cuts.NOW,
) -> Standby:
    """Prepares a hub, lets a host work on it for some virtual time, and says how it ended."""
    chosen = durable or settings()

    async def main(clock: VirtualClock) -> Standby:
        account = await open_account(":memory:", clock)
        worker = ReplacedActivities(LocalWorker(app, {}), {})
        functions = FunctionIndex(worker.functions)

        async def no_http(_: str) -> str:
            raise OSError("no HTTP here")

        engine = Engine(
            account, chosen, worker, functions, clock, Identity("standby"), 30, lambda _: None, no_http, alone=True
        )
        await prepare(engine.hub, clock)
        await engine.start()
        client = TaskHubClient(engine.hub)
        await asyncio.sleep(60)
        for instance_id, name, data in events:
            await client.raise_event(instance_id, name, json.dumps(data))
            await asyncio.sleep(60)
        await asyncio.sleep(lasting.total_seconds())
        status = {name: await client.status(name) for name in watched}
        names = engine.hub.names
        left = sum([await account.queues.count(queue) for queue in (*names.control_queues, names.workitems)])
        await engine.stop()
        await account.close()
        return Standby(status, Counter(name for name, _ in worker.calls), left)

    return run(main, start)
