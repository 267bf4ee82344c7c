"""Which messages take part in an instance's turn: the others are put back or dropped, each for its reason.

The checks and their order are those of OrchestrationSessionManager and AzureStorageOrchestrationService of provider
1.17.5, except where a comment says that the platform would lose something.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence, Set

from lab.deliveries import POISON_DEQUEUES, Deliveries, Delivery
from lab.runtime_state import Execution, row_columns
from taskhub import messages
from taskhub.accounts import Row
from taskhub.history import History
from taskhub.hub import TaskHub
from taskhub.instances import RUNNING_STATES
from taskhub.messages import TaskMessage

log = logging.getLogger("lab.orchestrations")
COMPLETIONS = frozenset(
    {
        messages.TASK_COMPLETED,
        messages.TASK_FAILED,
        messages.SUB_COMPLETED,
        messages.SUB_FAILED,
        messages.TIMER_FIRED,
    }  # fmt: skip
)
OUT_OF_ORDER_TRIES = 5
ROW_WAITS = (0.005, 0.02, 0.05, 0.1, 0.2)  # seconds in which a client's row may follow its message


class Acceptance:
    """Judges the messages of one instance against its history and its Instances row."""

    def __init__(self, hub: TaskHub, deliveries: Deliveries) -> None:
        self.hub = hub
        self.deliveries = deliveries

    async def select(self, group: list[Delivery], history: History, past: list[messages.Event]) -> list[Delivery]:
        """The messages that take part in the turn; the others are put back or dropped, each for its reason."""
        started = any(event["EventType"] == messages.EXECUTION_STARTED for event in past[:3]) or bool(past)
        accepted: list[Delivery] = []
        for item in group:
            if item.task.kind == messages.EXECUTION_STARTED:
                if past:
                    await self._begin_row(history)
                    await self.drop([item], "Duplicate start event")
                elif await self._start_counts(item):
                    accepted.insert(0, item)
                    started = True
            else:
                accepted.append(item)
        if not started:
            await self._without_start(accepted)
            return []
        if history.is_terminal and past:
            await self._finish_row(history)
            await self.drop(accepted, "Instance is Completed")
            return []
        known = history.event_ids if past else frozenset[int]()
        return [item for item in accepted if await self._in_order(item, known, history)]

    async def _finish_row(self, history: History) -> None:
        """Tells the end of an instance whose last checkpoint was cut between its history and its Instances row."""
        row = await self.hub.read_row(history.instance_id)
        is_told = row is None or row.entity.get("RuntimeStatus") not in RUNNING_STATES
        if row is None or is_told or row.entity.get("ExecutionId") != history.execution_id:
            return
        ended = [event for event in history.events if event["EventType"] == messages.EXECUTION_COMPLETED]
        results = [blob for blob in history.blobs if "-ExecutionCompleted-" in blob and "-Result." in blob]
        execution = Execution(history.instance_id, str(history.execution_id), [], ended)
        columns = row_columns(execution, None, {"Result": self.hub.large.url(results[-1])} if results else None)
        del columns["CustomStatus"]
        await self.hub.merge_row(history.instance_id, columns)

    async def _begin_row(self, history: History) -> None:
        """Tells the start of an instance whose first checkpoint was cut between its history and its Instances row."""
        row = await self.hub.read_row(history.instance_id)
        if row is None or row.entity.get("RuntimeStatus") != "Pending":
            return
        if row.entity.get("ExecutionId") == history.execution_id:
            execution = Execution(history.instance_id, str(history.execution_id), [], history.events)
            columns = row_columns(execution, None)
            columns.pop("Input", None)  # the row has it, or its address
            columns.pop("Output", None)
            await self.hub.merge_row(history.instance_id, columns)

    async def _start_counts(self, item: Delivery) -> bool:
        """Whether a top-level start is the one the Instances row speaks of (a child's start needs no row)."""
        task = item.task
        if task.event.get("ParentInstance") or item.is_new:
            return True
        row = await self._row_for(task)
        if row is not None and row.entity.get("ExecutionId") in (None, task.execution_id):
            return True
        if row is not None and self._is_newer(row, item):
            await self.drop([item], "Redundant start event")
        elif item.dequeue_count >= POISON_DEQUEUES:
            await self.drop([item], "Start event without an instance")
        else:
            await self.deliveries.put_back(item, "the hub has no row for this start")
        return False

    async def _row_for(self, task: TaskMessage) -> Row | None:
        row = await self.hub.read_row(task.instance_id)
        for pause in ROW_WAITS:
            if row is not None and row.entity.get("ExecutionId") in (None, task.execution_id):
                break
            # The client writes its message first and its row right after it.
            await asyncio.sleep(pause)
            row = await self.hub.read_row(task.instance_id)
        return row

    @staticmethod
    def _is_newer(row: Row, item: Delivery) -> bool:
        """Whether the row belongs to a later start than the message."""
        entity, event = row.entity, item.task.event
        if entity.get("Generation") != event.get("Generation"):
            return False
        created = entity.get("CreatedTime")
        if created is None or isinstance(created, (str, int, float)):
            return False
        is_pending = entity.get("RuntimeStatus") == "Pending"
        return is_pending and created < messages.parse_timestamp(event["Timestamp"])

    async def _without_start(self, items: Sequence[Delivery]) -> None:
        for item in items:
            if item.task.kind in COMPLETIONS and item.dequeue_count <= OUT_OF_ORDER_TRIES:
                await self.deliveries.put_back(item, "it was received out of order")
            elif item.dequeue_count < POISON_DEQUEUES and await self._is_to_start(item):
                # The platform drops it. Here a start that had to be put back loses nothing that came after it.
                await self.deliveries.put_back(item, "its instance is still to start")
            else:
                await self.drop([item], "No such instance")

    async def _is_to_start(self, item: Delivery) -> bool:
        row = await self.hub.read_row(item.task.instance_id)
        return row is not None and row.entity.get("RuntimeStatus") == "Pending"

    async def _in_order(self, item: Delivery, known: Set[int], history: History) -> bool:
        if item.task.kind not in COMPLETIONS:
            return True
        event = item.task.event
        number = event.get("TaskScheduledId", event.get("TimerId"))
        if number in known:
            return True
        # 1.17.5 takes a message that is older than the last checkpoint as in order.
        if history.checkpoint_time is not None and item.message.inserted < history.checkpoint_time:
            return True
        await self.deliveries.put_back(item, "it was received out of order")
        return False

    async def drop(self, items: Sequence[Delivery], why: str) -> None:
        for item in items:
            log.info("%s: Discarding %s: %s", item.task.instance_id, item.task.describe(), why)
            await self.deliveries.done(item)
