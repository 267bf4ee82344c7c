"""A rewind takes failures out of histories as the real extension did, and can be repeated."""

from __future__ import annotations

from typing import Any

import pytest

from taskhub import messages
from taskhub.accounts import Account, Entity, Query, Where, Write
from taskhub.client import TaskHubClient
from taskhub.clock import ManualClock
from taskhub.errors import AccountUnreachable, InvalidOperation, PreconditionFailed
from taskhub.history import History
from taskhub.hub import TaskHub
from taskhub.messages import Event, TaskMessage
from tests.taskhub import golden, normal

QUEUE = "goldenhub-control-00"


def event(kind: int, event_id: int = -1, **properties: Any) -> Event:
    return messages.event(kind, ManualClock().now(), event_id, **properties)


def started(instance_id: str) -> Event:
    return messages.execution_started(ManualClock().now(), instance_id, f"e-{instance_id}", "F", None)


def task(number: int) -> Event:
    return event(messages.TASK_SCHEDULED, number, Name="work", Version="")


def task_failed(number: int) -> Event:
    return event(messages.TASK_FAILED, TaskScheduledId=number, Reason="r", Details="d")


def child(number: int, instance_id: str) -> Event:
    return event(messages.SUB_CREATED, number, Name="child", Version="", InstanceId=instance_id)


def child_failed(number: int) -> Event:
    return event(messages.SUB_FAILED, TaskScheduledId=number, Reason="r", Details="d")


def ended(status: str = "Failed") -> Event:
    return event(messages.EXECUTION_COMPLETED, 9, OrchestrationStatus=status, Result="r")


async def instance(hub: TaskHub, instance_id: str, *events: Event, status: str = "Failed") -> None:
    await hub.append_history(History(instance_id), [started(instance_id), *events], f"e-{instance_id}", 0)
    await hub.merge_row(instance_id, {"RuntimeStatus": status, "Name": "F"})


async def kinds(hub: TaskHub, instance_id: str) -> list[str]:
    return [messages.EVENT_NAMES[event["EventType"]] for event in (await hub.read_history(instance_id)).events]


async def woken(hub: TaskHub) -> list[str]:
    found: list[TaskMessage] = [await hub.read(message) for message in await hub.account.queues.peek(QUEUE)]
    assert all(message.kind == messages.GENERIC for message in found)
    return [message.instance_id for message in found]


async def status(hub: TaskHub, instance_id: str) -> object:
    row = await hub.read_row(instance_id)
    return None if row is None else row.entity.get("RuntimeStatus")


async def test_the_recorded_failure_becomes_the_recorded_rewound_hub(account: Account, clock: ManualClock) -> None:
    client = TaskHubClient(TaskHub(account, await golden.load(account, "17"), clock))
    await client.rewind("order-1", "again")
    for table in ("History", "Instances"):
        ours = [normal.row(row.entity) async for row in account.tables.rows(f"GoldenHub{table}")]
        assert ours == [normal.row(row) for row in golden.rows_of("18", table)]
    (sent,) = await account.queues.peek(QUEUE)
    (recorded,) = golden.messages_of("18")
    assert normal.envelope(messages.from_text(sent.text)) == normal.envelope(recorded)


async def test_what_succeeded_stays(hub: TaskHub, client: TaskHubClient) -> None:
    done = event(messages.TASK_COMPLETED, TaskScheduledId=0, Result="1")
    await instance(hub, "a", task(0), done, task(1), task_failed(1), ended())
    await client.rewind("a", None)
    assert await kinds(hub, "a") == ["ExecutionStarted", "TaskScheduled", "TaskCompleted", *["GenericEvent"] * 3]
    assert (await status(hub, "a"), await woken(hub)) == ("Pending", ["a"])


async def test_failed_children_are_rewound_and_only_the_deepest_are_woken(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "top", child(0, "mid"), child_failed(0), ended())
    await instance(hub, "mid", child(0, "low1"), child(1, "low2"), child_failed(0), child_failed(1), ended())
    await instance(hub, "low1", task(0), task_failed(0), ended())
    await instance(hub, "low2", ended())
    await client.rewind("top", "again")
    assert await woken(hub) == ["low1", "low2"]
    assert {await status(hub, name) for name in ("top", "mid", "low1", "low2")} == {"Pending"}
    assert await kinds(hub, "top") == [
        "ExecutionStarted", "SubOrchestrationInstanceCreated", "GenericEvent", "GenericEvent",
    ]  # fmt: skip
    assert await kinds(hub, "low1") == ["ExecutionStarted", *["GenericEvent"] * 3]


async def test_the_row_of_a_rewound_child_says_so(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "a", child(0, "c"), child_failed(0), ended())
    await instance(hub, "c", ended())
    await client.rewind("a", None)
    assert await reasons(hub, "a") == [
        None, "Rewound: SubOrchestrationInstanceCreated", "Rewound: SubOrchestrationInstanceFailed",
        "Rewound: ExecutionCompleted",
    ]  # fmt: skip


async def reasons(hub: TaskHub, instance_id: str) -> list[object]:
    query = Query([Where("PartitionKey", "eq", instance_id), Where("RowKey", "lt", "sentinel")])
    return [row.entity.get("Reason") async for row in hub.account.tables.rows(hub.names.history, query)]


@pytest.mark.parametrize("what", ["nothing", "success", "termination", "itself"])
async def test_a_child_that_cannot_answer_is_started_again(hub: TaskHub, client: TaskHubClient, what: str) -> None:
    child_id = "a" if what == "itself" else "c"
    await instance(hub, "a", child(0, child_id), child_failed(0), ended())
    end = {"success": "Completed", "termination": "Terminated"}.get(what)
    if end:
        await instance(hub, "c", ended(end), status=end)
    await client.rewind("a", None)
    assert await kinds(hub, "a") == ["ExecutionStarted", *["GenericEvent"] * 3]
    assert await woken(hub) == ["a"]
    assert await status(hub, "c") == end


async def test_an_older_execution_is_left_alone(hub: TaskHub, client: TaskHubClient) -> None:
    history = History("a")
    await hub.append_history(history, [started("a"), task(0), task(1), task_failed(1)], "e0", 0)
    await hub.append_history(history, [started("a"), ended()], "e1", 0)
    await hub.merge_row("a", {"RuntimeStatus": "Failed"})
    await client.rewind("a", None)
    assert await reasons(hub, "a") == [None, "Rewound: ExecutionCompleted", None, "r"]


async def test_large_texts_of_a_failure_stay_in_their_blobs(hub: TaskHub, client: TaskHubClient) -> None:
    failure = task_failed(0) | {"Details": "x" * 70_000}
    await instance(hub, "a", task(0), failure, ended())
    await client.rewind("a", None)
    history = await hub.read_history("a")
    assert len(history.blobs) == 1 and history.events[2]["Details"] == "x" * 70_000


async def test_a_history_of_many_failures_is_rewound(hub: TaskHub, client: TaskHubClient) -> None:
    failures = [pair for number in range(120) for pair in (task(number), task_failed(number))]
    await instance(hub, "a", *failures, ended())
    await client.rewind("a", None)
    assert await kinds(hub, "a") == ["ExecutionStarted", *["GenericEvent"] * 241]


async def test_a_history_of_many_long_failures_is_rewound(hub: TaskHub, client: TaskHubClient) -> None:
    failures = [
        pair for number in range(30) for pair in (task(number), task_failed(number) | {"Details": "x" * 30_000})
    ]
    await instance(hub, "a", *failures, ended())
    sizes: list[int] = []
    transact = hub.account.tables.transact

    async def measured(table: str, writes: Any) -> list[str]:
        sizes.append(sum(len(str(write.entity)) for write in writes))
        return await transact(table, writes)

    hub.account.tables.transact = measured  # type: ignore[method-assign]
    await client.rewind("a", None)
    assert sum(sizes) > 900_000 and max(sizes) < 600_000


class Failing:
    """Tables that fail from a certain write on, as when the host is killed there."""

    def __init__(self, tables: Any, after: int) -> None:
        self._tables = tables
        self._left = after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._tables, name)
        return self._counted(found) if name in ("write", "transact") else found

    def _counted(self, work: Any) -> Any:
        async def call(*arguments: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                raise AccountUnreachable("killed")
            return await work(*arguments)

        return call


@pytest.mark.parametrize("writes", range(5))
async def test_a_rewind_that_was_cut_short_can_be_repeated(hub: TaskHub, client: TaskHubClient, writes: int) -> None:
    await instance(hub, "a", task(0), task_failed(0), child(1, "c"), child_failed(1), ended())
    await instance(hub, "c", task(0), task_failed(0), ended())
    tables = hub.account.tables
    hub.account.tables = Failing(tables, writes)
    try:
        await client.rewind("a", "again")
    except AccountUnreachable:
        assert (await status_with(tables, hub), await woken(hub)) == ("Failed", [])
    hub.account.tables = tables
    if await status(hub, "a") == "Failed":
        await client.rewind("a", "again")
    assert await kinds(hub, "c") == ["ExecutionStarted", *["GenericEvent"] * 3]
    assert (await status(hub, "a"), await woken(hub)) == ("Pending", ["c"])


async def status_with(tables: Any, hub: TaskHub) -> object:
    row: Any = await tables.get(hub.names.instances, "a", "")
    entity: Entity = row.entity
    return entity["RuntimeStatus"]


async def test_a_row_that_somebody_changed_meanwhile_is_not_overwritten(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "a", task(0), task_failed(0), ended())
    transact = hub.account.tables.transact

    async def late(table: str, writes: Any) -> list[str]:
        changed: Entity = {"PartitionKey": "a", "RowKey": "0000000000000002", "Details": "changed"}
        await hub.account.tables.write(table, Write("upsert", changed, mode="merge"))
        return await transact(table, writes)

    hub.account.tables.transact = late  # type: ignore[method-assign]
    with pytest.raises(PreconditionFailed):
        await client.rewind("a", None)
    assert (await status(hub, "a"), await woken(hub)) == ("Failed", [])


async def test_a_failed_row_without_history_cannot_be_rewound(hub: TaskHub, client: TaskHubClient) -> None:
    await hub.merge_row("a", {"RuntimeStatus": "Failed"})
    with pytest.raises(InvalidOperation, match="no history"):
        await client.rewind("a", None)
    assert (await status(hub, "a"), await woken(hub)) == ("Failed", [])
