"""The app of the simulation: one workflow for each shape, whose effects are kept in one dictionary by their key."""

import asyncio
import datetime
from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

EFFECTS: dict[str, int] = {}  # idempotency key -> how often it was asked for
ATTEMPTS: dict[str, int] = {}


def reset() -> None:
    """Begins a new world."""
    EFFECTS.clear()
    ATTEMPTS.clear()


@app.activity_trigger(input_name="order")
async def act(order: dict[str, Any]) -> str:
    """Takes its time, then has its effect, once for its key."""
    await asyncio.sleep(order.get("seconds", 0))
    EFFECTS[order["key"]] = EFFECTS.get(order["key"], 0) + 1
    return f"did {order['key']}"


@app.activity_trigger(input_name="order")
async def stumble(order: dict[str, Any]) -> str:
    """Fails as often as it is told to."""
    ATTEMPTS[order["key"]] = ATTEMPTS.get(order["key"], 0) + 1
    if ATTEMPTS[order["key"]] <= order["failures"]:
        raise ValueError("not yet")
    EFFECTS[order["key"]] = EFFECTS.get(order["key"], 0) + 1
    return f"did {order['key']}"


def _order(context: df.DurableOrchestrationContext, step: int, seconds: float = 0) -> dict[str, Any]:
    return {"key": f"{context.instance_id}/{step}", "seconds": seconds}


@app.orchestration_trigger(context_name="context")
def chain(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """One step after the other."""
    done = []
    for step in range(context.get_input()["steps"]):
        done.append((yield context.call_activity("act", _order(context, step, 0.3))))
    return done


@app.orchestration_trigger(context_name="context")
def fan_out(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """All steps at once."""
    steps = context.get_input()["steps"]
    return (yield context.task_all([context.call_activity("act", _order(context, n, n * 0.2)) for n in range(steps)]))


@app.orchestration_trigger(context_name="context")
def approval(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """A decision or the deadline, then one step."""
    deadline = context.current_utc_datetime + datetime.timedelta(hours=context.get_input()["hours"])
    timer, decision = context.create_timer(deadline), context.wait_for_external_event("decision")
    winner = yield context.task_any([decision, timer])
    if winner == decision:
        timer.cancel()
        yield context.call_activity("act", _order(context, 0))
        return decision.result
    yield context.call_activity("act", _order(context, 1))
    return "timeout"


@app.orchestration_trigger(context_name="context")
def family(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Two children at once."""
    children = [
        context.call_sub_orchestrator("chain", {"steps": 2}, f"{context.instance_id}-child{n}") for n in range(2)
    ]
    return (yield context.task_all(children))


@app.orchestration_trigger(context_name="context")
def patient(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """A step that fails before it succeeds."""
    options = df.RetryOptions(1000, 5)
    order = {"key": f"{context.instance_id}/0", "failures": context.get_input()["failures"]}
    return (yield context.call_activity_with_retry("stumble", options, order))


@app.orchestration_trigger(context_name="context")
def rounds(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """One step a generation."""
    state = context.get_input()
    yield context.call_activity("act", _order(context, state["round"], 0.2))
    if state["round"] + 1 < state["rounds"]:
        context.continue_as_new({"round": state["round"] + 1, "rounds": state["rounds"]})
        return None
    return f"{state['rounds']} rounds"
