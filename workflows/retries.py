"""How steps that may fail for a while are repeated: pauses that grow, and only what can get better is repeated.

An activity answers with a value when trying again would not help (a declined card, a missing setting) and raises when
it might (no connection, a time-out, "busy"). The SDK's own RetryOptions know one fixed interval; after an outage a
thousand instances knocking every second are the next outage, so the steps that leave the app use these instead.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import azure.durable_functions as df

from workflows.orchestration import Steps, failure_reason


@dataclass(frozen=True)
class Backoff:
    """How often, and how far apart: the first pause, then `factor` times longer each, never above `longest`."""

    attempts: int
    first: timedelta
    factor: float
    longest: timedelta

    def pause(self, attempt: int) -> timedelta:
        """The pause after this attempt (1 is the first)."""
        seconds = self.first.total_seconds() * self.factor ** min(attempt - 1, 60)
        return timedelta(seconds=min(seconds, self.longest.total_seconds()))


# For what a customer waits for: half a minute, then decide.
FORWARD = Backoff(attempts=6, first=timedelta(seconds=1), factor=2, longest=timedelta(seconds=30))
# For what must be undone or told: about a day, since giving up leaves work for a person.
UNDO = Backoff(attempts=30, first=timedelta(seconds=2), factor=2, longest=timedelta(hours=1))
# For local work that fails only when storage does: the SDK's own policy is enough.
STORAGE = df.RetryOptions(first_retry_interval_in_milliseconds=2000, max_number_of_attempts=5)


class GaveUp(Exception):
    """Every attempt failed; the text is the last reason."""


def _by_itself(task: Any) -> Steps:
    return (yield task)


def call_with_backoff(
    context: df.DurableOrchestrationContext,
    activity: str,
    data: Any,
    backoff: Backoff,
    wait_for: Callable[[Any], Steps] = _by_itself,
) -> Steps:
    """Calls the activity until it answers; raises GaveUp after the last attempt.

    `wait_for` is how the orchestrator waits for a task; one that listens to events passes its inbox's `during`.
    """
    reason = ""
    for attempt in range(1, backoff.attempts + 1):
        try:
            return (yield from wait_for(context.call_activity(activity, data)))
        except Exception as error:
            reason = failure_reason(error)
        if attempt < backoff.attempts:
            yield from wait_for(context.create_timer(context.current_utc_datetime + backoff.pause(attempt)))
    raise GaveUp(reason)
