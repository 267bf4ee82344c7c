"""Hubs of any size to examine: chains that have ended, that wait for their work, and that have lost it."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import datetime, timedelta, timezone

from taskhub import messages as m
from taskhub.accounts import Entity, Write
from taskhub.history import History
from taskhub.hub import TaskHub
from taskhub.layout import escape_key
from taskhub.messages import Event, TaskMessage

BEGAN = datetime(2026, 1, 5, 9, 0, tzinfo=timezone.utc)
TOGETHER = 200
INPUT = json.dumps(json.dumps({"sku": "tea", "quantity": 2}))


async def fill(hub: TaskHub, instances: int, waiting: int = 0, stuck: int = 0) -> None:
    """Fills a hub: of every `waiting`-th instance the work item is queued, of every `stuck`-th it is lost (0: none)."""
    await hub.create()
    for begin in range(0, instances, TOGETHER):
        numbers = range(begin, min(begin + TOGETHER, instances))
        await asyncio.gather(*(_instance(hub, n, _kind(n, waiting, stuck)) for n in numbers))


def name_of(number: int) -> str:
    """The id of an instance."""
    return f"chain-{number:07}"


def _kind(number: int, waiting: int, stuck: int) -> str:
    if stuck and number % stuck == 0:
        return "stuck"
    return "waiting" if waiting and number % waiting == 0 else "completed"


async def _instance(hub: TaskHub, number: int, kind: str) -> None:
    instance_id, execution = name_of(number), uuid.UUID(int=number).hex
    start = m.execution_started(BEGAN, instance_id, execution, "hello_cities", INPUT)
    work = m.event(m.TASK_SCHEDULED, BEGAN, 0, Name="hello", Version="", Input='["Tokyo"]')
    events: list[Event] = [_marker(m.ORCHESTRATOR_STARTED), start, work, _marker(m.ORCHESTRATOR_COMPLETED)]
    row: Entity = {
        "PartitionKey": escape_key(instance_id), "RowKey": "", "Name": "hello_cities", "Version": "",
        "ExecutionId": execution, "CreatedTime": BEGAN, "LastUpdatedTime": BEGAN, "RuntimeStatus": "Running",
        "TaskHubName": hub.names.hub, "Input": INPUT,
    }  # fmt: skip
    if kind == "completed":
        events += _ending()
        row |= {"RuntimeStatus": "Completed", "CompletedTime": BEGAN, "Output": '"Hello Tokyo!"'}
    await hub.append_history(History(instance_id), events, execution, 0)
    await hub.account.tables.write(hub.names.instances, Write("upsert", row))
    if kind == "waiting":
        await hub.send(TaskMessage(work, instance_id, execution))


def _ending() -> list[Event]:
    later = BEGAN + timedelta(seconds=1)
    return [
        _marker(m.ORCHESTRATOR_STARTED),
        m.event(m.TASK_COMPLETED, later, TaskScheduledId=0, Result='"Hello Tokyo!"'),
        m.event(m.EXECUTION_COMPLETED, later, 1, OrchestrationStatus="Completed", Result='"Hello Tokyo!"'),
        _marker(m.ORCHESTRATOR_COMPLETED),
    ]


def _marker(kind: int) -> Event:
    return m.event(kind, BEGAN)
