"""The rules by which the doctor judges an instance: a table of small pure functions, the first that answers decides.

Each rule names the observation it rests on, so that the table can be read beside the recorded failure cuts. A rule
says what the engine will do (`outcome`, in the words of the recordings) and what that means for whoever is on call
(`kind`). What is wrong beside the verdict (the row, leftovers, poison) is in `recovery.findings`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from recovery import awaits
from recovery.facts import Facts
from recovery.findings import Finding, Outcome, find_all, worst
from recovery.looks import START
from recovery.observed import EPOCH, LOST, Message, json_object, sent_at
from taskhub import messages as m

Kind = Literal["completed", "waiting", "goes-on", "repeats", "stuck", "damaged", "lost", "orphan", "undecided"]


@dataclass(frozen=True)
class Judgement:
    """What a rule answers: the outcome, the evidence in words, and what is missing or superfluous for a repair."""

    kind: Kind
    outcome: Outcome
    because: str
    missing: tuple[awaits.Delivery, ...] = ()
    surplus: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Rule:
    """One line of the table."""

    name: str
    observed: str  # what the engine did in this state
    judge: Callable[[Facts], Judgement | None]


@dataclass(frozen=True)
class Verdict:
    """What the doctor says of one instance."""

    facts: Facts = field(compare=False, repr=False)
    kind: Kind
    outcome: Outcome
    rule: str
    because: str
    findings: tuple[Finding, ...] = ()
    missing: tuple[awaits.Delivery, ...] = ()
    surplus: tuple[Message, ...] = ()

    @property
    def instance_id(self) -> str:
        return self.facts.id

    @property
    def needs_repair(self) -> bool:
        """Whether the instance or what lies around it should be changed before a host starts."""
        if self.rule == "result-in-row" or self.kind in ("stuck", "damaged", "lost", "orphan"):
            return True
        # What may be there is sent again all the same.
        if self.missing or (self.rule == "start-not-seen" and self.kind == "undecided"):
            return True
        if self.outcome not in ("fine", "undecided"):
            return True
        return any(finding.surplus or finding.missing for finding in self.findings)


# Damage: recognised before anything else, because a message makes it worse.


def _unreadable(f: Facts) -> Judgement | None:
    if f.instance.problems:
        return Judgement("damaged", "error-loop", "; ".join(f.instance.problems))
    return None


def _missing_blob(f: Facts) -> Judgement | None:
    if f.lost_texts and f.has_history and f.end_event is None:
        return Judgement(
            "damaged", "error-loop", f"history names {f.lost_texts[0]}, which is missing: every load fails"
        )
    return None


def _start_without_blob(f: Facts) -> Judgement | None:
    dead = [x for x in f.unreadable if "ExecutionStarted" in x.blob]
    if dead and not f.has_history:
        return Judgement(
            "lost", "error-loop", f"the start is queued, its blob {dead[0].blob} is missing", surplus=tuple(dead)
        )
    return None


def _entity_history_damaged(f: Facts) -> Judgement | None:
    if not f.is_entity or not f.has_history:
        return None
    if f.lost_texts:
        why = f"the entity's history names {f.lost_texts[0]}, which is missing: every load fails"
        return Judgement("damaged", "error-loop", why)
    if f.start_event is None:
        return Judgement("damaged", "error-loop", "the entity's history lacks the row that holds its state")
    if f.gaps:
        return Judgement("damaged", "wrong-result", f"row {f.gaps[0]} of the entity's history is missing")
    return None


def _head_missing(f: Facts) -> Judgement | None:
    if f.has_history and f.start_event is None:
        return Judgement(
            "lost", "lost", "the history lacks its ExecutionStarted row; the engine discards every message"
        )
    return None


def _row_missing(f: Facts) -> Judgement | None:
    if not f.gaps or f.end_event is not None or not f.has_history:
        return None
    where = ", ".join(str(position) for position in f.gaps)
    if f.answered - f.scheduled.keys() and len(f.gaps) == len(f.answered - f.scheduled.keys()):
        why = f"row {where} is missing: a task has a result but no TaskScheduled row; the replay runs it again"
        return Judgement("damaged", "duplicates", why)
    why = f"row {where} of the history is missing; the next message makes the instance fail as non-deterministic"
    return Judgement("damaged", "wrong-result", why)


def _contradicted(f: Facts) -> Judgement | None:
    if f.replayed is None or not f.replayed.contradiction or not f.is_open:
        return None
    return Judgement("damaged", "wrong-result", f"the code does not fit the history: {f.replayed.contradiction}")


# A history that has ended.


def _restarted(f: Facts) -> Judgement | None:
    if f.end_event is None or f.accepted_start is None:
        return None
    return Judgement("goes-on", "fine", "it has ended, and a new start of the same id is queued with its row")


def _restart_without_row(f: Facts) -> Judgement | None:
    if f.end_event is None or not f.refused_starts:
        return None
    why = "a new start of the same id is queued, but the row is that of the run before; deleted after 17 minutes"
    return Judgement("lost", "lost", why)


def _restart_without_message(f: Facts) -> Judgement | None:
    if f.end_event is None or f.accepted_start or not f.row_is_running or f.row_execution == f.execution:
        return None
    if f.row_is != "newer":
        return None
    if f.status != "Pending":
        return Judgement("lost", "lost", f"the row is that of a later run ({f.status}), whose history is gone")
    why = "the row is that of a new start, whose message is gone; the history is that of the run before"
    return Judgement("stuck", "stuck", why)


def _ended(f: Facts) -> Judgement | None:
    if f.end_event is None:
        return None
    return Judgement("completed", "fine", f"the history ends with {f.end_status}")


# No history.


def _entity_without_history(f: Facts) -> Judgement | None:
    if not f.is_entity or f.has_history or f.row is None:
        return None
    why = "the entity's history is gone; its next operation starts from nothing, although the row shows a state"
    return Judgement("damaged", "wrong-result", why)


def _entity_history_behind(f: Facts) -> Judgement | None:
    if not f.is_entity or not f.has_history or f.row_is_partial or f.row_is != "newer":
        return None
    if not json_object((f.row or {}).get("Input")):  # its blob is missing
        return None
    why = "the row holds a later state than the history, from which the next operation would begin"
    return Judgement("damaged", "wrong-result", why)


def _entity(f: Facts) -> Judgement | None:
    if not f.is_entity:
        return None
    if f.has_history and f.event_messages:
        return Judgement("goes-on", "fine", f"an entity that is asked for something: {len(f.event_messages)} queued")
    if f.has_history:
        return Judgement("waiting", "fine", "an entity; it works when it is called")
    return Judgement("goes-on", "fine", "an entity that begins with the request that is queued")


def _start_repeats(f: Facts) -> Judgement | None:
    start = f.accepted_start
    if start is None or start.task is None or f.has_history:
        return None
    execution = start.task.execution_id
    theirs = [x for x in (*f.work_items, *f.answers, *f.event_messages) if x.task and x.task.execution_id == execution]
    theirs += [x for x in f.instance.sent if x.task and x.task.sender_execution == execution]
    if not theirs:
        return None
    done = ", ".join(sorted({x.describe() for x in theirs}))
    return Judgement(
        "repeats", "duplicates", f"it begins anew, but had begun before: {done} is queued", surplus=tuple(theirs)
    )


def _starts(f: Facts) -> Judgement | None:
    if f.accepted_start is None or f.is_open:
        return None
    why = "its start is queued" if f.parent else "its start is queued and the row has the same ExecutionId"
    if f.status == "Running":
        why += "; the row says Running, so its first activities may have run before"
    return Judgement("goes-on", "fine", why)


def _start_without_row(f: Facts) -> Judgement | None:
    if f.has_history or not f.refused_starts:
        return None
    why = "no Instances row" if f.row is None else f"the row is of execution {f.row_execution}"
    return Judgement(
        "lost", "lost", f"its start is queued, but {why}: it is put back ten times and deleted after 17 minutes"
    )


def _start_not_seen(f: Facts) -> Judgement | None:
    scheduled = (f.row or {}).get("ScheduledStartTime")
    if f.has_history or f.status != "Pending" or not isinstance(scheduled, datetime) or scheduled <= f.now:
        return None
    when = f"it starts at {scheduled:%Y-%m-%d %H:%M:%S}Z"
    if START in f.sent_again:
        return Judgement("waiting", "fine", f"{when}; its start has been sent again")
    if not f.unseen.get("timers", 0):
        return None
    why = f"{when}; whether its start is among the invisible messages cannot be seen"
    return Judgement("undecided", "undecided", why)


def _start_lost(f: Facts) -> Judgement | None:
    if f.has_history or f.status != "Pending":
        return None
    scheduled = (f.row or {}).get("ScheduledStartTime")
    if f.unseen.get("control", 0):
        return Judgement("undecided", "undecided", "row Pending, no start seen, but its queue holds messages not seen")
    since = f" (due {_at(scheduled)})" if scheduled else f" since {_row_written(f)}"
    return Judgement("stuck", "stuck", f"row Pending{since}, no history, and no start message")


def _given_up(f: Facts) -> Judgement | None:
    if f.has_history or f.starts or not f.row_is_terminal or (f.row or {}).get("Output") != LOST:
        return None
    why = "its name or its input was lost with the region, and it was given up: the journal can start it"
    return Judgement("lost", "lost", why)


def _result_without_history(f: Facts) -> Judgement | None:
    if f.has_history or not f.row_is_terminal:
        return None
    return Judgement("completed", "fine", f"the row says {f.status} and holds the result; its history is gone")


def _history_lost(f: Facts) -> Judgement | None:
    if f.has_history or f.row is None:
        return None
    if f.unseen.get("control", 0):
        why = f"the row says {f.status or 'nothing'}, no history, no start seen, but its queue holds messages not seen"
        return Judgement("undecided", "undecided", why)
    row = f"the row says {f.status or 'nothing'} (written {_row_written(f)})"
    why = f"{row}, its history is gone, and no start is queued"
    return Judgement("lost", "lost", why)


def _orphan(f: Facts) -> Judgement | None:
    if f.has_history or f.row is not None:
        return None
    what = ", ".join(sorted({x.describe() for x in f.instance.messages})) or "nothing"
    if f.journal_start:
        why = f"{what} queued for an instance of which nothing else is there, and the journal holds its start"
        others = tuple(x for x in f.instance.messages if x not in f.event_messages)
        return Judgement("lost", "lost", why, surplus=others)
    since = _at(min((x.inserted for x in f.instance.messages), default=None))
    why = f"{what} queued since {since} for an instance of which nothing else is there"
    return Judgement("orphan", "fine", why, surplus=f.instance.messages)


# An open history.


def _next_attempt(f: Facts) -> Judgement | None:
    if not f.is_open or not f.has_next_attempt:
        return None
    old = tuple(f.for_current([*f.work_items, *f.answers]))
    why = "its parent has gone on and starts it again for another attempt; what is open here is of the one before"
    return Judgement("goes-on", "duplicates" if old else "fine", why, surplus=old)


def _child_restarts(f: Facts) -> Judgement | None:
    if not f.is_open or f.accepted_start is None:
        return None
    why = "another start of it is queued under a new ExecutionId: it runs again from the beginning"
    return Judgement("repeats", "duplicates", why)


def _event_twice(f: Facts) -> Judgement | None:
    if not f.is_open or not f.repeated_events:
        return None
    names = ", ".join(str(x.task.event.get("Name")) for x in f.repeated_events if x.task)
    why = f"the history holds the event {names}, and the same one is still queued: it would be applied twice"
    return Judgement("repeats", "wrong-result", why, surplus=tuple(f.repeated_events))


def _terminates(f: Facts) -> Judgement | None:
    if not f.is_open or not f.terminations:
        return None
    return Judgement("goes-on", "fine", "a terminate request is queued, and ends any open history")


def _suspended(f: Facts) -> Judgement | None:
    if not f.is_open or not f.is_suspended:
        return None
    why = f"it is suspended since {_suspended_at(f)}; what arrives is kept until it is resumed"
    return Judgement("waiting", "fine", why)


def _result_in_row(f: Facts) -> Judgement | None:
    """The row is written after the history, so a terminal row proves an end that this history has not got to."""
    if not f.is_open or not f.row_is_terminal or f.row_is == "older":
        return None
    why = f"the row says {f.status} and holds the result; the history stops before"
    if awaits.prospect(f) == "ready":
        return Judgement("completed", "fine", f"{why}, and would go on to an end of its own")
    return Judgement("completed", "cosmetic", f"{why}, and nothing is queued that ends it")


def _stuck(f: Facts) -> Judgement | None:
    if not f.is_open or awaits.outlook(f) != "lost":
        return None
    missing = tuple(x for x in awaits.deliveries(f) if x.state == "lost")
    why = "; ".join(f"{_in_words(f, x)}: {x.why}" for x in missing[:4])
    why = f"suspended, and without it for ever: {why}" if f.is_suspended else why
    return Judgement("stuck", "stuck", f"{why} (the history ends at {_last_moved(f)})", missing)


def _blocked(f: Facts) -> Judgement | None:
    if not f.is_open or awaits.outlook(f) != "blocked":
        return None
    why = "; ".join(x.why for x in awaits.deliveries(f) if x.state == "blocked")
    return Judgement("waiting", "stuck", f"waits for a sub-orchestration: {why}")


def _unsure(f: Facts) -> Judgement | None:
    if not f.is_open or awaits.outlook(f) != "unsure":
        return None
    unsure = [x for x in awaits.deliveries(f) if x.state == "unsure"]
    why = "; ".join(f"{_in_words(f, x)}: {x.why}" for x in unsure[:4])
    return Judgement("undecided", "undecided", why, tuple(x for x in unsure if x.lost))


def _works_twice(f: Facts) -> Judgement | None:
    """Only of an instance that moves: more than one message for one task."""
    if not f.is_open:
        return None
    surplus: list[Message] = []
    for (kind, number), _ in f.open_items.items():
        work = f.work_of(number) if kind == m.TASK_SCHEDULED else []
        surplus += work if f.answers_to(kind, number) and work else work[1:]
    if not surplus:
        return None
    why = "; ".join(sorted({f"{x.describe()} is queued although a result or another one is" for x in surplus}))
    return Judgement("repeats", "duplicates", why, surplus=tuple(surplus))


def _old_work(f: Facts) -> Judgement | None:
    if not f.is_open:
        return None
    torn_work = [x for x in f.unmatched if f.is_torn and x.task and x.task.kind == m.TASK_SCHEDULED]
    foreign_work = [x for x in f.foreign if x.task and x.task.kind == m.TASK_SCHEDULED]
    surplus = [*f.finished_work, *foreign_work, *torn_work]
    if not surplus:
        return None
    why = "; ".join(sorted({_why_old(f, x) for x in surplus})[:4])
    return Judgement("repeats", "duplicates", why, surplus=tuple(surplus))


def _why_old(f: Facts, message: Message) -> str:
    if message in f.finished_work:
        return f"{message.describe()} is queued although its result is in the history"
    if message in f.foreign:
        return f"{message.describe()} is of another generation"
    return f"{message.describe()} is queued although the history does not know it: it is scheduled again"


def _partly_lost(f: Facts) -> Judgement | None:
    if not f.is_open or awaits.outlook(f) != "ready":
        return None
    missing = tuple(x for x in awaits.deliveries(f) if x.state == "lost")
    if not missing:
        return None
    why = "; ".join(f"{x.leaf.describe()}: {x.why}" for x in missing[:4])
    return Judgement("lost", "fine", f"it goes on, but without a part of what it waits for: {why}", missing)


def _goes_on(f: Facts) -> Judgement | None:
    if not f.is_open or awaits.prospect(f) != "ready":
        return None
    ready = [x for x in awaits.deliveries(f) if x.state == "ready"]
    later = [x for x in ready if x.leaf.kind == "timer" and x.due > f.now]
    if ready and len(later) == len(ready):
        due = min(x.due for x in later)
        return Judgement("waiting", "fine", f"waits for its timer, due {due:%Y-%m-%d %H:%M:%S}Z")
    return Judgement("goes-on", "fine", "; ".join(f"{x.leaf.describe()}: {x.why}" for x in ready[:4]))


def _waits(f: Facts) -> Judgement | None:
    if not f.is_open:
        return None
    outside = [x for x in awaits.deliveries(f) if x.state == "outside"]
    what = ", ".join(_in_words(f, x) for x in outside)
    return Judgement(
        "waiting", "fine", f"waits for {what} since {_last_moved(f)}; whether one was lost only a journal can tell"
    )


# The evidence in words.


def _in_words(f: Facts, delivery: awaits.Delivery) -> str:
    """What is awaited, a sub-orchestration with its id."""
    created = f.scheduled.get((m.SUB_CREATED, delivery.leaf.number)) if delivery.leaf.kind == "child" else None
    name = f" {created.get('InstanceId')}" if created else ""
    return f"{delivery.leaf.describe()}{name}"


def _at(moment: object) -> str:
    known = isinstance(moment, datetime) and moment > EPOCH
    return f"{moment:%Y-%m-%d %H:%M:%S}Z" if known else "a time that is not on record"


def _last_moved(f: Facts) -> str:
    """When the history was last written to."""
    return _at(sent_at(f.events[-1])) if f.events else _at(None)


def _suspended_at(f: Facts) -> str:
    kept = [event for event in f.events if event["EventType"] == m.EXECUTION_SUSPENDED]
    asked = [x.task.event for x in f.requests if x.task and x.task.kind == m.EXECUTION_SUSPENDED]
    return _at(sent_at([*kept, *asked][-1])) if kept or asked else _at(None)


def _row_written(f: Facts) -> str:
    row = f.row or {}
    return _at(row.get("LastUpdatedTime") or row.get("CreatedTime"))


RULES: tuple[Rule, ...] = (
    Rule("unreadable-row", "a row that cannot be read fails every load", _unreadable),
    Rule("entity-history-damaged", "as B1: a state that cannot be loaded", _entity_history_damaged),
    Rule("blob-of-history-missing", "B1, G3: error every 5 s; 40 of them halt a worker", _missing_blob),
    Rule("blob-of-start-missing", "C1-L: put back for ever; terminate and purge answer 500", _start_without_blob),
    Rule("head-missing", "headcut, onlytail: 'Invalid history', every message discarded", _head_missing),
    Rule("row-missing", "hole: fails as non-deterministic; hole2: a task runs again", _row_missing),
    Rule("code-contradicts-history", "as hole: found by replaying the app's code", _contradicted),
    Rule("entity-history-lost", "s5state: the state restarts silently", _entity_without_history),
    Rule("entity-history-behind", "as s5state: the history alone counts, whatever the row", _entity_history_behind),
    Rule("entity", "an entity needs only a request, and starts from nothing", _entity),
    Rule("restart-queued", "a start over a terminal history with its row begins", _restarted),
    Rule("restart-without-row", "G4: deferred and deleted after 17 minutes", _restart_without_row),
    Rule("restart-without-message", "G5: Pending for ever; terminate is discarded", _restart_without_message),
    Rule("ended", "history terminal: done, whatever queues and row say", _ended),
    Rule("start-repeats", "c4L, s2, s2b, s5early: begun before, begins anew", _start_repeats),
    Rule("start-queued", "message and row with the same ExecutionId; a child needs no row", _starts),
    Rule("start-without-row", "C2-E: deleted at the tenth dequeue, 17 minutes", _start_without_row),
    Rule("start-not-seen", "a delayed start on a real account is invisible until it is due", _start_not_seen),
    Rule("start-lost", "C2-L: row Pending for ever; terminate answers 202 and is discarded", _start_lost),
    Rule("given-up", "the doctor's own mark: nothing starts it but the journal", _given_up),
    Rule("result-without-history", "row terminal, no history: the engine has nothing to do", _result_without_history),
    Rule("history-lost", "C5-E, D4: row Running for ever", _history_lost),
    Rule("orphan-messages", "C23: discarded; no row, no history, no start", _orphan),
    Rule("result-in-row", "C17-L: row Completed over an open history, a zombie", _result_in_row),
    Rule("next-attempt", "a child's start for another number of its parent begins anew", _next_attempt),
    Rule("child-restarts", "a child's start under a new ExecutionId begins again", _child_restarts),
    Rule("event-twice", "C16-L: external events are never deduplicated", _event_twice),
    Rule("terminate-queued", "c22: a queued terminate ends any open history, also a stuck one", _terminates),
    Rule("awaited-lost", "C5-L, C10-L, C12-L, C14-L, S1, S3, S5: silent, for ever", _stuck),
    Rule("waits-for-stuck-child", "a child that is stuck never reports", _blocked),
    Rule("not-all-seen", "invisible messages: no conclusion", _unsure),
    Rule("works-twice", "C9-L, twowork: the activity runs once more", _works_twice),
    Rule("leftover-work", "g1ok, m1c: a work item of finished or redone work runs", _old_work),
    Rule("partly-lost", "task_any with one deliverable thing moves, on another path", _partly_lost),
    Rule("suspended", "suspended: answers are taken in, nothing goes on", _suspended),
    Rule("awaited-queued", "what the code awaits is deliverable", _goes_on),
    Rule("waits-outside", "C15, C18: a lost event looks like waiting; only a journal tells", _waits),
)


def judge(facts: Facts) -> Verdict:
    """The verdict on one instance."""
    findings = find_all(facts)
    for rule in RULES:
        judgement = rule.judge(facts)
        if judgement is not None:
            outcome = worst([judgement.outcome, *(finding.outcome for finding in findings)])
            return Verdict(
                facts, judgement.kind, outcome, rule.name, judgement.because, findings, judgement.missing,
                judgement.surplus,
            )  # fmt: skip
    return Verdict(facts, "undecided", "undecided", "none", "no rule applies", findings)
