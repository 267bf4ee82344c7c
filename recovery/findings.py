"""What can be wrong with an instance beside its verdict: the row, leftovers, poison; each a small pure function."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from recovery.awaits import (
    Delivery,
    entities_of_a_later_run,
    is_ahead_of_parent,
    lost_operations,
    not_awaited,
    starts_ahead_of_parent,
    timers_in_doubt,
)
from recovery.facts import Facts
from recovery.observed import LOST, Message
from taskhub import messages as m
from taskhub.accounts import Entity

Outcome = Literal[
    "fine", "duplicates", "cosmetic", "unreachable", "stuck", "lost", "wrong-result", "error-loop", "undecided"
]


SEVERITY: tuple[Outcome, ...] = (
    "error-loop", "wrong-result", "lost", "stuck", "unreachable", "duplicates", "cosmetic", "undecided", "fine",
)  # fmt: skip


def worst(outcomes: list[Outcome]) -> Outcome:
    """The worst of several outcomes."""
    return min(outcomes, key=SEVERITY.index, default="fine")


@dataclass(frozen=True)
class Finding:
    """Something beside the verdict."""

    name: str
    because: str
    outcome: Outcome = "fine"
    surplus: tuple[Message, ...] = ()
    missing: tuple[Delivery, ...] = ()


def _no_row(f: Facts) -> Finding | None:
    if f.row is None and f.has_history and f.start_event is not None:
        return Finding("row-missing-entirely", "history without an Instances row: the API answers 404", "unreachable")
    if f.row_is_partial and f.has_history:
        return Finding(
            "row-partial", "the row lacks its status, name or start time: the API answers 500", "unreachable"
        )
    return None


def _entity_drift(f: Facts) -> Finding | None:
    if not f.is_entity or not f.has_history or f.row is None or f.row_is_partial:
        return None
    if f.row_execution == f.execution or f.row_is == "newer":
        return None
    return Finding("entity-row-behind", "the row shows an earlier state than the history holds", "cosmetic")


def _locked(f: Facts) -> Finding | None:
    holder = f.related.get(f.locked_by)
    if not f.locked_by or (holder is not None and (holder.is_open or holder.accepted_start is not None)):
        return None
    why = f"it is locked by {f.locked_by}, which is not running: operations of all others wait for ever"
    return Finding("locked-by-nobody", why, "stuck")


def _drift(f: Facts) -> Finding | None:
    if f.row is None or f.row_is_partial or f.is_entity:
        return None
    if f.end_event is not None and f.accepted_start is None and f.row_is != "newer" and f.status != f.end_status:
        return Finding("row-behind", f"the history ended {f.end_status}, the row says {f.status}", "cosmetic")
    if f.is_open and f.status == "Pending" and f.row_is != "newer":
        return Finding("row-pending", "the history runs, the row says Pending until the end", "cosmetic")
    if f.is_open and f.status == "Suspended" and not f.is_suspended:
        return Finding("row-suspended", "the row says Suspended, the history does not: events are applied", "cosmetic")
    if f.is_open and f.status == "Running" and f.history_is_suspended and f.is_suspended:
        return Finding("row-running", "the history is suspended, the row says Running: nobody resumes it", "cosmetic")
    if f.is_open and f.row_is_terminal and f.row_is == "older":
        return Finding(
            "row-of-earlier-run", f"a new run is under way, the row is that of an earlier one ({f.status})", "cosmetic"
        )
    return None


def _status_behind(f: Facts) -> Finding | None:
    """Clients that wait for a status would wait for ever: the engine writes it with the next checkpoint only."""
    row, replayed = f.row, f.replayed
    if row is None or replayed is None or replayed.ends or replayed.contradiction or f.is_torn:
        return None
    if not f.is_open or f.row_is_terminal or f.row_is == "newer":
        return None
    shown = custom_status_of(row)
    if shown == (replayed.custom_status or None):
        return None
    why = f"the code has set the custom status {replayed.custom_status!r}, the row shows {shown!r}"
    return Finding("custom-status-behind", why, "cosmetic")


def custom_status_of(row: Entity) -> Any:
    """The custom status that a row shows, None when it shows none."""
    text = row.get("CustomStatus")
    try:
        return json.loads(text) if isinstance(text, str) and text else None
    except ValueError:
        return text


def _dead_address(f: Facts) -> Finding | None:
    dead = [blob for blob in f.instance.missing_blobs if blob.startswith(("Input ", "Output "))]
    if dead:
        return Finding(
            "address-dead", f"the row's {dead[0]} does not resolve: status and list calls answer 500", "unreachable"
        )
    return None


def _ended_unreadable(f: Facts) -> Finding | None:
    if f.end_event is None or not f.lost_texts or f.is_entity:
        return None
    why = f"it has ended, its history names {f.lost_texts[0]}, which is missing: what reaches it comes back for ever"
    return Finding("ended-unreadable", why, "error-loop")


def _dead_path(f: Facts) -> Finding | None:
    if not f.is_open or not f.unmatched:
        return None
    names = ", ".join(sorted({x.describe() for x in f.unmatched}))
    why = f"{names} is ahead of the history: whatever gets its number would be answered by it"
    return Finding("ahead-of-history", why, surplus=tuple(f.unmatched))


def _other_generation(f: Facts) -> Finding | None:
    start = f.accepted_start
    mine = start.task.execution_id if start and start.task else None
    foreign = [x for x in f.foreign if x.task and x.task.execution_id != mine]
    if not foreign or not f.has_history:
        return None
    names = ", ".join(sorted({x.describe() for x in foreign}))
    return Finding(
        "other-generation", f"{names} is of another execution; an event beside it can be lost", surplus=tuple(foreign)
    )


def _after_the_end(f: Facts) -> Finding | None:
    if f.end_event is None or f.accepted_start or f.refused_starts:
        return None
    left = [
        x for x in f.instance.messages if x.task and x.task.execution_id in (None, f.execution) and x not in f.starts
    ]
    work = [x for x in left if x.task and x.task.kind == m.TASK_SCHEDULED]
    clients = [x for x in left if x.task and x.task.execution_id is None and not f.is_entity]
    surplus = tuple([*work, *clients])
    if not surplus:
        return None
    names = ", ".join(sorted({x.describe() for x in surplus}))
    return Finding("after-the-end", f"{names} is queued for a finished run: work in vain, requests for the next run",
                   surplus=surplus)  # fmt: skip


def _nobody_answers(f: Facts) -> Finding | None:
    if f.has_history or f.accepted_start is not None or f.refused_starts or f.row is None or f.is_entity:
        return None
    left = tuple(x for x in f.instance.messages if x.task)
    if not left:
        return None
    names = ", ".join(sorted({x.describe() for x in left}))
    return Finding("without-history", f"{names} is queued for an instance without history: activities run for nothing",
                   surplus=left)  # fmt: skip


def _event_before_start(f: Facts) -> Finding | None:
    if f.has_history or f.accepted_start is not None or not f.refused_starts or not f.event_messages:
        return None
    return Finding(
        "event-before-start", "an event for it is dropped at its first dequeue unless the row is there first"
    )


def _event_ahead_of_start(f: Facts) -> Finding | None:
    ahead = tuple(f.events_ahead_of_start)
    if not ahead:
        return None
    names = ", ".join(str(x.task.event.get("Name")) for x in ahead if x.task)
    return Finding(
        "event-ahead-of-start", f"the event {names} is queued ahead of the start: dequeued first, it is dropped",
        "lost", surplus=ahead,
    )  # fmt: skip


def _event_queued_twice(f: Facts) -> Finding | None:
    twice = tuple(x for x in f.doubled_events if x not in f.repeated_events)
    if not twice:
        return None
    names = ", ".join(str(x.task.event.get("Name")) for x in twice if x.task)
    return Finding(
        "event-queued-twice", f"the same event {names} is queued twice: it would be applied twice", "wrong-result",
        surplus=twice,
    )  # fmt: skip


def _lost_beside(f: Facts) -> Finding | None:
    if not f.is_open or f.replayed is None or f.terminations or f.has_next_attempt:
        return None
    if f.row_is_terminal and f.row_is != "older":
        return None
    missing = tuple(not_awaited(f))
    if not missing:
        return None
    names = ", ".join(delivery.leaf.describe() for delivery in missing[:4])
    return Finding("open-and-lost", f"{names}: lost, not awaited now, perhaps later", missing=missing)


def _timers_in_doubt(f: Facts) -> Finding | None:
    if not f.is_open or f.terminations or f.has_next_attempt or (f.row_is_terminal and f.row_is != "older"):
        return None
    missing = tuple(timers_in_doubt(f))
    if not missing:
        return None
    names = ", ".join(delivery.leaf.describe() for delivery in missing[:4])
    return Finding("timer-not-seen", f"{names}: whether it is among the invisible messages cannot be seen",
                   missing=missing)  # fmt: skip


def _operations_lost(f: Facts) -> Finding | None:
    if f.start_event is None:
        return None
    missing = tuple(lost_operations(f))
    if not missing:
        return None
    names = ", ".join(delivery.leaf.describe() for delivery in missing[:4])
    return Finding(
        "operations-lost", f"{names}: the entity does not know of it any more", "wrong-result", missing=missing
    )


def _work_not_in_history(f: Facts) -> Finding | None:
    """A row that is ahead of its history proves the result, not what was sent to entities on the way to it."""
    if f.is_entity or not f.row_is_terminal or f.end_event is not None or f.row_is == "older":
        return None
    if (f.row or {}).get("Output") == LOST:  # it did not end: the doctor gave it up
        return None
    why = "it ended after what the history holds; whether entities got what it asked of them since is not known"
    return Finding("work-not-in-history", why)


def _of_a_later_run(f: Facts) -> Finding | None:
    found = entities_of_a_later_run(f) if f.is_open else {}
    if not found:
        return None
    why = f"{', '.join(found)} has heard from a later run of it, and would keep back for ever what this one asks next"
    return Finding("entity-of-a-later-run", why, "stuck")


def _ahead_of_its_parent(f: Facts) -> Finding | None:
    """A child for a call that its parent, being further behind, has not made yet, and may not make again."""
    surplus = tuple(starts_ahead_of_parent(f))
    if not surplus and not is_ahead_of_parent(f):
        return None
    parent = (f.parent or {}).get("InstanceId")
    why = f"its parent {parent} has not begun it here: on another path whatever gets its number is answered by it"
    return Finding("ahead-of-its-parent", why, "wrong-result", surplus=surplus)


def _poison(f: Facts) -> Finding | None:
    if not f.poison:
        return None
    worst_one = max(f.poison, key=lambda x: x.dequeue_count)
    return Finding("poison", f"{worst_one.describe()} has been dequeued {worst_one.dequeue_count} times")


def _unreadable_message(f: Facts) -> Finding | None:
    if not f.unreadable:
        return None
    why = "; ".join(sorted({x.problem for x in f.unreadable})[:3])
    return Finding("message-unreadable", f"{why}: comes back for ever", "error-loop", surplus=tuple(f.unreadable))


def _wrong_queue(f: Facts) -> Finding | None:
    if not any(x.is_misplaced for x in f.instance.messages):
        return None
    return Finding("wrong-queue", "a message lies in another control queue than its id's: another partition count?")


FINDINGS: tuple[Callable[[Facts], Finding | None], ...] = (
    _no_row, _entity_drift, _locked, _drift, _status_behind,
    _dead_address, _ended_unreadable,
    _dead_path, _other_generation, _after_the_end, _nobody_answers, _event_before_start,
    _event_ahead_of_start, _event_queued_twice,
    _lost_beside, _timers_in_doubt,
    _operations_lost, _of_a_later_run, _work_not_in_history, _ahead_of_its_parent,
    _poison, _unreadable_message, _wrong_queue,
)  # fmt: skip


def find_all(facts: Facts) -> tuple[Finding, ...]:
    """Everything that is wrong beside the verdict."""
    return tuple(found for find in FINDINGS if (found := find(facts)) is not None)
