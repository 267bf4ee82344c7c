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


def stop_timer(timer: Any) -> None:
    """Cancels a timer that lost its race; an open one would keep the instance Running until it fires."""
    if not timer.is_completed:
        timer.cancel()


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

    The SDK keeps an event that comes while nobody waits in one place per name: the next one overwrites it, and it is
    handed out again to every later wait. And continue-as-new drops what was not read. So one wait is open whenever
    the orchestrator pauses (it pauses only through this object), and `left_over` finds what to carry along.
    """

    def __init__(self, context: df.DurableOrchestrationContext, name: str, carried: list[Any] | None = None) -> None:
        self._context = context
        self._name = name
        self._read = 0
        self._waiting: deque[Any] = deque(carried or [])
        self._open = context.wait_for_external_event(name)

    def _collect(self) -> None:
        if self._open.is_completed:
            self._read += 1
            self._waiting.append(event_data(self._open.result))
            self._open = self._context.wait_for_external_event(self._name)

    def has_news(self) -> bool:
        """Whether something has come that was not read yet."""
        return bool(self._waiting)

    def during(self, task: Any) -> Steps:
        """Waits for the task and gives its result, or raises its failure; events that come meanwhile are kept."""
        while not task.is_completed:
            yield self._context.task_any([task, self._open])
            self._collect()
        if isinstance(task.result, Exception):
            raise task.result
        return task.result

    def next(self, until: datetime | None = None) -> Steps:
        """The next event's data, or TIME_OVER when `until` comes first; waits for ever without it."""
        while not self._waiting:
            if until is None:
                yield self._open
            elif self._context.current_utc_datetime >= until:
                return TIME_OVER
            else:
                yield from self._turn(until)
            self._collect()
        return self._waiting.popleft()

    def _turn(self, until: datetime) -> Steps:
        timer = self._context.create_timer(min(until, self._context.current_utc_datetime + LONGEST_TIMER))
        yield self._context.task_any([timer, self._open])
        stop_timer(timer)

    def left_over(self) -> list[Any]:
        """What has come and was not read, for continue-as-new only: after it nothing of this generation is replayed."""
        arrived = [
            event.Input
            for event in self._context.histories
            if event.event_type == HistoryEventType.EVENT_RAISED and event.Name == self._name
        ]
        unread = [event_data(json.loads(text)) if text else None for text in arrived[self._read :]]
        return [*self._waiting, *unread]
