"""Repair plans: what has to be removed, restored and sent so that an instance ends with its right result.

A plan is made from a verdict alone, before anything is changed, and says which activities may run a second time. Its
steps are small: delete a message (R11), write a row (R7), write or shorten a history, send a message (R5, R6, R8).
What would be lost is sent before what holds it is removed, so a plan may be cut short anywhere: made again it holds
only what is still to do.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from recovery import held as held_by
from recovery.awaits import entities_of_a_later_run, is_ahead_of_parent, pokes
from recovery.entity_plans import EntityDraft
from recovery.facts import Facts
from recovery.observed import EPOCH, GONE, LOST, Message
from recovery.proofs import (
    custom_status,
    lacks_row_text,
    restored_rows,
    row_from_history,
    row_from_start,
    row_text,
    start_input,
    status_from_history,
    without_lost_texts,
)
from recovery.repair_steps import Adopt, CutHistory, Delete, Purge, PutRow, Send, Step, WriteHistory, WriteRow
from recovery.rules import Verdict
from taskhub import messages as m
from taskhub.accounts import Entity
from taskhub.messages import TaskMessage


@dataclass(frozen=True)
class Plan:
    """What to do for one instance, in this order."""

    instance_id: str
    rule: str
    steps: tuple[Step, ...]
    may_repeat: tuple[str, ...] = ()  # activities, calls and children that may run a second time
    unresolved: str = ""  # what nobody but a person, or the journal, can put right

    @property
    def is_empty(self) -> bool:
        return not self.steps


def make_plan(verdict: Verdict, has_parent: bool = False, replies: Mapping[str, str] | None = None) -> Plan:
    """The plan for a verdict.

    `has_parent`: a parent's plan starts it again; `replies`: what an entity answered (JSON text), by the id of the
    instance that waits for it.
    """
    return _Planner(verdict, has_parent, replies or {}).plan()


class _Planner(EntityDraft):
    def __init__(self, verdict: Verdict, has_parent: bool, replies: Mapping[str, str]) -> None:
        super().__init__(verdict.facts, replies)
        self.verdict = verdict
        self.has_parent = has_parent

    def plan(self) -> Plan:
        if is_ahead_of_parent(self.f):
            self._purge(self.f)
        else:
            self._mend()
        order = (Delete, Purge, CutHistory, PutRow, WriteHistory, Adopt, WriteRow, Send)
        steps = sorted(self.steps, key=lambda step: order.index(type(step)))
        steps += self.last
        return Plan(
            self.f.id, self.verdict.rule, tuple(steps), tuple(dict.fromkeys(self.repeats)), "; ".join(self.unresolved)
        )

    def _mend(self) -> None:
        if any(finding.name == "ended-unreadable" for finding in self.verdict.findings):
            self._make_readable()
        handler = getattr(self, "_" + self.verdict.rule.replace("-", "_"), None)
        if handler is not None:
            handler()
        if not self._changes_history:
            self._remove_surplus()
            self.send_missing(self.verdict.missing)
            for finding in self.verdict.findings:
                self.send_missing(finding.missing)
            self._adopt()
            self._mend_row()

    @property
    def _changes_history(self) -> bool:
        """Then what else is wrong is looked at again afterwards."""
        return self.is_decided or any(
            isinstance(step, (CutHistory, PutRow)) or isinstance(step, Send) and step.task.kind == m.EXECUTION_STARTED
            for step in (*self.steps, *self.last)
        )

    def _make_readable(self) -> None:
        restored = list(without_lost_texts(self.f))
        self.steps += [PutRow(event, str(self.f.execution), position) for position, event in restored]
        if not restored:
            self.unresolved.append("it failed, and what it failed over is lost in part: it can be purged, not rewound")

    # removing

    def _remove_surplus(self) -> None:
        self.delete(self.verdict.surplus)
        for finding in self.verdict.findings:
            for message in finding.surplus:
                if finding.name == "ahead-of-history" and message.task and message.task.kind in _RESULTS:
                    self.repeats.append(f"what {message.describe()} answers, if the code asks for it again")
            if finding.name == "event-ahead-of-start":
                for message in finding.surplus:
                    self.put_behind(message)
            self.delete(finding.surplus)
        if self.f.is_torn and self.f.is_open and not self._is_poked():
            self.poke()

    def _purge(self, run: Facts) -> None:
        """Removes a run that its parent has not asked for, after all that it began; asked for, it begins anew."""
        for child in run.related.values():
            mine = child.parent is not None and child.parent.get("ExecutionId") == run.execution
            if mine and (child.is_open or child.starts):
                self._purge(child)
        self.delete(run.instance.messages)
        self.steps.append(Purge(run.instance))
        raised = sorted({str(event.get("Name")) for event in run.raised} - {"op"})
        events = f", and the journal has to raise its events again: {', '.join(raised)}" if raised else ""
        self.repeats.append(f"everything that {run.id} had done{events}")

    def _adopt(self) -> None:
        if self.f.is_open:
            for entity_id, last in entities_of_a_later_run(self.f).items():
                self.steps.append(Adopt(entity_id, self.f.id, str(self.f.execution), last))

    def _is_poked(self) -> bool:
        return any((x.queue, x.id) not in self.deleted for x in pokes(self.f))

    # rows

    def _mend_row(self) -> None:
        names = {finding.name for finding in self.verdict.findings}
        if names & {"row-missing-entirely", "row-partial", "row-of-earlier-run", "entity-row-behind"}:
            self.steps.append(WriteRow(row_from_history(self.f), replace="row-of-earlier-run" in names))
        elif names & {"row-behind", "row-pending", "row-suspended", "row-running"}:
            self.steps.append(WriteRow(status_from_history(self.f)))
        elif "custom-status-behind" in names:
            self.steps.append(WriteRow(custom_status(self.f)))
        if "address-dead" in names:
            dead = [x.split(" ")[0] for x in self.f.instance.missing_blobs if x.startswith(("Input ", "Output "))]
            texts: Entity = {column: row_text(self.f, column) for column in dead}
            if not (self.f.is_entity and GONE in texts.values()):  # an entity's input is its state
                self.steps.append(WriteRow(texts))

    # rules whose repair is more than removing and sending

    def _orphan_messages(self) -> None:
        if self.f.journal_start:
            self.unresolved.append("the journal holds its start: python -m recovery reconcile starts it")

    def _start_without_row(self) -> None:
        self._row_of(self.f.refused_starts[-1])
        self.delete(self.f.refused_starts[:-1])

    def _restart_without_row(self) -> None:
        self._start_without_row()

    def _row_of(self, start: Message) -> None:
        if start.task is not None:
            self.steps.append(WriteRow(row_from_start(start), replace=True))

    def _start_not_seen(self) -> None:
        if self.verdict.kind == "undecided":
            self._start_lost()

    def _start_lost(self) -> None:
        if not self._ends_as_asked():
            self._start_again(str((self.f.row or {}).get("ExecutionId")))

    def _ends_as_asked(self) -> bool:
        """Ends an instance that somebody has asked to end, instead of beginning it."""
        if not self.f.terminations:
            return False
        reason = self.f.terminations[0].task.event.get("Input") if self.f.terminations[0].task else None
        self._terminate(reason or "")
        return True

    def _terminate(self, output: str) -> None:
        self.steps.append(WriteRow({"RuntimeStatus": "Terminated", "Output": output, "CompletedTime": self.f.now}))

    def _restart_without_message(self) -> None:
        if self._is_somebodys_child():
            return
        self._start_again(str((self.f.row or {}).get("ExecutionId")))

    def _history_lost(self) -> None:
        if self._is_somebodys_child():
            self._clear_for_parent()
            return
        if self._is_given_up():
            return
        if self._ends_as_asked():
            self.delete([x for x in self.f.instance.messages if x not in self.f.terminations])
            self.steps.append(CutHistory(0))
            self.last += [Delete(x) for x in self.f.terminations]
            return
        kept = [*self._waiting, *self._suspensions[-1:]]
        self.delete([x for x in self.f.instance.messages if x not in kept])
        self._start_again(uuid.uuid4().hex, anew=True)
        if self._has_rows:
            self.last.append(CutHistory(0))
        self.repeats.append(f"all activities of {self.f.id}: it begins anew")

    def _head_missing(self) -> None:
        if self.f.row is None:
            self.unresolved.append(
                "neither the row nor the history tells its name and input; only the journal can start it"
            )
            return
        self._history_lost()

    def _is_somebodys_child(self) -> bool:
        """Children have no Generation in their row; their parent's plan starts them again, if one waits."""
        if self.has_parent:
            return True
        if (self.f.row or {}).get("Generation") is None and (self.f.row or {}).get("TaskHubName") is None:
            self._terminate(f"{LOST}; no parent waits")
            return True
        return False

    def _clear_for_parent(self) -> None:
        """What is left of the history of a child that its parent starts again goes, but for what came from outside.

        When no parent waits it goes whole: one may yet come to ask for the child.
        """
        if self.has_parent:
            self.delete([x for x in self.f.instance.messages if x not in self._waiting and x not in self.f.starts])
            self.send_held(0)
            self.is_decided = True  # what waits for it stays
        if self._has_rows:
            self.last.append(CutHistory(0))

    @property
    def _waiting(self) -> list[Message]:
        """The events that are for any run."""
        return [x for x in self.f.event_messages if x.task and x.task.execution_id is None]

    @property
    def _has_rows(self) -> bool:
        return bool(self.f.instance.history or self.f.instance.sentinel)

    def _is_given_up(self) -> bool:
        """Leaves to the journal what nothing here tells the name or the input of; a start is never made up."""
        row = self.f.row or {}
        is_unknown = not row.get("Name")
        if not is_unknown and not (lacks_row_text(self.f, "Input") and start_input(self.f) == GONE):
            return False
        what = "its name" if is_unknown else "its input"
        raised = sorted({str(x.get("Name")) for x in held_by.events_from(self.f, 0)})
        raised += sorted({str(x.task.event.get("Name")) for x in self.f.event_messages if x.task} - set(raised))
        events = f", and raises its events again: {', '.join(raised)}" if raised else ""
        self.unresolved.append(
            f"{what} was lost; only the journal tells it: python -m recovery reconcile starts it{events}"
        )
        self.steps = [step for step in self.steps if not isinstance(step, PutRow)]
        self.delete(self.f.instance.messages)
        if self._has_rows:
            self.steps.append(CutHistory(0))
        self._mark_as_lost()
        return True

    def _mark_as_lost(self) -> None:
        """A row that status calls can read, and by which `reconcile` knows that it has to start it."""
        row = self.f.row or {}
        created = row.get("CreatedTime")
        columns: Entity = {
            "RuntimeStatus": "Terminated", "Output": LOST, "CompletedTime": self.f.now,
            "Name": str(row.get("Name") or ""),
            "CreatedTime": created if isinstance(created, datetime) else self.f.now,
        }  # fmt: skip
        if lacks_row_text(self.f, "Input"):
            columns["Input"] = GONE
        self.steps.append(WriteRow(columns))
        self.is_decided = True

    def _given_up(self) -> None:
        self.unresolved.append("only the journal can start it: python -m recovery reconcile")

    def _start_again(self, execution: str, anew: bool = False) -> None:
        """Sends the start that the row proves; `anew`: also what the history of the run before holds from outside."""
        if self._is_given_up():
            return
        row = self.f.row or {}
        name = row.get("Name")
        text = start_input(self.f) if lacks_row_text(self.f, "Input") else row.get("Input")
        generation = row.get("Generation")
        scheduled = row.get("ScheduledStartTime")
        # Under its old time, so that events accepted since then still count as this run's.
        created = row.get("CreatedTime")
        began = created if isinstance(created, datetime) else self.f.now
        start = m.execution_started(
            began, self.f.id, execution, str(name), None if text is None else str(text),
            str(row.get("Version") or ""), generation if isinstance(generation, int) else 0,
            scheduled_start=scheduled if isinstance(scheduled, datetime) else None,
        )  # fmt: skip
        due = scheduled if isinstance(scheduled, datetime) and scheduled > self.f.now else EPOCH
        if execution != row.get("ExecutionId"):
            columns = {k: v for k, v in row.items() if k in _KEPT} | ({} if text is None else {"Input": text}) | {
                "RuntimeStatus": "Pending", "ExecutionId": execution, "CreatedTime": began,
                "LastUpdatedTime": self.f.now,
            }  # fmt: skip
            self.steps.append(WriteRow(columns, replace=True))
        self.steps.append(Send(TaskMessage(start, self.f.id, execution), "R5", due))
        if anew:
            self._suspend_again(due)
        # An event that is dequeued before the start is dropped.
        if anew:
            self.send_held(0, due)
        self.events_behind(due)

    @property
    def _suspensions(self) -> list[Message]:
        """The queued requests to suspend and to resume, oldest first."""
        return [x for x in self.f.requests if x.task and x.task.kind in held_by.SUSPENSIONS]

    def _suspend_again(self, due: datetime) -> None:
        """What was suspended, or was asked to, is suspended when it has begun anew."""
        for message in self._suspensions[-1:]:
            self.put_behind(message, due)
        if not self._suspensions and self.f.status == "Suspended":
            again = m.event(m.EXECUTION_SUSPENDED, self.f.now, Reason=(self.f.row or {}).get("Output"))
            self.steps.append(Send(TaskMessage(again, self.f.id, None), "R5", due))

    def _blob_of_start_missing(self) -> None:
        self.delete(self.verdict.surplus)
        if self.f.starts or self.has_parent:
            return
        self.unresolved.append("its input was lost; only the journal tells it: python -m recovery reconcile starts it")
        self.delete(self.f.instance.messages)
        self._mark_as_lost()

    def _start_repeats(self) -> None:
        self.delete(self.verdict.surplus)
        done = [x.describe() for x in self.verdict.surplus if x.task]
        self.repeats.append(f"everything it had done: {', '.join(sorted(set(done)))}")

    def _child_restarts(self) -> None:
        if self.f.accepted_start is not None:
            self.delete([self.f.accepted_start])

    def _result_in_row(self) -> None:
        row = self.f.row or {}
        is_lost = lacks_row_text(self.f, "Output")
        if is_lost and self.f.status == "Completed":
            # The result is lost with its blob; its history goes on to find it again.
            self.steps.append(WriteRow({**status_from_history(self.f), "Output": ""}))
            self.repeats.append(f"everything that {self.f.id} did after what its history holds: its result is lost")
            self.is_decided = True
            return
        number = max((number for _, number in self.f.scheduled), default=-1) + 1
        now = self.f.now
        result = GONE if is_lost else row.get("Output")
        end = m.event(m.EXECUTION_COMPLETED, now, number, OrchestrationStatus=self.f.status, Result=result)
        events = (m.event(m.ORCHESTRATOR_STARTED, now), end, m.event(m.ORCHESTRATOR_COMPLETED, now))
        self.steps.append(WriteHistory(events, str(self.f.execution), len(self.f.events)))
        self.delete([x for x in self.f.instance.messages if x.task and x.task.execution_id in (None, self.f.execution)])

    def _row_missing(self) -> None:
        restored = [PutRow(event, str(self.f.execution), position) for position, event in restored_rows(self.f)]
        if len(restored) == len(self.f.gaps):
            self.steps.extend(restored)
            answers = [x for x in self.f.answers if x.task and any(x.task.event == step.event for step in restored)]
            self.delete(answers)
            return
        self._back_to(self.f.gaps[0])

    def _blob_of_history_missing(self) -> None:
        rows = self.f.instance.history
        gone = set(self.f.instance.missing_blobs)
        bad = [row for row in rows if gone & {str(value) for name, value in row.items() if name.endswith("BlobName")}]
        self._back_to(int(str(bad[0]["RowKey"]), 16))

    def _unreadable_row(self) -> None:
        self.unresolved.append("a row that cannot be read: look at it, then delete or mend it by hand")

    def _code_contradicts_history(self) -> None:
        self.unresolved.append(
            "the app's code is not the one that wrote this history: deploy that one, or terminate it"
        )

    def _back_to(self, position: int) -> None:
        """Shortens the history to the last whole checkpoint before a position, or begins anew."""
        kept = [row for row in self.f.instance.history if int(str(row["RowKey"]), 16) < position]
        ends = [int(str(row["RowKey"]), 16) for row in kept if row.get("EventType") == "OrchestratorCompleted"]
        begins = any(row.get("EventType") == "ExecutionStarted" for row in kept)
        if ends and begins:
            self.send_held(ends[-1] + 1)
            again = held_by.suspension_from(self.f, ends[-1] + 1)
            self.steps += [Send(again, "R5")] if again else []
            self.last.append(CutHistory(ends[-1] + 1))
            self.repeats.append(f"everything after history row {ends[-1]}: it is gone back to")
            return
        if self.f.row is None:
            self.unresolved.append("nothing tells its name and input any more; only the journal can start it")
            return
        self._history_lost()


_RESULTS = {m.TASK_COMPLETED, m.TASK_FAILED, m.SUB_COMPLETED, m.SUB_FAILED, m.TASK_SCHEDULED}
_KEPT = ("Name", "Version", "Input", "Generation", "Tags", "TaskHubName")
