"""What an instance waits for, and whether that can still reach it.

An open history moves on only if what the code awaits after a replay is deliverable: of `task_any` one thing, of
`task_all` every one. `recovery.replay` finds the tree of what is awaited with the app's code; without the code
`from_history` guesses it from what the history leaves open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from recovery.facts import Facts, attempt_of
from recovery.observed import EPOCH, Message, moment_of, request_of, sent_at
from taskhub import messages as m
from taskhub.messages import Event

ANY_EVENT = "*"
Kind = Literal["activity", "timer", "child", "call", "event", "command"]


@dataclass(frozen=True)
class Leaf:
    """One thing that is awaited; `command` is one that the torn checkpoint never recorded."""

    kind: Kind
    number: int = -1
    name: str = ""

    def describe(self) -> str:
        """The thing in words."""
        if self.kind == "event":
            return "an external event" if self.name == ANY_EVENT else f"the event '{self.name}'"
        if self.kind == "command":
            return "what the code schedules next"
        words = {"activity": "activity", "timer": "timer", "child": "sub-orchestration", "call": "entity call"}
        return f"{words[self.kind]} {self.name} (number {self.number})".replace("  ", " ")


@dataclass(frozen=True)
class AllOf:
    """All of the parts are needed."""

    parts: tuple[Awaited, ...]


@dataclass(frozen=True)
class AnyOf:
    """One of the parts is enough."""

    parts: tuple[Awaited, ...]


Awaited = Leaf | AllOf | AnyOf
State = Literal["ready", "outside", "lost", "blocked", "unsure"]


@dataclass(frozen=True)
class Delivery:
    """Whether something awaited can arrive.

    ready: what brings it is there · outside: it depends on somebody outside · lost: what would bring it is gone ·
    blocked: a sub-orchestration that is itself stuck · unsure: its queue holds messages that could not be seen.
    """

    leaf: Leaf
    state: State
    why: str
    lost: str = ""  # which message is missing: work item, timer, start, completion, request, reply, command
    due: datetime = EPOCH
    messages: tuple[Message, ...] = ()


_SCHEDULES: dict[str, int] = {"activity": m.TASK_SCHEDULED, "timer": m.TIMER_CREATED, "child": m.SUB_CREATED}
_KINDS: dict[int, Kind] = {m.TASK_SCHEDULED: "activity", m.TIMER_CREATED: "timer", m.SUB_CREATED: "child"}


def leaves(tree: Awaited) -> Iterator[Leaf]:
    """All leaves of a tree, left to right."""
    if isinstance(tree, Leaf):
        yield tree
    else:
        for part in tree.parts:
            yield from leaves(part)


def from_history(facts: Facts) -> Awaited:
    """A guess without the code: everything open is needed, save that a timer alone may race with an event.

    The loser of a race and a cancelled timer stay open for ever in history, so the guess may see too much; what it
    takes for lost is then sent again, which the engine ignores.
    """
    needed = [
        Leaf(_KINDS[kind], number, str(event.get("Name") or ""))
        for (kind, number), event in facts.open_items.items()
        if kind != m.TIMER_CREATED
    ]
    needed += [Leaf("call", number, str(event.get("InstanceId"))) for number, event in facts.open_calls.items()]
    if needed:
        return AllOf(tuple(needed))
    if facts.is_torn:
        return Leaf("command")
    timers = [Leaf("timer", number) for kind, number in facts.open_items if kind == m.TIMER_CREATED]
    return AnyOf((*timers, Leaf("event", name=ANY_EVENT)))


def awaited(facts: Facts) -> Awaited:
    """What the instance waits for: by its code when that is at hand, else by its history."""
    tree: Awaited | None = facts.replayed.tree if facts.replayed is not None else None
    return tree if tree is not None else from_history(facts)


def look(facts: Facts, leaf: Leaf) -> Delivery:
    """Whether one thing can arrive."""
    if leaf.kind == "event":
        return _look_event(facts, leaf)
    if leaf.kind == "command":
        return _look_command(facts, leaf)
    if leaf.kind == "call":
        return _look_call(facts, leaf)
    kind = _SCHEDULES[leaf.kind]
    if (kind, leaf.number) not in facts.scheduled:
        return _look_command(facts, leaf)
    answers = facts.answers_to(kind, leaf.number)
    if answers:
        due = min(message.next_visible for message in answers)
        return Delivery(leaf, "ready", f"its {answers[0].describe()} is queued", due=due, messages=tuple(answers))
    if leaf.kind == "activity":
        return _look_activity(facts, leaf)
    return _look_timer(facts, leaf) if leaf.kind == "timer" else _look_child(facts, leaf)


def _look_event(facts: Facts, leaf: Leaf) -> Delivery:
    if leaf.name == ANY_EVENT:
        found = [x for x in facts.event_messages if x not in facts.repeated_events]
    else:
        found = facts.events_named(leaf.name)
    if found:
        name = found[0].task.event.get("Name") if found[0].task else ""
        return Delivery(leaf, "ready", f"the event '{name}' is queued", messages=tuple(found))
    known = [name for name in facts.journal_events if leaf.name in (ANY_EVENT, name)]
    if known:
        return Delivery(leaf, "lost", f"the journal accepted '{known[0]}', the hub does not have it", lost="event")
    return Delivery(leaf, "outside", f"nobody has raised {leaf.describe()}, as far as this hub knows")


def pokes(facts: Facts) -> list[Message]:
    """Queued messages that make the engine replay the current execution whatever they say.

    An answer whose number history does not know is one only if it is older than the last checkpoint (provider 1.x).
    """
    known = [x for x in facts.for_current(facts.answers) if x not in facts.unmatched]
    older = [x for x in facts.unmatched if x.task and sent_at(x.task.event) < facts.checkpoint_time]
    older = [x for x in older if x.task and x.task.kind != m.TASK_SCHEDULED]
    running = [x for x in facts.for_current(facts.work_items) if x not in facts.unmatched]
    return [*facts.redelivered_starts, *known, *older, *facts.event_messages, *facts.requests, *running]


def _look_command(facts: Facts, leaf: Leaf) -> Delivery:
    if facts.is_suspended:  # the code runs for what arrives, and what it asks for waits for the resume
        return Delivery(leaf, "ready", "it is scheduled once the instance is resumed")
    found = pokes(facts)
    if found:
        why = f"{found[0].describe()} makes the code run again, and it schedules this anew"
        return Delivery(leaf, "ready", why, messages=tuple(found))
    why = "the checkpoint that scheduled it is not there, and no message makes the code run again"
    return Delivery(leaf, "lost", why, lost="command")


def _look_activity(facts: Facts, leaf: Leaf) -> Delivery:
    work = facts.work_of(leaf.number)
    if work:
        due = min(message.next_visible for message in work)
        return Delivery(leaf, "ready", "its work item is queued", due=due, messages=tuple(work))
    hidden = facts.unseen.get("workitems", 0) + facts.unseen.get("control", 0)
    return _gone(
        leaf, "history says it was scheduled; neither its work item nor its result is queued", "work item", hidden
    )


def _look_timer(facts: Facts, leaf: Leaf) -> Delivery:
    fire_at = str(facts.scheduled[m.TIMER_CREATED, leaf.number].get("FireAt"))
    due = m.parse_timestamp(fire_at)
    if due > facts.now and leaf.number in facts.sent_again:
        return Delivery(leaf, "ready", f"it fires at {fire_at}; its message has been sent again", due=due)
    if due > facts.now and facts.unseen.get("timers", 0):
        # Sent a second time a timer does no harm; so one that may be there need not stay in doubt.
        why = f"it fires at {fire_at}; whether its message is among the invisible ones cannot be seen"
        return Delivery(leaf, "unsure", why, lost="timer", due=due)
    why = f"history says it fires at {fire_at}; its message is not queued"
    return _gone(leaf, why, "timer", 0 if due > facts.now else facts.unseen.get("control", 0))


def _gone(leaf: Leaf, why: str, lost: str, hidden: int) -> Delivery:
    if hidden:
        return Delivery(leaf, "unsure", f"{why}, but {hidden} messages of its queue could not be seen")
    return Delivery(leaf, "lost", why, lost=lost)


def _look_child(facts: Facts, leaf: Leaf) -> Delivery:
    created = facts.scheduled[m.SUB_CREATED, leaf.number]
    child_id = str(created.get("InstanceId"))
    child = facts.related.get(child_id)
    hidden = facts.unseen.get("control", 0)
    if child is None or not (child.has_history or child.starts or child.row):
        return _gone(leaf, f"{child_id} never began, and its start is not queued", "start", hidden)
    others = starts_for_other_calls(facts, leaf.number)
    if child.accepted_start is not None and any(x not in others for x in child.starts):
        return Delivery(leaf, "ready", f"{child_id} will begin")
    if child.start_event is not None and _is_for_another_call(child.start_event, facts, leaf.number):
        why = f"{child_id} ran for another attempt, and the start of this one is not queued"
        return _gone(leaf, why, "start", hidden)
    if child.start_event is None and not _has_result_for(child, created):
        return _gone(leaf, f"the history of {child_id} is gone, and its start is not queued", "start", hidden)
    if others and child.is_open:
        return _gone(leaf, f"{child_id} would begin anew for a call that is not known here", "start", hidden)
    if child.end_event is not None or (child.row_is_terminal and not child.is_open):
        status = child.end_status if child.end_event else child.status
        return _gone(leaf, f"{child_id} is {status}, and its completion is not queued", "completion", hidden)
    state = prospect(child)
    if state == "ready":
        return Delivery(leaf, "ready", f"{child_id} goes on by itself")
    if state in ("outside", "unsure"):
        from_where = "something from outside" if state == "outside" else "what may be among messages not seen"
        return Delivery(leaf, state, f"{child_id} waits for {from_where}")
    return Delivery(leaf, "blocked", f"{child_id} is stuck itself")


def starts_for_other_calls(facts: Facts, number: int) -> list[Message]:
    """Queued starts of the child of a number that are for another number, or another run, of the same parent."""
    child = facts.related.get(str(facts.scheduled[m.SUB_CREATED, number].get("InstanceId")))
    found = child.starts if child is not None else []
    return [x for x in found if x.task and _is_for_another_call(x.task.event, facts, number)]


def _is_for_another_call(start: Event, facts: Facts, number: int) -> bool:
    """Whether a child's start is for another call of its parent: a retry, or another run, starts the same id again.

    The engine drops the end of a child that another run of its parent has started.
    """
    parent = attempt_of(start)
    if parent is None:
        return False
    wanted = (facts.execution, number)
    return any(one is not None and one != other for one, other in zip(parent, wanted, strict=True))


def _has_result_for(child: Facts, created: Event) -> bool:
    """Whether a child's row, without its history, holds the end of a run that began after the call of its parent."""
    began = (child.row or {}).get("CreatedTime")
    return child.row_is_terminal and not (isinstance(began, datetime) and began < sent_at(created))


def _look_call(facts: Facts, leaf: Leaf) -> Delivery:
    call = facts.open_calls.get(leaf.number)
    if call is None:
        return _look_command(facts, leaf)
    replies = facts.replies_to(call)
    if replies:
        return Delivery(leaf, "ready", "the entity's reply is queued", messages=tuple(replies))
    entity = facts.related.get(str(call.get("InstanceId")))
    request_id = str((request_of(call) or {}).get("id"))
    queued = entity.requests_for(request_id) if entity is not None else []
    if entity is not None and any(not entity.entity.has_executed(x.task.event) for x in queued if x.task):
        return Delivery(leaf, "ready", "the request is queued", messages=tuple(queued))
    if entity is not None and entity.entity_restored.keeps_for_later(call):
        return Delivery(leaf, "ready", "the entity keeps the request until an earlier one arrives")
    hidden = facts.unseen.get("control", 0)
    if entity is not None and entity.entity_restored.has_executed(call):
        return _gone(leaf, "the entity has done it, and its reply is not queued", "reply", hidden)
    return _gone(leaf, "the entity has not done it, and the request is not queued", "request", hidden)


_WORST_FIRST_ALL: tuple[State, ...] = ("lost", "blocked", "unsure", "outside", "ready")
_BEST_FIRST_ANY: tuple[State, ...] = ("ready", "lost", "blocked", "unsure", "outside")


def state_of(facts: Facts, tree: Awaited) -> State:
    """Whether the tree can come true: of all parts the worst counts; of any, one that is ready, else the worst."""
    if isinstance(tree, Leaf):
        return look(facts, tree).state
    states = {state_of(facts, part) for part in tree.parts}
    order = _WORST_FIRST_ALL if isinstance(tree, AllOf) else _BEST_FIRST_ANY
    return next((state for state in order if state in states), "ready")


def prospect(facts: Facts) -> State:
    """Whether an instance with an open history moves on."""
    if facts.is_suspended and not facts.terminations:
        return "outside"
    return outlook(facts)


def outlook(facts: Facts) -> State:
    """Whether an instance with an open history moves on, once it is resumed if it is suspended."""
    return "ready" if facts.terminations else state_of(facts, awaited(facts))


def lost_operations(facts: Facts) -> list[Delivery]:
    """What this instance asked of entities before, of which the entity, being further behind, knows nothing.

    The entity's state lacks it, and a later request of the same caller would wait for it in vain. Sent a second time
    a request is recognised, so what an entity has done it does not do again.
    """
    found = []
    for number, event in facts.operations.items():
        entity = facts.related.get(str(event.get("InstanceId")))
        if number in facts.open_calls or entity is None:
            continue
        if entity.entity_restored.has_executed(event) or entity.entity_restored.keeps_for_later(event):
            continue
        if entity.requests_for(str((request_of(event) or {}).get("id"))):
            continue
        leaf = Leaf("call", number, entity.id)
        found.append(
            Delivery(leaf, "lost", "the entity's state is from before it, and it is not queued", lost="request")
        )
    return found


def entities_of_a_later_run(facts: Facts) -> dict[str, datetime]:
    """Entities that have heard from a later run of this id, which is not here: id -> when this run last asked it.

    Such an entity keeps back whatever this run asks next, because the request names one before it that the entity
    connects with another run; it waits for that one in vain.
    """
    asked: dict[str, datetime] = {}
    for event in facts.operations.values():
        moment = moment_of((request_of(event) or {}).get("Timestamp"))
        entity_id = str(event.get("InstanceId"))
        asked[entity_id] = max(moment, asked.get(entity_id, EPOCH))
    return {
        entity_id: moment
        for entity_id, moment in asked.items()
        if (entity := facts.related.get(entity_id)) is not None
        and (run := entity.entity_restored.received_from(facts.id)).get("ExecutionId") not in (None, facts.execution)
        and entity.entity_restored.horizon <= moment <= moment_of(run.get("Last"))
    }


def is_ahead_of_parent(facts: Facts) -> bool:
    """Whether an open history is that of a child for a call that its parent, being further behind, has not made."""
    return facts.is_open and facts.start_event is not None and _is_not_called(facts, facts.start_event)


def starts_ahead_of_parent(facts: Facts) -> list[Message]:
    """Queued starts of a child for calls that its parent, being further behind, has not made."""
    return [x for x in facts.starts if x.task and _is_not_called(facts, x.task.event)]


def _is_not_called(facts: Facts, start: Event) -> bool:
    parent = facts.related.get(str((facts.parent or {}).get("InstanceId")))
    if parent is None or not parent.is_open or (parent.row_is_terminal and parent.row_is != "older"):
        return False
    run, number = attempt_of(start) or (None, None)
    return run == parent.execution and isinstance(number, int) and (m.SUB_CREATED, number) not in parent.scheduled


def not_awaited(facts: Facts) -> list[Delivery]:
    """What is open, lost, and not awaited now: the code may still ask for it after what it awaits."""
    return [delivery for delivery in _open_beside(facts) if delivery.state == "lost"]


def timers_in_doubt(facts: Facts) -> list[Delivery]:
    """Timers that may be lost of an instance that does not wait for them alone."""
    now = [] if outlook(facts) == "unsure" else deliveries(facts)
    return [x for x in (*now, *_open_beside(facts)) if x.state == "unsure" and x.lost]


def _open_beside(facts: Facts) -> list[Delivery]:
    now = {(leaf.kind, leaf.number) for leaf in leaves(awaited(facts))}
    still_open = [
        Leaf(_KINDS[kind], number, str(x.get("Name") or "")) for (kind, number), x in facts.open_items.items()
    ]
    return [look(facts, leaf) for leaf in still_open if (leaf.kind, leaf.number) not in now]


def deliveries(facts: Facts) -> list[Delivery]:
    """Everything awaited, with whether it can arrive."""
    return [look(facts, leaf) for leaf in leaves(awaited(facts))]
