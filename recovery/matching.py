"""Whether a hub holds what the journal accepted: pure functions over one instance and its entries.

An accepted event is there when the history or a queue holds one of the same name and data that is not yet spoken for:
events of an instance are matched by name and data in their order, so of three equal events of which the hub holds two,
one is missing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from recovery.facts import Facts
from recovery.journal import Entry
from recovery.observed import LOST, Message, request_of, sent_at
from recovery.passes import Passes
from taskhub import messages as m
from taskhub.accounts import Entity

State = Literal[
    "there", "started", "raised", "ended", "gone", "uncertain", "reported", "unreadable", "withdrawn", "later"
]
NAMESAKE = "another event of this name is on record: the SDK gives one that comes before its wait to all of them"
NO_RECORD = "an entity keeps no record of signals: compare its state, and send it again if it is missing"
WAS_PURGED = "it was accepted so long before the loss that it had arrived: it has ended and was purged since"
NO_NAME = "its row does not tell which orchestrator it is, and no start is on record"
SKEW = timedelta(seconds=10)  # between the clocks that wrote the journal and the hub


@dataclass(frozen=True)
class Outcome:
    """What became of one accepted request."""

    entry: Entry
    state: State
    why: str
    queued: Message | None = None  # its start, when only the row is missing
    replaces: bool = False  # a row that is there
    ahead: tuple[Message, ...] = ()  # queued events that a start would come behind


def is_given_up(row: Entity | None) -> bool:
    """Whether the doctor ended the instance because what it needs was lost: the journal may have it."""
    return str((row or {}).get("Output", "")).startswith(LOST)


def is_nothing(facts: Facts) -> bool:
    """Whether the hub holds nothing of an instance, in any form."""
    held = facts.instance
    return held.row is None and not held.history and held.sentinel is None and not held.messages


def is_nameless(facts: Facts) -> bool:
    """Whether there is but a row that does not tell what to run: no host and no doctor can go on from it."""
    row = facts.row
    return row is not None and not (row.get("Name") or facts.row_is_terminal or facts.has_history or facts.starts)


def match_starts(entries: Sequence[Entry], facts: Facts, arrived: datetime | None = None) -> list[Outcome]:
    """What became of an instance's accepted starts: the last one counts.

    `arrived`: what was accepted before is in every copy, so when nothing of it is there it was purged.
    """
    earlier = [Outcome(entry, *_earlier(facts)) for entry in entries[:-1]]
    last = (_last_start(entry, facts, arrived) for entry in entries[-1:])
    return [*earlier, *(replace(one, replaces=facts.row is not None) for one in last)]


def _earlier(facts: Facts) -> tuple[State, str]:
    is_known = begun(facts) is not None and not is_nameless(facts)
    return ("ended" if has_ended(facts) else "there") if is_known else "there", "a later start of the same id counts"


def _last_start(entry: Entry, facts: Facts, arrived: datetime | None) -> Outcome:
    since = begun(facts)
    is_old = arrived is not None and entry.moment < arrived
    if facts.row is None and facts.refused_starts and not facts.has_history:
        return Outcome(entry, "started", "its start is queued without its row", facts.refused_starts[-1])
    if is_old and is_nothing(facts):
        return Outcome(entry, "gone", WAS_PURGED)
    if since is None:
        return Outcome(entry, "started", f"the hub holds nothing of {entry.instance_id}")
    if is_nameless(facts):
        return Outcome(entry, "started", "its row does not tell which orchestrator it is, and nothing else is there")
    if facts.row_is_terminal and is_given_up(facts.row):
        return Outcome(entry, "started", "the doctor found its start damaged and gave it up")
    if since < entry.moment - SKEW:
        if is_old:
            return Outcome(entry, "gone", WAS_PURGED)
        if has_ended(facts):
            return Outcome(entry, "started", "the hub holds only an earlier run of the same id")
        return Outcome(entry, "uncertain", "an earlier run of the same id has not ended in this hub")
    return Outcome(entry, "ended" if has_ended(facts) else "there", "")


def begun(facts: Facts) -> datetime | None:
    """When the hub's latest run of an instance began; None when the hub holds nothing that is or becomes a run."""
    moments = [sent_at(start.task.event) for start in facts.starts if start.task]
    if facts.start_event is not None:
        moments.append(sent_at(facts.start_event))
    created = (facts.row or {}).get("CreatedTime")
    if isinstance(created, datetime):
        moments.append(created)
    elif facts.row is not None:
        moments.append(facts.now)
    return max(moments, default=None)


def has_ended(facts: Facts) -> bool:
    """Whether the instance has ended in this hub, by its history or its row, and does not begin again."""
    if facts.accepted_start is not None or facts.is_open:
        return facts.is_open and facts.row_is_terminal and facts.row_is != "older"
    return facts.end_event is not None or facts.row_is_terminal


def canonical(text: object) -> str:
    """Event data for comparing: the JSON value however often it was encoded, keys in order."""
    value: Any = text
    for _ in range(3):
        if not isinstance(value, str):
            break
        try:
            value = json.loads(value)
        except ValueError:
            break
    return json.dumps(value, sort_keys=True)


def queued_ahead(entries: Sequence[Entry], facts: Facts) -> tuple[Message, ...]:
    """The queued events that are on record.

    An instance that is started now comes behind them, and what is dequeued before a start is dropped.
    """
    wanted = Counter((entry.name.lower(), canonical(entry.text)) for entry in entries)
    found = []
    for message in facts.event_messages:
        event = message.task.event if message.task else {}
        key = str(event.get("Name", "")).lower(), canonical(event.get("Input"))
        if wanted[key] > 0:
            wanted[key] -= 1
            found.append(message)
    return tuple(found)


def match_events(
    entries: Sequence[Entry],
    facts: Facts,
    begins: Entry | None = None,
    raise_uncertain: bool = False,
    passes: Passes = Passes(),  # noqa: B008
    arrived: datetime | None = None,
) -> list[Outcome]:
    """What became of an instance's accepted events.

    Everything that the hub holds of events (history and queues) is spoken for once, by the oldest entry of the same
    name and data. An entry without a counterpart from before the present generation was used by an earlier one (its
    history is gone), except that one from just before may have been lost at the border, and that a generation which
    began on the promoted hub before the journal was compared proves nothing: uncertain.
    """
    held = Counter(
        (str(event.get("Name", "")).lower(), canonical(event.get("Input")))
        for event in [*facts.raised, *(x.task.event for x in facts.event_messages if x.task)]
    )
    for message in facts.repeated_events:
        if message.task is not None:  # the same event in history and queue is one
            held[str(message.task.event.get("Name", "")).lower(), canonical(message.task.event.get("Input"))] -= 1
    generation = sent_at(facts.start_event) if facts.start_event is not None and begins is None else None
    first = min((entry.moment for entry in entries), default=None)
    outcomes = []
    for entry in entries:
        key = (entry.name.lower(), canonical(entry.text))
        if held[key] > 0:
            held[key] -= 1
            outcomes.append(Outcome(entry, "there", "the hub holds it"))
        elif begins is None and has_ended(facts):
            outcomes.append(Outcome(entry, "ended", "its instance has ended"))
        elif begins is None and is_nothing(facts) and arrived is not None and entry.moment < arrived:
            outcomes.append(Outcome(entry, "gone", WAS_PURGED))
        elif begins is None and is_nameless(facts):
            outcomes.append(Outcome(entry, "uncertain", NO_NAME))
        elif begins is None and begun(facts) is None:
            why = "the hub holds nothing of its instance, and no start is on record: it is raised once that has begun"
            outcomes.append(Outcome(entry, "uncertain", why))
        else:
            outcomes.append(_missing_event(entry, generation, facts, raise_uncertain, first, passes))
    return _with_namesakes(outcomes)


def _with_namesakes(outcomes: list[Outcome]) -> list[Outcome]:
    """Says of a raised event that it has a namesake: of several that come too early the SDK keeps the last alone."""
    names = Counter(outcome.entry.name.lower() for outcome in outcomes)
    return [
        replace(x, why=f"{x.why}; {NAMESAKE}") if x.state == "raised" and names[x.entry.name.lower()] > 1 else x
        for x in outcomes
    ]


def _missing_event(
    entry: Entry,
    generation: datetime | None,
    facts: Facts,
    raise_uncertain: bool,
    first: datetime | None,
    passes: Passes,
) -> Outcome:
    created = (facts.row or {}).get("CreatedTime")
    child_began = _created_by_parent(facts)
    if child_began is not None and entry.moment < child_began:
        return Outcome(entry, "raised", "its parent has begun it anew since")
    is_later_generation = generation is not None and first is not None and first < generation - SKEW
    if generation is None or entry.moment >= generation or not is_later_generation:
        return Outcome(entry, "raised", "neither the history nor a queue holds it")
    state: State = "raised" if raise_uncertain else "uncertain"
    if passes.leave_open(entry.moment, generation):
        return Outcome(entry, state, "a host began this generation before the journal was compared: used, or lost")
    if entry.moment < generation - SKEW:
        return Outcome(entry, "there", f"an earlier generation has used it (this one began {created})")
    return Outcome(entry, state, "accepted just before the present generation began: used, or lost at the border")


def _created_by_parent(facts: Facts) -> datetime | None:
    """When a child's parent asked for this run of it, if the parent's history still tells."""
    parent = facts.related.get(str((facts.parent or {}).get("InstanceId")))
    if parent is None or facts.parent is None or facts.parent.get("ExecutionId") != parent.execution:
        return None
    created = parent.scheduled.get((m.SUB_CREATED, facts.parent.get("TaskScheduleId") or 0))
    return None if created is None else sent_at(created)


def match_signals(entries: Sequence[Entry], facts: Facts) -> list[Outcome]:
    """What became of an entity's accepted signals: each one queued counts once, its history keeps no record."""
    queued = Counter[tuple[str, str]]()
    doubtful = Counter[tuple[str, str]]()
    last_turn = sent_at(facts.start_event) + SKEW if facts.start_event is not None else None
    for message in facts.event_messages:
        request = request_of(message.task.event) if message.task else None
        if request is None or not request.get("signal") or request.get("parent"):
            continue
        key = str(request.get("op")), canonical(request.get("input"))
        queued[key] += 1
        doubtful[key] += last_turn is not None and message.inserted < last_turn
    outcomes = []
    for entry in entries:
        key = entry.name, canonical(entry.text)
        if queued[key] <= 0:
            outcomes.append(Outcome(entry, "reported", NO_RECORD))
        elif doubtful[key] > 0:
            doubtful[key] -= 1
            why = "it is queued from before the entity's last turn: it may have been done, and is done again then"
            outcomes.append(Outcome(entry, "uncertain", why))
        else:
            outcomes.append(Outcome(entry, "there", "it is queued"))
        queued[key] -= 1
    return outcomes
