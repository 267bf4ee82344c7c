"""What the parts of an instance prove of each other: a row from a history, a missing history row, a certain path."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

from recovery.awaits import AnyOf, awaited, leaves, look
from recovery.facts import Facts
from recovery.observed import GONE, Message, number_of
from recovery.replay import Replayed
from recovery.rules import Verdict
from taskhub import messages as m
from taskhub.accounts import Entity
from taskhub.history import to_entity, to_event
from taskhub.layout import row_key
from taskhub.messages import Event

Forward = Callable[[Facts], Replayed | None]


def settled(verdict: Verdict, forward: Forward | None) -> Verdict:
    """The verdict without the messages ahead of the history that the code will certainly ask for."""
    if forward is None or verdict.facts.is_torn:
        return verdict
    findings = []
    for finding in verdict.findings:
        if finding.name == "ahead-of-history":
            doubtful = tuple(x for x in finding.surplus if not ahead_is_certain(verdict.facts, x, forward))
            if not doubtful:
                continue
            finding = replace(finding, surplus=doubtful)
        findings.append(finding)
    return replace(verdict, findings=tuple(findings))


def ahead_is_certain(facts: Facts, message: Message, forward: Forward) -> bool:
    """Replays with the answers that are queued, one round after the other, until the code asks for the number.

    Only a path without a choice counts: when the code waits for one of several things, or for something from outside,
    another path may be taken than in the dead region.
    """
    task = message.task
    if task is None:
        return False
    number = task.event["EventId"] if task.kind == m.TASK_SCHEDULED else number_of(task.event)
    for _ in range(len(facts.instance.messages) + 1):
        replayed = facts.replayed
        if replayed is None or replayed.ends or replayed.contradiction:
            return False
        if (
            number in replayed.commands
            and number < replayed.issued
            and (replayed.commands[number].kind, task.kind) in _FITS
        ):
            command = replayed.commands[number]
            return task.kind != m.TASK_SCHEDULED or (command.name, command.input) == (
                task.event.get("Name"), task.event.get("Input"),
            )  # fmt: skip
        tree = awaited(facts)
        if isinstance(tree, AnyOf):
            return False
        found = [look(facts, leaf) for leaf in leaves(tree)]
        answers = [x.messages[0] for x in found if x.messages and x.messages[0] in facts.answers]
        if not found or len(answers) != len(found):
            return False
        facts = _with_answers(facts, answers, replayed)
        facts = replace(facts, replayed=forward(facts))
    return False


_FITS = {
    ("activity", m.TASK_SCHEDULED), ("activity", m.TASK_COMPLETED), ("activity", m.TASK_FAILED),
    ("timer", m.TIMER_FIRED), ("child", m.SUB_COMPLETED), ("child", m.SUB_FAILED),
}  # fmt: skip


def _with_answers(facts: Facts, answers: list[Message], replayed: Replayed) -> Facts:
    """The facts after one more episode with these answers, as far as a replay needs them."""
    moment = m.timestamp(facts.now)
    new: list[Event] = [{"EventType": m.ORCHESTRATOR_STARTED, "EventId": -1, "IsPlayed": False, "Timestamp": moment}]
    new += [x.task.event for x in answers if x.task]
    known = {number for _, number in facts.scheduled}
    for number, command in sorted(replayed.commands.items()):
        if number not in known and command.kind == "activity":
            new.insert(0, m.event(m.TASK_SCHEDULED, facts.now, number, Name=command.name, Version=""))
    new.append({"EventType": m.ORCHESTRATOR_COMPLETED, "EventId": -1, "IsPlayed": False, "Timestamp": moment})
    rows = [*facts.instance.history]
    for event in new:
        rows.append(to_entity(event, facts.id, row_key(len(rows)), str(facts.execution)))
    rest = tuple(x for x in facts.instance.messages if x not in answers)
    return replace(facts, instance=replace(facts.instance, history=tuple(rows), messages=rest), replayed=None)


def restored_rows(facts: Facts) -> Iterator[tuple[int, Event]]:
    """The missing history rows that something else proves: a queued answer, the code, or their neighbours."""
    present = {
        int(str(row["RowKey"]), 16): event for row, event in zip(facts.instance.history, facts.events, strict=False)
    }
    unknown = sorted(number for _, number in facts.answered - facts.scheduled.keys())
    queued = [x.task.event for x in facts.for_current(facts.answers) if x.task]
    for position in facts.gaps:
        before, after = present.get(position - 1), present.get(position + 1)
        event = _proved(facts, before, after, unknown, queued)
        if event is not None:
            yield position, event


def _proved(
    facts: Facts, before: Event | None, after: Event | None, unknown: list[int], queued: list[Event]
) -> Event | None:
    commands = facts.replayed.commands if facts.replayed else {}
    if before and after and before["EventType"] == m.ORCHESTRATOR_COMPLETED:
        return {"EventType": m.ORCHESTRATOR_STARTED, "EventId": -1, "IsPlayed": False, "Timestamp": after["Timestamp"]}
    if before and after and after["EventType"] == m.ORCHESTRATOR_STARTED and not unknown:
        return {
            "EventType": m.ORCHESTRATOR_COMPLETED,
            "EventId": -1,
            "IsPlayed": False,
            "Timestamp": before["Timestamp"],
        }
    if unknown and before and unknown[0] in commands and commands[unknown[0]].kind == "activity":
        number = unknown.pop(0)
        return {"EventType": m.TASK_SCHEDULED, "Name": commands[number].name, "Version": "", "EventId": number,
                "IsPlayed": False, "Timestamp": before["Timestamp"]}  # fmt: skip
    if before and before["EventType"] == m.ORCHESTRATOR_STARTED and len(queued) == 1:
        return queued.pop()
    return None


def lacks_row_text(facts: Facts, column: str) -> bool:
    """Whether the row has lost its Input or Output: the blob is missing, or was and the row says so."""
    value = (facts.row or {}).get(column)
    return value == GONE or f"{column} {value}" in facts.instance.missing_blobs


def lacks_text(facts: Facts, kind: str, column: str) -> bool:
    """Whether the history's event of a kind (`ExecutionStarted`) has lost a text: the blob is missing, or was."""
    rows = [row for row in facts.instance.history if row.get("ExecutionId") == facts.execution]
    return any(
        row.get("EventType") == kind and (row.get(column) == GONE or row.get(f"{column}BlobName") in facts.lost_texts)
        for row in rows
    )


def without_lost_texts(facts: Facts) -> Iterator[tuple[int, Event]]:
    """(position, event) of the rows of an ended history that name missing blobs, readable again: GONE for the text.

    Only the end of a failed one: rewound it would go on with whatever stands in the others.
    """
    for row in facts.instance.history:
        lost = [x for x in row if x.endswith("BlobName") and row[x] in facts.lost_texts]
        is_end = row.get("EventType") == "ExecutionCompleted"
        if lost and row.get("ExecutionId") == facts.execution and (is_end or facts.end_status != "Failed"):
            texts = {column.removesuffix("BlobName"): GONE for column in lost}
            yield int(str(row["RowKey"]), 16), to_event({**row, **texts})


def start_input(facts: Facts) -> str | None:
    """The input that the history or a queued start proves, GONE where neither does."""
    start = facts.accepted_start
    if start is not None and start.task is not None:
        return _text_or_none(start.task.event.get("Input"))
    if facts.start_event is None or lacks_text(facts, "ExecutionStarted", "Input") or facts.row_is != "same":
        return GONE
    return _text_or_none(facts.start_event.get("Input"))


def row_text(facts: Facts, column: str) -> str:
    """The text that belongs into the row's Input or Output where its blob is missing."""
    if not lacks_row_text(facts, column):
        return str((facts.row or {}).get(column) or "")
    if column == "Input":
        return start_input(facts) or ""
    if facts.end_event is None or facts.row_is != "same" or lacks_text(facts, "ExecutionCompleted", "Result"):
        return GONE
    return str(facts.end_event.get("Result") or "")


def end_of(facts: Facts) -> tuple[str, str | None] | None:
    """(status, result) that history or row prove of an ended instance; None when a result was lost."""
    status = facts.end_status if facts.end_event else str(facts.status)
    if facts.end_event is not None and not lacks_text(facts, "ExecutionCompleted", "Result"):
        return status, _text_or_none(facts.end_event.get("Result"))
    is_told = facts.end_event is None or (facts.row_is == "same" and facts.status == status)
    if is_told and not lacks_row_text(facts, "Output"):
        return status, _text_or_none((facts.row or {}).get("Output"))
    return None if status == "Completed" else (status, GONE)


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)


def row_from_history(facts: Facts) -> Entity:
    """The Instances row that a history proves."""
    start = facts.start_event or {}
    columns: Entity = {
        "Name": str(start.get("Name") or ""), "Version": str(start.get("Version") or ""),
        "CreatedTime": m.parse_timestamp(str(start["Timestamp"])), "ExecutionId": str(facts.execution),
    }  # fmt: skip
    if start.get("Input") is not None:
        columns["Input"] = GONE if lacks_text(facts, "ExecutionStarted", "Input") else str(start["Input"])
    if isinstance(start.get("Generation"), int):
        columns["Generation"] = int(start["Generation"])
    if facts.is_entity:
        exists = "true" if facts.entity.exists else "false"
        columns["CustomStatus"] = f'{{"entityExists":{exists}}}'
    return columns | status_from_history(facts)


def custom_status(facts: Facts) -> Entity:
    """The column that the code's last custom status fills, when the code is at hand and says."""
    if facts.is_entity or facts.replayed is None or facts.replayed.ends or not facts.is_open:
        return {}
    return {"CustomStatus": json.dumps(facts.replayed.custom_status, ensure_ascii=False)}


def status_from_history(facts: Facts) -> Entity:
    """The status columns that a history proves."""
    last = m.parse_timestamp(str(facts.events[-1]["Timestamp"]))
    columns: Entity = {"LastUpdatedTime": last, "ExecutionId": str(facts.execution)}
    if facts.end_event is None:
        return columns | custom_status(facts) | {"RuntimeStatus": "Suspended" if facts.is_suspended else "Running"}
    columns |= {"RuntimeStatus": facts.end_status, "CompletedTime": last}
    if facts.end_event.get("Result") is not None:
        is_lost = lacks_text(facts, "ExecutionCompleted", "Result")
        columns["Output"] = GONE if is_lost else str(facts.end_event["Result"])
    return columns


def row_from_start(start: Message) -> Entity:
    """The row that the client would have written after its start message."""
    assert start.task is not None
    event = start.task.event
    created = m.parse_timestamp(str(event["Timestamp"]))
    columns: Entity = {
        "Name": str(event.get("Name") or ""), "Version": str(event.get("Version") or ""), "RuntimeStatus": "Pending",
        "CreatedTime": created, "LastUpdatedTime": created, "ExecutionId": str(start.task.execution_id),
    }  # fmt: skip
    if event.get("Input") is not None:
        columns["Input"] = str(event["Input"])
    if isinstance(event.get("Generation"), int):
        columns["Generation"] = int(event["Generation"])
    if event.get("ScheduledStartTime"):
        columns["ScheduledStartTime"] = m.parse_timestamp(str(event["ScheduledStartTime"]))
    return columns
