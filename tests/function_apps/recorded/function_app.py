"""The functions that the recorded hubs ran, written anew from their histories."""

from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def step(context, name):
    return context.call_activity("work", {"id": context.instance_id, "step": name})


@app.orchestration_trigger(context_name="context")
def hello(context):
    said = []
    for city in ("Tokyo", "Seattle", "London"):
        said.append((yield step(context, city)))
    return said


@app.orchestration_trigger(context_name="context")
def waiter(context):
    return (yield context.wait_for_external_event("Approval"))


@app.orchestration_trigger(context_name="context")
def sleeper(context):
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=context.get_input()["secs"]))
    return "slept"


@app.orchestration_trigger(context_name="context")
def fan(context):
    return (yield context.task_all([step(context, number) for number in range(context.get_input()["n"])]))


@app.orchestration_trigger(context_name="context")
def parent(context):
    return ["parent", (yield context.call_sub_orchestrator("child", context.get_input(), f"{context.instance_id}-kid"))]


@app.orchestration_trigger(context_name="context")
def child(context):
    return (yield context.wait_for_external_event("Approval"))


@app.orchestration_trigger(context_name="context")
def eternal(context):
    state = context.get_input()
    yield step(context, state["n"])
    if state["n"]:
        return [state["n"], (yield context.wait_for_external_event("Approval"))]
    context.continue_as_new({**state, "n": state["n"] + 1})


@app.orchestration_trigger(context_name="context")
def locker(context):
    context.signal_entity(df.EntityId("counter", context.get_input()["key"]), "add", 1)
    return (yield context.wait_for_external_event("Approval"))


@app.orchestration_trigger(context_name="context")
def big(context):
    result = yield context.call_activity("bigwork")
    yield context.wait_for_external_event("Approval")
    return result + context.get_input()["pad"][:10]


@app.orchestration_trigger(context_name="context")
def fails(context):
    return (yield context.call_activity("boom"))


@app.orchestration_trigger(context_name="context")
def shop(context):
    paid = yield step(context, "pay")
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=context.get_input()["wait"]))
    approval = context.wait_for_external_event("Approval")
    if (yield context.task_any([approval, timer])) == timer:
        return [paid, "timeout"]
    timer.cancel()
    return [paid, "event", approval.result]


@app.activity_trigger(input_name="task")
def work(task: dict):
    return f"done {task['step']}"


@app.activity_trigger(input_name="nothing")
def bigwork(nothing: str):
    return "R" * 70_000


@app.activity_trigger(input_name="nothing")
def boom(nothing: str):
    raise ValueError("deliberate")


@app.entity_trigger(context_name="context")
def counter(context):
    if context.operation_name == "add":
        context.set_state(context.get_state(lambda: 0) + context.get_input())
