"""What the part of a history that a repair removes holds from outside: events, and a request to suspend or resume."""

from __future__ import annotations

from collections.abc import Iterator

from recovery.facts import Facts
from recovery.observed import request_of, sent_at
from taskhub import history as histories
from taskhub import messages as m
from taskhub.accounts import Entity
from taskhub.errors import Undecodable
from taskhub.messages import Event, TaskMessage

POKE = "__recovery_poke"
SUSPENSIONS = (m.EXECUTION_SUSPENDED, m.EXECUTION_RESUMED)


def events_from(facts: Facts, position: int) -> list[Event]:
    """The events raised from outside in the rows from a position on, in their order, as they were raised.

    Under their old name, data and time they are recognised wherever they are. Replies to calls that this part made
    are not among them: a call that is made again has another id.
    """
    found = [(row, event) for row, event in _decoded(facts, position)]
    calls = {(request_of(event) or {}).get("id") for _, event in found if event["EventType"] == m.EVENT_SENT}
    return [
        m.event(m.EVENT_RAISED, sent_at(event), Name=event.get("Name"), Input=event.get("Input"),
                ParentTraceContext=None)
        for row, event in found
        if _is_from_outside(event) and event.get("Name") not in calls and not _is_lost(facts, row)
    ]  # fmt: skip


def lost_from(facts: Facts, position: int) -> list[str]:
    """The names of those events in the same rows whose data is lost, with the blob that held it."""
    found = [event for row, event in _decoded(facts, position) if _is_lost(facts, row)]
    return [str(event.get("Name")) for event in found if _is_from_outside(event)]


def suspension_from(facts: Facts, position: int) -> TaskMessage | None:
    """The last request to suspend or resume in the same rows, unless a later one is queued; given twice it is one."""
    if any(x.task and x.task.kind in SUSPENSIONS for x in facts.requests):
        return None
    found = [event for _, event in _decoded(facts, position) if event["EventType"] in SUSPENSIONS]
    if not found:
        return None
    again = m.event(found[-1]["EventType"], sent_at(found[-1]), Reason=found[-1].get("Reason"))
    return TaskMessage(again, facts.id, None)


def _is_from_outside(event: Event) -> bool:
    return event["EventType"] == m.EVENT_RAISED and event.get("Name") != POKE and request_of(event) is None


def _is_lost(facts: Facts, row: Entity) -> bool:
    return row.get("InputBlobName") in facts.lost_texts


def _decoded(facts: Facts, position: int) -> Iterator[tuple[Entity, Event]]:
    for row in facts.instance.history:
        if row.get("ExecutionId") != facts.execution or int(str(row["RowKey"]), 16) < position:
            continue
        try:
            yield row, histories.to_event(row)
        except Undecodable:
            continue
