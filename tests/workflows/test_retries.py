"""Growing pauses: how long, how often, and what is raised in the end."""

from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import pytest

from tests.workflows.driver import FUNCTIONS, World
from workflows import retries
from workflows.orchestration import Steps
from workflows.retries import Backoff, GaveUp

POLICY = Backoff(attempts=4, first=timedelta(seconds=1), factor=3, longest=timedelta(seconds=5))


def tries(context: df.DurableOrchestrationContext) -> Steps:
    """Calls one activity with the policy."""
    try:
        return (yield from retries.call_with_backoff(context, "work", context.get_input(), POLICY))
    except GaveUp as error:
        return {"gave_up": str(error)}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = df.Blueprint().orchestration_trigger(context_name="context")(tries)._function._func
    monkeypatch.setitem(FUNCTIONS["orchestrationTrigger"], "tries", handle)


def failing(times: int, moments: list[Any]) -> World:
    def work(data: Any) -> Any:
        moments.append(world.now)
        if len(moments) <= times:
            raise ConnectionError(f"busy {len(moments)}")
        return data

    world = World(replace={"work": work})
    return world


def test_pauses_grow_up_to_the_longest() -> None:
    moments: list[Any] = []
    assert failing(3, moments).run("tries", "x").output == "x"
    assert [(b - a).total_seconds() for a, b in zip(moments, moments[1:], strict=False)] == [1, 3, 5]


def test_after_the_last_attempt_the_last_reason_is_raised_at_once() -> None:
    moments: list[Any] = []
    world = failing(9, moments)
    assert world.run("tries", "x").output == {"gave_up": "ConnectionError: busy 4"}
    assert len(moments) == 4 and world.now == moments[-1]


def test_a_pause_does_not_overflow_after_many_attempts() -> None:
    assert retries.UNDO.pause(10_000) == timedelta(hours=1)
