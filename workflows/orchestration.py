"""What orchestrators share: the type of their steps, an inbox that loses no event, and timers that can be cancelled."""

import json
import re
from collections import deque
from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import azure.durable_functions as df
from azure.durable_functions.models.history import HistoryEventType

Steps: TypeAlias = Generator[Any, Any, Any]

# The extension splits timers above six days into legs that Python cannot cancel; an instance whose race is over would
# stay Running until the leg ends. Waiting in shorter turns of our own keeps every timer cancellable.
LONGEST_TIMER = timedelta(days=5)

# How long the timer runs that only serves to be cancelled, at first and at last: its message stays in the queue until
# then, and a generation must not end before (see Inbox.carry).
RELEASE_AFTER, RELEASE_AFTER_AT_LAST = timedelta(seconds=2), timedelta(seconds=64)
TIMER_MARGIN = timedelta(seconds=1)
# How long one wait is at most where generations follow each other: the end of one waits for its last timer.
TURN_OF_A_GENERATION = timedelta(minutes=10)

# What an inbox answers when no event came in time; an event's data can be any JSON, null included.
TIME_OVER: Any = object()


def event_data(received: Any) -> Any:
    """An external event's data as its sender meant it.

    `raise_event` of the Python SDK encodes data twice, so it arrives as a text that holds JSON; a raw HTTP request to
    the extension's raiseEvent address arrives as the value itself. A text that is not JSON stays a text.
    """
    if not isinstance(received, str):
        return received
    try:
        return json.loads(received)
    except (ValueError, RecursionError):
        return received


def failure_reason(error: Exception) -> str:
    """The readable part of a failed task's text: without the extension's words before it and the details after it."""
    text = str(error).split(" \n ")[0].strip()
    return text.split(" failed:  ", 1)[-1]


def iso(moment: datetime) -> str:
    """The moment as text in UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_iso(text: str) -> datetime:
    """The moment that `iso` wrote, or any ISO 8601 text with a zone; raises ValueError otherwise."""
    # Python 3.10 wants three or six digits after the point; .NET writes seven.
    text = re.sub(r"\.(\d+)", lambda digits: "." + digits[1][:6].ljust(6, "0"), text.strip().upper())
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError("needs a zone, such as Z")
    return moment


class Inbox:
    """Every event of one name in order, none lost and none twice, on the real extension too.

    Three things there make this more than a call of wait_for_external_event.

    An event that comes while nobody waits is kept by the SDK in one place per name: the next one overwrites it, and
    every later wait is given it again. So one wait is open whenever the orchestrator pauses; it pauses only through
    this object.

    The extension awaits what the code yields one after the other, and sees of a compound only the tasks that are new.
    Code that goes on because an older one ended would leave it waiting for ever. So every compound here has a new
    timer, and cancelling that releases the extension.

    Thus released, the extension may come to continue-as-new before it has seen what the code has read, and would hand
    that on to the next generation again; what came before and was not waited for, it drops. So `carry` first lets it
    catch up, and then takes along what came until that moment and was not read.
    """

    def __init__(
        self,
        context: df.DurableOrchestrationContext,
        name: str,
        carried: list[Any] | None = None,
        longest_turn: timedelta = LONGEST_TIMER,
    ) -> None:
        self._context = context
        self._name = name
        self._longest_turn = longest_turn
        self._waiting: deque[Any] = deque(carried or [])
        self._next_row = 0
        self._timers_until = context.current_utc_datetime
        self._open = context.wait_for_external_event(name)

    def has_news(self) -> bool:
        """Whether something has come that was not read yet."""
        return bool(self._waiting)

    def carry(self) -> Steps:
        """What the inbox of the next generation has to be given; continue-as-new must follow at once.

        The last cancelled timer's message has to be gone first. The storage provider puts a message for a generation
        that has ended into one batch with events that came just then, and throws all of them away.
        """
        barrier = self._context.create_timer(max(self._context.current_utc_datetime, self._timers_until))
        yield barrier
        unread = list(self._waiting)
        for row in self._context.histories[self._next_row :]:
            if row.event_type == HistoryEventType.TIMER_FIRED and getattr(row, "TimerId", None) == barrier.id:
                break
            if self._is_mine(row):
                unread.append(event_data(json.loads(getattr(row, "Input", None) or "null")))
        return unread

    def during(self, task: Any) -> Steps:
        """Waits for the task and gives its result, or raises its failure; events that come meanwhile are kept."""
        release = RELEASE_AFTER
        while not task.is_completed:
            yield from self._turn(self._context.current_utc_datetime + release, task)
            release = min(release * 2, RELEASE_AFTER_AT_LAST)
        if isinstance(task.result, Exception):
            raise task.result
        return task.result

    def next(self, until: datetime | None = None) -> Steps:
        """The next event's data, or TIME_OVER when `until` comes first; waits for ever without it."""
        while not self._waiting:
            if until is None:
                yield self._open
                self._collect()
            elif self._context.current_utc_datetime >= until:
                return TIME_OVER
            else:
                yield from self._turn(min(until, self._context.current_utc_datetime + self._longest_turn))
        return self._waiting.popleft()

    def _turn(self, until: datetime, *tasks: Any) -> Steps:
        timer: Any = self._context.create_timer(until)
        yield self._context.task_any([*tasks, self._open, timer])
        if not timer.is_completed:
            timer.cancel()
            self._timers_until = max(self._timers_until, until + TIMER_MARGIN)
        self._collect()

    def _collect(self) -> None:
        if not self._open.is_completed:
            return
        # One wait being open at all times, events are read in the order of their rows.
        while not self._is_mine(self._context.histories[self._next_row]):
            self._next_row += 1
        self._next_row += 1
        self._waiting.append(event_data(self._open.result))
        self._open = self._context.wait_for_external_event(self._name)

    def _is_mine(self, row: Any) -> bool:
        return bool(row.event_type == HistoryEventType.EVENT_RAISED and row.Name == self._name)
