"""What orchestrators share: the type of their steps, event data as it was meant, and timers that can be cancelled."""

import json
from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import azure.durable_functions as df

Steps: TypeAlias = Generator[Any, Any, Any]

# The extension splits timers above six days into legs that Python cannot cancel; an instance whose race is over would
# stay Running until the leg ends. Waiting in shorter turns of our own keeps every timer cancellable.
LONGEST_TIMER = timedelta(days=5)


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


def next_turn(context: df.DurableOrchestrationContext, moment: datetime) -> datetime:
    """When to wake up next on the way to `moment`: then, or after the longest timer that can be cancelled."""
    latest: datetime = context.current_utc_datetime + LONGEST_TIMER
    return min(moment, latest)


def stop(timer: Any) -> None:
    """Cancels a timer that lost its race; an open one would keep the instance Running until it fires."""
    if not timer.is_completed:
        timer.cancel()


def iso(moment: datetime) -> str:
    """The moment as text in UTC, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
