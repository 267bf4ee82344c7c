"""What a turn sends: work items, timers, children, requests to entities, and the answer to a parent."""

from __future__ import annotations

from datetime import timedelta

from lab.episodes import Turn
from lab.runtime_state import Execution, new_execution_id
from lab.shim import Scheduled
from taskhub import messages
from taskhub.clock import Clock
from taskhub.hub import TaskHub
from taskhub.messages import TaskMessage


class Outgoing:
    """Sends the messages of turns; all of them are in their queues before the history is written."""

    def __init__(self, hub: TaskHub, clock: Clock) -> None:
        self.hub = hub
        self.clock = clock

    async def send(self, source: Execution, action: Scheduled, episode: int) -> None:
        now, delay = self.clock.now(), timedelta(0)
        target, execution_id = source.instance_id, source.execution_id if action.kind != "event" else None
        if action.kind == "child":
            await self._start_child(source, action, episode)
            return
        if action.kind == "timer":
            event = messages.event(messages.TIMER_FIRED, now, TimerId=action.id, FireAt=action.fire_at)
            delay = max(messages.parse_timestamp(action.fire_at) - now, delay)
        elif action.kind == "activity":
            event = messages.event(
                messages.TASK_SCHEDULED, now, action.id,
                Name=action.name, Version="", Input=action.input, ParentTraceContext=None,
            )  # fmt: skip
        else:
            event = messages.event(
                messages.EVENT_RAISED, now, Name=action.name, Input=action.input, ParentTraceContext=None
            )
            target = action.instance_id
        is_work = action.kind == "activity"
        await self.hub.send(
            TaskMessage(event, target, execution_id, source.instance_id, source.execution_id, episode, is_work), delay
        )

    async def _start_child(self, source: Execution, action: Scheduled, episode: int) -> None:
        execution_id = new_execution_id()
        event = messages.execution_started(
            self.clock.now(), action.instance_id, execution_id, action.name, action.input, generation=None,
            parent={
                "Name": source.name, "InstanceId": source.instance_id, "ExecutionId": source.execution_id,
                "TaskScheduleId": action.id,
            },
        )  # fmt: skip
        await self.hub.send(
            TaskMessage(
                event,
                action.instance_id,
                execution_id,
                source.instance_id,
                source.execution_id,
                episode,
                with_context=True,
            )  # fmt: skip
        )

    async def tell_parent(self, turn: Turn) -> None:
        parent, outcome = turn.execution.parent, turn.outcome
        if parent is None or outcome is None or outcome.status == "ContinuedAsNew":
            return
        number = parent["TaskScheduleId"]
        if outcome.status == "Completed":
            event = messages.event(
                messages.SUB_COMPLETED, self.clock.now(), TaskScheduledId=number, Result=outcome.result
            )
        else:
            event = messages.event(
                messages.SUB_FAILED, self.clock.now(),
                TaskScheduledId=number, Reason=outcome.result, Details=outcome.details, FailureDetails=None,
            )  # fmt: skip
        target = parent["OrchestrationInstance"]
        await self.hub.send(
            TaskMessage(
                event,
                target["InstanceId"],
                target["ExecutionId"],
                turn.execution.instance_id,
                turn.execution.execution_id,
                turn.execution.episode,
            )  # fmt: skip
        )
