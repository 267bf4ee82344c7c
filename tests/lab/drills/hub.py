"""A hub as a host would write it, for drills to read: the writes of one instance after another, in a logged account."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from lab.drills.workload import Request, Workload
from taskhub import messages
from taskhub.accounts import NO_DELAY, QueueMessage
from taskhub.accounts.embedded import MEMORY, open_embedded
from taskhub.accounts.replication import LoggedWrite, log_since
from taskhub.clock import ManualClock
from taskhub.hub import HubSettings, TaskHub
from taskhub.messages import Event, TaskMessage

EXECUTION = "e" * 32


class Hub:
    """Writes what the platform writes for the workflow that waits for an event, step by step."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.account = open_embedded(MEMORY, self.clock, replicated=True)
        self.hub = TaskHub(self.account, HubSettings("Drill"), self.clock)
        self.names = self.hub.names

    def log(self) -> list[LoggedWrite]:
        return log_since(self.account, 0, 10_000)

    async def put_start(self, instance_id: str) -> None:
        started = messages.execution_started(self.clock.now(), instance_id, EXECUTION, "external_event", None)
        await self.hub.send(TaskMessage(started, instance_id, EXECUTION))

    async def pending(self, instance_id: str) -> None:
        await self.hub.merge_row(instance_id, {"RuntimeStatus": "Pending", "ExecutionId": EXECUTION})

    async def put_event(self, instance_id: str, hidden: timedelta = NO_DELAY) -> None:
        raised = messages.event(messages.EVENT_RAISED, self.clock.now(), Name="event", Input='{"raised": 1}')
        await self.hub.send(TaskMessage(raised, instance_id, None), hidden)

    async def take(self, instance_id: str) -> list[QueueMessage]:
        return await self.account.queues.get(self.names.control_queue(instance_id), 32, timedelta(seconds=60))

    async def delete(self, instance_id: str, taken: list[QueueMessage]) -> None:
        for message in taken:
            await self.account.queues.delete(self.names.control_queue(instance_id), message)

    async def wait(self, instance_id: str) -> None:
        """The first episode's history and row."""
        await self.append(instance_id, messages.EXECUTION_STARTED, messages.ORCHESTRATOR_COMPLETED)
        status = '{"waiting_for": "event"}'
        await self.hub.merge_row(instance_id, {"RuntimeStatus": "Running", "CustomStatus": status})

    async def end(self, instance_id: str) -> None:
        """The last episode's history and row."""
        await self.append(instance_id, messages.EVENT_RAISED, messages.EXECUTION_COMPLETED)
        await self.hub.merge_row(instance_id, {"RuntimeStatus": "Completed", "CustomStatus": '{"received": "event"}'})

    async def take_in(self, instance_id: str, number: int) -> None:
        """A checkpoint with the result of an activity."""
        result = messages.event(messages.TASK_COMPLETED, self.clock.now(), TaskScheduledId=number, Result='"done"')
        await self._append(instance_id, [messages.event(messages.ORCHESTRATOR_STARTED, self.clock.now()), result])

    async def append(self, instance_id: str, *kinds: int) -> None:
        """A checkpoint of events."""
        await self._append(instance_id, [messages.event(kind, self.clock.now()) for kind in kinds])

    async def _append(self, instance_id: str, events: list[Event]) -> None:
        history = await self.hub.read_history(instance_id)
        await self.hub.append_history(history, events, EXECUTION, len(history.events))

    async def send(self, kind: int, to: str, sender: str, **properties: Any) -> None:
        """One message from an orchestration, a child or an entity to somebody."""
        number = properties.pop("number", -1)
        event = messages.event(kind, self.clock.now(), number, **properties)
        await self.hub.send(TaskMessage(event, to, EXECUTION, sender, EXECUTION))

    async def schedule(self, instance_id: str, number: int, name: str = "work") -> None:
        """A work item, as an episode sends it."""
        await self.send(messages.TASK_SCHEDULED, instance_id, instance_id, number=number, Name=name, Input=str(number))

    async def complete(self, instance_id: str, number: int) -> None:
        """The result of a work item, and the work item taken and deleted."""
        queue = self.names.workitems
        taken = await self.account.queues.get(queue, 1, timedelta(seconds=60))
        await self.send(messages.TASK_COMPLETED, instance_id, instance_id, TaskScheduledId=number, Result='"done"')
        await self.account.queues.delete(queue, taken[0])

    async def episode(self, instance_id: str) -> None:
        """Messages taken, history, row, messages deleted."""
        taken = await self.take(instance_id)
        await self.wait(instance_id)
        await self.delete(instance_id, taken)

    async def start(self, instance_id: str) -> None:
        """A start from the request to the first episode's end."""
        await self.put_start(instance_id)
        await self.pending(instance_id)
        taken = await self.take(instance_id)
        await self.wait(instance_id)
        await self.delete(instance_id, taken)

    async def raise_and_end(self, instance_id: str) -> None:
        """An event from the request to the last episode's end."""
        await self.put_event(instance_id)
        taken = await self.take(instance_id)
        await self.end(instance_id)
        await self.delete(instance_id, taken)


def workload(loss: float, **instances: tuple[float, ...]) -> Workload:
    """A plan: instance -> when it is started and when, if so, its event is raised."""
    requests = []
    for instance_id, (started, *raised) in instances.items():
        requests.append(Request(started, instance_id, "start", "starter"))
        requests += [Request(at, instance_id, "raise", "kept URL") for at in raised]
    return Workload(tuple(sorted(requests, key=lambda request: request.at)), loss)
