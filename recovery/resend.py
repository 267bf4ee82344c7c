"""What a plan sends again for what is lost: work items, timers, starts, completions, requests and replies."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from recovery import held as held_by
from recovery.awaits import Delivery, Leaf, starts_for_other_calls
from recovery.facts import Facts, identity
from recovery.observed import EPOCH, Message, request_of, sent_at
from recovery.proofs import end_of
from recovery.repair_steps import Delete, Send, Step
from taskhub import messages as m
from taskhub.messages import Event, TaskMessage


class Draft:
    """A plan while it is made: its steps, what they may repeat, and what is left to a person."""

    def __init__(self, facts: Facts, replies: Mapping[str, str]) -> None:
        self.f = facts
        self.replies = replies
        self.steps: list[Step] = []
        self.last: list[Step] = []  # what may go only when all that is sent is there
        self.deleted: set[tuple[str, str]] = set()
        self.is_decided = False  # the rule's own repair is all that is to be done now
        self.repeats: list[str] = []
        self.unresolved: list[str] = []

    def delete(self, found: Iterable[Message]) -> None:
        """Deletes messages, each once."""
        for message in found:
            if (message.queue, message.id) not in self.deleted:
                self.deleted.add((message.queue, message.id))
                self.steps.append(Delete(message))

    def put_behind(self, message: Message, due: datetime = EPOCH) -> None:
        """Puts an event at the end of its queue: a copy first, so that it is there whatever happens."""
        if message.task is not None and (message.queue, message.id) not in self.deleted:
            self.deleted.add((message.queue, message.id))
            self.steps.append(Send(message.task, "R4", due))
            self.last.append(Delete(message))

    def send_held(self, position: int, due: datetime = EPOCH) -> None:
        """Raises the events of the history from a position on again, and puts those that wait behind them.

        An event that is queued already, because a repair was cut short, is not raised once more.
        """
        queued = {identity(x.task.event): x for x in self.f.event_messages if x.task}
        held = held_by.events_from(self.f, position)
        for event in held:
            message = queued.get(identity(event))
            if message is not None:
                self.put_behind(message, due)
            else:
                why = "held in the part of the history that goes"
                self.steps.append(Send(TaskMessage(event, self.f.id, None), "R4", due, why))
        if held:
            self.events_behind(due)
        lost = sorted(set(held_by.lost_from(self.f, position)))
        if lost:
            self.unresolved.append(f"the data of its events {', '.join(lost)} is lost: the journal raises them again")
        self._name_namesakes()

    def events_behind(self, due: datetime = EPOCH) -> None:
        """Puts the events that wait for the current run, or for any, at the end of their queue, in their order."""
        for message in self.f.event_messages:
            if message.task is not None and message.task.execution_id is None and message not in self.f.doubled_events:
                self.put_behind(message, due)

    def _name_namesakes(self) -> None:
        again = [x for x in self.steps if isinstance(x, Send) and x.repair == "R4" and x.why]
        counts = Counter(str(x.task.event.get("Name")).lower() for x in again)
        twice = sorted(name for name, count in counts.items() if count > 1)
        if twice:
            self.unresolved.append(
                f"several events of one name are raised again at once ({', '.join(twice)}): of those that come before "
                "their wait the SDK gives the last alone, so look at the result"
            )

    def _address(self) -> dict[str, Any]:
        return {"sender_instance": self.f.id, "sender_execution": self.f.execution or ""}

    def send_missing(self, missing: Iterable[Delivery]) -> None:
        """Sends what would bring each delivery, or says why it cannot."""
        for delivery in missing:
            getattr(self, f"_send_{delivery.lost.replace(' ', '_')}")(delivery.leaf)

    def _input_of(self, scheduled: Event, leaf: Leaf) -> Any:
        """The input of what was scheduled: from the history, or from the code."""
        text = scheduled.get("Input")
        command = self.f.replayed.commands.get(leaf.number) if self.f.replayed else None
        return command.input if text is None and command is not None else text

    def _send_work_item(self, leaf: Leaf) -> None:
        event = self.f.scheduled[m.TASK_SCHEDULED, leaf.number]
        text = self._input_of(event, leaf)
        if text is None:
            self.unresolved.append(
                f"the input of {leaf.describe()} is neither in the history nor found by a replay: give --app"
            )
            return
        work = m.event(
            m.TASK_SCHEDULED, self.f.now, leaf.number, Name=event.get("Name"), Version=event.get("Version") or "",
            Input=text, ParentTraceContext=None,
        )  # fmt: skip
        task = TaskMessage(work, self.f.id, self.f.execution, with_context=True, **self._address())
        self.steps.append(Send(task, "R6"))
        self.repeats.append(f"activity {event.get('Name')} (number {leaf.number})")

    def _send_timer(self, leaf: Leaf) -> None:
        created = self.f.scheduled[m.TIMER_CREATED, leaf.number]
        fire_at = str(created.get("FireAt"))
        event = m.event(m.TIMER_FIRED, self.f.now, TimerId=leaf.number, FireAt=fire_at)
        due = m.parse_timestamp(fire_at)
        task = TaskMessage(event, self.f.id, self.f.execution, **self._address())
        self.steps.append(Send(task, "R5", due if due > self.f.now else EPOCH))

    def _send_start(self, leaf: Leaf) -> None:
        created = self.f.scheduled[m.SUB_CREATED, leaf.number]
        text = self._input_of(created, leaf)
        if text is None and self.f.replayed is None:
            self.unresolved.append(f"the input of {leaf.describe()} is not in the history: give --app")
            return
        child_id, execution = str(created.get("InstanceId")), uuid.uuid4().hex
        self.delete(starts_for_other_calls(self.f, leaf.number))
        # Under the time at which it was asked for, so that events accepted since then still count as this run's.
        start = m.execution_started(
            sent_at(created), child_id, execution, str(created.get("Name")), text, created.get("Version") or "", None,
            {"InstanceId": self.f.id, "ExecutionId": self.f.execution, "TaskScheduleId": leaf.number,
             "Name": (self.f.start_event or {}).get("Name")},
        )  # fmt: skip
        task = TaskMessage(start, child_id, execution, with_context=True, **self._address())
        self.steps.append(Send(task, "R5"))
        child = self.f.related.get(child_id)
        if child is not None and (child.row or child.has_history):
            self.repeats.append(f"sub-orchestration {child_id} from its beginning")

    def _send_completion(self, leaf: Leaf) -> None:
        self.delete(starts_for_other_calls(self.f, leaf.number))
        child = self.f.related[str(self.f.scheduled[m.SUB_CREATED, leaf.number].get("InstanceId"))]
        end = end_of(child)
        if end is None:  # its result is lost, so it has to be found again
            self._send_start(leaf)
            return
        status, result = end
        if status == "Completed":
            event = m.event(m.SUB_COMPLETED, self.f.now, TaskScheduledId=leaf.number, Result=result)
        else:
            event = m.event(
                m.SUB_FAILED, self.f.now, TaskScheduledId=leaf.number, Reason=result, Details=None, FailureDetails=None
            )
        address: dict[str, Any] = {"sender_instance": child.id, "sender_execution": child.execution or ""}
        self.steps.append(Send(TaskMessage(event, self.f.id, self.f.execution, **address), "R5"))

    def _send_request(self, leaf: Leaf) -> None:
        call = self.f.operations[leaf.number]
        event = m.event(
            m.EVENT_RAISED, self.f.now, Name=call.get("Name"), Input=call.get("Input"), ParentTraceContext=None
        )
        self.steps.append(Send(TaskMessage(event, str(call.get("InstanceId")), None, **self._address()), "R5"))

    def _send_reply(self, leaf: Leaf) -> None:
        call = self.f.open_calls[leaf.number]
        request = request_of(call) or {}
        entity_id = str(call.get("InstanceId"))
        if self.f.id in self.replies:
            data = json.dumps({"result": self.replies[self.f.id]})
            event = m.event(m.EVENT_RAISED, self.f.now, Name=request.get("id"), Input=data, ParentTraceContext=None)
            task = TaskMessage(event, self.f.id, self.f.execution, sender_instance=entity_id)
            self.steps.append(Send(task, "R5"))
            return
        # Under its old time the entity would take the request for a duplicate and stay silent; the id is what counts.
        again = {**request, "Timestamp": m.timestamp(self.f.now), "Predecessor": request.get("Timestamp")}
        text = json.dumps(again, ensure_ascii=False, separators=(",", ":"))
        event = m.event(m.EVENT_RAISED, self.f.now, Name=call.get("Name"), Input=text, ParentTraceContext=None)
        self.steps.append(Send(TaskMessage(event, entity_id, None, **self._address()), "R5"))
        self.repeats.append(f"operation '{request.get('op')}' of {entity_id} (unless its answer is given: --reply)")

    def _send_event(self, leaf: Leaf) -> None:
        self.unresolved.append(f"{leaf.describe()} is in the journal only: python -m recovery reconcile raises it")

    def _send_command(self, leaf: Leaf) -> None:
        self.poke()

    def poke(self) -> None:
        """Sends an event that nobody waits for, once: it makes the code run again."""
        if any(isinstance(step, Send) and step.repair == "R8" for step in self.steps):
            return
        event = m.event(m.EVENT_RAISED, self.f.now, Name=held_by.POKE, Input="null", ParentTraceContext=None)
        self.steps.append(Send(TaskMessage(event, self.f.id, None), "R8"))
