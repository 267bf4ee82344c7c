"""The app of the simulation: one workflow for each shape, whose effects are kept in one dictionary by their key."""

import asyncio
import datetime
from collections.abc import Generator
from typing import Any, TypedDict

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


class Order(TypedDict, total=False):
    """What an activity is told to do."""

    key: str  # of its effect
    seconds: float
    failures: int  # before it succeeds


EFFECTS: dict[str, int] = {}  # idempotency key -> how often it was asked for
ATTEMPTS: dict[str, int] = {}


def reset() -> None:
    """Begins a new world."""
    EFFECTS.clear()
    ATTEMPTS.clear()


@app.activity_trigger(input_name="order")
async def act(order: Order) -> str:
    """Takes its time, then has its effect, once for its key."""
    await asyncio.sleep(order.get("seconds", 0))
    EFFECTS[order["key"]] = EFFECTS.get(order["key"], 0) + 1
    return f"did {order['key']}"


@app.activity_trigger(input_name="order")
async def stumble(order: Order) -> str:
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


# random programs (lab.simulation.programs): one orchestrator that does the steps it is given


@app.activity_trigger(input_name="order")
async def work(order: Order) -> dict[str, Any]:
    """As `act`, and tells how often it has run, so that another result than the recorded one is noticed."""
    await asyncio.sleep(order["seconds"])
    EFFECTS[order["key"]] = EFFECTS.get(order["key"], 0) + 1
    return {"did": order["key"], "run": EFFECTS[order["key"]]}


@app.entity_trigger(context_name="context")
def ledger(context: df.DurableEntityContext) -> None:
    """Counts how often it was asked for each key."""
    counts = context.get_state(dict)
    key = context.get_input()
    counts[key] = counts.get(key, 0) + 1
    context.set_state(counts)
    context.set_result({"added": key})


Steps = Generator[Any, Any, Any]


@app.orchestration_trigger(context_name="context")
def program(context: df.DurableOrchestrationContext) -> Steps:
    """Does the steps of its input, one after the other."""
    given = context.get_input()
    base = given.get("base", context.instance_id)
    done = list(given.get("done", []))
    steps = given["steps"]
    for index in range(given.get("at", 0), len(steps)):
        step = steps[index]
        kind, key = step["do"], f"{base}/{step['k']}"
        if "status" in step:
            context.set_custom_status(step["status"])
        if kind == "again":
            context.continue_as_new({**given, "at": index + 1, "done": done})
            return None
        if kind == "throw":
            raise ValueError("as it was told")
        elif kind == "trip":
            yield context.call_activity("stumble", {"key": key, "failures": step["failures"]})
        else:
            done.append((yield from DO[kind](context, key, step)))
    return done


def _work(context: df.DurableOrchestrationContext, key: str, seconds: float) -> Any:
    return context.call_activity("work", {"key": key, "seconds": seconds})


def _timer(context: df.DurableOrchestrationContext, seconds: float) -> Any:
    return context.create_timer(context.current_utc_datetime + datetime.timedelta(seconds=seconds))


def do_act(context: df.DurableOrchestrationContext, key: str, step: dict[str, Any]) -> Steps:
    return (yield _work(context, key, step["seconds"]))


def do_fan(context: df.DurableOrchestrationContext, key: str, step: dict[str, Any]) -> Steps:
    tasks = [_work(context, f"{key}.{n}", seconds) for n, seconds in enumerate(step["seconds"])]
    return (yield context.task_all(tasks))


def do_timer(context: df.DurableOrchestrationContext, key: str, step: dict[str, Any]) -> Steps:
    yield _timer(context, step["seconds"])
    return "slept"


def do_wait(context: df.DurableOrchestrationContext, key: str, step: dict[str, Any]) -> Steps:
    return (yield context.wait_for_external_event(step["name"]))


def do_gather(context: df.DurableOrchestrationContext, key: str, step: dict[str, Any]) -> Steps:
    """Several events of one name."""
    return (yield context.task_all([context.wait_for_external_event(step["name"]) for _ in range(step["times"])]))


def do_race(context: df.DurableOrchestrationContext, key: str, step: dict[str, Any]) -> Steps:
    """An event or the deadline, whichever is first."""
    event, timer = context.wait_for_external_event(step["name"]), _timer(context, step["limit"])
    winner = yield context.task_any([event, timer])
    if winner == timer:
        return "late"
    timer.cancel()
    return event.result


def do_hurry(context: df.DurableOrchestrationContext, key: str, step: dict[str, Any]) -> Steps:
    """An activity or the deadline, whichever is first."""
    task, timer = _work(context, key, step["seconds"]), _timer(context, step["limit"])
    winner = yield context.task_any([task, timer])
    if winner == timer:
        return "late"
    timer.cancel()
    return task.result


def do_retry(context: df.DurableOrchestrationContext, key: str, step: dict[str, Any]) -> Steps:
    options = df.RetryOptions(1000, step["attempts"])
    order = {"key": key, "failures": step["failures"]}
    try:
        yield context.call_activity_with_retry("stumble", options, order)
    except Exception:
        return "gave up"
    return {"did": key}


def do_call(context: df.DurableOrchestrationContext, key: str, step: dict[str, Any]) -> Steps:
    return (yield context.call_entity(_entity(step), "add", key))


def do_signal(context: df.DurableOrchestrationContext, key: str, step: dict[str, Any]) -> Steps:
    context.signal_entity(_entity(step), "add", key)
    yield from ()
    return None


def _entity(step: dict[str, Any]) -> df.EntityId:
    _, name, key = step["entity"].split("@")
    return df.EntityId(name, key)


def _child(context: df.DurableOrchestrationContext, key: str, step: dict[str, Any]) -> Any:
    child_id = f"{context.instance_id}-c{step['label']}" if step["named"] else None
    given = {"steps": step["steps"], "base": key}
    if step["attempts"] == 1:
        return context.call_sub_orchestrator("program", given, child_id)
    options = df.RetryOptions(1000, step["attempts"])
    return context.call_sub_orchestrator_with_retry("program", options, given, child_id)


def do_child(context: df.DurableOrchestrationContext, key: str, step: dict[str, Any]) -> Steps:
    return (yield _child(context, key, step))


def do_children(context: df.DurableOrchestrationContext, key: str, step: dict[str, Any]) -> Steps:
    """Several at once."""
    return (yield context.task_all([_child(context, f"{key}.{part['label']}", part) for part in step["parts"]]))


DO = {
    "act": do_act, "fan": do_fan, "timer": do_timer, "wait": do_wait, "gather": do_gather, "race": do_race,
    "hurry": do_hurry, "retry": do_retry, "call": do_call, "signal": do_signal,
    "child": do_child, "children": do_children,
}  # fmt: skip
